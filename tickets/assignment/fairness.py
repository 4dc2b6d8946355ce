"""How evenly work is spread. Pure."""

from collections.abc import Sequence


def gini(values: Sequence[float]) -> float:
    """The Gini coefficient of values that are not negative: 0 where all are equal, towards 1 the
    more one has of the whole; 0 where there is nothing."""
    ordered = sorted(values)
    whole = sum(ordered)
    if not whole:
        return 0.0
    count = len(ordered)
    ranked = sum(rank * value for rank, value in enumerate(ordered, start=1))
    return 2 * ranked / (count * whole) - (count + 1) / count
