"""Putting a ticket into somebody's hands: by decision, by claim, or by the score."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from agents.models import AgentProfile, User
from servicedesk.errors import DomainError, FieldError, NotAllowed
from tickets.assignment import scoring
from tickets.assignment.candidates import (
    available,
    candidates_for,
    everybody,
    rules,
    work_of,
)
from tickets.assignment.claim import claim_place, force_place, reweigh
from tickets.assignment.scoring import Scored, Work
from tickets.events import Entry, record
from tickets.lifecycle import Status
from tickets.locks import lock_agents, lock_ticket
from tickets.models import AssignmentDecision, Kind, Ticket
from tickets.parts import require_staff
from tickets.services.move import STATUS_FIELDS, move_by_itself

Method = AssignmentDecision.Method
# How many candidates a stored decision keeps: the chosen one and those it was chosen from.
KEPT_CANDIDATES = 20
# How many an answer shows; a desk of thousands does not send them all.
SHOWN_CANDIDATES = 200


class AgentAtCapacity(DomainError):
    code = "agent_at_capacity"
    title = "The agent has no room for another ticket"


class AgentUnavailable(DomainError):
    code = "agent_unavailable"
    title = "The agent is not available"


class NoAgentAvailable(DomainError):
    code = "no_agent_available"
    title = "Nobody can take this ticket right now"

    def __init__(self, work: Work, ranked: list[Scored]) -> None:
        super().__init__("No agent passes every gate.")
        self.work, self.ranked = work, ranked

    def members(self) -> dict[str, Any]:
        """Why, for each agent, best first."""
        return {"candidates": scoring.describe(self.ranked[:SHOWN_CANDIDATES], self.work)}

    @property
    def is_about_this_ticket(self) -> bool:
        """Whether a like ticket might find somebody: from whom this one was taken."""
        return any(list(scored.gates) == ["excluded"] for scored in self.ranked)


class AlreadyAssigned(DomainError):
    code = "already_assigned"
    title = "Somebody has taken this ticket"


class TicketEnded(DomainError):
    code = "ticket_ended"
    title = "This ticket is finished"


@transaction.atomic
def assign(
    *,
    ticket: Ticket,
    to: User | None,
    actor: User,
    at: datetime,
    force: bool = False,
    expected: Collection[int] | None = None,
) -> Ticket:
    """Give a ticket to an agent, or (None) back to the queue.

    Raises AgentUnavailable and AgentAtCapacity unless a supervisor forces it; nobody forces
    tickets on an inactive account, which would only hand them back.
    """
    require_staff(actor)
    if force and not actor.is_supervisor:
        raise NotAllowed("Only supervisors may force an assignment.")
    if to is not None and not to.has_desk_role:
        raise FieldError("assignee", "Only agents and supervisors are assigned to tickets.")
    ticket = lock_ticket(ticket.pk, expected)
    _refuse_ended(ticket)
    if (to.pk if to else None) == ticket.assignee_id:
        return ticket
    if to is None:
        return back_to_queue(ticket, actor, at)
    lock_agents([ticket.assignee_id, to.pk])
    seen = as_seen(ticket, to.pk, at)
    if force:
        if not to.is_active:
            raise AgentUnavailable("The agent's account is inactive.")
        force_place(to.pk, weight=ticket.weight, at=at)
    else:
        _claim_or_explain(to, ticket, at)
    return hand_over(ticket, to.pk, Method.MANUAL, actor, at, *seen)


@transaction.atomic
def claim(*, ticket: Ticket, agent: User, at: datetime) -> Ticket:
    """An agent takes an unassigned ticket. Of many at once exactly one does.

    Raises AlreadyAssigned, AgentUnavailable or AgentAtCapacity. Skills do not bar a claim.
    """
    require_staff(agent)
    ticket = lock_ticket(ticket.pk)
    if ticket.assignee_id is not None:
        raise AlreadyAssigned("Somebody has this ticket already.", assignee=ticket.assignee_id)
    _refuse_ended(ticket)
    seen = as_seen(ticket, agent.pk, at)
    _claim_or_explain(agent, ticket, at)
    return hand_over(ticket, agent.pk, Method.CLAIM, agent, at, *seen)


@transaction.atomic
def assign_automatically(
    *,
    ticket: Ticket,
    actor: User | None,
    at: datetime,
    expected: Collection[int] | None = None,
) -> Ticket:
    """Give a ticket to the best agent there is now. Raises NoAgentAvailable with why, per agent."""
    if actor is not None:
        require_staff(actor)
    ticket = lock_ticket(ticket.pk, expected)
    _refuse_ended(ticket)
    return _assign_best(ticket, actor, at)


@transaction.atomic
def assign_waiting(*, ticket: Ticket, at: datetime, from_queue: bool = False) -> bool:
    """What the desk does by itself with a ticket nobody has; False where somebody has it by now.

    `from_queue`: it has waited, and nobody shall be flooded. Raises NoAgentAvailable.
    """
    ticket = lock_ticket(ticket.pk)
    if ticket.assignee_id is not None or not ticket.weight:
        return False
    _assign_best(ticket, None, at, from_queue=from_queue)
    return True


def assign_if_possible(*, ticket: Ticket, at: datetime) -> bool:
    """The same, leaving the ticket in the queue where nobody can take it."""
    try:
        return assign_waiting(ticket=ticket, at=at)
    except NoAgentAvailable:
        return False


def _assign_best(
    ticket: Ticket, actor: User | None, at: datetime, *, from_queue: bool = False
) -> Ticket:
    work, ranked = _rank(ticket, at, available(), from_queue=from_queue)
    eligible = [scored for scored in ranked if scored.is_eligible]
    # Best first; whoever was filled up by somebody else in the meantime is passed over.
    for scored in eligible:
        agent_id = scored.candidate.id
        if agent_id == ticket.assignee_id:
            return ticket
        if take_place(ticket, agent_id, at, from_queue=from_queue):
            return hand_over(ticket, agent_id, Method.AUTO, actor, at, work, ranked)
    # Whoever asked is told of those who are away, too; the desk itself does not ask.
    raise NoAgentAvailable(*_rank(ticket, at, everybody()) if actor else (work, ranked))


def take_place(ticket: Ticket, agent_id: int, at: datetime, *, from_queue: bool = False) -> bool:
    """Claim a place in a savepoint, whose end lets go of an agent who turned out to be full.

    Kept locked while the next one is tried, two assignments would wait for each other.
    """
    with transaction.atomic():
        if ticket.assignee_id is not None:
            lock_agents([ticket.assignee_id, agent_id])
        if claim_place(agent_id, weight=ticket.weight, at=at, from_queue=from_queue):
            return True
        transaction.set_rollback(True)
    return False


def recommend(*, ticket: Ticket, at: datetime) -> list[dict[str, Any]]:
    """The agents, best first, each with parts, gates and a sentence; at most 200 of them."""
    work, ranked = _rank(ticket, at, everybody())
    return scoring.describe(ranked[:SHOWN_CANDIDATES], work)


def _rank(
    ticket: Ticket, at: datetime, among: QuerySet[AgentProfile], *, from_queue: bool = False
) -> tuple[Work, list[Scored]]:
    work = work_of(ticket, at)
    found = candidates_for(ticket, work, at, among, from_queue=from_queue)
    return work, scoring.rank(found, work, rules())


def _refuse_ended(ticket: Ticket) -> None:
    if ticket.is_ended:
        raise TicketEnded(f"The ticket is {ticket.status}; reopen it first.")


def _claim_or_explain(agent: User, ticket: Ticket, at: datetime) -> None:
    if claim_place(agent.pk, weight=ticket.weight, at=at):
        return
    profile = AgentProfile.objects.select_related("user").filter(pk=agent.pk).first()
    if profile is None or not profile.user.is_active or profile.availability != "available":
        raise AgentUnavailable("The agent is away, offline or inactive.")
    raise AgentAtCapacity(
        "The agent's capacity is used up.", capacity=profile.capacity, open_load=profile.open_load
    )


def as_seen(ticket: Ticket, agent_id: int, at: datetime) -> tuple[Work, list[Scored]]:
    """How the score sees an agent whom somebody chose, before the ticket weighs on them."""
    return _rank(ticket, at, everybody().filter(pk=agent_id))


def hand_over(
    ticket: Ticket,
    agent_id: int,
    method: AssignmentDecision.Method,
    actor: User | None,
    at: datetime,
    work: Work,
    ranked: list[Scored],
) -> Ticket:
    """Everything that goes with a new assignee whose place is already taken."""
    before = ticket.assignee_id
    reweigh(before, by=-ticket.weight)
    ticket.assignee_id = agent_id
    AssignmentDecision.objects.create(
        ticket=ticket,
        agent_id=agent_id,
        method=method,
        decided_at=at,
        weights=dict(rules().weights),
        candidates=scoring.describe(ranked[:KEPT_CANDIDATES], work),
    )
    data = {"from": before, "to": agent_id, "method": method.value}
    ticket.queued_at = None
    entries, changed = [Entry(Kind.ASSIGNED, data, data)], {"assignee", "queued_at"}
    if ticket.status == Status.NEW:
        entries.append(move_by_itself(ticket, Status.OPEN, at=at))
        changed |= set(STATUS_FIELDS)
    record(ticket, *entries, actor=actor, at=at, changed=changed)
    return ticket


def back_to_queue(ticket: Ticket, actor: User | None, at: datetime) -> Ticket:
    """Take the ticket, locked, from its assignee; whoever looks for another does so later."""
    before = ticket.assignee_id
    reweigh(before, by=-ticket.weight)
    ticket.assignee, ticket.queued_at = None, at
    data = {"from": before, "to": None, "method": Method.MANUAL.value}
    entry, changed = Entry(Kind.ASSIGNED, data, data), ["assignee", "queued_at"]
    record(ticket, entry, actor=actor, at=at, changed=changed)
    return ticket
