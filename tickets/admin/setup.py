"""What the pages of calendars, policies and rules have in common."""

from typing import Any

from django.http import HttpRequest

from agents.admin.base import NamedAdmin
from tickets.services import setup


class SetupAdmin(NamedAdmin):
    """Made, changed and deleted by the services that the API calls."""

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        setup.delete(obj)
