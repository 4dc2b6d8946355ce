"""Who opens a socket, and from where."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings

from agents import sessions
from agents.models import User
from realtime.protocol import BEARER

Scope = dict[str, Any]


@dataclass(frozen=True)
class SignedIn:
    user: User
    token_expires_at: datetime | None = None


def header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), "")


def presented_token(scope: Scope) -> str | None:
    """The access token in the subprotocols or in the Authorization header; never in the URL."""
    for offered in scope.get("subprotocols", []):
        if offered.startswith(BEARER):
            return str(offered.removeprefix(BEARER))
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


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


async def by_token(token: str) -> SignedIn | None:
    """The same verifier as the HTTP API's."""
    try:
        session = await sync_to_async(sessions.verify)(token)
        expires_at = await sync_to_async(sessions.expiry)(token)
    except sessions.TokenNotValid:
        return None
    return SignedIn(session.user, expires_at)
