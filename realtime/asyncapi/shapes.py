"""The JSON schemas of `desk.v1`: from the frame types, and from the HTTP API's document.

Every object is closed. A command with an unknown member is refused, and the tests hold each frame
that the server sends against these schemas.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, get_args

import msgspec

from realtime.protocol import commands, frames
from servicedesk.api.schema import PROBLEM_SCHEMA, DeskGenerator

Schema = dict[str, Any]

_PREFIX = "#/components/schemas/"
MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
}
TICKET_ROOM: Schema = {"type": "string", "pattern": "^ticket:[1-9][0-9]{0,14}$"}
ROOM: Schema = {"type": "string", "pattern": "^(desk|ticket:[1-9][0-9]{0,14})$"}
SEQ: Schema = {"type": "integer", "minimum": 0}
BYES: list[frames.Bye] = sorted(
    (value for value in vars(frames).values() if isinstance(value, frames.Bye)),
    key=lambda bye: bye.code,
)


def ref(name: str) -> Schema:
    return {"$ref": f"{_PREFIX}{name}"}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def closed(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


# What the HTTP API describes already. Somebody in a room is what an event's actor is there.
FROM_HTTP = (
    "Actor",
    "File",
    "Message",
    "NotificationKindEnum",
    "Person",
    "Priority",
    "Role",
    "Status",
)
RENAMED = {"Person": "Actor"}

_PROBLEM: Any = PROBLEM_SCHEMA["properties"]
# Why, where more is known than the code says. Open: what a service refuses may have more to say.
_DETAILS: Schema = {
    "type": "object",
    "properties": {
        "snapshot": {"type": "string", "pattern": "^/api/tickets/[0-9]+/$"},
        "head": SEQ,
        "code": {"type": "string"},
        "errors": _PROBLEM["errors"],
    },
}
# What the Python types leave open, by struct and member.
REFINED: dict[str, Schema] = {
    "Bye": {
        "code": {"enum": [bye.code for bye in BYES]},
        "reason": {"enum": [bye.reason for bye in BYES]},
        "retry_after_ms": SEQ,
    },
    "Error": {"details": _DETAILS},
    "Event": {"room": TICKET_ROOM, "seq": {"type": "integer", "minimum": 1}, "at": MOMENT},
    "Heartbeat": {
        "heads": {"type": "object", "propertyNames": TICKET_ROOM, "additionalProperties": SEQ}
    },
    "Hello": {"token_expires_at": nullable(MOMENT)},
    "AuthExpiring": {"token_expires_at": MOMENT},
    "Refreshed": {"token_expires_at": MOMENT},
    "Joined": {"room": TICKET_ROOM, "head": SEQ, "replay": SEQ},
    "JoinedDesk": {"room": {"const": "desk"}},
    "JoinResult": {"room": ROOM, "head": SEQ, "replay": SEQ, "details": _DETAILS},
    "Left": {"room": ROOM},
    "Notified": {"kind": ref("NotificationKindEnum")},
    "RoomLeft": {"room": ROOM},
    "RoomLive": {"room": TICKET_ROOM, "seq": SEQ},
    "Sent": {"message": ref("Message"), "seq": SEQ},
    "UserInfo": {"role": ref("Role")},
}
_RESYNC: Schema = {
    "if": {"properties": {"code": {"const": "resync_required"}}, "required": ["code"]},
    "then": {
        "properties": {"details": {"required": ["snapshot"]}},
        "required": ["details"],
    },
}
# Members that depend on each other.
CONDITIONS: dict[str, Schema] = {
    "Error": _RESYNC,
    "Join": {"oneOf": [{"required": ["ticket"]}, {"required": ["room"]}]},
    "JoinResult": {
        "allOf": [
            {
                "if": {"properties": {"ok": {"const": True}}},
                "then": {"not": {"required": ["code"]}},
                "else": {"required": ["code", "message"]},
            },
            _RESYNC,
        ]
    },
}


def from_structs() -> dict[str, Schema]:
    """The schemas of all structs on the wire, by the structs' names."""
    received = _schemas(commands.COMMANDS.values())
    said = _schemas([*get_args(frames.Frame), *frames.ANSWERS.values(), *frames.SIGNALS.values()])
    said |= _schemas([frames.JoinedDesk])
    said = {
        name: _as_sent(getattr(frames, name), schema)
        for name, schema in said.items()
        if name not in RENAMED
    }
    return {name: _closed(name, schema) for name, schema in merged(received, said).items()}


def from_http() -> dict[str, Schema]:
    """Those schemas of the HTTP API that frames refer to, and what these refer to."""
    described = DeskGenerator().get_schema()["components"]["schemas"]  # type: ignore[no-untyped-call]
    found: dict[str, Schema] = {}
    wanted = list(FROM_HTTP)
    while wanted:
        name = wanted.pop()
        if name not in found:
            text = json.dumps(described[name], default=str)
            found[name] = json.loads(text)
            wanted += re.findall(rf'"{_PREFIX}(\w+)"', text)
    return found


def merged(*groups: dict[str, Schema]) -> dict[str, Schema]:
    """All of them in one, by name in alphabetical order. Raises ValueError on a name used twice."""
    found: dict[str, Schema] = {}
    for group in groups:
        if twice := found.keys() & group.keys():
            raise ValueError(f"Two schemas have the same name: {sorted(twice)}")
        found |= group
    return dict(sorted(found.items()))


def _schemas(types: Iterable[type]) -> dict[str, Schema]:
    kinds = sorted(set(types), key=lambda kind: kind.__name__)
    _, found = msgspec.json.schema_components(kinds, ref_template=f"{_PREFIX}{{name}}")
    return found


def _closed(name: str, schema: Schema) -> Schema:
    """With all that is known about it, and nothing else let in."""
    known = {**schema, "properties": {**schema["properties"], **REFINED.get(name, {})}}
    # It repeats the name under which the schema stands.
    del known["title"]
    return {**known, "additionalProperties": False, **CONDITIONS.get(name, {})}


def _as_sent(struct: type[msgspec.Struct], schema: Schema) -> Schema:
    """As it leaves the encoder: a member with a default is there, or never null."""
    text = json.dumps(schema)
    for old, new in RENAMED.items():
        text = text.replace(f'"{_PREFIX}{old}"', f'"{_PREFIX}{new}"')
    schema = json.loads(text)
    if not struct.__struct_config__.omit_defaults:
        schema["required"] = list(schema["properties"])
    schema["properties"] = {name: _given(of) for name, of in schema["properties"].items()}
    return schema


def _given(schema: Schema) -> Schema:
    """Without its default, and without null where that is the default."""
    if "default" not in schema:
        return schema
    if schema.pop("default") is not None or "anyOf" not in schema:
        return schema
    (given,) = [option for option in schema["anyOf"] if option != {"type": "null"}]
    return dict(given)
