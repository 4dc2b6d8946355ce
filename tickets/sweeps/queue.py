"""Offering what waits for an agent to those who are free now."""

import structlog
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import services
from tickets.assignment.candidates import anybody_has_room
from tickets.models import Ticket
from tickets.sweeps.rows import in_chunks

log = structlog.get_logger(__name__)


def assign_tickets(*, batch: int = 200) -> SweepResult:
    """Offer every waiting ticket to the agents once more, the most urgent and oldest first.

    Where nobody can take a ticket, those that need the same are passed over, so that a long
    queue of what nobody knows does not hold up the rest; nor does one ticket that fails.
    """
    result = SweepResult()
    hopeless: set[tuple[int | None, frozenset[int]]] = set()
    if not anybody_has_room():
        return result
    queue = Ticket.objects.unassigned().only("team").prefetch_related("required_skills")
    for ticket in in_chunks(queue, ("-priority", "created_at", "id"), batch):
        needs = (ticket.team_id, frozenset(skill.pk for skill in ticket.required_skills.all()))
        if needs in hopeless:
            result.skipped += 1
            continue
        try:
            result.handled += services.assign_waiting(
                ticket=ticket, at=timezone.now(), from_queue=True
            )
        except services.NoAgentAvailable as nobody:
            result.skipped += 1
            if not nobody.is_about_this_ticket:
                hopeless.add(needs)
        except Exception:
            log.exception("assign_failed", ticket=ticket.pk)
            result.failed += 1
    return result
