"""Rows out of the export, each validated by itself. Pure: lines in, rows out.

One row is one update of one incident: how the incident looked after it, not what it changed.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from tickets.importing.mapping import (
    channel_of,
    known,
    line_of,
    priority_of,
    shown,
    status_of,
)
from tickets.importing.source import Lines, NotAnExport
from tickets.lifecycle import Status
from tickets.models import Channel, Priority, Ticket

COLUMNS = (
    "number", "incident_state", "reopen_count", "caller_id", "opened_at", "sys_updated_at",
    "contact_type", "location", "category", "subcategory", "u_symptom", "cmdb_ci", "priority",
    "assignment_group", "assigned_to", "closed_code", "resolved_at", "closed_at",
)  # fmt: skip
MAX_NUMBER = Ticket._meta.get_field("external_id").max_length or 64
MOMENT = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2})")

Parsed = TypeVar("Parsed")
Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """An incident after one update. Texts are empty where the export has none."""

    line: int
    number: str
    status: Status | None  # None: the export does not know
    priority: Priority | None
    channel: Channel
    opened_at: datetime  # UTC
    updated_at: datetime  # UTC
    caller: str
    team: str
    agent: str
    category: str
    subcategory: str
    symptom: str
    location: str
    item: str
    closed_code: str
    origin: tuple[str, str]


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be read, and why. `number` is empty where not even that is known."""

    line: int
    reason: str
    number: str = ""
    # What all rows of an incident share, to tell where a row without a number belongs.
    origin: tuple[str, str] | None = None


class _Unreadable(Exception):
    """Why a row is broken."""


def read_rows(lines: Lines, zone: ZoneInfo) -> Iterator[Row | BrokenRow]:
    """Every row of the export; its times are in `zone`. Raises NotAnExport."""
    reader = csv.reader(lines)
    header = _header(reader)
    while True:
        line = lines.number + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield BrokenRow(line, f"no CSV: {exc}")
            continue
        if values:
            yield _row(line, header, values, zone)


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise NotAnExport("The file is empty.") from None
    except csv.Error as exc:
        raise NotAnExport(f"The file is no CSV: {exc}") from exc
    names[:1] = [name.removeprefix("\ufeff").strip('"') for name in names[:1]]
    if missing := [name for name in COLUMNS if name not in names]:
        raise NotAnExport(f"The file is no incident export: it has no column {', '.join(missing)}.")
    if doubles := [name for name in COLUMNS if names.count(name) > 1]:
        raise NotAnExport(f"The file has more than one column {', '.join(doubles)}.")
    return names


def _row(line: int, header: list[str], values: Sequence[str], zone: ZoneInfo) -> Row | BrokenRow:
    cells = dict(zip(header, values, strict=False))
    try:
        _refuse_odd(header, values)
        return _parsed(line, cells, zone)
    except _Unreadable as exc:
        whole = len(values) == len(header)
        origin = (cells["opened_at"], cells["caller_id"]) if whole else None
        return BrokenRow(line, str(exc), known(cells.get("number", "")), origin)


def _refuse_odd(header: list[str], values: Sequence[str]) -> None:
    """Raises _Unreadable where the columns do not fit or the text is no text."""
    if len(values) != len(header):
        amount = "few" if len(values) < len(header) else "many"
        raise _Unreadable(f"too {amount} columns: {len(values)} instead of {len(header)}")
    text = "".join(values)
    if "\0" in text:
        raise _Unreadable("it holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Unreadable("it holds bytes that are not UTF-8") from None


def _parsed(line: int, cells: Cells, zone: ZoneInfo) -> Row:
    for name in ("resolved_at", "closed_at"):
        if known(cells[name]):
            _take(name, cells[name], lambda text: moment(text, zone))
    return Row(
        line=line,
        number=_number(cells["number"]),
        status=_take("incident_state", cells["incident_state"], status_of),
        priority=_take("priority", cells["priority"], priority_of),
        channel=channel_of(cells["contact_type"]),
        opened_at=_take("opened_at", cells["opened_at"], lambda text: moment(text, zone)),
        updated_at=_take("sys_updated_at", cells["sys_updated_at"], lambda t: moment(t, zone)),
        caller=known(cells["caller_id"]),
        team=known(cells["assignment_group"]),
        agent=known(cells["assigned_to"]),
        category=known(cells["category"]),
        subcategory=known(cells["subcategory"]),
        symptom=known(cells["u_symptom"]),
        location=known(cells["location"]),
        item=known(cells["cmdb_ci"]),
        closed_code=known(cells["closed_code"]),
        origin=(cells["opened_at"], cells["caller_id"]),
    )


def _number(text: str) -> str:
    number = known(text)
    if not number:
        raise _Unreadable("number: it has none")
    if line_of(number, MAX_NUMBER) != number:
        raise _Unreadable(f"number: it is not one line of at most {MAX_NUMBER} characters")
    return number


def _take(name: str, text: str, parse: Callable[[str], Parsed]) -> Parsed:
    try:
        return parse(text)
    except ValueError as exc:
        raise _Unreadable(f"{name}: {exc}") from None


# The rows of an incident repeat its times.
@lru_cache(maxsize=4096)
def moment(text: str, zone: ZoneInfo) -> datetime:
    """`d/m/yyyy HH:MM` in `zone`, as UTC. Raises ValueError.

    An hour that the clock shows twice is the first of the two.
    """
    found = MOMENT.fullmatch(text.strip())
    day, month, year, hour, minute = map(int, found.groups()) if found else (0,) * 5
    try:
        return datetime(year, month, day, hour, minute, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(text)} is no time (d/m/yyyy HH:MM)") from None
