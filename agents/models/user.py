import secrets
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from servicedesk.api.text import refuse_control_characters


class Role(models.TextChoices):
    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"


def has_desk_role(via: str = "") -> Q:
    """Whose role is to work on tickets, active or not; superusers whatever their role.

    `via` is the way to the user: `"user__"` for profiles.
    """
    return Q(**{f"{via}is_superuser": True}) | ~Q(**{f"{via}role": Role.CUSTOMER})


def supervises() -> Q:
    """Those of `User.is_supervisor`."""
    return Q(is_active=True) & (Q(role=Role.SUPERVISOR) | Q(is_superuser=True))


class UserManager(BaseUserManager["User"]):
    def desk_staff(self) -> models.QuerySet["User"]:
        """Agents and supervisors who may sign in: those of `User.is_desk_staff`."""
        return self.filter(has_desk_role(), is_active=True)

    def supervisors(self) -> models.QuerySet["User"]:
        """Those of `User.is_supervisor`: superusers, too."""
        return self.filter(supervises())

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username__iexact=username)

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """A user; without a password one who cannot sign in. Staff get their agent profile."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
            user.ensure_profile(using=self._db)
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
    def has_desk_role(self) -> bool:
        """Agents and supervisors, active or not."""
        return self.is_superuser or self.role != Role.CUSTOMER

    @property
    def is_desk_staff(self) -> bool:
        """Agents and supervisors: who sees internal notes and may enter the console."""
        return self.is_active and self.has_desk_role

    @property
    def is_staff(self) -> bool:
        """The name under which Django's admin asks."""
        return self.is_desk_staff

    def ensure_profile(self, using: str | None = None) -> None:
        """What the assignment needs to know of them, if their role is to work on tickets."""
        from agents.models.profile import AgentProfile

        if self.has_desk_role:
            AgentProfile.objects.using(using).get_or_create(user=self)

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
