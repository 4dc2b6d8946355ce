"""Bearer tokens that stand and fall with their session row."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from agents import sessions
from agents.models import Session, User


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access>`; `request.auth` is the live Session."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        session = sessions.verify(token.decode("latin-1").strip())
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="desk"'


class SessionTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = SessionTokenAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
