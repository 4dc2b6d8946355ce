"""What catches up when a receiver, a worker or a mail server failed, and what time alone does."""

from tickets.sweeps.announcing import GIVEN_UP_AFTER, GRACE, announce_events
from tickets.sweeps.closing import close_resolved_tickets
from tickets.sweeps.escalation import (
    escalate_tickets,
    preview_escalations,
    recompute_clocks,
)
from tickets.sweeps.mails import send_notifications
from tickets.sweeps.queue import assign_tickets

__all__ = [
    "GIVEN_UP_AFTER",
    "GRACE",
    "announce_events",
    "assign_tickets",
    "close_resolved_tickets",
    "escalate_tickets",
    "preview_escalations",
    "recompute_clocks",
    "send_notifications",
]
