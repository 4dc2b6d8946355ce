"""Signed-in sessions: access and refresh tokens that stand and fall with one row.

simplejwt signs and checks the tokens; what it cannot do is end them. Each token carries the id
of a `Session`, which is read on every request: signing out, a new password and deactivation act
on the next request. A refresh token is good once, decided by one conditional UPDATE.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from agents.models import Session, User, new_security_stamp
from agents.signals import access_changed
from servicedesk.errors import DomainError
from servicedesk.sweeps import SweepResult

SESSION_CLAIM = "sid"
KEPT_AFTER_END = timedelta(days=30)


class TokenNotValid(DomainError):
    code = "token_not_valid"
    status = 401
    title = "This token is not valid"

    def __init__(self) -> None:
        super().__init__("The token is malformed, expired or revoked; sign in again.")


@dataclass(frozen=True)
class TokenPair:
    access: str
    refresh: str


def start(*, user: User, at: datetime, address: str = "", user_agent: str = "") -> TokenPair:
    """A new session and its first pair of tokens."""
    refresh = RefreshToken()
    session = Session.objects.create(
        user=user,
        refresh_jti=refresh["jti"],
        auth_hash=user.get_session_auth_hash(),
        created_at=at,
        refreshed_at=at,
        expires_at=at + api_settings.REFRESH_TOKEN_LIFETIME,
        address=address or None,
        user_agent=user_agent[:200],
    )
    User.objects.filter(pk=user.pk).update(last_login=at)
    return _pair(refresh, session)


def refresh(*, token: str, at: datetime) -> TokenPair:
    """The next pair for a refresh token, which is consumed by this.

    Raises TokenNotValid; a token that was used before also ends its whole session, since one of
    its two holders is a thief.
    """
    used = _decode(RefreshToken, token)
    session = _session_of(used)
    new = RefreshToken()
    if not _advance(session, used=used["jti"], new=new["jti"], at=at):
        revoke(session_id=session.pk, at=at)
        raise TokenNotValid
    return _pair(new, session)


def _advance(session: Session, *, used: str, new: str, at: datetime) -> bool:
    """Make `new` the token that is good next, if `used` still is: one UPDATE, so only once."""
    return bool(
        Session.objects.live()
        .filter(pk=session.pk, refresh_jti=used)
        .update(
            refresh_jti=new,
            refreshed_at=at,
            expires_at=at + api_settings.REFRESH_TOKEN_LIFETIME,
        )
    )


def verify(token: str) -> Session:
    """The live session of an access token, with its user and agent profile in one query."""
    return _session_of(_decode(AccessToken, token))


def expiry(token: str) -> datetime:
    """When a verified access token ends."""
    return datetime.fromtimestamp(
        _decode(AccessToken, token)["exp"], tz=timezone.get_default_timezone()
    )


def name_of(session_id: Any) -> str:
    """What a session is called where no other than token sessions are known by number."""
    return f"token:{session_id}"


def revoke(*, session_id: Any, at: datetime) -> None:
    """End one session: its access and refresh tokens answer 401 from now on."""
    Session.objects.filter(pk=session_id, revoked_at=None).update(revoked_at=at)
    announce_access(ended=[name_of(session_id)])


def announce_access(*, user_ids: Collection[int] = (), ended: Collection[str] = ()) -> None:
    """After commit: whoever shows these users something live must look again."""
    told = {"user_ids": list(user_ids), "ended": list(ended)}
    transaction.on_commit(partial(access_changed.send_robust, sender=Session, **told))


@transaction.atomic
def sign_out_everywhere(*, user: User, at: datetime) -> None:
    """End all sessions of a user, cookie sessions included (they hash the stamp)."""
    # The user before their sessions, in the order of every other change of both.
    user.security_stamp = new_security_stamp()
    User.objects.filter(pk=user.pk).update(security_stamp=user.security_stamp)
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=at)
    announce_access(user_ids=[user.pk])


def forget_old_sessions(*, batch: int = 1000) -> SweepResult:
    """The sweep that drops sessions a while after their end."""
    old = Session.objects.filter(expires_at__lt=timezone.now() - KEPT_AFTER_END)
    ids = list(old.order_by("expires_at").values_list("pk", flat=True)[:batch])
    Session.objects.filter(pk__in=ids).delete()
    return SweepResult(handled=len(ids))


def _pair(token: RefreshToken, session: Session) -> TokenPair:
    token[SESSION_CLAIM] = str(session.pk)
    return TokenPair(access=str(token.access_token), refresh=str(token))


def _decode(kind: type[Token], token: str) -> Token:
    try:
        return kind(token)  # type: ignore[arg-type]
    except (TokenError, ValueError, TypeError) as exc:
        raise TokenNotValid from exc


def _session_of(token: Token) -> Session:
    """Raises TokenNotValid unless the token's session lives and its user still matches it."""
    sessions = Session.objects.live().select_related("user", "user__agent")
    try:
        session = sessions.get(pk=token[SESSION_CLAIM])
    except (KeyError, Session.DoesNotExist, ValidationError) as exc:
        raise TokenNotValid from exc
    if not session.user.is_active or not constant_time_compare(
        session.auth_hash, session.user.get_session_auth_hash()
    ):
        raise TokenNotValid
    return session
