"""Tickets as a table, a piece at a time."""

import csv
import io
import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from servicedesk.api.renderers import iso
from tickets.models import Priority, Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.sla.standing import state_of

CHUNK = 500
COLUMNS = (
    "id",
    "number",
    "subject",
    "status",
    "priority",
    "channel",
    "category",
    "team",
    "requester",
    "assignee",
    "tags",
    "required_skills",
    "escalation_level",
    "reopen_count",
    "created_at",
    "updated_at",
    "first_responded_at",
    "resolved_at",
    "closed_at",
    "sla_state",
    "sla_due_at",
)
# What spreadsheets pass over before they look whether a cell is a formula.
PASSED_OVER = re.compile("[\\s\"'`\u200b-\u200f\u2060\ufeff\x00-\x1f]*")
FORMULA = frozenset("=+-@")
# Where a spreadsheet of another country begins the next cell: within ours, as it were.
SEPARATORS = re.compile("(?<=[;\t\r\n])")


def neutral(text: str) -> str:
    """The text, with an apostrophe before what a spreadsheet would compute.

    That is a cell which begins with one of = + - @, also in their full-width and small forms and
    after blanks or quotes, or with a tab or line break (OWASP, "CSV injection"); and the same
    after a sign that parts cells elsewhere.
    """
    blank = PASSED_OVER.match(text).end()  # type: ignore[union-attr]
    first, *others = SEPARATORS.split(text[blank:])
    is_odd = _is_formula(first) or text.startswith(("\t", "\r", "\n"))
    lead = "'" if is_odd else ""
    return lead + text[:blank] + first + "".join(map(_within, others))


def _within(text: str) -> str:
    blank = PASSED_OVER.match(text).end()  # type: ignore[union-attr]
    return f"'{text}" if _is_formula(text[blank:]) else text


def _is_formula(text: str) -> bool:
    return unicodedata.normalize("NFKC", text[:1]) in FORMULA


def ids_of(tickets: TicketQuerySet) -> Sequence[int]:
    """Which tickets, in their order, eight bytes each: what changes while the table is written
    neither falls out of it nor comes twice."""
    return array("q", tickets.values_list("pk", flat=True).iterator(chunk_size=5000))


def header() -> bytes:
    return _lines([COLUMNS])


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def rows(ids: Sequence[int], at: datetime) -> bytes:
    """The lines of some tickets, as they are now, their `sla_state` as of `at`; three queries."""
    tickets = Ticket.objects.with_people().defer("description", "resolution").in_bulk(list(ids))
    return _lines([_row(tickets[pk], at) for pk in ids if pk in tickets])


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    """RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _row(ticket: Ticket, at: datetime) -> list[Any]:
    return [_cell(value) for value in _values(ticket, at)]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    return neutral(value) if isinstance(value, str) else value


def _values(ticket: Ticket, at: datetime) -> tuple[Any, ...]:
    """In the order of COLUMNS."""
    return (
        ticket.pk,
        ticket.number,
        ticket.subject,
        ticket.status,
        Priority(ticket.priority).key,
        ticket.channel,
        _name(ticket.category),
        _name(ticket.team),
        ticket.requester.display_name,
        ticket.assignee.display_name if ticket.assignee else "",
        ", ".join(tag.name for tag in ticket.tags.all()),
        ", ".join(skill.name for skill in ticket.required_skills.all()),
        ticket.escalation_level,
        ticket.reopen_count,
        ticket.created_at,
        ticket.updated_at,
        ticket.first_responded_at,
        ticket.resolved_at,
        ticket.closed_at,
        state_of(ticket, at).value,
        ticket.sla_due_at,
    )


def _name(row: Any) -> str:
    return row.name if row else ""
