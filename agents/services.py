"""Every change of people, teams and skills. Keyword-only; each is one transaction."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from agents import sessions
from agents.models import AgentProfile, AgentSkill, Availability, Role, Skill, Team, User
from agents.signals import availability_changed
from servicedesk.errors import DomainError, FieldError, NotAllowed

Named = TypeVar("Named", Team, Skill)
USER_FIELDS = frozenset({"username", "name", "email", "role", "is_active"})


class LastSupervisor(DomainError):
    code = "last_supervisor"
    status = 409
    title = "Somebody must be able to supervise the desk"


@transaction.atomic
def create_user(*, username: str, password: str | None = None, **fields: Any) -> User:
    """A user; agents and supervisors get an agent profile. Raises FieldError."""
    user = User(username=username, **fields)
    _set_password(user, password)
    _clean(user)
    user.save()
    ensure_profile(user)
    return user


@transaction.atomic
def update_user(*, user: User, at: datetime, password: str | None = None, **fields: Any) -> User:
    """Change a user. A new password or role, or deactivation, signs them out everywhere."""
    unknown = set(fields) - USER_FIELDS
    if unknown:
        raise TypeError(f"not fields of a user: {unknown}")
    locked, others = _lock_with_supervisors(user)
    was, supervised = (locked.role, locked.is_active), locked.is_supervisor
    for name, value in fields.items():
        setattr(locked, name, value)
    if password is not None:
        _set_password(locked, password)
    _clean(locked)
    if supervised and not locked.is_supervisor and not others:
        raise LastSupervisor("This is the last active supervisor.")
    locked.save()
    ensure_profile(locked)
    if password is not None or was != (locked.role, locked.is_active):
        sessions.sign_out_everywhere(user=locked, at=at)
    return locked


def _lock_with_supervisors(user: User) -> tuple[User, list[User]]:
    """The user, locked, and everybody else who supervises, locked in the order of the ids.

    Two who demote each other would otherwise both see that the other one is left.
    """
    supervisors = Q(is_active=True) & (Q(role=Role.SUPERVISOR) | Q(is_superuser=True))
    wanted = User.objects.select_for_update().filter(Q(pk=user.pk) | supervisors).order_by("pk")
    rows = {row.pk: row for row in wanted}
    if user.pk not in rows:
        raise User.DoesNotExist
    return rows.pop(user.pk), list(rows.values())


def ensure_profile(user: User) -> None:
    if user.role != Role.CUSTOMER or user.is_superuser:
        AgentProfile.objects.get_or_create(user=user)


@transaction.atomic
def update_agent(
    *,
    agent: AgentProfile,
    at: datetime,
    capacity: int | None = None,
    availability: str | None = None,
    is_active: bool | None = None,
    teams: Iterable[Team] | None = None,
    skills: Mapping[Skill, int] | None = None,
) -> AgentProfile:
    """Change what the assignment knows of an agent; what is None stays.

    `skills` maps skills to levels 1-5 and replaces what the agent had.
    """
    locked = (
        AgentProfile.objects.select_for_update(of=("self",)).select_related("user").get(pk=agent.pk)
    )
    was = locked.availability
    changes = {"capacity": capacity, "availability": availability}
    fields = [name for name, value in changes.items() if value is not None]
    for name in fields:
        setattr(locked, name, changes[name])
    locked.save(update_fields=fields)
    if teams is not None:
        locked.teams.set(teams)
    if skills is not None:
        _replace_skills(locked, skills)
    if is_active is not None:
        locked.user = update_user(user=locked.user, at=at, is_active=is_active)
    if locked.availability != was:
        _announce_availability(locked, reassign=False, at=at)
    return locked


@transaction.atomic
def set_availability(
    *, user: User, availability: Availability, at: datetime, reassign: bool = False
) -> AgentProfile:
    """What an agent decides for themselves; leaving, they may hand back what is not started."""
    changed = AgentProfile.objects.filter(user=user).update(availability=availability)
    if not changed:
        raise NotAllowed("Only agents have an availability.")
    agent = AgentProfile.objects.select_related("user").get(user=user)
    hands_back = reassign and availability != Availability.AVAILABLE
    _announce_availability(agent, reassign=hands_back, at=at)
    return agent


def _announce_availability(agent: AgentProfile, *, reassign: bool, at: datetime) -> None:
    transaction.on_commit(
        lambda: availability_changed.send_robust(
            sender=AgentProfile, agent=agent, reassign=reassign, at=at
        )
    )


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


def _clean(user: User) -> None:
    """The model's own rules, unique constraints included, as FieldErrors."""
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as exc:
        name, messages = next(iter(exc.message_dict.items()))
        if name == "__all__":
            name = "email" if "e-mail" in messages[0] else "username"
        raise FieldError(name, messages[0]) from exc


def create_named(kind: type[Named], *, name: str) -> Named:
    """A new team or skill. Raises FieldError where the name is taken."""
    row = kind(name=name)
    try:
        row.full_clean()
    except ValidationError as exc:
        raise FieldError("name", exc.messages[0], "unique") from exc
    row.save()
    return row
