"""Who gets an incident: the shipped score, and the simpler policies it is compared with.

All choose among the same candidates through the same gates, those of the shipped score.
"""

import random
from collections.abc import Callable, Sequence

from tickets.assignment import scoring
from tickets.assignment.candidates import rules
from tickets.assignment.scoring import Candidate, Work

Choose = Callable[[Sequence[Candidate], Work], Candidate | None]
SHIPPED = "shipped"


def shipped() -> Choose:
    """tickets.assignment.scoring with the settings of this desk."""
    settings = rules()

    def choose(candidates: Sequence[Candidate], work: Work) -> Candidate | None:
        best = scoring.rank(candidates, work, settings)[0]
        return best.candidate if best.is_eligible else None

    return choose


def round_robin() -> Choose:
    """The next of the team in the order of ids."""
    last: dict[int | None, int] = {}

    def choose(candidates: Sequence[Candidate], work: Work) -> Candidate | None:
        able = sorted(_eligible(candidates, work), key=lambda who: who.id)
        if not able:
            return None
        latest = last.get(work.team_id, 0)
        chosen = next((who for who in able if who.id > latest), able[0])
        last[work.team_id] = chosen.id
        return chosen

    return choose


def least_loaded() -> Choose:
    """The fewest incidents in hand; of equals, who has been without one for longest."""
    return _least(lambda who: who.load)


def skill_only() -> Choose:
    """Who has resolved most of the category; of equals, who has been without one for longest."""
    return _least(lambda who: -who.learnt)


def at_random(seed: int) -> Choose:
    chance = random.Random(seed)  # noqa: S311

    def choose(candidates: Sequence[Candidate], work: Work) -> Candidate | None:
        able = _eligible(candidates, work)
        return chance.choice(able) if able else None

    return choose


POLICIES: dict[str, Callable[[int], Choose]] = {
    SHIPPED: lambda seed: shipped(),
    "least_loaded": lambda seed: least_loaded(),
    "round_robin": lambda seed: round_robin(),
    "skill_only": lambda seed: skill_only(),
    "random": at_random,
}


def _least(measure: Callable[[Candidate], int]) -> Choose:
    def choose(candidates: Sequence[Candidate], work: Work) -> Candidate | None:
        able = _eligible(candidates, work)
        return min(able, key=lambda who: (measure(who), -_rested(who), who.id), default=None)

    return choose


def _eligible(candidates: Sequence[Candidate], work: Work) -> list[Candidate]:
    gates = scoring.GATES.values()
    return [who for who in candidates if not any(closes(who, work) for closes in gates)]


def _rested(who: Candidate) -> float:
    return float("inf") if who.rested is None else who.rested.total_seconds()
