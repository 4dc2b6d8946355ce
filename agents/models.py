"""WHO: people with a role, agents with capacity and skills, teams, and signed-in sessions."""

import secrets
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from servicedesk.api.text import refuse_control_characters


class Role(models.TextChoices):
    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"


class Availability(models.TextChoices):
    """What an agent has decided; whether a socket of theirs is open is *presence*."""

    AVAILABLE = "available"
    AWAY = "away"
    OFFLINE = "offline"


class Team(models.Model):
    name = models.CharField(max_length=100, validators=[refuse_control_characters])

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="team_name_is_unique",
                violation_error_message="There is a team of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class SkillQuerySet(models.QuerySet["Skill"]):
    def named(self, names: Iterable[str]) -> "SkillQuerySet":
        """The skills of these names, whatever the case."""
        lowered = [name.lower() for name in names]
        return self.alias(lower_name=Lower("name")).filter(lower_name__in=lowered)


class Skill(models.Model):
    name = models.CharField(max_length=100, validators=[refuse_control_characters])

    objects = SkillQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="skill_name_is_unique",
                violation_error_message="There is a skill of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class AgentQuerySet(models.QuerySet["AgentProfile"]):
    def in_service(self) -> "AgentQuerySet":
        """Those who still have a role for it, with what their representation reads."""
        return (
            self.exclude(user__role=Role.CUSTOMER, user__is_superuser=False)
            .select_related("user")
            .prefetch_related("teams", "skills__skill")
        )


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """A user; without a password one who cannot sign in."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str, **fields: Any) -> "User":
        return self.create_user(
            username, password, **{"role": Role.SUPERVISOR, "is_superuser": True, **fields}
        )


def new_security_stamp() -> str:
    return secrets.token_hex(8)


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody who can sign in by username or e-mail. The role decides what they may do."""

    username = models.CharField(
        max_length=150,
        # No @: a username must never look like somebody else's e-mail address. ASCII, since
        # SQLite folds the case of nothing else.
        validators=[
            RegexValidator(
                r"\A[A-Za-z0-9_.+-]+\Z", "Letters, digits and . + - _ only, no spaces or @."
            )
        ],
    )
    email = models.EmailField(blank=True)
    name = models.CharField(max_length=150, blank=True, validators=[refuse_control_characters])
    role = models.CharField(max_length=10, choices=Role, default=Role.CUSTOMER)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    # Part of every session's fingerprint: a new stamp signs the user out everywhere.
    security_stamp = models.CharField(max_length=16, default=new_security_stamp, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["email"]

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("username"),
                name="username_is_unique",
                violation_error_message="This username is taken.",
            ),
            models.UniqueConstraint(
                Lower("email"),
                name="email_is_unique",
                condition=~Q(email=""),
                violation_error_message="This e-mail address is taken.",
            ),
        ]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        return self.name or self.username

    @property
    def is_supervisor(self) -> bool:
        return self.is_active and (self.is_superuser or self.role == Role.SUPERVISOR)

    @property
    def is_desk_staff(self) -> bool:
        """Agents and supervisors: who sees internal notes and may enter the console."""
        return self.is_active and (self.is_superuser or self.role != Role.CUSTOMER)

    @property
    def is_staff(self) -> bool:
        """The name under which Django's admin asks."""
        return self.is_desk_staff

    def get_full_name(self) -> str:
        return self.display_name

    def get_short_name(self) -> str:
        return self.display_name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        # Django hashes the password only; the stamp lets us end sessions without touching it.
        return salted_hmac(
            "agents.models.User.session",
            f"{self.password}{self.security_stamp}",
            secret=secret,
            algorithm="sha256",
        ).hexdigest()


class AgentProfile(models.Model):
    """What the assignment needs to know of somebody who works on tickets."""

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, related_name="agent", primary_key=True
    )
    teams = models.ManyToManyField(Team, related_name="agents", blank=True)
    capacity = models.PositiveIntegerField(
        default=10,
        validators=[MaxValueValidator(1000)],
        help_text="How many tickets in work (new or open) the agent takes at once.",
    )
    availability = models.CharField(
        max_length=10, choices=Availability, default=Availability.OFFLINE
    )
    # Tickets in work, kept by the claim's conditional UPDATE; `reconcile` reports any drift.
    open_load = models.PositiveIntegerField(default=0, editable=False)
    last_assigned_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["user_id"]
        indexes = [
            # Read by assignment.candidates: who could take a ticket right now.
            models.Index(
                fields=["open_load"],
                name="agents_who_are_available",
                condition=Q(availability=Availability.AVAILABLE),
            )
        ]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def utilisation(self) -> float:
        """Load by capacity, 0.0 for an agent without any."""
        return round(self.open_load / self.capacity, 3) if self.capacity else 0.0


class AgentSkill(models.Model):
    """How well an agent knows something: 1 (a little) to 5 (the one whom others ask)."""

    MAX_LEVEL = 5

    agent = models.ForeignKey(AgentProfile, on_delete=models.CASCADE, related_name="skills")
    skill = models.ForeignKey(Skill, on_delete=models.CASCADE, related_name="agents")
    level = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(MAX_LEVEL)]
    )

    class Meta:
        ordering = ["skill__name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "skill"], name="one_level_per_agent_and_skill"
            ),
            models.CheckConstraint(
                condition=Q(level__gte=1, level__lte=5), name="skill_level_is_1_to_5"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.skill} {self.level}"


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self) -> "SessionQuerySet":
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())


class Session(models.Model):
    """A signed-in API client. Its id is in both of its tokens and is looked up on every request.

    The refresh token is not stored, only the id of the one that is good next.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    refresh_jti = models.CharField(max_length=32)
    # The user's session hash at sign-in: a new password or stamp makes the session void.
    auth_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    refreshed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [
            # Read by sign_out_everywhere and the user's page in the console.
            models.Index(
                fields=["user"], name="sessions_not_revoked", condition=Q(revoked_at=None)
            ),
            # Read by the sweep that forgets old sessions.
            models.Index(fields=["expires_at"], name="sessions_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M}"


class SignInFailures(models.Model):
    """Failed attempts per account and address, counted by conditional UPDATEs (see sign_in)."""

    key = models.CharField(max_length=64, primary_key=True)
    failed = models.PositiveIntegerField(default=0)
    # Attempts whose password is being checked right now: each may become a failure.
    pending = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        # Read by the sweep that forgets old counts.
        indexes = [models.Index(fields=["expires_at"], name="sign_in_failures_by_expiry")]

    def __str__(self) -> str:
        return f"{self.failed} until {self.expires_at:%H:%M}"
