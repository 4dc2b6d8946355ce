"""Rows gathered into whole incidents. Pure, and never more than one incident in memory.

An incident is whole or it is left out. A row whose number cannot be read is counted to the
incident it stands in; between two incidents, to the one that was opened at the same time for
the same caller, and to both where that does not tell: rather one too many left out than one
that is imported without its end.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tickets.importing.mapping import shown
from tickets.importing.reading import BrokenRow, Row

# Far beyond any real incident; keeps a broken file from filling the memory.
MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Incident:
    """All updates of one incident, in the order of the file; at least one."""

    number: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An incident that cannot be imported, by its broken rows."""

    number: str
    broken: Sequence[BrokenRow]


@dataclass
class _Gathered:
    """The incident whose rows are being read."""

    number: str
    line: int
    origin: tuple[str, str] | None
    rows: list[Row] = field(default_factory=list)
    broken: list[BrokenRow] = field(default_factory=list)

    def take(self, row: Row | BrokenRow) -> None:
        if isinstance(row, BrokenRow):
            self.broken.append(row)
        elif len(self.rows) < MAX_ROWS:
            self.rows.append(row)
        else:
            self.spoil(f"{shown(self.number)} has more than {MAX_ROWS} rows", row.line)

    def spoil(self, reason: str, line: int | None = None) -> None:
        if not any(row.reason == reason for row in self.broken):
            self.broken.append(BrokenRow(line or self.line, reason, self.number))

    def finished(self) -> Incident | LeftOut:
        if self.broken:
            return LeftOut(self.number, self.broken)
        return Incident(self.number, self.rows)


def gather(rows: Iterable[Row | BrokenRow]) -> Iterator[Incident | LeftOut]:
    """The incidents of the file. Rows of one that stand apart make the later part a LeftOut."""
    seen: set[int] = set()  # hashes: eight bytes a number instead of the number
    current: _Gathered | None = None
    strays: list[BrokenRow] = []
    for row in rows:
        if not row.number:
            strays.append(row)  # type: ignore[arg-type]
            continue
        if current is not None and row.number == current.number:
            current.broken += strays
        else:
            following = _begin(row, seen)
            yield from _settle(strays, current, following)
            if current is not None:
                yield current.finished()
            current = following
        strays = []
        current.take(row)
    yield from _settle(strays, current, None)
    if current is not None:
        yield current.finished()


def _begin(row: Row | BrokenRow, seen: set[int]) -> _Gathered:
    begun = _Gathered(row.number, row.line, row.origin)
    if hash(row.number) in seen:
        begun.spoil(f"the rows of {shown(row.number)} do not stand together")
    seen.add(hash(row.number))
    return begun


def _settle(
    strays: Iterable[BrokenRow], before: _Gathered | None, after: _Gathered | None
) -> Iterator[LeftOut]:
    """Count rows without a number to the incidents around them; answers those of neither."""
    for stray in strays:
        owners = [one for one in (before, after) if one is not None and _may_own(one, stray)]
        for owner in owners[:1]:
            owner.broken.append(stray)
        for owner in owners[1:]:
            owner.spoil(f"the broken row in line {stray.line} may be one of its rows")
        if not owners:
            yield LeftOut("", [stray])


def _may_own(incident: _Gathered, stray: BrokenRow) -> bool:
    return stray.origin is None or incident.origin is None or stray.origin == incident.origin
