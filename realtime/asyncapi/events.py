"""What an event tells, by its kind, and how much of that customers hear."""

from dataclasses import dataclass, field
from typing import Any

from realtime.asyncapi.shapes import MOMENT, Schema, closed, nullable, ref
from tickets.models import Metric

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_PEOPLE: Schema = {"type": "array", "items": ref("Person")}
_CLOCK: Schema = {"metric": {"enum": Metric.values}, "due_at": MOMENT}
_NO_NOTE: Schema = {"properties": {"internal": {"const": False}}}
_NO_NOTED_FILE: Schema = {"allOf": [ref("File"), _NO_NOTE]}

BOB: dict[str, Any] = {"id": 3, "name": "Bob Brown"}
ALICE: dict[str, Any] = {"id": 2, "name": "Alice Adams"}
AT = "2026-03-02T09:30:00Z"
MESSAGE: dict[str, Any] = {
    "id": 77,
    "seq": 118,
    "author": BOB,
    "body": "The gateway is **back**.",
    "body_html": "<p>The gateway is <strong>back</strong>.</p>\n",
    "internal": False,
    "created_at": AT,
    "attachments": [],
}
FILE: dict[str, Any] = {
    "id": "6d0ab3de-4a3e-4cf5-9d2b-1c1c2d4be9f1",
    "ticket": 42,
    "filename": "error.png",
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "content_type": "image/png",
    "category": "image",
    "internal": False,
    "uploaded_by": ALICE,
    "created_at": AT,
    "scan_status": "clean",
    "preview_status": "ready",
    "links": {
        "download": "/api/files/6d0ab3de-4a3e-4cf5-9d2b-1c1c2d4be9f1/download",
        "thumbnail": "/api/files/6d0ab3de-4a3e-4cf5-9d2b-1c1c2d4be9f1/thumbnail",
        "preview": "/api/files/6d0ab3de-4a3e-4cf5-9d2b-1c1c2d4be9f1/preview",
    },
}


@dataclass(frozen=True)
class Telling:
    """The members of `data`, with an example: `told` to all, `internal` to staff if at all."""

    summary: str
    told: Schema
    example: dict[str, Any]
    internal: Schema = field(default_factory=dict)
    internal_example: dict[str, Any] = field(default_factory=dict)
    # What staff may get in its place.
    instead: Schema = field(default_factory=dict)
    # Members that are told to customers in a narrower shape.
    narrowed: Schema = field(default_factory=dict)
    is_for_customers: bool = True

    @property
    def for_staff(self) -> Schema:
        shape = closed(self.told, self.internal)
        return {"anyOf": [shape, closed(self.instead)]} if self.instead else shape

    @property
    def for_customers(self) -> Schema:
        return closed({**self.told, **self.narrowed})

    @property
    def examples(self) -> list[dict[str, Any]]:
        """First what staff get."""
        found = [{**self.example, **self.internal_example}]
        if self.internal_example:
            found.append(self.example)
        if self.instead:
            found.append(dict.fromkeys(self.instead, 43))
        return found


EVENTS: dict[str, Telling] = {
    "ticket.opened": Telling(
        "Somebody opened the ticket.",
        {"subject": _TEXT, "priority": ref("Priority"), "channel": _TEXT},
        {"subject": "VPN is down", "priority": "normal", "channel": "web"},
    ),
    "ticket.updated": Telling(
        "The named fields changed: read the ticket to see how.",
        {"fields": {"type": "array", "items": _TEXT}},
        {"fields": ["subject", "tags"]},
    ),
    "ticket.status_changed": Telling(
        "The ticket moved. `refused_by_table` stands in imported history only.",
        {"from": ref("Status"), "to": ref("Status")},
        {"from": "open", "to": "resolved"},
        {"refused_by_table": {"const": True}},
    ),
    "ticket.priority_changed": Telling(
        "It became more, or less, urgent.",
        {"from": ref("Priority"), "to": ref("Priority")},
        {"from": "normal", "to": "high"},
        {"reason": _TEXT},
        {"reason": "A whole floor is affected."},
    ),
    "ticket.assigned": Telling(
        "It changed hands; null is the queue.",
        {
            "from": nullable(ref("Person")),
            "to": nullable(ref("Person")),
            "method": _TEXT,
        },
        {"from": None, "to": BOB, "method": "auto"},
    ),
    "ticket.escalated": Telling(
        "It was passed up. `rule` and `notifies` where a rule did it.",
        {"level": _WHOLE, "from_priority": ref("Priority"), "to_priority": ref("Priority")},
        {"level": 1, "from_priority": "normal", "to_priority": "high"},
        {"reason": _TEXT, "rule": _WHOLE, "notifies": {"type": "array", "items": _TEXT}},
        {"rule": 4, "notifies": ["team_lead"]},
    ),
    "ticket.merged": Telling(
        "It went on in another ticket (`into`); staff also see what came in (`from`).",
        {"into": _WHOLE},
        {"into": 41},
        instead={"from": _WHOLE},
    ),
    "ticket.rated": Telling(
        "The customer said how it went.",
        {"score": {"type": "integer", "minimum": 1, "maximum": 5}},
        {"score": 5},
    ),
    "message.created": Telling(
        "A reply; to staff also the internal notes. `merged_from`: it was said in that ticket.",
        {"message": ref("Message")},
        {"message": MESSAGE},
        {"merged_from": _WHOLE},
        {"merged_from": 44},
        narrowed={"message": {"allOf": [ref("Message"), _NO_NOTE]}},
    ),
    "participants.changed": Telling(
        "Who takes part changed.",
        {"added": _PEOPLE, "removed": _PEOPLE},
        {"added": [ALICE], "removed": []},
    ),
    "file.attached": Telling(
        "A file is on the ticket from now on; to staff also the internal ones.",
        {"file": ref("File")},
        {"file": FILE},
        narrowed={"file": _NO_NOTED_FILE},
    ),
    "file.scanned": Telling(
        "The scanner has looked at it: `scan_status`.",
        {"file": ref("File")},
        {"file": FILE},
        narrowed={"file": _NO_NOTED_FILE},
    ),
    "file.previewed": Telling(
        "Its preview is there, or will not come: `preview_status`.",
        {"file": ref("File")},
        {"file": FILE},
        narrowed={"file": _NO_NOTED_FILE},
    ),
    "file.removed": Telling(
        "It was taken away; its links lead nowhere now.",
        {"file": ref("File")},
        {"file": FILE},
        narrowed={"file": _NO_NOTED_FILE},
    ),
    "sla.warned": Telling(
        "A promise is about to be broken.",
        _CLOCK,
        {"metric": "first_response", "due_at": "2026-03-02T10:00:00Z"},
        is_for_customers=False,
    ),
    "sla.breached": Telling(
        "A promise was broken.",
        _CLOCK,
        {"metric": "resolution", "due_at": "2026-03-02T17:00:00Z"},
        is_for_customers=False,
    ),
}
