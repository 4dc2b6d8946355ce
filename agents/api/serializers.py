"""The shapes of people, teams and skills, as the API takes and gives them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents import presence
from agents.models import AgentProfile, AgentSkill, Availability, Role, Skill, Team, User
from agents.roles import permissions_of
from servicedesk.api.fields import (
    Bounded,
    Flag,
    Line,
    Reference,
    References,
    StrictSerializer,
    Text,
    Whole,
)


class NamedSerializer(serializers.Serializer[Any]):
    """Anything that is referred to by id and shown by name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class PersonSerializer(serializers.Serializer[User]):
    """A person as everybody may see them."""

    id = serializers.IntegerField()
    name = serializers.CharField(source="display_name")


class AgentStateSerializer(serializers.Serializer[AgentProfile]):
    capacity = serializers.IntegerField()
    availability = serializers.ChoiceField(choices=Availability.choices)
    open_tickets = serializers.IntegerField(source="open_load")


class UserSerializer(serializers.Serializer[User]):
    """A user as they see themselves, and as supervisors see them."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField(source="display_name")
    email = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    is_active = serializers.BooleanField()
    teams = serializers.SerializerMethodField()
    agent = serializers.SerializerMethodField()
    permissions = serializers.SerializerMethodField()

    @extend_schema_field(NamedSerializer(many=True))
    def get_teams(self, user: User) -> Any:
        profile = _profile_of(user)
        return NamedSerializer(profile.teams.all(), many=True).data if profile else []

    @extend_schema_field(AgentStateSerializer(allow_null=True))
    def get_agent(self, user: User) -> Any:
        profile = _profile_of(user)
        return AgentStateSerializer(profile).data if profile else None

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_permissions(self, user: User) -> list[str]:
        return permissions_of(user)


def _profile_of(user: User) -> AgentProfile | None:
    """The profile that was loaded with the user, if they are staff and have one."""
    return getattr(user, "agent", None) if user.is_desk_staff else None


class SkillLevelSerializer(StrictSerializer):
    """A skill by name and how well it is known, 1 to 5."""

    name = Line(max_length=100)
    level = Whole(min_value=1, max_value=AgentSkill.MAX_LEVEL)


PRESENCE = serializers.ChoiceField(choices=presence.STATES)


class AgentListSerializer(serializers.ListSerializer[AgentProfile]):
    """Asks for the presence of all its agents at once."""

    child: "AgentSerializer"

    def to_representation(self, data: Any) -> Any:
        agents = list(data)
        self.child.presences = presence.states([agent.pk for agent in agents])
        return super().to_representation(agents)


class AgentSerializer(serializers.Serializer[AgentProfile]):
    # Of those who are shown together, if the list has asked.
    presences: dict[int, str] | None = None

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(source="user.display_name")
    email = serializers.CharField(source="user.email")
    role = serializers.ChoiceField(choices=Role.choices, source="user.role")
    teams = NamedSerializer(many=True, source="teams.all")
    skills = serializers.SerializerMethodField()
    capacity = serializers.IntegerField()
    open_tickets = serializers.IntegerField(source="open_load")
    utilisation = serializers.FloatField()
    availability = serializers.ChoiceField(choices=Availability.choices)
    is_active = serializers.BooleanField(source="user.is_active")
    presence = serializers.SerializerMethodField(
        help_text="Whether a socket of theirs is open; what they decided is `availability`."
    )

    class Meta:
        list_serializer_class = AgentListSerializer

    @extend_schema_field(SkillLevelSerializer(many=True))
    def get_skills(self, agent: AgentProfile) -> Any:
        return [{"name": known.skill.name, "level": known.level} for known in agent.skills.all()]

    @extend_schema_field(PRESENCE)
    def get_presence(self, agent: AgentProfile) -> str:
        known = presence.states([agent.pk]) if self.presences is None else self.presences
        return known[agent.pk]


class AgentChangesSerializer(StrictSerializer):
    capacity = Whole(min_value=0, max_value=1000, required=False)
    availability = serializers.ChoiceField(choices=Availability.choices, required=False)
    is_active = Flag(required=False)
    teams = References(Team.objects.all(), required=False)
    skills = Bounded(child=SkillLevelSerializer(), required=False, max_length=200)

    def validate_skills(self, given: list[dict[str, Any]]) -> dict[Skill, int]:
        """Names of existing skills to levels."""
        levels = {item["name"].lower(): item["level"] for item in given}
        return {skill: levels[skill.name.lower()] for skill in skills_by_name(list(levels))}


def skills_by_name(names: list[str]) -> list[Skill]:
    """The skills of these names, whatever the case; an unknown one is a validation error."""
    wanted = {name.lower(): name for name in names}
    if not wanted:
        return []
    found = {skill.name.lower(): skill for skill in Skill.objects.named(names)}
    if missing := [name for key, name in wanted.items() if key not in found]:
        named = ", ".join(missing[:5]) + (", …" if missing[5:] else "")
        raise serializers.ValidationError(f"No such skill: {named}.", "unknown_skill")
    return list(found.values())


class AvailabilitySerializer(StrictSerializer):
    availability = serializers.ChoiceField(choices=Availability.choices)
    reassign = Flag(default=False, help_text="Hand back what is not started, when leaving.")


class NewUserSerializer(StrictSerializer):
    username = Line(max_length=150)
    name = Line(max_length=150, default="", allow_blank=True)
    email = serializers.EmailField(default="", allow_blank=True)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.CUSTOMER)
    is_active = Flag(default=True)
    password = Text(max_length=1000, required=False, write_only=True)


class UserChangesSerializer(StrictSerializer):
    username = Line(max_length=150, required=False)
    name = Line(max_length=150, required=False, allow_blank=True)
    email = serializers.EmailField(required=False, allow_blank=True)
    role = serializers.ChoiceField(choices=Role.choices, required=False)
    is_active = Flag(required=False)
    password = Text(max_length=1000, required=False, write_only=True)


class NewNamedSerializer(StrictSerializer):
    """What a skill is made of."""

    name = Line(max_length=100)


class TeamSerializer(NamedSerializer):
    lead = PersonSerializer(allow_null=True)


class TeamChangesSerializer(StrictSerializer):
    name = Line(max_length=100, required=False)
    lead = Reference(
        User.objects.all(),
        required=False,
        allow_null=True,
        help_text="An agent or supervisor, who gets the team's tickets when they are escalated.",
    )


class NewTeamSerializer(TeamChangesSerializer):
    name = Line(max_length=100)


class SignInSerializer(StrictSerializer):
    username = Text(max_length=254, help_text="Username or e-mail address, in any case.")
    password = Text(max_length=1000, write_only=True)


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedInSerializer(TokenPairSerializer):
    user = UserSerializer()


class RefreshSerializer(StrictSerializer):
    refresh = Text(max_length=4000)


class SignOutSerializer(StrictSerializer):
    everywhere = Flag(default=False)


class TeamLoadSerializer(serializers.Serializer[Any]):
    team = NamedSerializer()
    agents = serializers.IntegerField()
    available = serializers.IntegerField()
    capacity = serializers.IntegerField()
    open_tickets = serializers.IntegerField()
    utilisation = serializers.FloatField()


class WorkloadSerializer(serializers.Serializer[Any]):
    agents = AgentSerializer(many=True)
    teams = TeamLoadSerializer(many=True)
