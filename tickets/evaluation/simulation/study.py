"""The comparison: every policy on the same work, at several loads, under other assumptions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tickets.evaluation.simulation.assumptions import Assumptions, Demand, demand
from tickets.evaluation.simulation.engine import Simulation
from tickets.evaluation.simulation.measuring import (
    METRICS,
    Estimate,
    Weeks,
    averaged,
    difference,
    of,
    weekly,
)
from tickets.evaluation.simulation.policies import POLICIES, SHIPPED
from tickets.evaluation.simulation.workload import Workload

# Draws of the times, averaged week by week: the weeks stay, the chance of a draw goes.
REPEATS = 2
LOADS = (0.3, 0.5, 0.7, 0.85)
MEDIUM = 0.5
RIVALS = (SHIPPED, "least_loaded", "round_robin")
# What else might be true, one thing at a time.
OTHERWISE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("time always the category's mean", {"service": "fixed"}),
    ("time exponential", {"service": "exponential"}),
    ("time by the incident's own updates", {"service": "updates"}),
    ("newcomers as fast as experts", {"penalty": 0.0}),
    ("newcomers take 1.5 times as long", {"penalty": 0.5}),
    ("newcomers take 3 times as long", {"penalty": 2.0}),
    ("promises twice as long", {"promise": 2.0}),
)

Step = Callable[[str], None]


@dataclass(frozen=True)
class Compared:
    """Policies under the same assumptions, by name: METRICS, and how they differ from the
    shipped one in the same weeks."""

    given: Assumptions
    measured: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "assumptions": asdict(self.given),
            "policies": [
                {
                    "policy": name,
                    **{metric: _told(each) for metric, each in measured.items()},
                    "difference": {
                        metric: _told(each) for metric, each in self.differences[name].items()
                    },
                }
                for name, measured in self.measured.items()
            ],
        }


def compare(
    workload: Workload,
    given: Assumptions,
    policies: Iterable[str] = tuple(POLICIES),
    repeats: int = 1,
    step: Step = lambda text: None,
) -> Compared:
    """Run the policies, the shipped one among them, on the same incidents of the same sizes."""
    draws = [replace(given, seed=given.seed + n) for n in range(repeats)]
    demands = [demand(workload, each) for each in draws]
    runs: dict[str, Weeks] = {}
    for name in policies:
        step(f"load {given.load}, {name}")
        drawn = zip(draws, demands, strict=True)
        runs[name] = averaged([_run(workload, each, work, name) for each, work in drawn])
    return Compared(
        given,
        {name: {m: of(weeks, m) for m in METRICS} for name, weeks in runs.items()},
        {
            name: {m: difference(weeks, runs[SHIPPED], m) for m in METRICS}
            for name, weeks in runs.items()
        },
    )


def _run(workload: Workload, given: Assumptions, work: Demand, policy: str) -> Weeks:
    simulation = Simulation(workload, work, given, POLICIES[policy](given.seed))
    return weekly(simulation.run(), workload)


def by_load(
    workload: Workload, given: Assumptions, loads: Sequence[float], repeats: int, step: Step
) -> list[Compared]:
    return [
        compare(workload, replace(given, load=load), repeats=repeats, step=step) for load in loads
    ]


def sensitivity(
    workload: Workload, given: Assumptions, repeats: int, step: Step
) -> list[tuple[str, Compared]]:
    """The rivals at medium load with one assumption changed at a time."""
    return [
        (name, compare(workload, replace(given, load=MEDIUM, **changed), RIVALS, repeats, step))
        for name, changed in OTHERWISE
    ]


def _told(estimate: Estimate) -> dict[str, Any]:
    interval = (
        None
        if estimate.low is None or estimate.high is None
        else [round(estimate.low, 5), round(estimate.high, 5)]
    )
    return {"mean": round(estimate.mean, 5), "interval": interval}
