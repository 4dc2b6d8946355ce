"""Which tickets should change hands so that work is spread more evenly. Reads, changes nothing.

By the same score as every assignment: a ticket moves to the agent whom it would be given to now,
if that is enough of a gain over the one who has it, and leaves them no busier than that one was.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from agents.models import AgentProfile, Team
from tickets.assignment import scoring
from tickets.assignment.candidates import available, everybody, rules, work_of
from tickets.assignment.facts import Facts
from tickets.assignment.fairness import gini
from tickets.assignment.scoring import Candidate, Work
from tickets.assignment.standings import Standings
from tickets.models import Ticket

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
    among = everybody().filter(pk__in=[agent.pk for agent in agents])
    facts = Facts.of(tickets, list(works.values()), among, at)
    balancer = _Balancer(tickets, works, facts, limits)
    before = balancer.spread()
    moves = balancer.moves()
    return Proposal(moves, before, balancer.spread())


def spread_of(team: Team | None) -> Spread:
    """How work is spread now."""
    return _spread((agent.open_load, agent.capacity) for agent in _agents(team))


def _agents(team: Team | None) -> list[AgentProfile]:
    """Who takes part: those who are there."""
    return list(available().filter(teams=team) if team else available())


def _movable(team: Team | None, agents: Sequence[AgentProfile]) -> list[Ticket]:
    """Tickets that nobody has answered yet, of the agents who have more than the others."""
    shares = sorted(agents, key=lambda agent: (-agent.utilisation, agent.pk))
    whole = sum(agent.capacity for agent in agents)
    mean = sum(agent.open_load for agent in agents) / whole if whole else 0.0
    busy = [agent.pk for agent in shares if agent.utilisation > mean][:AGENTS_UNLOADED]
    newest_first = ("-created_at", "-pk")
    place = Window(RowNumber(), partition_by=F("assignee_id"), order_by=newest_first)
    found = Ticket.objects.unstarted().filter(assignee__in=busy)
    if team:
        found = found.filter(team=team)
    found = found.annotate(place=place).filter(place__lte=TICKETS_LOOKED_AT)
    found = found.order_by(*newest_first).select_related("category")
    return list(found.prefetch_related("required_skills"))


def _spread(loads: Iterable[tuple[int, int]]) -> Spread:
    shares = [load / capacity for load, capacity in loads if capacity]
    return Spread(round(max(shares, default=0.0), 4), round(gini(shares), 4))


@dataclass
class _Balancer:
    """The desk as it would be after the moves so far."""

    tickets: Sequence[Ticket]
    works: Mapping[int, Work]  # by ticket
    facts: Facts
    limits: Limits
    given: Counter[int] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)
    most_gain: dict[int, float] = field(default_factory=dict)  # by ticket

    def __post_init__(self) -> None:
        self.loads = {agent.id: agent.load for agent in self.facts.agents}
        self.capacities = {agent.id: agent.capacity for agent in self.facts.agents}
        self.standings = Standings(self.facts, self.works, rules(), self.loads)
        self.held: dict[int, list[Ticket]] = defaultdict(list)
        for ticket in self.tickets:
            # Whoever lost their role a moment ago is no agent any more.
            if ticket.assignee_id in self.loads:
                self.held[ticket.assignee_id].append(ticket)

    def spread(self) -> Spread:
        return _spread((load, self.capacities[pk]) for pk, load in self.loads.items())

    def moves(self) -> list[Move]:
        """One after the other, always from the busiest who still has something to give.

        Nobody both gives and takes, so that the moves may be made in any order.
        """
        made: list[Move] = []
        left = set(self.held)
        while left:
            giver = max(left, key=lambda pk: (self._share(pk), -pk))
            is_asked = self.given[giver] < self.limits.moves_per_agent and not self.taken[giver]
            move = self._best_move(giver) if is_asked else None
            if move is None:
                left.discard(giver)
                continue
            self._make(move)
            made.append(move)
        return made

    def _share(self, pk: int, more: int = 0) -> float:
        capacity = self.capacities[pk]
        return (self.loads[pk] + more) / capacity if capacity else float("inf")

    def _best_move(self, giver: int) -> Move | None:
        """The move that gains most. Loads of takers only grow, and that of the giver only falls, so
        that no ticket gains more than when it was last looked at: most need not be again."""
        takers = self._takers(giver)
        best: Move | None = None
        for ticket in sorted(self.held[giver], key=lambda each: (-self._most(each), each.pk)):
            if self._most(ticket) < (best.gain if best else self.limits.min_gain):
                break
            move = self._move(ticket, takers)
            self.most_gain[ticket.pk] = move.gain if move else 0.0
            if move and (best is None or (move.gain, -ticket.pk) > (best.gain, -best.ticket.pk)):
                best = move
        return best

    def _most(self, ticket: Ticket) -> float:
        return self.most_gain.get(ticket.pk, 1.0)

    def _takers(self, giver: int) -> list[int]:
        """Who was not asked too often, and would afterwards be no busier than the giver is now."""
        most, limit = self._share(giver), self.limits.moves_per_agent
        might = [pk for pk in self.loads if self.taken[pk] < limit and not self.given[pk]]
        return [pk for pk in might if pk != giver and self._share(pk, 1) <= most]

    def _move(self, ticket: Ticket, takers: Sequence[int]) -> Move | None:
        """The ticket with the best of those who may take it, if that gains enough."""
        assert ticket.assignee_id is not None
        own = self.standings.of(ticket, ticket.assignee_id)
        best = self.standings.first(ticket, takers)
        if best is None or best.total - own.total < self.limits.min_gain:
            return None
        why = f"{best.candidate.name}: {scoring.summary(best, self.works[ticket.pk])}"
        gain = round(best.total - own.total, 4)
        return Move(ticket, own.candidate, best.candidate, gain, why)

    def _make(self, move: Move) -> None:
        self.loads[move.giver.id] -= 1
        self.loads[move.taker.id] += 1
        self.given[move.giver.id] += 1
        self.taken[move.taker.id] += 1
        self.held[move.giver.id].remove(move.ticket)
