"""What the API gives of tickets and what hangs on them, by who reads: staff see more members."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api.serializers import NamedSerializer, PersonSerializer
from agents.models import User
from servicedesk.api.fields import FromSerializer, Names
from tickets import lifecycle
from tickets.api.sla_serializers import SlaSerializer, SlaSummarySerializer, in_full, summed_up
from tickets.lifecycle import Status
from tickets.models import Category, Channel, Message, Notification, Priority, Ticket
from tickets.models.ticket import PRIORITY_NAMES
from tickets.parts import part_of, situation_of
from tickets.rendering import render_markdown

SCAN_STATUSES = ["pending", "clean", "infected", "skipped", "failed"]
PREVIEW_STATUSES = ["none", "pending", "ready", "failed"]


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
    """A ticket in a list. Needs `caller` and `at` in the context."""

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
    sla = serializers.SerializerMethodField()
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

    @extend_schema_field(SlaSummarySerializer)
    def get_sla(self, ticket: Ticket) -> Any:
        return SlaSummarySerializer(summed_up(ticket, self.context["at"])).data


class RatingSerializer(serializers.Serializer[Any]):
    score = serializers.IntegerField()
    comment = serializers.CharField()
    rated_at = serializers.DateTimeField()


class DetailSerializer(SummarySerializer):
    """One ticket."""

    description = serializers.CharField()
    description_html = serializers.SerializerMethodField(help_text="Of its Markdown; sanitised.")
    resolution = serializers.CharField()
    resolution_html = serializers.SerializerMethodField(help_text="Of its Markdown; sanitised.")
    follow_up_of = serializers.IntegerField(source="follow_up_of_id", allow_null=True)
    merged_into = serializers.IntegerField(source="merged_into_id", allow_null=True)
    participants = PersonSerializer(many=True, source="participants.all")
    rating = RatingSerializer(
        allow_null=True, default=None, help_text="The requester's verdict on the resolution."
    )
    allowed_actions = serializers.SerializerMethodField()
    stream = serializers.SerializerMethodField()

    @extend_schema_field(serializers.CharField())
    def get_description_html(self, ticket: Ticket) -> str:
        return render_markdown(ticket.description)

    @extend_schema_field(serializers.CharField())
    def get_resolution_html(self, ticket: Ticket) -> str:
        return render_markdown(ticket.resolution)

    @extend_schema_field(
        serializers.ListField(child=serializers.ChoiceField(choices=Status.choices))
    )
    def get_allowed_actions(self, ticket: Ticket) -> list[str]:
        """The statuses that this caller may move the ticket to."""
        now = situation_of(ticket, self.context["at"])
        return [str(to) for to in lifecycle.allowed_targets(now, part_of(self.caller, ticket))]

    @extend_schema_field(SlaSerializer)
    def get_sla(self, ticket: Ticket) -> Any:
        return SlaSerializer(in_full(ticket, self.context["at"])).data

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
    sla_fit = serializers.FloatField()
    rest = serializers.FloatField()
    affinity = serializers.FloatField()


class CandidateSerializer(serializers.Serializer[Any]):
    agent = NamedSerializer()
    total = serializers.FloatField(help_text="Weighted mean of the parts, 0..1.")
    parts = PartsSerializer()
    eligible = serializers.BooleanField()
    gates = serializers.ListField(
        child=serializers.CharField(),
        help_text="inactive away not_in_team missing_skill at_capacity excluded flooded",
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


class LinksSerializer(serializers.Serializer[Any]):
    """Paths; null where there is nothing of the kind."""

    download = serializers.CharField()
    thumbnail = serializers.CharField(allow_null=True)
    preview = serializers.CharField(allow_null=True)


class FileSerializer(serializers.Serializer[Any]):
    """A file, on a ticket or still a draft of its uploader."""

    id = serializers.UUIDField()
    ticket = serializers.IntegerField(source="ticket_id", allow_null=True)
    filename = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    content_type = serializers.CharField()
    category = serializers.CharField()
    internal = serializers.BooleanField(source="is_internal")
    uploaded_by = PersonSerializer()
    created_at = serializers.DateTimeField()
    scan_status = serializers.ChoiceField(choices=SCAN_STATUSES)
    preview_status = serializers.ChoiceField(choices=PREVIEW_STATUSES)
    links = LinksSerializer()


class MessageSerializer(serializers.Serializer[Message]):
    """A message as staff or its customer see it (`is_staff` in the context), with its
    files (`files`, by the id of the message)."""

    id = serializers.IntegerField()
    seq = serializers.SerializerMethodField()
    author = PersonSerializer()
    body = serializers.CharField()
    body_html = serializers.SerializerMethodField()
    internal = serializers.BooleanField(source="is_internal")
    created_at = serializers.DateTimeField()
    attachments = serializers.SerializerMethodField()

    @extend_schema_field(FileSerializer(many=True))
    def get_attachments(self, message: Message) -> Any:
        return FileSerializer(self.context["files"].get(message.pk, ()), many=True).data

    @extend_schema_field(serializers.IntegerField())
    def get_seq(self, message: Message) -> int | None:
        return message.seq if self.context["is_staff"] else message.public_seq

    @extend_schema_field(serializers.CharField())
    def get_body_html(self, message: Message) -> str:
        return render_markdown(message.body)


class PostedSerializer(MessageSerializer):
    ticket = DetailSerializer(
        required=False,
        help_text="The ticket that the reply went to, where that is another one: the follow-up of "
        "one that it came too late to reopen, or what this one was merged into.",
    )


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


class TransitionInfoSerializer(FromSerializer):
    from_ = serializers.ChoiceField(choices=Status.choices, source="source")
    to = serializers.ChoiceField(choices=Status.choices)
    label = serializers.CharField()  # type: ignore[assignment]
    roles = serializers.ListField(child=serializers.CharField())
    requires = serializers.ListField(child=serializers.CharField())


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


class SlaFiguresSerializer(serializers.Serializer[Any]):
    """Tickets that stand so now, as the filter `sla` finds them."""

    at_risk = serializers.IntegerField()
    breached = serializers.IntegerField()


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
    sla = SlaFiguresSerializer()
    created_today = serializers.IntegerField()
    resolved_today = serializers.IntegerField()
    avg_first_response_seconds = serializers.FloatField(allow_null=True)
    avg_resolution_seconds = serializers.FloatField(allow_null=True)
    agents = AgentFiguresSerializer(many=True)


class CategorySerializer(serializers.Serializer[Category]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    team = NamedSerializer(allow_null=True)
    required_skills = Names(source="skills")
    handling_minutes = serializers.IntegerField(allow_null=True)
