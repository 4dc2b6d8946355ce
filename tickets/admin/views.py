"""Saved views in the ticket list: the list as a view narrows it, and what would be saved of it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from agents.admin.filters import ID
from tickets.lifecycle import OPEN_STATUSES, Status
from tickets.models import Priority, SavedView
from tickets.view_queries import filters_of, narrowed, written

# In the list's address: the id of the view that narrows it.
PARAMETER = "view"
OPEN = {
    "yes": [status for status in Status if status in OPEN_STATUSES],
    "no": [status for status in Status if status not in OPEN_STATUSES],
}


class SavedViewFilter(admin.SimpleListFilter):
    """What a view says, for whoever looks.

    Tabs lead here; beside the list stands only the view that is looked at, to be taken off.
    """

    title = "saved view"
    parameter_name = PARAMETER
    view: SavedView | None = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        asked = self.value()
        if not asked:
            return []
        if ID.fullmatch(asked):
            self.view = SavedView.objects.visible_to(request.user).filter(pk=asked).first()
        return [(asked, self.view.name if self.view else "A view that is gone")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if self.view is None:
            return queryset.none()
        tickets: Any = queryset
        return narrowed(tickets, self.view.query, user=request.user, at=timezone.now())


def query_of(changelist: ChangeList) -> str:
    """What the list shows, as a view would say it: of a filter that both the view looked at and
    the list set, the list's."""
    found: dict[str, str] = {}
    for spec in changelist.filter_specs:
        if isinstance(spec, SavedViewFilter):
            found = {**(filters_of(spec.view.query) if spec.view else {}), **found}
            continue
        # By the filters' own values: a name that was typed has become an id in them.
        for name, value in spec.used_parameters.items():
            found |= _translated(name, value[-1] if isinstance(value, list) else str(value))
    if changelist.query:
        found["q"] = changelist.query
    return written(found)


def _translated(name: str, value: str) -> dict[str, str]:
    """A parameter of the list's address in the words of the API's."""
    if name == "open":
        return {"status": ",".join(OPEN.get(value, []))}
    if name.startswith("priority"):
        return {"priority": Priority(int(value)).key}
    return {name.removesuffix("__exact"): value}
