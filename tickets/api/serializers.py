"""The shapes of tickets and what hangs on them. Who reads decides what is in them: the staff
shapes have more members, the customers' ones are complete allow-lists of their own."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api.serializers import NamedSerializer, PersonSerializer, skills_by_name
from agents.models import Skill, Team, User
from servicedesk.api.fields import Flag, Line, Names, Reference, StrictSerializer, Text, Whole
from tickets import lifecycle
from tickets.lifecycle import Status
from tickets.models import Category, Channel, Kind, Message, Notification, Priority, Ticket
from tickets.models.message import MAX_BODY
from tickets.models.ticket import PRIORITY_NAMES
from tickets.parts import part_of, situation_of
from tickets.rendering import render_markdown

MAX_DESCRIPTION = 50_000
MAX_TAGS = 20


class PriorityField(serializers.ChoiceField):
    """A priority by name; inside it is a Priority."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=PRIORITY_NAMES, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return Priority.from_key(super().to_internal_value(data))

    def to_representation(self, value: Any) -> str:
        return Priority(value).key


class RequesterSerializer(PersonSerializer):
    """The requester as staff see them; customers see a PersonSerializer."""

    email = serializers.CharField(required=False, help_text="For agents and supervisors only.")


class StreamSerializer(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    seq = serializers.IntegerField()


class SummarySerializer(serializers.Serializer[Ticket]):
    """A ticket in a list. Needs `caller` in the context."""

    id = serializers.IntegerField()
    number = serializers.CharField()
    subject = serializers.CharField()
    status = serializers.ChoiceField(choices=Status.choices)
    priority = PriorityField()
    channel = serializers.ChoiceField(choices=Channel.choices)
    category = NamedSerializer(allow_null=True)
    team = NamedSerializer(allow_null=True)
    required_skills = Names()
    tags = Names()
    requester = serializers.SerializerMethodField()
    assignee = PersonSerializer(allow_null=True)
    escalation_level = serializers.IntegerField()
    reopen_count = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.SerializerMethodField()
    first_responded_at = serializers.DateTimeField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField()

    @property
    def caller(self) -> User:
        user: User = self.context["caller"]
        return user

    @extend_schema_field(RequesterSerializer)
    def get_requester(self, ticket: Ticket) -> Any:
        shape = RequesterSerializer if self.caller.is_desk_staff else PersonSerializer
        return shape(ticket.requester).data

    @extend_schema_field(serializers.DateTimeField())
    def get_updated_at(self, ticket: Ticket) -> Any:
        """For customers the last change that they can see."""
        is_staff = self.caller.is_desk_staff
        return ticket.updated_at if is_staff else ticket.public_updated_at


class DetailSerializer(SummarySerializer):
    """One ticket."""

    description = serializers.CharField()
    resolution = serializers.CharField()
    follow_up_of = serializers.IntegerField(source="follow_up_of_id", allow_null=True)
    participants = PersonSerializer(many=True, source="participants.all")
    allowed_actions = serializers.SerializerMethodField()
    stream = serializers.SerializerMethodField()

    @extend_schema_field(
        serializers.ListField(child=serializers.ChoiceField(choices=Status.choices))
    )
    def get_allowed_actions(self, ticket: Ticket) -> list[str]:
        """The statuses that this caller may move the ticket to."""
        now = situation_of(ticket, self.context["at"])
        return [str(to) for to in lifecycle.allowed_targets(now, part_of(self.caller, ticket))]

    @extend_schema_field(StreamSerializer)
    def get_stream(self, ticket: Ticket) -> Any:
        is_staff = self.caller.is_desk_staff
        seq = ticket.last_seq if is_staff else ticket.last_public_seq
        return {"epoch": ticket.epoch, "seq": seq}


class WholeListSerializer(serializers.Serializer[Any]):
    """A list that always fits on one page."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class SimilarSerializer(WholeListSerializer):
    """A few tickets."""

    results = SummarySerializer(many=True)


class EverybodySerializer(WholeListSerializer):
    """Who takes part in a ticket."""

    results = PersonSerializer(many=True)


class PartsSerializer(serializers.Serializer[Any]):
    """Each part of the score in 0..1."""

    skill = serializers.FloatField()
    headroom = serializers.FloatField()
    rest = serializers.FloatField()
    affinity = serializers.FloatField()


class CandidateSerializer(serializers.Serializer[Any]):
    agent = NamedSerializer()
    total = serializers.FloatField(help_text="Weighted mean of the parts, 0..1.")
    parts = PartsSerializer()
    eligible = serializers.BooleanField()
    gates = serializers.ListField(
        child=serializers.CharField(),
        help_text="inactive away not_in_team missing_skill at_capacity excluded",
    )
    summary = serializers.CharField()


class RecommendationsSerializer(serializers.Serializer[Any]):
    candidates = CandidateSerializer(many=True)


class DecisionSerializer(serializers.Serializer[Any]):
    """Why the ticket has the assignee it has."""

    agent = PersonSerializer()
    method = serializers.ChoiceField(choices=["auto", "manual", "claim", "rebalance", "escalation"])
    decided_at = serializers.DateTimeField()
    weights = serializers.DictField(child=serializers.FloatField())
    candidates = CandidateSerializer(many=True)


class CreatedSerializer(DetailSerializer):
    """A new ticket; agents also see why it was assigned as it was."""

    assignment = DecisionSerializer(required=False, allow_null=True)


class MessageSerializer(serializers.Serializer[Message]):
    """A message as the caller (`caller` in the context) may see it."""

    id = serializers.IntegerField()
    seq = serializers.SerializerMethodField()
    author = PersonSerializer()
    body = serializers.CharField()
    body_html = serializers.SerializerMethodField()
    internal = serializers.BooleanField(source="is_internal")
    created_at = serializers.DateTimeField()

    @extend_schema_field(serializers.IntegerField())
    def get_seq(self, message: Message) -> int | None:
        is_staff = self.context["caller"].is_desk_staff
        return message.seq if is_staff else message.public_seq

    @extend_schema_field(serializers.CharField())
    def get_body_html(self, message: Message) -> str:
        return render_markdown(message.body)


class PostedSerializer(MessageSerializer):
    ticket = DetailSerializer(
        required=False, help_text="The follow-up ticket, where the reply came too late to reopen."
    )


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
            ),
            _members({"message": {"$ref": "#/components/schemas/Message"}}),
            _members({"added": _PEOPLE, "removed": _PEOPLE}),
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


class ReasonSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class MoveSerializer(serializers.Serializer[Any]):
    to = serializers.ChoiceField(choices=Status.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    available = serializers.BooleanField()
    requires = serializers.ListField(child=serializers.CharField())
    reasons = ReasonSerializer(many=True)


class MovesSerializer(serializers.Serializer[Any]):
    current = serializers.ChoiceField(choices=Status.choices)
    transitions = MoveSerializer(many=True)


class StatusInfoSerializer(serializers.Serializer[Any]):
    key = serializers.ChoiceField(choices=Status.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    is_open = serializers.BooleanField()
    is_final = serializers.BooleanField()
    pauses_sla = serializers.BooleanField()


class TransitionInfoSerializer(serializers.Serializer[Any]):
    to = serializers.ChoiceField(choices=Status.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    roles = serializers.ListField(child=serializers.CharField())
    requires = serializers.ListField(child=serializers.CharField())

    def get_fields(self) -> dict[str, Any]:
        # `from` is a keyword of Python.
        start = serializers.ChoiceField(choices=Status.choices, source="source")
        return {"from": start, **super().get_fields()}


class WorkflowSerializer(serializers.Serializer[Any]):
    statuses = StatusInfoSerializer(many=True)
    transitions = TransitionInfoSerializer(many=True)


class NotifiedTicketSerializer(serializers.Serializer[Ticket]):
    id = serializers.IntegerField()
    number = serializers.CharField()
    subject = serializers.CharField()


class NotificationSerializer(serializers.Serializer[Notification]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Notification.Kind.choices)
    ticket = NotifiedTicketSerializer()
    created_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)


class RatingSerializer(serializers.Serializer[Any]):
    score = serializers.IntegerField()
    comment = serializers.CharField()
    rated_at = serializers.DateTimeField()


class AgentFiguresSerializer(serializers.Serializer[Any]):
    agent = NamedSerializer()
    open = serializers.IntegerField()
    capacity = serializers.IntegerField()
    utilisation = serializers.FloatField()


class StatsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    open = serializers.IntegerField()
    unassigned = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField())
    by_priority = serializers.DictField(child=serializers.IntegerField())
    created_today = serializers.IntegerField()
    resolved_today = serializers.IntegerField()
    avg_first_response_seconds = serializers.FloatField(allow_null=True)
    avg_resolution_seconds = serializers.FloatField(allow_null=True)
    agents = AgentFiguresSerializer(many=True)


# --- What comes in --------------------------------------------------------------------


class SkillNames(serializers.ListField):
    """Names of existing skills, as rows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Line(max_length=100), max_length=50, **kwargs)

    def to_internal_value(self, data: Any) -> list[Skill]:
        return skills_by_name(super().to_internal_value(data))


class TagNames(serializers.ListField):
    """Free labels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Line(max_length=50), max_length=MAX_TAGS, **kwargs)


CATEGORIES = Category.objects.select_related("team")
TEAMS = Team.objects.all()
# Customers may name one another by id nowhere; staff may name anybody who has an account.
PEOPLE = User.objects.filter(is_active=True)


class NewTicketSerializer(StrictSerializer):
    """What a customer may say of a new ticket."""

    subject = Line(max_length=200)
    description = Text(max_length=MAX_DESCRIPTION, default="", allow_blank=True)
    priority = PriorityField(default=Priority.NORMAL)
    category = Reference(CATEGORIES, required=False, allow_null=True, default=None)
    required_skills = SkillNames(required=False)
    tags = TagNames(default=list)


class NewTicketByStaffSerializer(NewTicketSerializer):
    """What an agent may say besides."""

    team = Reference(TEAMS, required=False, allow_null=True, default=None)
    requester = Reference(PEOPLE, required=False)
    channel = serializers.ChoiceField(choices=Channel.choices, default=Channel.WEB)


class TicketChangesSerializer(StrictSerializer):
    subject = Line(max_length=200, required=False)
    description = Text(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    category = Reference(CATEGORIES, required=False, allow_null=True)
    team = Reference(TEAMS, required=False, allow_null=True)
    required_skills = SkillNames(required=False)
    tags = TagNames(required=False)
    priority = PriorityField(required=False)


class StatusChangeSerializer(StrictSerializer):
    status = serializers.ChoiceField(choices=Status.choices)
    comment = Text(max_length=MAX_BODY, default="", allow_blank=True)
    internal = Flag(default=False, help_text="Makes the comment an internal note.")
    resolution = Text(max_length=MAX_BODY, default="", allow_blank=True)


class PriorityChangeSerializer(StrictSerializer):
    priority = PriorityField()
    reason = Text(max_length=2000, default="", allow_blank=True)


@extend_schema_field({"anyOf": [{"type": "integer"}, {"const": "auto"}]})
class AssigneeField(Reference):
    """An agent's id, null for the queue, or "auto"."""

    AUTO = "auto"

    def to_internal_value(self, data: Any) -> Any:
        return self.AUTO if data == self.AUTO else super().to_internal_value(data)


class AssignSerializer(StrictSerializer):
    assignee = AssigneeField(PEOPLE, allow_null=True)
    force = Flag(default=False)


class EscalateSerializer(StrictSerializer):
    reason = Text(max_length=2000)
    level = Whole(min_value=1, max_value=2**31, required=False)


class NewMessageSerializer(StrictSerializer):
    body = Text(max_length=MAX_BODY)
    internal = Flag(default=False)
    client_msg_id = Line(max_length=64, required=False)


class NewParticipantSerializer(StrictSerializer):
    user = Reference(PEOPLE)


class NewRatingSerializer(StrictSerializer):
    score = Whole(min_value=1, max_value=5)
    comment = Text(max_length=2000, default="", allow_blank=True)


@extend_schema_field(
    {"oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "integer"}, "maxItems": 1000}]}
)
class IdsOrAll(serializers.Field[Any, Any, Any, Any]):
    """A list of ids, or "all"."""

    default_error_messages = {"invalid": 'A list of ids, or "all".'}

    def to_internal_value(self, data: Any) -> Any:
        if data == "all":
            return data
        ids = serializers.ListField(child=Whole(min_value=1, max_value=2**63 - 1), max_length=1000)
        return ids.run_validation(data)


class ReadNotificationsSerializer(StrictSerializer):
    ids = IdsOrAll()


class NewCategorySerializer(StrictSerializer):
    name = Line(max_length=100)
    team = Reference(TEAMS, required=False, allow_null=True, default=None)
    required_skills = SkillNames(default=list)


class CategorySerializer(serializers.Serializer[Category]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    team = NamedSerializer(allow_null=True)
    required_skills = Names(source="skills")
