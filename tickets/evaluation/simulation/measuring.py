"""What came of a run, week by week, and how sure one can be of it. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from tickets.assignment.fairness import gini
from tickets.evaluation.simulation.engine import Outcome
from tickets.evaluation.simulation.workload import WEEK_SECONDS, Workload
from tickets.models import Priority

# Resolved incidents of a category that make an agent a match: level 3 of five at the import.
MATCH = 15
# Two-sided 95 % of Student's t by degrees of freedom, from 1; beyond 30 the normal's is near.
T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL_95 = 1.960
METRICS = ("breaches", "urgent_breaches", "skill_match", "wait", "gini", "utilisation")

Weeks = Sequence[Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over weeks with its 95 % interval; a single week has none."""

    mean: float
    low: float | None
    high: float | None


def weekly(outcomes: Iterable[Outcome], workload: Workload) -> list[dict[str, float]]:
    """METRICS of each measured week, by when incidents arrived. Shares are in 0..1, the wait
    is in working minutes, utilisation the work of the week's incidents over the week's time."""
    weeks: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        weeks[outcome.job.week].append(outcome)
    return [_week(weeks[week], workload) for week in range(workload.weeks) if weeks[week]]


def _week(outcomes: Sequence[Outcome], workload: Workload) -> dict[str, float]:
    urgent = [each for each in outcomes if each.job.priority >= Priority.HIGH]
    worked: dict[int, float] = defaultdict(float)
    for each in outcomes:
        worked[each.agent] += each.worked
    return {
        "breaches": fmean(each.is_breached for each in outcomes),
        "urgent_breaches": fmean(each.is_breached for each in urgent) if urgent else math.nan,
        "skill_match": fmean(each.resolved >= MATCH for each in outcomes),
        "wait": fmean(each.waited for each in outcomes) / 60,
        "gini": gini([worked[agent.id] for agent in workload.agents]),
        "utilisation": _utilisation(outcomes, workload),
    }


def _utilisation(outcomes: Sequence[Outcome], workload: Workload) -> float:
    """How busy the team of an incident is, on average over the incidents."""
    worked: dict[int, list[float]] = defaultdict(list)
    for each in outcomes:
        worked[each.job.team].append(each.worked)
    busy = [
        len(times) * sum(times) / (workload.staff[team] * WEEK_SECONDS)
        for team, times in worked.items()
    ]
    return sum(busy) / len(outcomes)


def estimate(values: Iterable[float]) -> Estimate:
    """Of weekly values; weeks in which there was nothing to measure are left out."""
    known = [value for value in values if not math.isnan(value)]
    mean = fmean(known) if known else 0.0
    if len(known) < 2:
        return Estimate(mean, None, None)
    freedom = len(known) - 1
    quantile = T_95[freedom - 1] if freedom <= len(T_95) else NORMAL_95
    half = quantile * stdev(known) / math.sqrt(len(known))
    return Estimate(mean, mean - half, mean + half)


def of(weeks: Weeks, metric: str) -> Estimate:
    return estimate(week[metric] for week in weeks)


def difference(weeks: Weeks, reference: Weeks, metric: str) -> Estimate:
    """These weeks less the same weeks under the reference: paired, as both had the same work."""
    pairs = zip(weeks, reference, strict=True)
    return estimate(week[metric] - other[metric] for week, other in pairs)


def averaged(runs: Sequence[Weeks]) -> Weeks:
    """Several runs of the same weeks, each week the mean of what it was in them."""
    return [
        {metric: fmean(week[metric] for week in weeks) for metric in METRICS}
        for weeks in zip(*runs, strict=True)
    ]
