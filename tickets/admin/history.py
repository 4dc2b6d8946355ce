"""The event log of a ticket as sentences."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.admin.base import moment
from agents.models import User
from tickets.api.events import render_events
from tickets.lifecycle import Status
from tickets.models import Kind, Metric, Priority, Ticket, TicketEvent


@dataclass(frozen=True)
class Line:
    """One event. `actor` is empty where the desk did it by itself."""

    at: datetime
    actor: str
    text: str
    is_internal: bool


def history_of(ticket: Ticket, caller: User, limit: int | None) -> tuple[list[Line], bool]:
    """The newest events, newest first, and whether there are older ones. A few queries.

    Without what no person did and nobody asks about: that a preview was drawn.
    """
    told = TicketEvent.objects.filter(ticket=ticket).exclude(kind=Kind.FILE_PREVIEWED)
    log = told.select_related("actor").order_by("-seq")
    found = list(log if limit is None else log[: limit + 1])
    shown = found[:limit]
    rendered = render_events(shown, is_staff=caller.is_desk_staff)
    lines = [_line(event, row["data"]) for event, row in zip(shown, rendered, strict=True)]
    return lines, len(found) > len(shown)


def _line(event: TicketEvent, data: dict[str, Any]) -> Line:
    say = SENTENCES.get(Kind(event.kind))
    text = say(data) if say else Kind(event.kind).label.lower()
    actor = event.actor.display_name if event.actor else ""
    return Line(event.at, actor, text, event.public_seq is None)


def _name(person: dict[str, Any] | None) -> str:
    return str(person["name"]) if person else ""


def _assigned(data: dict[str, Any]) -> str:
    before, after = _name(data["from"]), _name(data["to"])
    if not after:
        return f"put it back in the queue (it was with {before})"
    how = HOW.get(data["method"], "")
    source = f" (before: {before})" if before else ""
    return f"assigned it to {after}{how}{source}"


def _status(data: dict[str, Any]) -> str:
    return f"status: {Status(data['from']).label} → {Status(data['to']).label}"


def _priority(data: dict[str, Any]) -> str:
    return f"priority: {_label(data['from'])} → {_label(data['to'])}{_reason(data)}"


def _escalated(data: dict[str, Any]) -> str:
    priority = _label(data["to_priority"])
    return f"escalated it to level {data['level']}, priority: {priority}{_reason(data)}"


def _reason(data: dict[str, Any]) -> str:
    return f" ({data['reason']})" if data.get("reason") else ""


def _label(priority: str) -> str:
    return str(Priority.from_key(priority).label)


def _message(data: dict[str, Any]) -> str:
    return "left a note" if data["message"]["internal"] else "replied"


def _participants(data: dict[str, Any]) -> str:
    parts = [
        f"{verb} {', '.join(_name(person) for person in data[key])}"
        for verb, key in (("added", "added"), ("removed", "removed"))
        if data[key]
    ]
    return f"{' and '.join(parts)} as participant"


def _merged(data: dict[str, Any]) -> str:
    if "into" in data:
        return f"merged it into SD-{data['into']}"
    return f"merged SD-{data['from']} into it"


def _scanned(data: dict[str, Any]) -> str:
    file = data["file"]
    return f"scanned {file['filename']}: {file['scan_status']}"


def _deadline(data: dict[str, Any]) -> str:
    due_at = moment(datetime.fromisoformat(data["due_at"]))
    return f"{Metric(data['metric']).label.lower()}, due {due_at}"


HOW = {
    "auto": " by the score",
    "claim": ", by taking it",
    "rebalance": " to balance the load",
    "escalation": " on escalation",
}
SENTENCES: dict[Kind, Callable[[dict[str, Any]], str]] = {
    Kind.OPENED: lambda data: "opened the ticket",
    Kind.UPDATED: lambda data: f"changed {', '.join(data['fields']).replace('_', ' ')}",
    Kind.STATUS_CHANGED: _status,
    Kind.PRIORITY_CHANGED: _priority,
    Kind.ASSIGNED: _assigned,
    Kind.ESCALATED: _escalated,
    Kind.MESSAGE_CREATED: _message,
    Kind.PARTICIPANTS_CHANGED: _participants,
    Kind.MERGED: _merged,
    Kind.FILE_ATTACHED: lambda data: f"attached {data['file']['filename']}",
    Kind.FILE_SCANNED: _scanned,
    Kind.FILE_REMOVED: lambda data: f"removed {data['file']['filename']}",
    Kind.SLA_WARNED: lambda data: f"warned that time runs out: {_deadline(data)}",
    Kind.SLA_BREACHED: lambda data: f"noted a broken promise: {_deadline(data)}",
    Kind.RATED: lambda data: f"rated the resolution {data['score']} of 5",
}
