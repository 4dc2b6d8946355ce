"""Moving a ticket through its lifecycle."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from agents.models import User
from servicedesk.errors import FieldError
from tickets import lifecycle
from tickets.assignment.claim import force_place, reweigh
from tickets.assignment.experience import learn
from tickets.events import Entry, record
from tickets.lifecycle import Part, Status
from tickets.locks import lock_ticket
from tickets.models import AssignmentDecision, Kind, Ticket, TicketEvent
from tickets.parts import is_agent_reply, part_of, require_staff, situation_of
from tickets.services.messages import add_message

STATUS_FIELDS = (
    "status",
    "resolved_at",
    "closed_at",
    "reopen_count",
    "resolution",
    "waiting_since",
    "queued_at",
)


@transaction.atomic
def change_status(
    *,
    ticket: Ticket,
    to: Status,
    actor: User,
    at: datetime,
    comment: str = "",
    is_internal: bool = False,
    resolution: str = "",
    expected: Collection[int] | None = None,
) -> Ticket:
    """Move a ticket because somebody asked for it.

    `comment` becomes a message of the actor, an internal one on request. Resolving an unassigned
    ticket assigns it to the agent who resolves it. Raises what lifecycle.check raises, and
    VersionConflict.
    """
    if is_internal:
        require_staff(actor)
    # White space explains nothing.
    comment, resolution = (text if text.strip() else "" for text in (comment, resolution))
    if resolution and to != Status.RESOLVED:
        raise FieldError("resolution", "Only a ticket that becomes resolved has a resolution.")
    ticket = lock_ticket(ticket.pk, expected)
    part = part_of(actor, ticket)
    speaks = bool(comment) and not is_internal
    now = replace(
        situation_of(ticket, at),
        has_comment=bool(comment),
        has_public_comment=speaks,
        has_resolution=bool(resolution),
    )
    if speaks and is_agent_reply(actor, ticket):
        now = replace(now, has_public_agent_reply=True)
    lifecycle.check(now, to, part)
    entries, changed = [], set()
    if comment:
        spoken, touched = add_message(ticket, actor, comment, is_internal=is_internal, at=at)
        entries.append(spoken)
        changed |= touched
    if to == Status.RESOLVED and ticket.assignee_id is None:
        entries.append(_take_over(ticket, actor, at))
        changed.add("assignee")
    entries.append(apply_move(ticket, to, at=at, resolution=resolution))
    record(ticket, *entries, actor=actor, at=at, changed={*changed, *STATUS_FIELDS})
    return ticket


def apply_move(ticket: Ticket, to: Status, *, at: datetime, resolution: str = "") -> Entry:
    """Set the status and all that hangs on it; the caller has checked the move and records it.

    The only place that writes `status`.
    """
    # As in the log, time does not run backwards.
    at = max(at, ticket.updated_at)
    was, weighed = ticket.status, ticket.weight
    ticket.status = to
    if was in lifecycle.ENDED_STATUSES and to == Status.OPEN:
        ticket.reopen_count += 1
    if to == Status.RESOLVED:
        ticket.resolved_at = at
        ticket.resolution = resolution or ticket.resolution
    elif to not in lifecycle.ENDED_STATUSES:
        ticket.resolved_at = None
    ticket.closed_at = at if to in lifecycle.FINAL_STATUSES else None
    if to in lifecycle.ENDED_STATUSES:
        ticket.waiting_since = None
    elif was in lifecycle.ENDED_STATUSES and ticket.assignee_id is None:
        ticket.queued_at = at
    reweigh(ticket.assignee_id, by=ticket.weight - weighed)
    if to == Status.RESOLVED:
        _learn(ticket)
    data = {"from": was, "to": to}
    return Entry(Kind.STATUS_CHANGED, data, data)


def _learn(ticket: Ticket) -> None:
    """The assignee has one more resolved ticket of its category; once, though it be reopened.

    Not by a merger, which resolves nothing: the work goes on in the survivor.
    """
    if ticket.merged_into_id or ticket.assignee_id is None or ticket.category_id is None:
        return
    if not ticket.reopen_count or not _was_resolved(ticket):
        learn(agent_id=ticket.assignee_id, category_id=ticket.category_id)


def _was_resolved(ticket: Ticket) -> bool:
    moves = TicketEvent.objects.filter(ticket=ticket, kind=Kind.STATUS_CHANGED)
    return any(data["to"] == Status.RESOLVED for data in moves.values_list("data", flat=True))


def move_by_itself(ticket: Ticket, to: Status, *, at: datetime) -> Entry:
    """A move that follows from something else (a reply, an assignment), under its lock."""
    lifecycle.check(situation_of(ticket, at), to, Part.DESK)
    return apply_move(ticket, to, at=at)


def _take_over(ticket: Ticket, agent: User, at: datetime) -> Entry:
    ticket.assignee, ticket.queued_at = agent, None
    # The capacity does not matter: the ticket weighs nothing a moment later.
    force_place(agent.pk, weight=ticket.weight, at=at)
    AssignmentDecision.objects.create(
        ticket=ticket, agent=agent, method=AssignmentDecision.Method.MANUAL, decided_at=at
    )
    data = {"from": None, "to": agent.pk, "method": "manual"}
    return Entry(Kind.ASSIGNED, data, data)
