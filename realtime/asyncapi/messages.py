"""Every frame as a message of the document: its schema, its example, and whom it reaches.

`x-for-customers` says what a customer's socket may get: nothing (false) or the schema of what.
Where it is absent, customers get what everybody gets.
"""

from typing import Any

import msgspec

from realtime.asyncapi.catalogue import (
    BOB_IN_ROOM,
    COMMANDS,
    ERRORS,
    ROOM,
    SIGNALS,
    SYSTEM,
    Command,
)
from realtime.asyncapi.events import AT, EVENTS, Telling
from realtime.asyncapi.shapes import Schema, closed, from_structs, ref
from realtime.protocol import frames


def schemas_and_messages() -> tuple[dict[str, Schema], dict[str, Any]]:
    """`components.schemas` of all frames, and `components.messages`."""
    made = _Made(from_structs())
    for kind, command in COMMANDS.items():
        made.add_command(kind, command)
        if command.answers:
            made.add_answer(kind, command)
    made.add_error()
    for kind, (summary, example) in SYSTEM.items():
        made.add_system(kind, summary, example)
    for kind, telling in EVENTS.items():
        made.add_event(kind, telling)
    for kind in SIGNALS:
        made.add_signal(kind)
    # What only served as a pattern.
    for name in ("Command", "Ok", "Event", "Signal"):
        made.schemas.pop(name, None)
    return made.schemas, made.messages


class _Made:
    def __init__(self, schemas: dict[str, Schema]) -> None:
        self.schemas = schemas
        self.messages: dict[str, Any] = {}

    def add_command(self, kind: str, command: Command) -> None:
        is_first = kind == "auth"
        data = ref(type(command.example).__name__)
        id_: Schema = {"type": "string", "minLength": 0 if is_first else 1, "maxLength": 64}
        members: Schema = {"type": {"const": kind}, "id": id_, "data": data}
        optional = {"id"} if is_first else set()
        if not self._members(data):
            optional.add("data")
        name = f"{_camel(kind)}Command"
        self.schemas[name] = closed(
            {member: of for member, of in members.items() if member not in optional},
            {member: of for member, of in members.items() if member in optional},
        )
        example = {"type": kind, "id": "c7", "data": msgspec.to_builtins(command.example)}
        self._add(f"command.{kind}", command.summary, name, [example], correlated_by="id")

    def add_answer(self, kind: str, command: Command) -> None:
        shapes = [ref(name) for name in dict.fromkeys(type(a).__name__ for a in command.answers)]
        name = f"{_camel(kind)}Ok"
        data = {"anyOf": shapes} if len(shapes) > 1 else shapes[0]
        self.schemas[name] = self._like("Ok", data=data)
        examples = [{"type": "ok", "re": "c7", "data": _plain(a)} for a in command.answers]
        for_customers = command.is_for_customers
        self._add(
            f"ok.{kind}", f"`{kind}` was done.", name, examples, for_customers, correlated_by="re"
        )

    def add_error(self) -> None:
        summary = "A command was not done; `re` is null where its id could not be read."
        examples = [_plain(error) for error in ERRORS]
        self._add("error", summary, "Error", examples, correlated_by="re")

    def add_system(self, kind: str, summary: str, example: msgspec.Struct) -> None:
        correlated_by = "re" if isinstance(example, frames.Pong) else None
        name = type(example).__name__
        self._add(kind, summary, name, [_plain(example)], correlated_by=correlated_by)

    def add_event(self, kind: str, telling: Telling) -> None:
        name, event = _camel(kind), {"const": kind}
        self.schemas[name] = self._like("Event", event=event, data=telling.for_staff)
        for_customers: Schema | bool = telling.is_for_customers
        if for_customers and telling.for_staff != telling.for_customers:
            for_customers = self._public(name, "Event", event=event, data=telling.for_customers)
        actor = None if kind.startswith("sla.") else _plain(BOB_IN_ROOM)
        frame = {"type": "event", "room": ROOM, "seq": 118, "event": kind, "at": AT, "actor": actor}
        examples = [{**frame, "data": data} for data in telling.examples]
        self._add(f"event.{kind}", telling.summary, name, examples, for_customers)

    def add_signal(self, kind: str) -> None:
        summary, room, example, narrowed = SIGNALS[kind]
        name, event = f"{_camel(kind)}Signal", {"const": kind}
        data = ref(type(example.data).__name__)
        self.schemas[name] = self._like("Signal", room=room, event=event, data=data)
        for_customers = narrowed
        if isinstance(narrowed, dict):
            for_customers = self._public(name, "Signal", room=room, event=event, data=narrowed)
        self._add(f"signal.{kind}", summary, name, [_plain(example)], for_customers)

    def _public(self, name: str, envelope: str, **members: Schema) -> Schema:
        """Keep the schema of what customers get; answers a reference to it."""
        public = f"{name}ForCustomers"
        self.schemas[public] = self._like(envelope, **members)
        return ref(public)

    def _members(self, data: Schema) -> Schema:
        found: Schema = self.schemas[data["$ref"].rpartition("/")[2]]["properties"]
        return found

    def _like(self, name: str, **members: Schema) -> Schema:
        """The envelope of that name, with some of its members said precisely."""
        envelope = self.schemas[name]
        return {**envelope, "properties": {**envelope["properties"], **members}}

    def _add(
        self,
        name: str,
        summary: str,
        schema: str,
        examples: list[dict[str, Any]],
        for_customers: Schema | bool = True,
        *,
        correlated_by: str | None = None,
    ) -> None:
        message: dict[str, Any] = {"name": name, "summary": summary, "payload": ref(schema)}
        if correlated_by:
            message["correlationId"] = {"location": f"$message.payload#/{correlated_by}"}
        if for_customers is not True:
            message["x-for-customers"] = for_customers
        message["examples"] = [{"payload": example} for example in examples]
        self.messages[name] = message


def _plain(struct: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(struct))


def _camel(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.replace(".", "_").split("_"))
