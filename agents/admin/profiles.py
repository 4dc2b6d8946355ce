"""Agents in the console: what the assignment knows of them."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from agents import services
from agents.admin.base import ConsoleAdmin, moment
from agents.admin.filters import TeamFilter
from agents.models import AgentProfile, AgentSkill


class TeamOfAgentFilter(TeamFilter):
    def condition(self, pk: int) -> Q:
        return Q(teams=pk)


class SkillInline(admin.TabularInline):  # type: ignore[type-arg]
    model = AgentSkill
    autocomplete_fields = ("skill",)
    extra = 1
    verbose_name = "skill"
    verbose_name_plural = "skills, from 1 (a little) to 5 (the one whom others ask)"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Whoever sees an agent sees their skills.
        return True


@admin.register(AgentProfile)
class AgentProfileAdmin(ConsoleAdmin):
    list_display = ("user", "availability_pill", "load", "team_names", "skill_levels")
    list_display_links = ("user",)
    list_filter = ("availability", TeamOfAgentFilter)
    search_fields = ("user__username", "user__name", "user__email")
    search_help_text = "Name, username or e-mail"
    ordering = ("user__name", "pk")
    sortable_by = ()
    actions = None
    fields = ("account", "availability", "capacity", "open_load", "teams", "last_assigned")
    readonly_fields = ("account", "open_load", "last_assigned")
    autocomplete_fields = ("teams",)
    inlines = (SkillInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentProfile]:
        return AgentProfile.objects.in_service()

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A profile comes with the role.
        return False

    @admin.display(description="availability")
    def availability_pill(self, agent: AgentProfile) -> str:
        label = agent.get_availability_display() if agent.user.is_active else "inactive"
        return format_html('<span class="desk-pill is-{}">{}</span>', label.lower(), label)

    @admin.display(description="in work")
    def load(self, agent: AgentProfile) -> str:
        return f"{agent.open_load} of {agent.capacity}"

    @admin.display(description="teams")
    def team_names(self, agent: AgentProfile) -> str:
        return ", ".join(team.name for team in agent.teams.all())

    @admin.display(description="skills")
    def skill_levels(self, agent: AgentProfile) -> str:
        return ", ".join(map(str, agent.skills.all()))

    @admin.display(description="account")
    def account(self, agent: AgentProfile) -> str:
        return f"{agent.user} ({agent.user.username}, {agent.user.get_role_display().lower()})"

    @admin.display(description="last assigned")
    def last_assigned(self, agent: AgentProfile) -> str | None:
        return moment(agent.last_assigned_at)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Nothing yet: what the page holds is one change, made by `save_related`."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        data = form.cleaned_data
        [skills] = formsets
        services.update_agent(
            agent=form.instance,
            at=timezone.now(),
            capacity=data["capacity"],
            availability=data["availability"],
            teams=data["teams"],
            skills=_levels(skills),
        )
        # Tells the admin's own log what was changed; saves nothing.
        skills.save(commit=False)


def _levels(formset: Any) -> dict[Any, int]:
    kept = [row for row in formset.cleaned_data if row and not row.get("DELETE")]
    return {row["skill"]: row["level"] for row in kept}
