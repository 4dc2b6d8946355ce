"""The filters of the ticket list."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from agents.admin.filters import BoundedFilter
from agents.backends import find_user
from agents.models import AgentProfile
from tickets.models import Category


class CategoryFilter(BoundedFilter):
    title = "category"
    parameter_name = "category"

    def rows(self) -> QuerySet[Any]:
        return Category.objects.order_by("name", "pk")


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
