"""Who opens a socket, from where, and whether they may still keep it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest, parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import ExpiredTokenError

from agents import sessions
from agents.models import Session, User
from realtime.protocol import BEARER
from realtime.protocol.frames import ACCOUNT_DISABLED, SIGNED_OUT, Bye

Scope = dict[str, Any]
TOKEN, COOKIE = "token:", "cookie:"


@dataclass(frozen=True)
class SignedIn:
    """Somebody, by a session that can end. `auth_hash` is that of the user at sign-in."""

    user: User
    session: str
    auth_hash: str
    token_expires_at: datetime | None = None
    # Of a cookie: what its session store knows it by. Kept out of `session`, which is sent around.
    key: str = ""

    def refreshed(self, user: User) -> "SignedIn":
        return replace(self, user=user)


# --- What is presented -----------------------------------------------------------------


def header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), "")


def presented_token(scope: Scope) -> str | None:
    """The access token in the subprotocols or in the Authorization header; never in the URL."""
    for offered in scope.get("subprotocols", []):
        if offered.startswith(BEARER):
            return str(offered.removeprefix(BEARER))
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def presented_cookie(scope: Scope) -> str | None:
    """The key of a session in the cookies."""
    return parse_cookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)


def origin_is_listed(scope: Scope) -> bool:
    """An Origin of ours: listed in ALLOWED_ORIGINS, or the very host that was called."""
    origin = header(scope, b"origin").lower().rstrip("/")
    if origin in {allowed.lower().rstrip("/") for allowed in settings.ALLOWED_ORIGINS}:
        return True
    return settings.DEBUG and urlsplit(origin).netloc == header(scope, b"host").lower()


def may_shake_hands(scope: Scope, *, by_cookie: bool) -> bool:
    """A browser sends cookies along from any page, so a cookie counts only with a known Origin.
    A token proves itself; an Origin beside it must be known all the same."""
    if not header(scope, b"origin"):
        return not by_cookie
    return origin_is_listed(scope)


# --- Signing in: synchronous, they read the database -----------------------------------


class TokenRefused(Exception):
    """`has_expired` where that is all that is wrong with it."""

    def __init__(self, *, has_expired: bool) -> None:
        super().__init__("The token has expired." if has_expired else "The token is not valid.")
        self.has_expired = has_expired


def by_token(token: str) -> SignedIn:
    """By the same verifier as the HTTP API's. Raises TokenRefused."""
    try:
        session = sessions.verify(token)
        expires_at = sessions.expiry(token)
    except sessions.TokenNotValid as exc:
        expired = isinstance(exc.__cause__, ExpiredTokenError)
        raise TokenRefused(has_expired=expired) from exc
    name = sessions.name_of(session.pk)
    return SignedIn(session.user, name, session.user.get_session_auth_hash(), expires_at)


def by_cookie(key: str) -> SignedIn | None:
    """By the session that the console's cookie names; None where nobody is signed in."""
    request = HttpRequest()
    request.session = _store()(key)
    user = get_user(request)
    if not isinstance(user, User) or not user.is_active:
        return None
    return SignedIn(user, cookie_name(key), user.get_session_auth_hash(), key=key)


def cookie_name(key: str) -> str:
    """What the session is called among processes: a key would be as good as a password."""
    return COOKIE + sha256(key.encode()).hexdigest()


def _store() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore


# --- Still signed in? ------------------------------------------------------------------


def look_again(signed_in: Collection[SignedIn]) -> list[User | Bye]:
    """Of each, in order: the user as they are now, or why the socket must close. Three queries."""
    users = User.objects.select_related("agent").in_bulk({each.user.pk for each in signed_in})
    live = _live_sessions(signed_in)
    return [_judge(each, users.get(each.user.pk), live) for each in signed_in]


def _judge(signed_in: SignedIn, user: User | None, live: set[str]) -> User | Bye:
    if user is None or not user.is_active:
        return ACCOUNT_DISABLED
    same = constant_time_compare(signed_in.auth_hash, user.get_session_auth_hash())
    return user if same and signed_in.session in live else SIGNED_OUT


def _live_sessions(signed_in: Collection[SignedIn]) -> set[str]:
    """The names of those sessions that have not ended."""
    ids = {each.session.removeprefix(TOKEN) for each in signed_in if not each.key}
    keys = {each.key for each in signed_in if each.key}
    live = set()
    if ids:
        found = Session.objects.live().filter(pk__in=ids).values_list("pk", flat=True)
        live = {sessions.name_of(pk) for pk in found}
    if keys:
        stored = _store().get_model_class().objects
        found = stored.filter(session_key__in=keys, expire_date__gt=timezone.now())
        live |= {cookie_name(key) for key in found.values_list("session_key", flat=True)}
    return live
