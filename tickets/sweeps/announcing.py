"""Telling receivers again of what they may not have heard."""

from datetime import datetime, timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import events
from tickets.models import Ticket, TicketEvent
from tickets.sweeps.rows import in_chunks

log = structlog.get_logger(__name__)

# An event that is still unannounced after this was left behind by a process that died, or by a
# receiver that failed; within it, its own process is most likely about to send it.
GRACE = timedelta(seconds=15)
# A receiver that fails on the same event for so long will not be helped by another try.
GIVEN_UP_AFTER = timedelta(days=1)


def announce_events(*, batch: int = 200) -> SweepResult:
    """Send `ticket_event` again for what the log holds and a receiver may not have heard.

    At most `batch` tickets at a time; one whose receiver keeps failing does not hold up others.
    """
    result = SweepResult()
    lagging = Ticket.objects.filter(announced_seq__lt=F("last_seq")).only("announced_seq")
    for ticket in in_chunks(lagging, ("updated_at", "pk"), batch):
        result.add(_announce_again(ticket, timezone.now()))
        if result.handled >= batch:
            break
    return result


def _announce_again(ticket: Ticket, now: datetime) -> SweepResult:
    unheard = TicketEvent.objects.filter(ticket=ticket, seq__gt=ticket.announced_seq)
    missed = list(unheard.select_related("ticket", "actor").order_by("seq"))
    if not missed or missed[0].at > now - GRACE:
        return SweepResult(skipped=1)
    if missed[0].at < now - GIVEN_UP_AFTER:
        log.error("announcing_given_up", ticket=ticket.pk, after=ticket.announced_seq)
        Ticket.objects.filter(pk=ticket.pk).update(announced_seq=missed[-1].seq)
        return SweepResult(failed=1)
    events.announce(missed)
    moved = Ticket.objects.filter(pk=ticket.pk, announced_seq__gt=ticket.announced_seq).exists()
    return SweepResult(handled=int(moved), failed=int(not moved))
