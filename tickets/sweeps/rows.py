"""How a sweep reads the rows that wait for it."""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

# Rows that one round looks at.
LONGEST_ROUND = 100_000

Row = TypeVar("Row", bound=Model)


def in_chunks(rows: QuerySet[Row], size: int) -> Iterator[Row]:
    """These rows in their order, `size` at a time, each as it is when its chunk is reached.

    The ids are read first, and no cursor stays open: a sweep writes to what it goes through.
    """
    ids = list(rows.values_list("pk", flat=True)[:LONGEST_ROUND])
    whole = rows.order_by()
    for start in range(0, len(ids), size):
        wanted = ids[start : start + size]
        found: dict[Any, Row] = whole.in_bulk(wanted)
        yield from (found[pk] for pk in wanted if pk in found)
