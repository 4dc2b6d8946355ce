"""The shapes of the event log."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api.serializers import PersonSerializer
from tickets.models import Kind, Metric


class ActorSerializer(PersonSerializer):
    kind = serializers.ChoiceField(choices=["customer", "agent", "supervisor"])


def _members(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


_TEXT: dict[str, Any] = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
_PERSON = {"$ref": "#/components/schemas/Person"}
_NOBODY_OR_PERSON = {"oneOf": [_PERSON, {"type": "null"}]}
_PEOPLE = {"type": "array", "items": _PERSON}
_STATUS, _PRIORITY = ({"$ref": f"#/components/schemas/{n}"} for n in ("Status", "Priority"))


@extend_schema_field(
    {
        "description": "By the kind of event; a reason is for agents and supervisors only.",
        "anyOf": [
            _members({"subject": _TEXT, "priority": _PRIORITY, "channel": _TEXT}),
            _members({"fields": {"type": "array", "items": _TEXT}}),
            # Only true, and only in imported history: the move was made, though not ours to make.
            _members({"from": _STATUS, "to": _STATUS}, refused_by_table={"const": True}),
            _members({"from": _PRIORITY, "to": _PRIORITY}, reason=_TEXT),
            _members({"from": _NOBODY_OR_PERSON, "to": _NOBODY_OR_PERSON, "method": _TEXT}),
            _members(
                {
                    "level": {"type": "integer"},
                    "from_priority": _PRIORITY,
                    "to_priority": _PRIORITY,
                },
                reason=_TEXT,
                # Where a rule did it: its id, and whom it told.
                rule={"type": "integer"},
                notifies={"type": "array", "items": _TEXT},
            ),
            # `merged_from`: it was said in a ticket that was merged into this one.
            _members(
                {"message": {"$ref": "#/components/schemas/Message"}},
                merged_from={"type": "integer"},
            ),
            _members({"into": {"type": "integer"}}),
            _members({"from": {"type": "integer"}}),
            _members({"added": _PEOPLE, "removed": _PEOPLE}),
            _members({"metric": {"enum": Metric.values}, "due_at": _MOMENT}),
            _members({"file": {"$ref": "#/components/schemas/File"}}),
            _members({"score": {"type": "integer", "minimum": 1, "maximum": 5}}),
        ],
    }
)
class EventDataField(serializers.DictField):
    """What happened, by the kind of event."""


class EventSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    event = serializers.ChoiceField(choices=Kind.choices)
    at = serializers.DateTimeField()
    actor = ActorSerializer(allow_null=True)
    data = EventDataField()  # type: ignore[assignment]


class EventLogSerializer(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    head = serializers.IntegerField()
    results = EventSerializer(many=True)
