"""SLA policies in the console."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from tickets.admin.conditions import conditions
from tickets.admin.policy_form import PolicyForm
from tickets.admin.setup import SetupAdmin
from tickets.models import SlaPolicy
from tickets.services import setup


@admin.register(SlaPolicy)
class SlaPolicyAdmin(SetupAdmin):
    form = PolicyForm
    list_display = ("name", "is_active", "position", "calendar", "applies_to")
    list_filter = ("is_active",)
    list_select_related = ("calendar",)
    ordering = ("position", "pk")
    sortable_by = ("name", "position")
    autocomplete_fields = ("calendar", "categories", "teams", "requesters")
    fieldsets = (
        (None, {"fields": ("name", "is_active", "position")}),
        (
            "For which tickets",
            {
                "fields": ("categories", "teams", "requesters"),
                "description": "What is left empty is no condition.",
            },
        ),
        ("When the clocks run", {"fields": ("calendar", "pauses")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.prefetch_related("categories", "teams", "requesters", "targets")

    @admin.display(description="applies to")
    def applies_to(self, policy: SlaPolicy) -> str:
        return conditions(policy.categories.all(), policy.teams.all(), policy.requesters.all())

    def data_of(self, form: Any) -> dict[str, Any]:
        fields: dict[str, Any] = form.fields_of_service()
        return fields

    def create(self, data: dict[str, Any]) -> SlaPolicy:
        return setup.create_policy(**data)

    def update(self, row: Any, data: dict[str, Any]) -> None:
        setup.update_policy(policy=row, **data)
