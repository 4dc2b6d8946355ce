import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from agents.models.user import User


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
