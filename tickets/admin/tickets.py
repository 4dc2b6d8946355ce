"""The list of tickets, and where their page and its actions are reached."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html

from agents.admin.base import MOMENT, MOMENT_OF_THIS_YEAR, ConsoleAdmin, moment
from servicedesk.errors import DomainError
from tickets.admin import page
from tickets.admin.actions import ACTIONS
from tickets.admin.base import TicketAction
from tickets.admin.fields import NUMBER
from tickets.admin.filter_bar import filters_of
from tickets.admin.filters import (
    AssigneeFilter,
    CategoryFilter,
    OpenFilter,
    OwnTeamFilter,
    SlaFilter,
)
from tickets.admin.list_actions import ListActions, caller_of
from tickets.admin.refusals import sentence
from tickets.admin.service_level import due_words
from tickets.admin.tabs import tabs_for
from tickets.admin.views import SavedViewFilter, query_of
from tickets.models import Ticket
from tickets.search import matching
from tickets.sla.standing import DUE_ORDER, SlaState, state_of, with_due_order


@admin.register(Ticket)
class TicketAdmin(ListActions, ConsoleAdmin):
    list_display = (
        "number_column",
        "subject",
        "status_pill",
        "priority_label",
        "due",
        "assignee_name",
        "team",
        "requester",
        "updated",
    )
    list_display_links = ("number_column", "subject")
    list_filter = (
        OpenFilter,
        "status",
        "priority",
        SlaFilter,
        AssigneeFilter,
        OwnTeamFilter,
        CategoryFilter,
        SavedViewFilter,
    )
    list_select_related = ("assignee", "team", "requester")
    # Only shows the box: what is searched is the full text (get_search_results).
    search_fields = ("subject",)
    search_help_text = "Words of the subject, the description or the conversation; or a number"
    ordering = ("-updated_at", "-id")
    sortable_by = ("priority_label", "due", "updated")

    @admin.display(description="number")
    def number_column(self, ticket: Ticket) -> str:
        return ticket.number

    @admin.display(description="status")
    def status_pill(self, ticket: Ticket) -> str:
        label = ticket.get_status_display()
        return format_html('<span class="desk-pill is-{}">{}</span>', ticket.status, label)

    @admin.display(description="priority", ordering="-priority")
    def priority_label(self, ticket: Ticket) -> str:
        label = ticket.get_priority_display()
        return format_html('<span class="desk-priority is-{}">{}</span>', ticket.priority, label)

    @admin.display(description="due", ordering=DUE_ORDER)
    def due(self, ticket: Ticket) -> str | None:
        at = timezone.now()
        state, when = state_of(ticket, at), moment(ticket.sla_due_at)
        if state == SlaState.NONE:
            return None
        hint = f"{state.label}, due {when}" if when else state.label
        words = due_words(ticket, at)
        # The page keeps the words fresh where they say nothing but a time.
        clock = ""
        if ticket.sla_due_at and state in (SlaState.ON_TRACK, SlaState.AT_RISK):
            due_at = ticket.sla_due_at.isoformat()
            clock = format_html(' data-due="{}" data-state="{}"', due_at, state)
        return format_html(
            '<span class="desk-due is-{}" title="{}"{}>{}</span>', state, hint, clock, words
        )

    @admin.display(description="assignee")
    def assignee_name(self, ticket: Ticket) -> str | None:
        if ticket.assignee is None:
            return None
        # Whether they are there the page finds out by itself.
        dot = (
            '<span class="desk-presence is-offline" data-presence="{}" role="img" '
            'aria-label="offline"></span> {}'
        )
        return format_html(dot, ticket.assignee_id, ticket.assignee)

    @admin.display(description="updated", ordering="updated_at")
    def updated(self, ticket: Ticket) -> str | None:
        is_recent = ticket.updated_at.year == timezone.now().year
        return moment(ticket.updated_at, MOMENT_OF_THIS_YEAR if is_recent else MOMENT)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        return with_due_order(Ticket.objects.visible_to(request.user))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Ticket], bool]:
        if not search_term.strip():
            return queryset, False
        number = NUMBER.fullmatch(search_term)
        if number and (named := queryset.filter(pk=number[1])).exists():
            return named, False
        return matching(queryset, search_term, notes=True), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        tabs = tabs_for(request.GET.dict(), caller_of(request))
        current = next((tab for tab, is_current in tabs if is_current), None)
        answer = super().changelist_view(
            request, {"tabs": tabs, "current": current, **(extra_context or {})}
        )
        shown = getattr(answer, "context_data", None) or {}
        if "cl" in shown:
            shown["filters"] = filters_of(shown["cl"])
            shown["view_query"] = query_of(shown["cl"])
            shown["without_search"] = shown["cl"].get_query_string(remove=[SEARCH_VAR])
        return answer

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(self.act_view)
        own = path("<int:pk>/<slug:name>/act/", act, name="tickets_ticket_act")
        return [own, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The ticket's page. It writes nothing: each button posts to `act_view`."""
        return self._page(request, object_id)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The log that counts is on the page."""
        return redirect("admin:tickets_ticket_change", object_id)

    def act_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """One action on one ticket: one service call, or the page with what was refused."""
        ticket = self._visible(request, str(pk))
        if request.method != "POST" or name not in ACTIONS:
            return redirect("admin:tickets_ticket_change", pk)
        form = ACTIONS[name](
            request.POST, files=request.FILES, ticket=ticket, caller=caller_of(request)
        )
        if not form.is_valid():
            return self._page(request, str(pk), refused=form, status=400)
        try:
            messages.success(request, form.run(at=timezone.now()))
        except DomainError as refusal:
            messages.error(request, sentence(refusal))
            return self._page(request, str(pk), refused=form, status=refusal.status)
        if self.get_queryset(request).filter(pk=pk).exists():
            return redirect("admin:tickets_ticket_change", pk)
        return redirect("admin:tickets_ticket_changelist")

    def _visible(self, request: HttpRequest, object_id: str) -> Ticket:
        ticket = self.get_object(request, object_id)
        if ticket is None:
            raise Http404
        assert isinstance(ticket, Ticket)
        return ticket

    def _page(
        self,
        request: HttpRequest,
        object_id: str,
        *,
        refused: TicketAction | None = None,
        status: int = 200,
    ) -> HttpResponse:
        ticket = self._visible(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(ticket),
            **page.context_of(
                ticket,
                caller=caller_of(request),
                at=timezone.now(),
                refused=refused,
                is_whole="all" in request.GET,
            ),
        }
        template = "admin/tickets/ticket/page.html"
        return TemplateResponse(request, template, context, status=status)
