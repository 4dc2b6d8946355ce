"""The same change of many tickets."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from servicedesk.api.errors import problem_for_status, problem_of
from servicedesk.errors import DomainError
from tickets.models import Ticket

# So many at a time.
MAX_TICKETS = 200
Change = Callable[[Ticket], object]
# Does a thing of this name and answers what it answered; or, where that was done, what it did.
Once = Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one ticket; `code` and `detail` say why where it was refused.

    One that is not `is_certain` failed for the moment, or by a defect of ours: it is worth trying
    again.
    """

    id: int
    ok: bool = True
    code: str = ""
    detail: str = ""
    is_certain: bool = True


def change_each(*, tickets: Iterable[Ticket], change: Change, once: Once) -> dict[int, Outcome]:
    """Make a change, one service call, of each ticket by itself; the outcomes by id.

    A refused one stops none of the others, nor does a defect of ours: it is logged, and whoever
    asked still hears what was done. In the order of the ids. No transaction may be around it: two
    rounds of disjoint tickets still meet at the agents, whom each ticket locks until it is done.

    `once` passes over tickets that have a certain outcome; what it refuses itself is raised.
    """
    in_order = sorted(tickets, key=lambda ticket: ticket.pk)
    return {ticket.pk: _outcome(ticket, change, once) for ticket in in_order}


def _outcome(ticket: Ticket, change: Change, once: Once) -> Outcome:
    try:
        return Outcome(**once(str(ticket.pk), lambda: asdict(_certain(ticket, change))))
    except Exception as exc:
        problem = problem_of(exc)
        if problem is None:
            log.exception("bulk_change_failed", ticket=ticket.pk)
            problem = problem_for_status(500)
        if problem.status < 500:
            raise
        return Outcome(ticket.pk, False, problem.code, problem.detail or problem.title, False)


def _certain(ticket: Ticket, change: Change) -> Outcome:
    """Raises what says nothing about the ticket."""
    try:
        change(ticket)
    except Exception as exc:
        problem = problem_of(exc)
        if problem is None or problem.status >= 500:
            raise
        detail = exc.detail if isinstance(exc, DomainError) else problem.detail
        return Outcome(ticket.pk, False, problem.code, detail or problem.title)
    return Outcome(ticket.pk)
