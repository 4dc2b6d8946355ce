"""Teams and skills in the console."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from agents import services
from agents.admin.base import NamedAdmin
from agents.models import Skill, Team, User
from servicedesk.errors import FieldError


class WithAgents(NamedAdmin):
    """How many agents are in it, counted in the list's own query."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.annotate(agent_count=Count("agents"))
        return rows

    @admin.display(description="agents")
    def agent_count(self, row: Any) -> int:
        return int(row.agent_count)


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_lead(self) -> User | None:
        lead: User | None = self.cleaned_data["lead"]
        if lead is not None:
            before = Team.objects.filter(pk=self.instance.pk).first() or Team()
            try:
                services.check_lead(before, lead)
            except FieldError as refused:
                raise forms.ValidationError(refused.detail) from refused
        return lead


@admin.register(Team)
class TeamAdmin(WithAgents):
    list_display = ("name", "lead", "members")
    list_select_related = ("lead",)
    form = TeamForm
    fields = ("name", "lead")
    autocomplete_fields = ("lead",)

    def create(self, data: dict[str, Any]) -> Team:
        return services.create_team(**data)

    def update(self, row: Any, data: dict[str, Any]) -> None:
        services.update_team(team=row, **data)

    @admin.display(description="agents")
    def members(self, team: Any) -> str:
        address = reverse("admin:agents_agentprofile_changelist")
        return format_html('<a href="{}?team={}">{}</a>', address, team.pk, team.agent_count)


@admin.register(Skill)
class SkillAdmin(WithAgents):
    list_display = ("name", "agent_count")
