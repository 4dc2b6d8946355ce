"""Teams and skills in the console."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from agents.admin.base import NamedAdmin
from agents.models import Skill, Team


class WithAgents(NamedAdmin):
    """How many agents are in it, counted in the list's own query."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.annotate(agent_count=Count("agents"))
        return rows

    @admin.display(description="agents")
    def agent_count(self, row: Any) -> int:
        return int(row.agent_count)


@admin.register(Team)
class TeamAdmin(WithAgents):
    list_display = ("name", "members")

    @admin.display(description="agents")
    def members(self, team: Any) -> str:
        address = reverse("admin:agents_agentprofile_changelist")
        return format_html('<a href="{}?team={}">{}</a>', address, team.pk, team.agent_count)


@admin.register(Skill)
class SkillAdmin(WithAgents):
    list_display = ("name", "agent_count")
