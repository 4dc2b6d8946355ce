"""The same change of many tickets."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from servicedesk.api.errors import problem_for_status, problem_of
from servicedesk.errors import DomainError
from tickets.models import Ticket

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one ticket; `code` and `detail` say why where it was refused."""

    id: int
    ok: bool = True
    code: str = ""
    detail: str = ""


def change_each(
    *, tickets: Iterable[Ticket], change: Callable[[Ticket], object]
) -> dict[int, Outcome]:
    """Make a change, one service call, of each ticket by itself; the outcomes by id.

    A refused one stops none of the others, nor does a defect of ours: it is logged, and whoever
    asked still hears what was done. In the order of the ids, so that of two such rounds within
    transactions of their own (under an Idempotency-Key) neither waits for the other's tickets.
    """
    in_order = sorted(tickets, key=lambda ticket: ticket.pk)
    return {ticket.pk: _outcome(ticket, change) for ticket in in_order}


def _outcome(ticket: Ticket, change: Callable[[Ticket], object]) -> Outcome:
    try:
        change(ticket)
    except DomainError as refusal:
        return Outcome(ticket.pk, False, refusal.code, refusal.detail)
    except Exception as exc:
        problem = problem_of(exc)
        if problem is None:
            log.exception("bulk_change_failed", ticket=ticket.pk)
            problem = problem_for_status(500)
        return Outcome(ticket.pk, False, problem.code, problem.detail or problem.title)
    return Outcome(ticket.pk)
