"""Signing in with a password, limited by an atomic counter; the one door for API and console.

An attempt takes a place before the password is checked: whoever sends a hundred guesses at
once gets five of them checked, not a hundred.
"""

import hashlib
import time
from datetime import datetime

from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import F
from django.utils import timezone

from agents.backends import find_user
from agents.models import SignInFailures, User
from servicedesk.errors import DomainError
from servicedesk.sweeps import SweepResult

# How long an attempt waits for the ones before it, in seconds.
PATIENCE = 5.0
POLL = 0.05


class WrongCredentials(DomainError):
    code = "not_authenticated"
    status = 401
    title = "Wrong name or password"


class SignInLocked(DomainError):
    code = "throttled"
    status = 429
    title = "Too many failed attempts"


def check_credentials(*, name: str, password: str, address: str, at: datetime) -> User:
    """The user with this name and password.

    Raises WrongCredentials for an unknown name, a wrong password and an inactive user alike;
    SignInLocked after too many failures for one account from one address, whatever the password.
    """
    key = _key(name, address)
    _take_place(key, at)
    user = None
    try:
        user = authenticate(username=name, password=password)
    finally:
        _give_back(key, is_success=user is not None)
    if not isinstance(user, User):
        raise WrongCredentials("The name or the password is wrong.")
    return user


def forget_old_failures(*, batch: int = 1000) -> SweepResult:
    """The sweep that drops counters nobody is locked by any more."""
    old = SignInFailures.objects.filter(expires_at__lt=timezone.now()).order_by("expires_at")
    keys = list(old.values_list("pk", flat=True)[:batch])
    SignInFailures.objects.filter(pk__in=keys, expires_at__lt=timezone.now()).delete()
    return SweepResult(handled=len(keys))


def _key(name: str, address: str) -> str:
    # By account where there is one: its username and its e-mail share the count.
    user = find_user(name)
    account = f"user:{user.pk}" if user else f"name:{name.strip().lower()}"
    return hashlib.sha256(f"{account}\n{address}".encode()).hexdigest()


def _take_place(key: str, at: datetime) -> None:
    allowed = settings.SIGN_IN_FAILURES_ALLOWED
    rows = SignInFailures.objects.filter(pk=key)
    fresh = at + settings.SIGN_IN_LOCK
    _count_from(key, fresh)
    rows.filter(expires_at__lte=at).update(failed=0, pending=0, expires_at=fresh)
    deadline = time.monotonic() + PATIENCE
    while not rows.filter(failed__lt=allowed - F("pending")).update(pending=F("pending") + 1):
        row = rows.first()
        if row is None:  # the sweep has just dropped it as old
            _count_from(key, fresh)
        elif row.failed >= allowed or time.monotonic() > deadline:
            until = row.expires_at
            seconds = max(1, int((until - at).total_seconds()))
            raise SignInLocked(
                "Too many failed attempts for this name; try again later.", retry_after=seconds
            )
        time.sleep(POLL)


def _count_from(key: str, expires_at: datetime) -> None:
    """A counter at zero, where there is none."""
    row = SignInFailures(key=key, expires_at=expires_at)
    SignInFailures.objects.bulk_create([row], ignore_conflicts=True)


def _give_back(key: str, *, is_success: bool) -> None:
    rows = SignInFailures.objects.filter(pk=key, pending__gt=0)
    if is_success:
        rows.update(pending=F("pending") - 1, failed=0)
    else:
        rows.update(
            pending=F("pending") - 1,
            failed=F("failed") + 1,
            expires_at=timezone.now() + settings.SIGN_IN_LOCK,
        )
