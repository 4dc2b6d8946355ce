"""Every change of people, teams and skills. Keyword-only; each is one transaction."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypedDict, TypeVar, Unpack

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from agents import sessions
from agents.models import (
    AgentProfile,
    AgentSkill,
    Availability,
    Named,
    Skill,
    Team,
    User,
    supervises,
)
from agents.saving import save_clean
from agents.signals import availability_changed, left_service
from servicedesk.errors import DomainError, FieldError, NotAllowed

AnyNamed = TypeVar("AnyNamed", bound=Named)
USER_FIELDS = frozenset({"username", "name", "email", "role", "is_active"})


class LastSupervisor(DomainError):
    code = "last_supervisor"
    status = 409
    title = "Somebody must be able to supervise the desk"


class InUse(DomainError):
    code = "in_use"
    status = 409
    title = "This is in use"


def create_user(*, username: str, password: str | None = None, **fields: Any) -> User:
    """A user; agents and supervisors get an agent profile. Raises FieldError."""
    user = User(username=username, **fields)
    # Hashing takes long on purpose; nobody is to wait for it.
    _set_password(user, password)
    with transaction.atomic():
        save_clean(user, exclude=["password"])
        user.ensure_profile()
    return user


def update_user(
    *,
    user: User,
    at: datetime,
    actor: User | None = None,
    password: str | None = None,
    **fields: Any,
) -> User:
    """Change a user. A new password or role, or deactivation, signs them out everywhere.

    `actor` is who asked for it, where somebody did: nobody locks themselves out, and only
    superusers change superusers. Raises NotAllowed, FieldError and LastSupervisor.
    """
    unknown = set(fields) - USER_FIELDS
    if unknown:
        raise TypeError(f"not fields of a user: {unknown}")
    if actor is not None and user.is_superuser and not actor.is_superuser:
        raise NotAllowed("Only superusers change superusers.")
    if password is not None:
        fields["password"] = _hashed(password, user, fields)
    return _change_user(user, fields, at, actor)


@transaction.atomic
def _change_user(user: User, fields: Mapping[str, Any], at: datetime, actor: User | None) -> User:
    locked, others = _lock_with_supervisors(user)
    was, supervised = (locked.role, locked.is_active), locked.is_supervisor
    worked = locked.is_desk_staff
    for name, value in fields.items():
        setattr(locked, name, value)
    save_clean(locked, exclude=["password"], update_fields=list(fields))
    if supervised and not locked.is_supervisor and not others:
        raise LastSupervisor("This is the last active supervisor.")
    if actor is not None and actor.pk == locked.pk and was != (locked.role, locked.is_active):
        raise NotAllowed("Nobody deactivates themselves or changes their own role.")
    locked.ensure_profile()
    if "password" in fields or was != (locked.role, locked.is_active):
        sessions.sign_out_everywhere(user=locked, at=at)
    if worked and not locked.is_desk_staff:
        transaction.on_commit(partial(left_service.send_robust, sender=User, user=locked, at=at))
    return locked


def _lock_with_supervisors(user: User) -> tuple[User, list[User]]:
    """The user, locked, and everybody else who supervises, locked in the order of the ids.

    Two who demote each other would otherwise both see that the other one is left.
    """
    locked = User.objects.select_for_update(no_key=True)
    rows = {row.pk: row for row in locked.filter(Q(pk=user.pk) | supervises()).order_by("pk")}
    if user.pk not in rows:
        raise User.DoesNotExist
    return rows.pop(user.pk), list(rows.values())


@transaction.atomic
def update_agent(
    *,
    agent: AgentProfile,
    at: datetime,
    actor: User | None = None,
    capacity: int | None = None,
    availability: str | None = None,
    is_active: bool | None = None,
    teams: Iterable[Team] | None = None,
    skills: Mapping[Skill, int] | None = None,
) -> AgentProfile:
    """Change what the assignment knows of an agent; what is None stays.

    `skills` maps skills to levels 1-5 and replaces what the agent had. `is_active` is a change of
    the user, by the rules of `update_user`. Whoever leaves a team leads it no longer.
    """
    agents = AgentProfile.objects.select_for_update(of=("self",), no_key=True)
    locked = agents.select_related("user").get(pk=agent.pk)
    was = locked.availability
    changes = {
        "capacity": capacity,
        "availability": availability,
        # Whoever is back keeps what they have.
        "hands_back": False if availability == Availability.AVAILABLE else None,
    }
    fields = [name for name, value in changes.items() if value is not None]
    for name in fields:
        setattr(locked, name, changes[name])
    locked.save(update_fields=fields)
    if teams is not None:
        _set_teams(locked, teams)
    if skills is not None:
        _replace_skills(locked, skills)
    if is_active is not None:
        locked.user = update_user(user=locked.user, at=at, actor=actor, is_active=is_active)
    if locked.availability != was:
        _announce_availability(locked, reassign=False, at=at)
    return locked


@transaction.atomic
def set_availability(
    *, user: User, availability: Availability, at: datetime, reassign: bool = False
) -> AgentProfile:
    """What an agent decides for themselves; leaving, they may hand back what is not started."""
    changes: dict[str, Any] = {"availability": availability}
    hands_back = reassign and availability != Availability.AVAILABLE
    if hands_back or availability == Availability.AVAILABLE:
        # Kept until it is done, so that no crash forgets it; whoever is back keeps what they have.
        changes["hands_back"] = hands_back
    if not AgentProfile.objects.filter(user=user).update(**changes):
        raise NotAllowed("Only agents have an availability.")
    agent = AgentProfile.objects.select_related("user").get(user=user)
    _announce_availability(agent, reassign=hands_back, at=at)
    return agent


def _announce_availability(agent: AgentProfile, *, reassign: bool, at: datetime) -> None:
    transaction.on_commit(
        lambda: availability_changed.send_robust(
            sender=AgentProfile, agent=agent, reassign=reassign, at=at
        )
    )


def _set_teams(agent: AgentProfile, teams: Iterable[Team]) -> None:
    kept = list(teams)
    agent.teams.set(kept)
    sessions.announce_access(user_ids=[agent.pk])
    # A lead who is no member would not see the tickets that they are told of.
    Team.objects.filter(lead=agent.pk).exclude(pk__in=[team.pk for team in kept]).update(lead=None)


def _replace_skills(agent: AgentProfile, skills: Mapping[Skill, int]) -> None:
    agent.skills.exclude(skill__in=skills).delete()
    AgentSkill.objects.bulk_create(
        [AgentSkill(agent=agent, skill=skill, level=level) for skill, level in skills.items()],
        update_conflicts=True,
        unique_fields=["agent", "skill"],
        update_fields=["level"],
    )


def _set_password(user: User, password: str | None) -> None:
    if password is not None:
        try:
            validate_password(password, user)
        except ValidationError as exc:
            raise FieldError("password", " ".join(exc.messages)) from exc
    user.set_password(password)


def _hashed(password: str, user: User, fields: Mapping[str, Any]) -> str:
    """The password as it is stored. Raises FieldError where it is too weak for this user.

    Takes long, so it is done before anything is locked.
    """
    draft = User.objects.get(pk=user.pk)
    for name, value in fields.items():
        setattr(draft, name, value)
    _set_password(draft, password)
    return draft.password


# --- Teams, skills and whatever else has a name of its own ----------------------------


class TeamFields(TypedDict, total=False):
    """What a team is made of. The lead, if any, is somebody who works here, and by that a member
    of the team."""

    name: str
    lead: User | None


@transaction.atomic
def create_team(**fields: Unpack[TeamFields]) -> Team:
    """A new team; needs a name. Its lead becomes a member. Raises FieldError."""
    return _save_team(Team(), _lock_lead(fields), fields)


@transaction.atomic
def update_team(*, team: Team, **fields: Unpack[TeamFields]) -> Team:
    """Change what is given. A lead becomes a member. Raises FieldError."""
    lead = _lock_lead(fields)
    locked = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    return _save_team(locked, lead, fields)


def _lock_lead(fields: TeamFields) -> User | None:
    """Locked before the team and in the order of `update_agent`, so that what is asked of a lead
    is still true when the team is saved, and of two changes neither waits for the other."""
    lead = fields.get("lead")
    if lead is None:
        return None
    list(AgentProfile.objects.select_for_update(no_key=True).filter(pk=lead.pk).values("pk"))
    return User.objects.select_for_update(no_key=True).get(pk=lead.pk)


def _save_team(team: Team, lead: User | None, fields: TeamFields) -> Team:
    if lead is not None:
        check_lead(team, lead)
    for name, value in fields.items():
        setattr(team, name, value)
    save_clean(team)
    if lead is not None and lead.is_desk_staff:
        # Who is no member would not see the tickets that they are told of.
        team.agents.add(lead.pk)
    return team


def check_lead(team: Team, lead: User) -> None:
    """Raises FieldError. Whoever leads it already stays until somebody names another."""
    if lead.pk != team.lead_id and not lead.is_desk_staff:
        raise FieldError("lead", "Only active agents and supervisors lead a team.")


@transaction.atomic
def create_named(kind: type[AnyNamed], *, name: str) -> AnyNamed:
    """A new skill. Raises FieldError where the name is taken."""
    row = kind(name=name)
    save_clean(row)
    return row


@transaction.atomic
def rename(row: AnyNamed, *, name: str) -> AnyNamed:
    """Give a skill another name. Raises FieldError where that is taken."""
    rows = type(row)._default_manager.select_for_update(no_key=True)
    locked: AnyNamed = rows.get(pk=row.pk)
    locked.name = name
    save_clean(locked, update_fields=["name"])
    return locked


@transaction.atomic
def delete_named(row: Named) -> None:
    """Drop a team, skill or category that nothing refers to. Raises InUse."""
    # With the key: whoever is about to refer to it waits, and then finds it gone.
    locked = type(row)._default_manager.select_for_update().get(pk=row.pk)
    if locked.is_used():
        raise InUse(f"{locked} is in use.")
    locked.delete()
