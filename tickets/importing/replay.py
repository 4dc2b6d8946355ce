"""What an incident would have been here: its last state, and the event of every change. Pure.

The same changes make the same events as in tickets.services, one row being one change. The
table of tickets.lifecycle judges every move of the status. Its guards cannot: the log has no
comments or resolutions to show them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tickets import lifecycle
from tickets.importing.incidents import Incident
from tickets.importing.mapping import UNKNOWN_CALLER, line_of
from tickets.importing.reading import Row
from tickets.lifecycle import ENDED_STATUSES, FINAL_STATUSES, Status
from tickets.models import Channel, Kind, Priority

SUBJECT_LENGTH = 200
TEXT_LENGTH = 2000
# In the internal data of a move that our table would have refused.
REFUSED = "refused_by_table"


@dataclass(frozen=True, slots=True)
class Happened:
    """An event before it has a ticket. In `assigned`, people are names, not yet ids."""

    kind: Kind
    at: datetime
    public: dict[str, Any]
    internal: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class History:
    """A ticket as it stands after the last row, and how it came to it."""

    number: str
    line: int
    caller: str
    channel: Channel
    subject: str
    description: str
    created_at: datetime
    priority: Priority
    team: str
    category: str
    tag: str
    agent: str = ""
    resolution: str = ""
    status: Status = Status.NEW
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    reopen_count: int = 0
    version: int = 1
    events: list[Happened] = field(default_factory=list)
    # Who worked on it, and for which team.
    worked: set[tuple[str, str]] = field(default_factory=set)

    @property
    def updated_at(self) -> datetime:
        return self.events[-1].at


def replay(incident: Incident) -> History:
    """The incident's history, its times never running backwards."""
    first, last = incident.rows[0], incident.rows[-1]
    history = History(
        number=incident.number,
        line=first.line,
        caller=next((row.caller for row in reversed(incident.rows) if row.caller), UNKNOWN_CALLER),
        channel=last.channel,
        subject=_subject(last),
        description=_description(last),
        created_at=first.opened_at,
        priority=first.priority or Priority.NORMAL,
        team=first.team,
        category=first.category,
        tag=first.subcategory,
    )
    history.events.append(Happened(Kind.OPENED, first.opened_at, _opened(history)))
    before = first
    for row in incident.rows:
        _apply(history, before, row)
        before = row
    if history.status in ENDED_STATUSES and last.closed_code:
        history.resolution = f"Close code: {line_of(last.closed_code, TEXT_LENGTH)}"
    return history


def _apply(history: History, before: Row, row: Row) -> None:
    """All that one row changed, in the order in which the services record it."""
    at = max(row.updated_at, history.updated_at)
    happened = [
        *_edited(history, before, row, at),
        *_reprioritised(history, row, at),
        *_assigned(history, row, at),
        *_moved(history, row, at),
    ]
    if happened:
        history.events += happened
        history.version += 1
    if row.agent and row.team:
        history.worked.add((row.agent, row.team))


def _edited(history: History, before: Row, row: Row, at: datetime) -> Iterator[Happened]:
    changed = {
        "category": row.category != history.category,
        "description": _details(row) != _details(before),
        "tags": row.subcategory != history.tag,
        "team": row.team != history.team,
    }
    history.category, history.tag, history.team = row.category, row.subcategory, row.team
    if fields := [name for name, is_changed in changed.items() if is_changed]:
        yield Happened(Kind.UPDATED, at, {"fields": fields})


def _reprioritised(history: History, row: Row, at: datetime) -> Iterator[Happened]:
    if row.priority is None or row.priority == history.priority:
        return
    moved = {"from": history.priority.key, "to": row.priority.key}
    history.priority = row.priority
    yield Happened(Kind.PRIORITY_CHANGED, at, moved, {"reason": ""})


def _assigned(history: History, row: Row, at: datetime) -> Iterator[Happened]:
    if row.agent == history.agent:
        return
    data = {"from": history.agent or None, "to": row.agent or None, "method": "manual"}
    history.agent = row.agent
    yield Happened(Kind.ASSIGNED, at, data)


def _moved(history: History, row: Row, at: datetime) -> Iterator[Happened]:
    """What happened, happened: a move that the table refuses is made all the same, and marked."""
    was, to = history.status, row.status
    if to is None or to == was:
        return
    is_refused = (was, to) not in lifecycle.TABLE
    settle(history, to, at)
    yield Happened(
        Kind.STATUS_CHANGED,
        at,
        {"from": was.value, "to": to.value},
        {REFUSED: True} if is_refused else {},
    )


def settle(history: History, to: Status, at: datetime) -> None:
    """The status and all that hangs on it, as services.move.apply_move has it.

    Refused moves from the log also go from an ended status to a waiting one: a reopening too.
    """
    if history.status in ENDED_STATUSES and to not in ENDED_STATUSES:
        history.reopen_count += 1
    if to == Status.RESOLVED:
        history.resolved_at = at
    elif to not in ENDED_STATUSES:
        history.resolved_at = None
    history.closed_at = at if to in FINAL_STATUSES else None
    history.status = to


def _opened(history: History) -> dict[str, Any]:
    return {
        "subject": history.subject,
        "priority": history.priority.key,
        "channel": history.channel.value,
    }


def _subject(row: Row) -> str:
    """The export has none: what is nearest to one."""
    named = [text for text in (row.category, row.subcategory, row.symptom) if text]
    return line_of(" / ".join(named), SUBJECT_LENGTH) or row.number


def _details(row: Row) -> dict[str, str]:
    return {"Symptom": row.symptom, "Location": row.location, "Configuration item": row.item}


def _description(row: Row) -> str:
    lines = [f"Imported incident {line_of(row.number, TEXT_LENGTH)}", ""]
    lines += [
        f"{name}: {line_of(text, TEXT_LENGTH)}" for name, text in _details(row).items() if text
    ]
    return "\n".join(lines).strip()
