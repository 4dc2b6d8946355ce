"""Incidents out of an export, as far as a simulation needs them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tickets.importing.incidents import Incident
from tickets.importing.mapping import UNKNOWN_CALLER
from tickets.importing.reading import Row
from tickets.importing.running import read_incidents
from tickets.importing.skills import DONE
from tickets.importing.source import open_lines
from tickets.lifecycle import Status
from tickets.models import Priority

# The log's clock: no zone is stated.
ZONE = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Past:
    """An incident as its last row has it. Names are empty where no row has one."""

    opened_at: datetime
    resolved_at: datetime | None  # the first move to resolved or closed
    priority: Priority
    team: str
    agent: str
    category: str
    caller: str
    updates: int  # rows that changed it before it was closed, at least 1


@dataclass(frozen=True)
class Log:
    """The incidents of an export by the time they were opened, and how many are broken."""

    incidents: Sequence[Past]
    broken: int


def read(path: Path) -> Log:
    """The whole incidents of the file. Raises NotAnExport."""
    with open_lines(path) as lines:
        found = list(read_incidents(lines, ZONE, None))
    whole = [_past(incident) for incident in found if isinstance(incident, Incident)]
    whole.sort(key=lambda past: past.opened_at)
    return Log(whole, len(found) - len(whole))


def _past(incident: Incident) -> Past:
    rows = incident.rows
    return Past(
        opened_at=rows[0].opened_at,
        resolved_at=next((row.updated_at for row in rows if row.status in DONE), None),
        priority=next((row.priority for row in reversed(rows) if row.priority), Priority.NORMAL),
        team=_latest(rows, "team"),
        agent=_latest(rows, "agent"),
        category=_latest(rows, "category"),
        caller=_latest(rows, "caller") or UNKNOWN_CALLER,
        updates=max(1, sum(row.status != Status.CLOSED for row in rows)),
    )


def _latest(rows: Sequence[Row], name: str) -> str:
    """The last value of this column that is not missing."""
    values: Iterator[str] = (getattr(row, name) for row in reversed(rows))
    return next((value for value in values if value), "")
