"""What happens to a ticket because time is counted anew."""

from datetime import datetime

from django.db import transaction

from tickets.events import record
from tickets.locks import lock_free_ticket
from tickets.sla import revision


@transaction.atomic
def recompute(*, ticket_id: int, at: datetime) -> bool:
    """Let the ticket's clocks take up what is promised now, where they have not; records the
    breaches that they notice.

    False where they have by now, or where somebody has the ticket in hand: every change of a
    ticket does the same, and otherwise the next round looks again.
    """
    ticket = lock_free_ticket(ticket_id)
    if ticket is None or ticket.sla_revision >= revision.current():
        return False
    record(ticket, actor=None, at=at)
    return True
