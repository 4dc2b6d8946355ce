"""Closing what has been resolved for long enough."""

from django.conf import settings
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.sweeps.rows import ids_of, sweep_each


def close_resolved_tickets(*, batch: int = 200) -> SweepResult:
    """Close tickets that nobody has come back to, the longest resolved first; `batch` at a time."""
    now = timezone.now()
    resolved = Ticket.objects.filter(
        status=Status.RESOLVED, resolved_at__lte=now - settings.AUTO_CLOSE_AFTER
    )
    return sweep_each(
        ids_of(resolved, ("resolved_at", "pk"), batch),
        lambda pk: services.close_resolved(ticket_id=pk, at=now),
        batch=batch,
        failure="close_failed",
    )
