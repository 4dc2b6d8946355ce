"""How a sweep reads the rows that wait for it, and goes through them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import structlog
from django.db.models import Model, Q, QuerySet

from servicedesk.sweeps import SweepResult

log = structlog.get_logger(__name__)

# Rows that one call of a sweep looks at.
LONGEST_ROUND = 100_000

Row = TypeVar("Row", bound=Model)


def ids_of(rows: QuerySet[Any], by: tuple[str, ...], size: int) -> Iterator[int]:
    """The ids of these rows in the order of `by`, the last of which is unique; none may be null.

    A little more than a batch is read at a time, since a sweep is called anew for the next one;
    what it passed over, or failed at, is behind the place from which the rest is read. No cursor
    stays open: a sweep writes to what it goes through.
    """
    names = [name.removeprefix("-") for name in by]
    ordered, found = rows.order_by(*by), 0
    slice_size = 2 * size
    reached = Q()
    while found < LONGEST_ROUND:
        # By name, for the id may be one of them.
        read = ordered.filter(reached).values("pk", *names)[:slice_size]
        keys = [(key["pk"], [key[name] for name in names]) for key in read]
        yield from (pk for pk, _ in keys)
        if len(keys) < slice_size:
            return
        found += len(keys)
        reached = _behind(by, keys[-1][1])


def _behind(by: tuple[str, ...], key: list[Any]) -> Q:
    """What comes after the row of this key. The first column's own bound is what an index can
    start at; the rest is not."""
    later, same, bound = Q(), Q(), Q()
    for name, value in zip(by, key, strict=True):
        column, way = name.removeprefix("-"), "lt" if name.startswith("-") else "gt"
        bound = bound or Q(**{f"{column}__{way}e": value})
        later |= same & Q(**{f"{column}__{way}": value})
        same &= Q(**{column: value})
    return bound & later


def sweep_each(
    ids: Iterable[int], do: Callable[[int], bool], *, batch: int, failure: str
) -> SweepResult:
    """Do a thing to one ticket after the other until `batch` were handled.

    `do` answers whether there was anything to do. One that fails is logged as `failure` and does
    not hold up the others.
    """
    result = SweepResult()
    for pk in ids:
        try:
            is_done = do(pk)
        except Exception:
            log.exception(failure, ticket=pk)
            result.failed += 1
            continue
        result.add(SweepResult(handled=int(is_done), skipped=int(not is_done)))
        if result.handled >= batch:
            break
    return result


def in_chunks(rows: QuerySet[Row], by: tuple[str, ...], size: int) -> Iterator[Row]:
    """The same as rows, `size` at a time, each as it is when its chunk is reached."""
    whole, chunk = rows.order_by(), list[int]()
    for pk in ids_of(rows, by, size):
        chunk.append(pk)
        if len(chunk) == size:
            yield from _loaded(whole, chunk)
            chunk = []
    yield from _loaded(whole, chunk)


def _loaded(rows: QuerySet[Row], ids: list[int]) -> Iterator[Row]:
    found: dict[Any, Row] = rows.in_bulk(ids)
    return (found[pk] for pk in ids if pk in found)
