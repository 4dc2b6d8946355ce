"""A whole import: the file through the pure steps, batch after batch into the database."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DatabaseError, OperationalError, reset_queries

from tickets.importing.incidents import Incident, LeftOut, gather
from tickets.importing.reading import BrokenRow, read_rows
from tickets.importing.replay import History, replay
from tickets.importing.source import Lines, open_lines
from tickets.importing.writing import Written, write

BROKEN_KEPT = 100
# A database that is busy, or that ended a deadlock at our expense, is asked again.
TRIES = 5
PAUSE = 0.5  # seconds before the second try, growing with each

Progress = Callable[[Lines, int], None]
MADE = ("events", "agents", "customers", "teams", "categories", "tags", "skills", "moves")


@dataclass
class Result:
    """What a run did. `broken` keeps the first rows that could not be read, of `broken_count`."""

    written: Written = field(default_factory=Written)
    failed: int = 0
    broken: list[BrokenRow] = field(default_factory=list)
    broken_count: int = 0

    @property
    def incidents(self) -> int:
        return self.written.tickets + self.written.skipped + self.failed

    def leave_out(self, rows: Sequence[BrokenRow]) -> None:
        self.failed += 1
        self.broken_count += len(rows)
        self.broken += rows[: BROKEN_KEPT - len(self.broken)]

    def figures(self) -> dict[str, Any]:
        """The members of the command's report, without the time it took."""
        written = self.written
        return {
            "handled": written.tickets,
            "skipped": written.skipped,
            "failed": self.failed,
            "tickets": written.tickets,
            **{name: written.counts[name] for name in MADE},
            "refused": written.refused.total(),
            "refused_moves": [
                {"from": was, "to": to, "count": count}
                for (was, to), count in written.refused.most_common()
            ],
            "broken_count": self.broken_count,
            "broken": [{"line": row.line, "reason": row.reason} for row in self.broken],
        }


def read_incidents(lines: Lines, zone: ZoneInfo, limit: int | None) -> Iterator[Incident | LeftOut]:
    """The first `limit` incidents of the file, all without one. Raises NotAnExport."""
    return islice(gather(read_rows(lines, zone)), limit)


def import_file(
    path: Path,
    *,
    result: Result,
    zone: ZoneInfo,
    limit: int | None = None,
    batch: int = 500,
    progress: Progress,
) -> None:
    """Import the file's incidents, `batch` a transaction, adding to `result` what is committed.

    Raises NotAnExport, and OperationalError where the database fails for good; whatever was
    counted until then is in the database, and the next run goes on from there.
    """
    with open_lines(path) as lines:
        incidents = read_incidents(lines, zone, limit)
        while taken := list(islice(incidents, batch)):
            for one in taken:
                if isinstance(one, LeftOut):
                    result.leave_out(one.broken)
            _write_or_halve([replay(one) for one in taken if isinstance(one, Incident)], result)
            reset_queries()  # with DEBUG, Django keeps every statement
            progress(lines, result.incidents)


def _write_or_halve(histories: Sequence[History], result: Result) -> None:
    """Write what can be written: of a refused batch, all but the incidents at fault."""
    if not histories:
        return
    try:
        result.written.add(_write_patiently(histories))
    except OperationalError:
        raise
    except (DatabaseError, ValueError, OverflowError) as exc:
        if len(histories) > 1:
            middle = len(histories) // 2
            _write_or_halve(histories[:middle], result)
            _write_or_halve(histories[middle:], result)
            return
        reason = ascii(str(exc).partition("\n")[0][:200])
        result.leave_out([BrokenRow(histories[0].line, f"the database refuses it: {reason}")])


def _write_patiently(histories: Sequence[History]) -> Written:
    for attempt in range(1, TRIES):
        try:
            return write(histories)
        except OperationalError:
            time.sleep(PAUSE * attempt)
    return write(histories)
