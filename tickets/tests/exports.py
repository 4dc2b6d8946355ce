"""Small incident exports, written by the tests as the real system writes them."""

import csv
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

from tickets.importing.reading import COLUMNS

# As real exports have more columns than we read, in an order of their own.
HEADER = ["number", "incident_state", "active", *COLUMNS[2:], "made_sla"]
BLANK = {
    **dict.fromkeys(HEADER, "?"),
    "active": "true",
    "reopen_count": "0",
    "caller_id": "Caller 7",
    "opened_at": "1/3/2016 08:00",
    "contact_type": "Phone",
    "category": "Category 5",
    "subcategory": "Subcategory 50",
    "priority": "3 - Moderate",
    "assignment_group": "Group 1",
    "made_sla": "true",
}


def update(number: str, state: str, at: str, **cells: str) -> dict[str, str]:
    """One row: the incident after an update at `at`, a time of day on 1 March 2016 or a moment."""
    moment = at if "/" in at else f"1/3/2016 {at}"
    return {**BLANK, "number": number, "incident_state": state, "sys_updated_at": moment, **cells}


def text_of(rows: Iterable[dict[str, str]], **dialect: Any) -> str:
    out = StringIO(newline="")
    writer = csv.DictWriter(out, HEADER, lineterminator="\r\n", **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def export(folder: Path, rows: Iterable[dict[str, str]], name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text_of(rows).encode())
    return path


def solved(number: str, **cells: str) -> list[dict[str, str]]:
    """An ordinary incident, from new to closed, in four rows."""
    mine = {"assigned_to": "Resolver 1", **cells}
    return [
        update(number, "New", "08:10", **cells),
        update(number, "Active", "09:00", **mine),
        update(number, "Resolved", "10:30", **{"closed_code": "code 6", **mine}),
        update(number, "Closed", "6/3/2016 10:30", **{"closed_code": "code 6", **mine}),
    ]
