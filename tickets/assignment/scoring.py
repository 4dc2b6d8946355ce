"""Who should get a ticket, and why. Pure: the same function serves auto-assignment and
recommendations, so that they can never disagree.

Hard gates first, each with a reason code; then a weighted mean of parts, each in 0..1.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from operator import mul

from agents.models import AgentSkill

# Earlier tickets of the requester that make an agent fully familiar with them.
FULL_AFFINITY = 3


@dataclass(frozen=True)
class Work:
    """What the ticket asks for.

    `weight` is in load units, `handling` how long an agent is expected to work on it, and `slack`
    the time that is left until it is due (None: nothing is promised).
    """

    team_id: int | None = None
    skills: Mapping[int, str] = field(default_factory=dict)
    weight: int = 1
    excluded: Collection[int] = ()
    category_id: int | None = None
    handling: timedelta = timedelta(hours=1)
    slack: timedelta | None = None


# Not frozen: that makes a thousand of them three times as expensive.
@dataclass(slots=True)
class Candidate:
    """What is known of an agent at the moment of the decision.

    `load` is without this ticket, `open_work` how long that is expected to take them, `learnt`
    how many tickets of its category they have resolved.
    """

    id: int
    name: str
    is_active: bool = True
    is_available: bool = True
    capacity: int = 1
    load: int = 0
    teams: Collection[int] = ()
    skills: Mapping[int, int] = field(default_factory=dict)
    rested: timedelta | None = None  # since the last assignment; None: never had one
    shared_history: int = 0  # earlier tickets of this requester
    learnt: int = 0
    open_work: timedelta = timedelta()
    is_flooded: bool = False  # got so many out of the queue just now that others come first


@dataclass(slots=True)
class Scored:
    candidate: Candidate
    values: Sequence[float]  # of the PARTS, in their order
    total: float
    gates: Sequence[str]

    @property
    def is_eligible(self) -> bool:
        return not self.gates

    @property
    def parts(self) -> dict[str, float]:
        return dict(zip(PARTS, self.values, strict=True))


Gate = Callable[[Candidate, Work], bool]
GATES: dict[str, Gate] = {
    "inactive": lambda who, work: not who.is_active,
    "away": lambda who, work: not who.is_available,
    "not_in_team": lambda who, work: work.team_id is not None and work.team_id not in who.teams,
    "missing_skill": lambda who, work: not work.skills.keys() <= who.skills.keys(),
    "at_capacity": lambda who, work: who.load + work.weight > who.capacity,
    "excluded": lambda who, work: who.id in work.excluded,
    "flooded": lambda who, work: who.is_flooded,
}


@dataclass(frozen=True)
class Rules:
    """The settings of the score. Parts without a weight do not count."""

    weights: Mapping[str, float]
    full_rest: timedelta
    half_learnt: int = 5  # resolved tickets of a category that make an agent half an expert in it

    @cached_property
    def shares(self) -> list[float]:
        """The weights of the PARTS in their order, adding up to 1 (or all 0)."""
        weights = [self.weights.get(name, 0) for name in PARTS]
        whole = sum(weights) or 1
        return [weight / whole for weight in weights]


def _skill(who: Candidate, work: Work, rules: Rules) -> float:
    """Declared levels and what was learnt on tickets like this one; either is proof enough."""
    wanted = work.skills
    if not wanted and work.category_id is None:
        return 1.0
    levels = sum([who.skills.get(skill, 0) for skill in wanted]) if wanted else 0
    declared = levels / (AgentSkill.MAX_LEVEL * len(wanted)) if wanted else 0.0
    learnt = who.learnt / (who.learnt + rules.half_learnt)
    return 1 - (1 - declared) * (1 - learnt)


def _headroom(who: Candidate, work: Work, rules: Rules) -> float:
    return 1 - who.load / who.capacity if who.load < who.capacity else 0.0


def _sla_fit(who: Candidate, work: Work, rules: Rules) -> float:
    """The share of the time left that is still there once what lies before the agent, and this
    ticket, are done. Says nothing where nothing is promised."""
    slack = work.slack
    if slack is None:
        return 1.0
    ahead = who.open_work + work.handling
    return 1 - ahead / slack if ahead < slack else 0.0


def _rest(who: Candidate, work: Work, rules: Rules) -> float:
    rested = who.rested
    if rested is None or rested >= rules.full_rest:
        return 1.0
    # A clock that is behind has seen nobody rest for less than no time.
    return max(0.0, rested / rules.full_rest)


def _affinity(who: Candidate, work: Work, rules: Rules) -> float:
    shared = who.shared_history
    return shared / FULL_AFFINITY if shared < FULL_AFFINITY else 1.0


Part = Callable[[Candidate, Work, Rules], float]
PARTS: dict[str, Part] = {
    "skill": _skill,
    "headroom": _headroom,
    "sla_fit": _sla_fit,
    "rest": _rest,
    "affinity": _affinity,
}
SLA_FIT = list(PARTS).index("sla_fit")


def score(who: Candidate, work: Work, rules: Rules) -> Scored:
    """Gates and parts of one candidate; `total` is the weighted mean of the parts, in 0..1."""
    values = [part(who, work, rules) for part in PARTS.values()]
    gates = [code for code, closes in GATES.items() if closes(who, work)]
    return Scored(who, values, _total(values, rules), gates)


def rescore(scored: Scored, work: Work, rules: Rules) -> Scored:
    """The same candidate's score for work that asks for the same and differs in its slack alone.

    That is what sets many tickets apart, so it is the only part that is worked out anew.
    """
    values = [*scored.values]
    values[SLA_FIT] = _sla_fit(scored.candidate, work, rules)
    return Scored(scored.candidate, values, _total(values, rules), scored.gates)


def _total(values: Sequence[float], rules: Rules) -> float:
    total: float = sum(map(mul, rules.shares, values))
    return round(total, 4)


def rank(candidates: Sequence[Candidate], work: Work, rules: Rules) -> list[Scored]:
    """Best first, the ineligible last. Ties: longest without an assignment, then the id."""
    scored = [score(who, work, rules) for who in candidates]
    return sorted(scored, key=_order)


def first(scored: Iterable[Scored]) -> Scored | None:
    """The one whom `rank` would put first, if anybody is eligible."""
    best: Scored | None = None
    for one in scored:
        if one.gates or (best and one.total < best.total):
            continue
        if best is None or one.total > best.total or _order(one) < _order(best):
            best = one
    return best


def _order(scored: Scored) -> tuple[bool, float, float, int]:
    who = scored.candidate
    rested = float("inf") if who.rested is None else who.rested.total_seconds()
    return (not scored.is_eligible, -scored.total, -rested, who.id)


def summary(scored: Scored, work: Work) -> str:
    """One sentence for people."""
    who = scored.candidate
    if scored.gates:
        return f"Not now: {', '.join(GATE_WORDS[gate] for gate in scored.gates)}."
    known = ", ".join(f"{name} {who.skills[skill]}/5" for skill, name in work.skills.items())
    facts = [f"knows {known}"] if known else []
    if who.learnt:
        facts.append(f"resolved {who.learnt} like it")
    facts.append(f"{who.load} of {who.capacity} in work")
    if work.slack is not None:
        facts.append("should be in time" if scored.parts["sla_fit"] > 0 else "may be late")
    if who.shared_history:
        facts.append("knows the requester")
    return f"{'; '.join(facts).capitalize()}."


GATE_WORDS = {
    "inactive": "the account is inactive",
    "away": "not available",
    "not_in_team": "not in the ticket's team",
    "missing_skill": "lacks a needed skill",
    "at_capacity": "at capacity",
    "excluded": "the ticket was taken from them",
    "flooded": "got many out of the queue just now",
}


def describe(ranked: Sequence[Scored], work: Work) -> list[dict[str, object]]:
    """The candidates as the API shows them and as a decision keeps them."""
    return [
        {
            "agent": {"id": scored.candidate.id, "name": scored.candidate.name},
            "total": scored.total,
            "parts": {name: round(value, 4) for name, value in scored.parts.items()},
            "eligible": scored.is_eligible,
            "gates": list(scored.gates),
            "summary": summary(scored, work),
        }
        for scored in ranked
    ]


def rested_since(last_assigned_at: datetime | None, at: datetime) -> timedelta | None:
    return None if last_assigned_at is None else at - last_assigned_at
