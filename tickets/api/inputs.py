"""What the API takes of tickets. Unknown members and wrong types are refused."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api.serializers import skills_by_name
from agents.models import Skill, Team, User
from servicedesk.api.fields import (
    MAX_ID,
    Bounded,
    Flag,
    Line,
    Reference,
    StrictSerializer,
    Text,
    Whole,
)
from tickets.api.serializers import PriorityField
from tickets.files import MAX_ATTACHED
from tickets.lifecycle import Status
from tickets.models import Category, Channel, Priority
from tickets.models.category import MAX_HANDLING_MINUTES, MAX_TAG, MAX_TAGS
from tickets.models.message import MAX_BODY

MAX_DESCRIPTION = 50_000


class SkillNames(Bounded):
    """Names of existing skills, as rows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Line(max_length=100), max_length=50, **kwargs)

    def to_internal_value(self, data: Any) -> list[Skill]:
        return skills_by_name(super().to_internal_value(data))


class TagNames(Bounded):
    """Free labels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=Line(max_length=MAX_TAG), max_length=MAX_TAGS, **kwargs)


class FileIds(Bounded):
    """Ids of files that the caller has uploaded; doubles collapse."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            child=serializers.UUIDField(), max_length=MAX_ATTACHED, default=list, **kwargs
        )

    def to_internal_value(self, data: Any) -> list[UUID]:
        return list(dict.fromkeys(super().to_internal_value(data)))


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
    attachments = FileIds()


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
    body = Text(max_length=MAX_BODY, allow_blank=True, help_text="Blank only along with a file.")
    internal = Flag(default=False)
    client_msg_id = Line(max_length=64, required=False)
    attachments = FileIds()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs["body"].strip() and not attrs["attachments"]:
            raise serializers.ValidationError(
                {"body": serializers.ErrorDetail("Say something, or send a file.", "blank")}
            )
        return attrs


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
        ids = Bounded(child=Whole(min_value=1, max_value=MAX_ID), max_length=1000)
        return ids.run_validation(data)


class ReadNotificationsSerializer(StrictSerializer):
    ids = IdsOrAll()


class NewCategorySerializer(StrictSerializer):
    name = Line(max_length=100)
    team = Reference(TEAMS, required=False, allow_null=True, default=None)
    required_skills = SkillNames(default=list)
    handling_minutes = Whole(
        min_value=1, max_value=MAX_HANDLING_MINUTES, default=None, allow_null=True
    )
