"""Who is calling, as one of our users."""

from rest_framework.request import Request

from agents.models import User


def caller_of(request: Request) -> User:
    """The signed-in user; the default permission has turned everybody else away."""
    assert isinstance(request.user, User)
    return request.user
