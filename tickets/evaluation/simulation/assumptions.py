"""What the log does not say: how long the work takes, what was promised. Pure and seeded.

An incident's time is `size x pace of its team x slowness of its agent`. The size comes from its
category, the pace makes the desk as busy as is asked for, the slowness falls with experience.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tickets.evaluation.simulation.workload import WEEK_SECONDS, Agent, Job, Workload
from tickets.models import Priority

HOUR = 3600.0
# Times a team's own mean handling time: promises that it can keep. The log's cannot be kept by
# anybody: of its priorities 1 and 2 the desk missed 99 % (docs/made_sla.md).
TARGETS = {
    Priority.CRITICAL: 2.0,
    Priority.URGENT: 2.5,
    Priority.HIGH: 3.0,
    Priority.NORMAL: 4.0,
    Priority.LOW: 8.0,
}
# Resolved incidents of a category with which somebody is half-way from novice to expert.
HALF_LEARNT = 10
# No team's pace is more than this many times the desk's: where there is hardly any work, people
# do something else instead of taking weeks for each incident.
SLOWEST_PACE = 3.0
SIGMA = math.sqrt(math.log(2))  # a standard deviation as large as the mean

Draw = Callable[[random.Random, Job, float], float]
# The size of an incident, by the mean of its category.
SERVICES: dict[str, Draw] = {
    "fixed": lambda chance, job, mean: mean,
    "exponential": lambda chance, job, mean: mean * chance.expovariate(1.0),
    "lognormal": lambda chance, job, mean: mean * chance.lognormvariate(-(SIGMA**2) / 2, SIGMA),
    # What the log has: the updates of this very incident.
    "updates": lambda chance, job, mean: job.updates,
}


@dataclass(frozen=True)
class Assumptions:
    """`load` is the share of their time that agents work, `penalty` how much longer a novice takes.

    A penalty of 1 means twice as long as an expert.
    """

    load: float = 0.5
    service: str = "lognormal"
    penalty: float = 1.0
    promise: float = 1.0  # times the targets
    capacity: int = 10  # incidents in an agent's hands
    seed: int = 1

    def slowness(self, resolved: int) -> float:
        """How long it takes somebody of this experience, an expert's time being 1."""
        return 1 + self.penalty * HALF_LEARNT / (HALF_LEARNT + resolved)


@dataclass(frozen=True)
class Demand:
    """Seconds of work: what each job takes an expert, and what the desk expects: of a category
    (Category.handling_minutes) and of any incident (ASSIGNMENT_HANDLING)."""

    expert: Mapping[int, float]
    targets: Mapping[int, float]
    expected: Mapping[int, float]
    usual: float


def demand(workload: Workload, given: Assumptions) -> Demand:
    """The same jobs have the same sizes under every policy and at every load."""
    chance = random.Random(given.seed)  # noqa: S311
    sizes = {
        job.id: SERVICES[given.service](chance, job, workload.sizes.get(job.category, 1.0))
        for job in workload.jobs
    }
    slow = _Slowness(workload.members, given)
    paces = _paces(workload, sizes, slow, given.load)
    expert = {job.id: sizes[job.id] * paces[job.team] for job in workload.jobs}
    means = _team_means(workload, paces, slow)
    targets = {
        job.id: TARGETS[job.priority] * given.promise * means[job.team] for job in workload.jobs
    }
    return Demand(expert, targets, *_expected(workload, paces, slow))


class _Slowness(dict[tuple[int, int], float]):
    """The mean slowness of a team's members in a category, by (team, category)."""

    def __init__(self, members: Mapping[int, list[Agent]], given: Assumptions) -> None:
        self._members, self._given = members, given

    def __missing__(self, key: tuple[int, int]) -> float:
        team, category = key
        shares = [(who.shares[team], who.learnt.get(category, 0)) for who in self._members[team]]
        total = sum(share for share, _ in shares)
        slow = sum(share * self._given.slowness(n) for share, n in shares) / total
        self[key] = slow
        return slow


def _paces(
    workload: Workload, sizes: Mapping[int, float], slow: _Slowness, load: float
) -> dict[int, float]:
    """Seconds a unit of size, by team, with which its members work `load` of the measured weeks
    if incidents fall on them by chance."""
    work: dict[int, float] = defaultdict(float)
    for job in workload.jobs:
        if 0 <= job.week < workload.weeks:
            work[job.team] += sizes[job.id] * slow[job.team, job.category]
    time = {team: staff * workload.weeks * WEEK_SECONDS for team, staff in workload.staff.items()}
    desk = load * sum(time[team] for team in work) / sum(work.values())
    return {
        team: min(SLOWEST_PACE * desk, load * time[team] / work[team]) if team in work else desk
        for team in time
    }


def _team_means(
    workload: Workload, paces: Mapping[int, float], slow: _Slowness
) -> dict[int, float]:
    """Seconds an incident of each team takes on average, whoever of the team has it."""
    means: dict[int, list[float]] = defaultdict(list)
    for job in workload.jobs:
        size = workload.sizes.get(job.category, 1.0)
        means[job.team].append(size * paces[job.team] * slow[job.team, job.category])
    return {team: sum(each) / len(each) for team, each in means.items()}


def _expected(
    workload: Workload, paces: Mapping[int, float], slow: _Slowness
) -> tuple[dict[int, float], float]:
    """What the desk would have measured in the learning weeks, by category and over all: the
    mean of its teams and agents as they were, without looking ahead."""
    rows = [
        (category, count, workload.sizes[category] * paces[team] * slow[team, category])
        for (team, category), count in workload.past.items()
        if team in paces
    ]
    counts: Counter[int] = Counter()
    times: dict[int, float] = defaultdict(float)
    for category, count, each in rows:
        counts[category] += count
        times[category] += count * each
    means = {category: times[category] / counts[category] for category in counts}
    return means, sum(times.values()) / counts.total()
