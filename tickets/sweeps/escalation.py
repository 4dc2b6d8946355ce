"""What time alone does to tickets: warnings, breaches and the rules that follow from them."""

from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from servicedesk.models import Heartbeat
from servicedesk.sweeps import SweepResult
from tickets import services
from tickets.lifecycle import OPEN_STATUSES
from tickets.models import Ticket, TicketEvent
from tickets.sla import revision
from tickets.sweeps.rows import ids_of, sweep_each

log = structlog.get_logger(__name__)

HEARTBEAT = "escalate_tickets"
DUE_FIRST = ("next_sla_at", "pk")


def escalate_tickets(*, batch: int = 200) -> SweepResult:
    """Warn, note breaches and apply escalation rules where that is due, the most overdue first.

    One range scan over `next_sla_at`, whatever is not due. Any number of these may run at once.
    """
    now = timezone.now()
    result = sweep_each(
        ids_of(_due(now), DUE_FIRST, batch),
        lambda pk: services.escalate_due(ticket_id=pk, at=now) is not None,
        batch=batch,
        failure="escalate_failed",
    )
    Heartbeat.beat(HEARTBEAT)
    return result


def preview_escalations(*, limit: int) -> tuple[list[dict[str, Any]], int]:
    """What `escalate_tickets` would record now for the first `limit` tickets that are due, as
    `{ticket, event, data}`, and on how many it would fail. Each ticket is tried in a transaction
    that is rolled back."""
    now, failed = timezone.now(), 0
    effects: list[dict[str, Any]] = []
    for pk in list(_due(now).values_list("pk", flat=True)[:limit]):
        try:
            effects += _tried(pk, now)
        except Exception:
            log.exception("preview_failed", ticket=pk)
            failed += 1
    return effects, failed


def _tried(ticket_id: int, at: datetime) -> list[dict[str, Any]]:
    with transaction.atomic():
        ticket = Ticket.objects.get(pk=ticket_id)
        services.escalate_due(ticket_id=ticket_id, at=at)
        events = TicketEvent.objects.filter(ticket=ticket, seq__gt=ticket.last_seq)
        found = [
            {"ticket": ticket_id, "event": event.kind, "data": event.data}
            for event in events.order_by("seq")
        ]
        transaction.set_rollback(True)
    return found


def _due(at: datetime) -> QuerySet[Ticket]:
    return Ticket.objects.filter(next_sla_at__lte=at).order_by(*DUE_FIRST)


def recompute_clocks(*, batch: int = 200) -> SweepResult:
    """Work out anew the clocks of open tickets that carry an older revision of what is promised:
    after a change of a calendar, policy or rule, and after an import. `batch` at a time.

    Any number of these may run at once.
    """
    now = timezone.now()
    stale = Ticket.objects.filter(status__in=OPEN_STATUSES, sla_revision__lt=revision.current())
    return sweep_each(
        ids_of(stale, ("sla_revision", "pk"), batch),
        lambda pk: services.recompute(ticket_id=pk, at=now),
        batch=batch,
        failure="recompute_failed",
    )
