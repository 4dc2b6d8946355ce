"""SLA policies in the console."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from agents.admin.base import NamedAdmin
from tickets.admin.conditions import conditions
from tickets.admin.policy_form import PolicyForm
from tickets.models import SlaPolicy
from tickets.services import setup


@admin.register(SlaPolicy)
class SlaPolicyAdmin(NamedAdmin):
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

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        fields = form.fields_of_service()
        if change:
            setup.update_policy(policy=obj, **fields)
            return
        obj.pk = setup.create_policy(**fields).pk
        obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        setup.delete(obj)
