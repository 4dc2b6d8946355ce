"""What is done from the list of tickets: actions on many, and views that are saved."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from agents.admin.filters import ID
from agents.models import User
from servicedesk.errors import DomainError
from tickets.admin import bulk
from tickets.admin.base import TicketAction
from tickets.models import SavedView, Ticket
from tickets.services import views
from tickets.services.bulk import MAX_TICKETS

MAX_ADDRESS = 2_000


def caller_of(request: HttpRequest) -> User:
    """Whoever has passed `admin_view` is signed in."""
    assert isinstance(request.user, User)
    return request.user


def _begin(action: bulk.BulkAction) -> Callable[..., HttpResponse]:
    """As Django's list wants its actions; it leads to the page between."""

    @admin.action(description=f"{action.label}…")
    def begin(admin_: "ListActions", request: HttpRequest, _: QuerySet[Ticket]) -> HttpResponse:
        # Only what was ticked on the page; Django would also take "all of them".
        return admin_.begin_bulk(request, action, request.POST.getlist(ACTION_CHECKBOX_NAME))

    begin.__name__ = f"bulk_{action.name}"
    return begin


class ListActions(admin.ModelAdmin):  # type: ignore[type-arg]
    """To be mixed into the admin of tickets."""

    actions = tuple(_begin(action) for action in bulk.ACTIONS.values())

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("bulk/<slug:name>/", wrap(self.bulk_view), name="tickets_ticket_bulk"),
            path("views/save/", wrap(self.keep_view), name="tickets_ticket_keep_view"),
            path(
                "views/<int:pk>/delete/", wrap(self.forget_view), name="tickets_ticket_forget_view"
            ),
            *super().get_urls(),
        ]

    # --- Many at once ---------------------------------------------------------------------

    def begin_bulk(
        self,
        request: HttpRequest,
        action: bulk.BulkAction,
        numbers: list[str],
        back: str | None = None,
    ) -> HttpResponse:
        """The page between: which tickets, and what is to be done with them."""
        ids = [int(number) for number in numbers[:MAX_TICKETS] if ID.fullmatch(number)]
        found = Ticket.objects.visible_to(request.user).filter(pk__in=ids).order_by("-updated_at")
        tickets = [bulk.Chosen(ticket, ticket.version) for ticket in found]
        if not tickets:
            messages.warning(request, "None of these tickets is there any more.")
            return redirect(self._list(back or request.META.get("QUERY_STRING", "")))
        if back is None:
            back = request.META.get("QUERY_STRING", "")
        return self._between(request, action, tickets, back)

    def bulk_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Carry it out, and tell of each ticket what became of it."""
        action = bulk.ACTIONS.get(name)
        if action is None:
            raise Http404
        if request.method != "POST":
            return redirect("admin:tickets_ticket_changelist")
        back = request.POST.get("back", "")
        try:
            tickets = bulk.chosen(request.POST.getlist("ticket"), caller_of(request))
        except DomainError as refused:
            messages.error(request, refused.detail)
            return redirect(self._list(back))
        if "again" in request.POST:
            numbers = [str(each.ticket.pk) for each in tickets]
            return self.begin_bulk(request, action, numbers, back=back)
        at = timezone.now()
        refused_form, rows = bulk.carry_out(
            action, request.POST, tickets, caller=caller_of(request), at=at
        )
        if refused_form is not None:
            return self._between(request, action, tickets, back, refused_form, status=400)
        context = {
            "title": action.label,
            "action": action,
            "rows": rows,
            "done": sum(row.is_done for row in rows),
            "refused": [row for row in rows if not row.is_done],
            "query": _cleaned(back),
            "back": self._list(back),
        }
        return self._drawn(request, "admin/tickets/ticket/bulk_result.html", context)

    def _between(
        self,
        request: HttpRequest,
        action: bulk.BulkAction,
        tickets: list[bulk.Chosen],
        back: str,
        form: TicketAction | None = None,
        status: int = 200,
    ) -> HttpResponse:
        form = form or action.form(
            ticket=tickets[0].ticket, caller=caller_of(request), initial=action.initial
        )
        context = {
            "title": action.label,
            "action": action,
            "chosen": tickets,
            "form": form,
            "query": _cleaned(back),
            "back": self._list(back),
        }
        return self._drawn(request, "admin/tickets/ticket/bulk.html", context, status)

    # --- Views ----------------------------------------------------------------------------

    def keep_view(self, request: HttpRequest) -> HttpResponse:
        """Keep what the list shows under a name."""
        back = request.POST.get("back", "")
        if request.method == "POST":
            try:
                view = views.create_view(
                    actor=caller_of(request),
                    at=timezone.now(),
                    name=request.POST.get("name", "").strip(),
                    query=request.POST.get("query", ""),
                    shared=request.POST.get("shared") == "on",
                )
            except DomainError as refused:
                messages.error(request, refused.detail)
            else:
                messages.success(request, f"“{view.name}” is saved.")
                back = f"view={view.pk}"
        return redirect(self._list(back))

    def forget_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method == "POST":
            caller = caller_of(request)
            view = get_object_or_404(SavedView.objects.visible_to(caller), pk=pk)
            try:
                views.delete_view(view=view, actor=caller)
                messages.success(request, f"“{view.name}” is deleted.")
            except DomainError as refused:
                messages.error(request, refused.detail)
        return redirect("admin:tickets_ticket_changelist")

    # --- Both -----------------------------------------------------------------------------

    def _list(self, query: str) -> str:
        """The list as it was looked at."""
        address = reverse("admin:tickets_ticket_changelist")
        cleaned = _cleaned(query)
        return f"{address}?{cleaned}" if cleaned else address

    def _drawn(
        self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**shared, **context}, status=status)


def _cleaned(query: str) -> str:
    """A query string and nothing else, whatever a form says it is."""
    return QueryDict(query[:MAX_ADDRESS].lstrip("?")).urlencode()
