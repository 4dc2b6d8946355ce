"""The comparison: every policy on the same work, at several loads, under other assumptions."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tickets.evaluation.simulation.assumptions import Assumptions, demand
from tickets.evaluation.simulation.engine import Simulation
from tickets.evaluation.simulation.measuring import METRICS, Estimate, Weeks, difference, of, weekly
from tickets.evaluation.simulation.policies import POLICIES, SHIPPED
from tickets.evaluation.simulation.workload import Workload

LOADS = (0.3, 0.5, 0.7, 0.85)
MEDIUM = 0.5
RIVALS = (SHIPPED, "least_loaded", "round_robin")
# What else might be true, one thing at a time.
OTHERWISE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("as above", {}),
    ("time always the category's mean", {"service": "fixed"}),
    ("time exponential", {"service": "exponential"}),
    ("time by the incident's own updates", {"service": "updates"}),
    ("newcomers as fast as experts", {"penalty": 0.0}),
    ("newcomers take 1.5 times as long", {"penalty": 0.5}),
    ("newcomers take 3 times as long", {"penalty": 2.0}),
    ("promises 1.5 times as long", {"promise": 1.5}),
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
    step: Step = lambda text: None,
) -> Compared:
    """Run the policies, the shipped one among them, on the same incidents of the same sizes."""
    work, runs = demand(workload, given), dict[str, Weeks]()
    for name in policies:
        step(f"load {given.load}, {name}")
        outcomes = Simulation(workload, work, given, POLICIES[name](given.seed)).run()
        runs[name] = weekly(outcomes, workload)
    return Compared(
        given,
        {name: {m: of(weeks, m) for m in METRICS} for name, weeks in runs.items()},
        {
            name: {m: difference(weeks, runs[SHIPPED], m) for m in METRICS}
            for name, weeks in runs.items()
        },
    )


def by_load(
    workload: Workload, given: Assumptions, loads: Sequence[float], step: Step
) -> list[Compared]:
    return [compare(workload, replace(given, load=load), step=step) for load in loads]


def sensitivity(workload: Workload, given: Assumptions, step: Step) -> list[tuple[str, Compared]]:
    """The rivals at medium load with one assumption changed at a time."""
    return [
        (name, compare(workload, replace(given, load=MEDIUM, **changed), RIVALS, step))
        for name, changed in OTHERWISE
    ]


def _told(estimate: Estimate) -> dict[str, Any]:
    interval = (
        None
        if estimate.low is None or estimate.high is None
        else [round(estimate.low, 5), round(estimate.high, 5)]
    )
    return {"mean": round(estimate.mean, 5), "interval": interval}
