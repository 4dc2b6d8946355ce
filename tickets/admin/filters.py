"""The filters of the ticket list."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from agents.admin.filters import BoundedFilter, TeamFilter
from agents.backends import find_user
from agents.models import AgentProfile, Team
from tickets.lifecycle import OPEN_STATUSES
from tickets.models import Category
from tickets.sla.standing import SOUGHT_STATES, in_state


class CategoryFilter(BoundedFilter):
    title = "category"
    parameter_name = "category"

    def rows(self) -> QuerySet[Any]:
        return Category.objects.order_by("name", "pk")


class SlaFilter(admin.SimpleListFilter):
    """How the tickets stand now with what was promised."""

    title = "service level"
    parameter_name = "sla"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(state), str(state.label)) for state in SOUGHT_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        state = self.value()
        if not state:
            return queryset
        if state not in SOUGHT_STATES:
            return queryset.none()
        return queryset.filter(in_state(state, timezone.now()))


class AssigneeFilter(BoundedFilter):
    title = "assignee"
    parameter_name = "assignee"
    fixed = {"me": "Me", "none": "Nobody"}

    def rows(self) -> QuerySet[Any]:
        agents = AgentProfile.objects.in_service().prefetch_related(None)
        return agents.filter(user__is_active=True).order_by("user__name", "pk")

    def find(self, name: str) -> Any:
        by_login = find_user(name)
        wanted = Q(pk=by_login.pk) if by_login else Q(user__name__iexact=name)
        return self.rows().filter(wanted).first()

    def fixed_condition(self, key: str, request: HttpRequest) -> Q:
        return Q(assignee=request.user.pk if key == "me" else None)


class OwnTeamFilter(TeamFilter):
    fixed = {"mine": "Mine", "none": "None"}

    def fixed_condition(self, key: str, request: HttpRequest) -> Q:
        if key == "none":
            return Q(team=None)
        return Q(team__in=Team.objects.filter(agents=request.user.pk).values("pk"))


class OpenFilter(admin.SimpleListFilter):
    """Whether there is still something to be done."""

    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Open"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        is_open = Q(status__in=OPEN_STATUSES)
        conditions = {"yes": is_open, "no": ~is_open}
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(conditions[value]) if value in conditions else queryset.none()
