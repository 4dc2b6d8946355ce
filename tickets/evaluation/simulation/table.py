"""The comparison as Markdown, for terminals and for docs/simulation.md."""

from collections.abc import Iterator, Sequence

from tickets.evaluation.simulation.measuring import Estimate
from tickets.evaluation.simulation.policies import SHIPPED
from tickets.evaluation.simulation.study import Compared

PERCENT, POINTS = 100.0, "pp"
COLUMNS = (
    "load", "policy", "breaches %", "minus shipped, pp", "priority 1-2 breaches %",
    "skill match %", "wait, min", "Gini", "busy %",
)  # fmt: skip
SENSITIVITY = (
    "assumption", "shipped %", "least loaded %", "minus shipped, pp", "round robin %",
    "minus shipped, pp", "skill match %",
)  # fmt: skip


def named(policy: str) -> str:
    return policy.replace("_", " ")


def main_table(results: Sequence[Compared]) -> Iterator[str]:
    yield from _head(COLUMNS)
    for compared in results:
        for policy, measured in compared.measured.items():
            apart = compared.differences[policy]["breaches"]
            cells = [
                f"{compared.given.load:g}",
                f"**{named(policy)}**" if policy == SHIPPED else named(policy),
                _spread(measured["breaches"], PERCENT, 2),
                "" if policy == SHIPPED else _apart(apart),
                _spread(measured["urgent_breaches"], PERCENT, 1),
                _spread(measured["skill_match"], PERCENT, 1),
                _spread(measured["wait"], 1, 0),
                f"{measured['gini'].mean:.3f}",
                f"{measured['utilisation'].mean * PERCENT:.0f}",
            ]
            yield _row(cells)


def sensitivity_table(results: Sequence[tuple[str, Compared]]) -> Iterator[str]:
    yield from _head(SENSITIVITY)
    for name, compared in results:
        breaches = {policy: each["breaches"] for policy, each in compared.measured.items()}
        apart = {policy: each["breaches"] for policy, each in compared.differences.items()}
        matches = [each["skill_match"].mean * PERCENT for each in compared.measured.values()]
        cells = [name, f"{breaches[SHIPPED].mean * PERCENT:.2f}"]
        for policy in ("least_loaded", "round_robin"):
            cells += [f"{breaches[policy].mean * PERCENT:.2f}", _apart(apart[policy])]
        yield _row([*cells, " / ".join(f"{match:.0f}" for match in matches)])


def _head(columns: Sequence[str]) -> Iterator[str]:
    yield _row(columns)
    yield "|" + "---|" * len(columns)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(each: Estimate, scale: float, digits: int) -> str:
    """The mean and its interval."""
    if each.low is None or each.high is None:
        return f"{each.mean * scale:.{digits}f}"
    low, high = max(0.0, each.low) * scale, each.high * scale
    return f"{each.mean * scale:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _apart(each: Estimate) -> str:
    """A difference in points, bold where its interval leaves out 0."""
    if each.low is None or each.high is None:
        return f"{each.mean * PERCENT:+.2f}"
    text = f"{each.mean * PERCENT:+.2f} ({each.low * PERCENT:+.2f} to {each.high * PERCENT:+.2f})"
    return f"**{text}**" if not each.low <= 0 <= each.high else text
