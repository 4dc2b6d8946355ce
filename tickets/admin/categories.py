from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agents.admin.base import NamedAdmin
from agents.admin.filters import TeamFilter
from tickets import services
from tickets.models import Category


@admin.register(Category)
class CategoryAdmin(NamedAdmin):
    list_display = ("name", "team", "skill_names")
    list_filter = (TeamFilter,)
    list_select_related = ("team",)
    autocomplete_fields = ("team", "skills")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("skills")

    def create(self, data: dict[str, Any]) -> Category:
        return services.create_category(**_named(data))

    def update(self, row: Any, data: dict[str, Any]) -> None:
        services.update_category(category=row, **_named(data))

    @admin.display(description="skills")
    def skill_names(self, category: Category) -> str:
        return ", ".join(skill.name for skill in category.skills.all())


def _named(data: dict[str, Any]) -> dict[str, Any]:
    """The form's data under the names of the services."""
    return {
        "name": data["name"],
        "team": data["team"],
        "required_skills": data["skills"],
        "handling_minutes": data["handling_minutes"],
    }
