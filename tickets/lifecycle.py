"""What can happen to a ticket's status: the one source of truth, pure.

The table, its guards and its roles feed the services, the choices and constraints of the model,
the API, the buttons of the console and the tests. Replayed on a real desk's log, the table allows
63,997 of its 64,012 moves (docs/import.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.db.models import TextChoices

from servicedesk.errors import DomainError, NotAllowed


class Status(TextChoices):
    NEW = "new", "New"
    OPEN = "open", "Open"
    PENDING = "pending", "Waiting for the customer"
    ON_HOLD = "on_hold", "Waiting for a third party"
    RESOLVED = "resolved", "Resolved"
    CLOSED = "closed", "Closed"
    CANCELLED = "cancelled", "Cancelled"


# Somebody still expects something of the desk.
OPEN_STATUSES = (Status.NEW, Status.OPEN, Status.PENDING, Status.ON_HOLD)
# In an agent's hands: what weighs on their capacity.
WORKED_STATUSES = (Status.NEW, Status.OPEN)
# Nothing leaves these by itself.
FINAL_STATUSES = (Status.CLOSED, Status.CANCELLED)
# The clocks of service levels may stand still.
PAUSING_STATUSES = (Status.PENDING, Status.ON_HOLD)
# A return from these to `open` is a reopening.
ENDED_STATUSES = (Status.RESOLVED, Status.CLOSED, Status.CANCELLED)


class Part(Enum):
    """The part a person plays in one ticket; a move names the parts that may make it."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    PARTICIPANT = "participant"  # reads and replies, decides nothing
    DESK = "desk"  # the desk itself: sweeps, receivers and what a reply brings about


# The parts that are also roles of a user.
ROLES = frozenset({Part.CUSTOMER, Part.AGENT, Part.SUPERVISOR})
STAFF = frozenset({Part.AGENT, Part.SUPERVISOR, Part.DESK})
STAFF_AND_CUSTOMER = STAFF | {Part.CUSTOMER}


@dataclass(frozen=True)
class Situation:
    """What the guards look at: the ticket's facts, and what the move brings with it."""

    status: Status
    is_assigned: bool = False
    is_merged: bool = False
    has_public_agent_reply: bool = False
    closed_at: datetime | None = None
    has_comment: bool = False
    has_public_comment: bool = False
    has_resolution: bool = False
    at: datetime | None = None
    reopen_window: timedelta = timedelta(days=14)


@dataclass(frozen=True)
class Reason:
    """Why a move is refused: a stable code and a sentence.

    `asks_for` names what a request would mend it with; None where nothing it may bring along does.
    """

    code: str
    detail: str
    asks_for: str | None = None


@dataclass(frozen=True)
class Guard:
    """A rule beside the table. `requires` tells front ends what to ask for beforehand."""

    requires: str
    holds: Callable[[Situation, Part], bool]
    reason: Reason


@dataclass(frozen=True)
class Transition:
    source: Status
    target: Status
    label: str
    parts: frozenset[Part] = STAFF
    guards: tuple[Guard, ...] = ()


def within_window(closed_at: datetime | None, at: datetime, window: timedelta) -> bool:
    """Whether `at` is early enough to reopen what was closed then; the last moment counts."""
    return closed_at is None or at <= closed_at + window


def _may_still_reopen(now: Situation, part: Part) -> bool:
    if part is not Part.CUSTOMER or now.at is None:
        return True
    return within_window(now.closed_at, now.at, now.reopen_window)


ASSIGNED = Guard(
    "assignee",
    # The agent who resolves an unassigned ticket becomes its assignee; what was merged needs none.
    lambda now, part: now.is_assigned or now.is_merged or part in (Part.AGENT, Part.SUPERVISOR),
    Reason("assignee_required", "Nobody is assigned to this ticket."),
)
EXPLAINED = Guard(
    "resolution",
    lambda now, part: now.has_resolution or now.has_public_agent_reply or now.is_merged,
    Reason(
        "resolution_required",
        "Say how it was resolved, or reply to the customer before resolving.",
        "resolution",
    ),
)
ASKED = Guard(
    "comment",
    lambda now, part: now.has_public_comment or now.has_public_agent_reply,
    Reason("comment_required", "Tell the customer what you are waiting for.", "comment"),
)
JUSTIFIED = Guard(
    "comment",
    lambda now, part: now.has_comment or part is Part.CUSTOMER,
    Reason("comment_required", "Say why the ticket is cancelled.", "comment"),
)
IN_WINDOW = Guard(
    "reopen_window",
    _may_still_reopen,
    Reason("reopen_window_over", "The time for reopening this ticket is over; open a new one."),
)
NOT_MERGED = Guard(
    "not_merged",
    lambda now, part: not now.is_merged,
    Reason("ticket_merged", "This ticket was merged into another, which goes on in its place."),
)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Status.NEW, Status.OPEN, "Start work"),
    *(
        Transition(source, Status.OPEN, "Continue work")
        for source in (Status.PENDING, Status.ON_HOLD)
    ),
    Transition(Status.RESOLVED, Status.OPEN, "Reopen", STAFF_AND_CUSTOMER),
    Transition(
        Status.CLOSED,
        Status.OPEN,
        "Reopen",
        # The desk: when the customer replies within the window.
        frozenset({Part.CUSTOMER, Part.SUPERVISOR, Part.DESK}),
        (IN_WINDOW, NOT_MERGED),
    ),
    Transition(Status.CANCELLED, Status.OPEN, "Reopen", frozenset({Part.SUPERVISOR})),
    *(
        Transition(source, Status.PENDING, "Wait for the customer", guards=(ASKED,))
        for source in (Status.NEW, Status.OPEN, Status.ON_HOLD)
    ),
    *(
        Transition(source, Status.ON_HOLD, "Wait for a third party")
        for source in (Status.NEW, Status.OPEN, Status.PENDING)
    ),
    *(
        Transition(source, Status.RESOLVED, "Resolve", guards=(ASSIGNED, EXPLAINED))
        for source in OPEN_STATUSES
    ),
    *(
        Transition(source, Status.CANCELLED, "Cancel ticket", STAFF_AND_CUSTOMER, (JUSTIFIED,))
        for source in OPEN_STATUSES
    ),
    Transition(Status.RESOLVED, Status.CLOSED, "Close", STAFF_AND_CUSTOMER),
)
TABLE: dict[tuple[Status, Status], Transition] = {
    (move.source, move.target): move for move in TRANSITIONS
}


class TransitionNotAllowed(DomainError):
    code = "transition_not_allowed"
    status = 409
    title = "The ticket cannot go there from where it is"


class TransitionBlocked(DomainError):
    code = "transition_blocked"
    status = 409
    title = "Something is missing before this move"


def moves_from(status: Status) -> list[Transition]:
    return [move for move in TRANSITIONS if move.source == status]


def refusals(move: Transition, now: Situation, part: Part) -> list[Reason]:
    """Every reason why this part may not make this move now, not only the first."""
    reasons = [guard.reason for guard in move.guards if not guard.holds(now, part)]
    if part not in move.parts:
        reasons.insert(0, Reason("permission_denied", "Your role may not make this move."))
    return reasons


def allowed_targets(now: Situation, part: Part) -> list[Status]:
    """Where this part may move the ticket, if it brings along what the guards ask for.

    A guard that only asks for a comment or a resolution does not hide the button.
    """
    return [
        move.target
        for move in moves_from(now.status)
        if all(reason.asks_for for reason in refusals(move, now, part))
    ]


def check(now: Situation, target: Status, part: Part) -> Transition:
    """The transition to `target`, if the table, the role and every guard allow it.

    Raises TransitionNotAllowed (not in the table), NotAllowed (not for this role) or
    TransitionBlocked (with every unmet guard).
    """
    move = TABLE.get((now.status, target))
    if move is None:
        raise TransitionNotAllowed(
            f"A ticket that is {now.status} cannot become {target}.",
            current=now.status,
            allowed=allowed_targets(now, part),
        )
    if part not in move.parts:
        raise NotAllowed("Your role may not make this move.", current=now.status)
    if reasons := refusals(move, now, part):
        raise TransitionBlocked(
            " ".join(reason.detail for reason in reasons),
            reasons=[{"code": reason.code, "detail": reason.detail} for reason in reasons],
        )
    return move
