"""Which tickets should change hands so that work is spread more evenly. Reads, changes nothing.

By the same score as every assignment: a ticket moves to the agent whom it would be given to now,
if that is enough of a gain over the one who has it, and leaves them no busier than that one was.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q, QuerySet

from agents.models import AgentProfile, Availability, Team
from tickets.assignment import scoring
from tickets.assignment.candidates import Facts, everybody, rules, work_of
from tickets.assignment.fairness import gini
from tickets.assignment.scoring import Candidate, Rules, Scored, Work
from tickets.lifecycle import WORKED_STATUSES
from tickets.models import Ticket

# Nobody works on it yet: the customer has not heard of them.
UNSTARTED = Q(status__in=WORKED_STATUSES, first_responded_at=None)
# Of each agent who has more than the others, the newest tickets; of the busiest agents.
TICKETS_LOOKED_AT = 20
AGENTS_UNLOADED = 100


@dataclass(frozen=True)
class Limits:
    """The least gain (in points of the score, 0..1) that is worth a move, and how many moves
    one agent may be part of on each side."""

    min_gain: float
    moves_per_agent: int


@dataclass(frozen=True)
class Move:
    ticket: Ticket
    giver: Candidate
    taker: Candidate
    gain: float
    why: str


@dataclass(frozen=True)
class Spread:
    """The largest utilisation (load by capacity) and how unequal all are, 0..1."""

    max: float
    gini: float


@dataclass(frozen=True)
class Proposal:
    moves: list[Move]
    before: Spread
    after: Spread


def propose(*, team: Team | None, at: datetime, limits: Limits) -> Proposal:
    """The moves, best first for the busiest agent, each counting on those before it."""
    agents = _agents(team)
    tickets = _movable(team, agents)
    works = {ticket.pk: work_of(ticket, at) for ticket in tickets}
    facts = Facts.of(tickets, list(works.values()), _profiles(agents))
    balancer = _Balancer(agents, tickets, works, facts, rules(), limits, at)
    before = balancer.spread()
    moves = balancer.moves()
    return Proposal(moves, before, balancer.spread())


def spread_of(team: Team | None) -> Spread:
    """How work is spread now."""
    return _spread(
        {agent.pk: (agent.open_load, agent.capacity) for agent in _agents(team)}.values()
    )


def _profiles(agents: Iterable[AgentProfile]) -> QuerySet[AgentProfile]:
    return everybody().filter(pk__in=[agent.pk for agent in agents])


def _agents(team: Team | None) -> list[AgentProfile]:
    """Who takes part: those who are there."""
    there = everybody().filter(user__is_active=True, availability=Availability.AVAILABLE)
    return list(there.filter(teams=team) if team else there)


def _movable(team: Team | None, agents: Sequence[AgentProfile]) -> list[Ticket]:
    """Tickets that nobody has answered yet, of the agents who have more than the others."""
    shares = sorted(agents, key=lambda agent: (-agent.utilisation, agent.pk))
    whole = sum(agent.capacity for agent in agents)
    mean = sum(agent.open_load for agent in agents) / whole if whole else 0.0
    busy = [agent.pk for agent in shares if agent.utilisation > mean][:AGENTS_UNLOADED]
    found = Ticket.objects.filter(UNSTARTED, assignee__in=busy).order_by("-created_at", "-pk")
    if team:
        found = found.filter(team=team)
    kept: list[Ticket] = []
    counts: Counter[int | None] = Counter()
    for ticket in found.select_related("category").prefetch_related("required_skills"):
        counts[ticket.assignee_id] += 1
        if counts[ticket.assignee_id] <= TICKETS_LOOKED_AT:
            kept.append(ticket)
    return kept


def _spread(loads: Iterable[tuple[int, int]]) -> Spread:
    shares = [load / capacity for load, capacity in loads if capacity]
    return Spread(round(max(shares, default=0.0), 4), round(gini(shares), 4))


@dataclass
class _Balancer:
    """The desk as it would be after the moves so far."""

    agents: Sequence[AgentProfile]
    tickets: Sequence[Ticket]
    works: dict[int, Work]
    facts: Facts
    rules: Rules
    limits: Limits
    at: datetime
    given: Counter[int] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.loads = {agent.pk: agent.open_load for agent in self.agents}
        self.capacities = {agent.pk: agent.capacity for agent in self.agents}
        self.held: dict[int, list[Ticket]] = defaultdict(list)
        for ticket in self.tickets:
            assert ticket.assignee_id is not None
            self.held[ticket.assignee_id].append(ticket)

    def spread(self) -> Spread:
        return _spread((load, self.capacities[pk]) for pk, load in self.loads.items())

    def moves(self) -> list[Move]:
        """One after the other, always from the busiest who still has something to give."""
        made: list[Move] = []
        left = set(self.held)
        while left:
            giver = max(left, key=lambda pk: (self._share(pk), -pk))
            move = self._best_move(giver)
            if move is None or self.given[giver] >= self.limits.moves_per_agent:
                left.discard(giver)
                continue
            self._make(move)
            made.append(move)
        return made

    def _share(self, pk: int, more: int = 0) -> float:
        capacity = self.capacities[pk]
        return (self.loads[pk] + more) / capacity if capacity else float("inf")

    def _best_move(self, giver: int) -> Move | None:
        found = [move for ticket in self.held[giver] if (move := self._move(ticket, giver))]
        return max(found, key=lambda move: (move.gain, -move.ticket.pk), default=None)

    def _move(self, ticket: Ticket, giver: int) -> Move | None:
        """The ticket with the best of those who may take it, if that gains enough."""
        work = self.works[ticket.pk]
        candidates = self.facts.candidates(ticket, work, self.at, loads=self.loads)
        ranked = scoring.rank(candidates, work, self.rules)
        own = next(scored for scored in ranked if scored.candidate.id == giver)
        best = next((scored for scored in ranked if self._may_take(scored, giver)), None)
        if best is None or best.total - own.total < self.limits.min_gain:
            return None
        why = f"{best.candidate.name}: {scoring.summary(best, work)}"
        gain = round(best.total - own.total, 4)
        return Move(ticket, own.candidate, best.candidate, gain, why)

    def _may_take(self, scored: Scored, giver: int) -> bool:
        """Eligible, not asked too often, and afterwards no busier than the giver is now."""
        taker = scored.candidate.id
        return (
            scored.is_eligible
            and taker != giver
            and self.taken[taker] < self.limits.moves_per_agent
            and self._share(taker, 1) <= self._share(giver)
        )

    def _make(self, move: Move) -> None:
        self.loads[move.giver.id] -= 1
        self.loads[move.taker.id] += 1
        self.given[move.giver.id] += 1
        self.taken[move.taker.id] += 1
        self.held[move.giver.id].remove(move.ticket)
