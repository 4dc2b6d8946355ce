"""Who of many agents is best for each of many tickets, scored as seldom as can be. No queries.

Tickets that ask for the same (team, skills, category) differ in their slack alone, which weighs the
same on all who have the same load: so one full score of an agent serves all such tickets until the
agent's load changes, and only the best of each load are scored for the ticket itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from tickets.assignment import scoring
from tickets.assignment.facts import Facts
from tickets.assignment.scoring import Rules, Scored, Work
from tickets.models import Ticket

# Totals are rounded: two that lie closer than this may change places with another slack.
CLOSE = 0.00015


@dataclass
class _Alike:
    """Scores for all work that asks for the same, as if nothing were promised."""

    work: Work
    scored: dict[tuple[int, int, int], Scored] = field(default_factory=dict)
    barred: set[int] = field(default_factory=set)  # whatever their load


@dataclass
class Standings:
    """How agents stand towards tickets, by `loads` that may change from one call to the next."""

    facts: Facts
    works: Mapping[int, Work]  # by ticket
    rules: Rules
    loads: Mapping[int, int]  # by agent

    def __post_init__(self) -> None:
        self._agents = {agent.id: agent for agent in self.facts.agents}
        self._of_ticket: dict[int, _Alike] = {}
        by_key: dict[object, _Alike] = {}
        for pk, work in self.works.items():
            same = replace(work, slack=None)
            self._of_ticket[pk] = by_key.setdefault(_key(same), _Alike(same))

    def of(self, ticket: Ticket, agent_id: int) -> Scored:
        """As `scoring.score` has it."""
        load, shared = self.facts.apart_from(ticket, agent_id, self.loads[agent_id])
        full = self._full(self._of_ticket[ticket.pk], agent_id, load, shared)
        return scoring.rescore(full, self.works[ticket.pk], self.rules)

    def first(self, ticket: Ticket, agents: Iterable[int]) -> Scored | None:
        """Whom of these, who do not have it, `scoring.rank` would put first, if any is eligible."""
        alike, by_load = self._of_ticket[ticket.pk], defaultdict[int, list[Scored]](list)
        history, loads = self.facts.history[ticket.requester_id], self.loads
        for pk in agents:
            if pk not in alike.barred:
                load = loads[pk]
                full = self._full(alike, pk, load, history.get(pk, 0))
                if not full.gates:
                    by_load[load].append(full)
        work, rules = self.works[ticket.pk], self.rules
        return scoring.first(
            scoring.rescore(full, work, rules) for same in by_load.values() for full in _best(same)
        )

    def _full(self, alike: _Alike, pk: int, load: int, shared: int) -> Scored:
        full = alike.scored.get((pk, load, shared))
        if full is None:
            candidate = self.facts.candidate(self._agents[pk], alike.work, load, shared)
            full = scoring.score(candidate, alike.work, self.rules)
            alike.scored[pk, load, shared] = full
            if set(full.gates) - {"at_capacity"}:
                alike.barred.add(pk)
        return full


def _key(work: Work) -> object:
    """What of the work tells it apart."""
    excluded = frozenset(work.excluded)
    asked = work.team_id, frozenset(work.skills), work.category_id, work.handling
    return asked, work.weight, excluded


def _best(scored: list[Scored]) -> Iterable[Scored]:
    least = max(one.total for one in scored) - CLOSE
    return [one for one in scored if one.total >= least]
