"""Closing what has been resolved for long enough."""

import structlog
from django.conf import settings
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.sweeps.rows import ids_of

log = structlog.get_logger(__name__)


def close_resolved_tickets(*, batch: int = 200) -> SweepResult:
    """Close tickets that nobody has come back to, the longest resolved first; `batch` at a time.

    One that fails does not hold up the others.
    """
    now, result = timezone.now(), SweepResult()
    resolved = Ticket.objects.filter(
        status=Status.RESOLVED, resolved_at__lte=now - settings.AUTO_CLOSE_AFTER
    )
    for pk in ids_of(resolved, ("resolved_at", "pk"), batch):
        try:
            is_closed = services.close_resolved(ticket_id=pk, at=now)
        except Exception:
            log.exception("close_failed", ticket=pk)
            result.failed += 1
            continue
        result.add(SweepResult(handled=int(is_closed), skipped=int(not is_closed)))
        if result.handled >= batch:
            break
    return result
