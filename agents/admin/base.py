"""What every page of the console has in common: bounded counts, and refusals as messages."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.functional import cached_property
from django.utils.text import capfirst

from agents import services
from agents.models import Named
from servicedesk.errors import DomainError

# The one style of the console, in its templates too; the footer says which zone that is.
MOMENT = "j M Y, H:i"
MOMENT_OF_THIS_YEAR = "j M, H:i"


def moment(at: datetime | None, style: str = MOMENT) -> str | None:
    """A time as the console writes it: `22 Nov 2026, 14:25`."""
    return format_date(timezone.localtime(at), style) if at else None


class BoundedPaginator(Paginator[Any]):
    """Counts no further than `bound`, so that a list costs the same at a million rows."""

    bound = 1_000

    @cached_property
    def _found(self) -> int:
        rows: Any = self.object_list
        # Without the order, which no count needs and some databases would sort by.
        return int(rows.order_by().values("pk")[: self.bound + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._found, self.bound)

    @property
    def count_label(self) -> str:
        """The count for people: `1,000+` where there is more than was looked at."""
        return f"{self.count:,}+" if self._found > self.bound else f"{self.count:,}"


class ConsoleList(ChangeList):
    """Sorts by what is offered and by nothing else, since that is what there are indexes for."""

    def get_ordering_field(self, field_name: Any) -> Any:
        # Django hides the other columns' links, but still obeys the address.
        offered = self.sortable_by or ()
        return super().get_ordering_field(field_name) if field_name in offered else None

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """The tie-break goes the way of the order, as it does in the indexes."""
        ordering = list(super().get_ordering(request, queryset))
        if ordering == ["-pk"]:
            return list(self.model_admin.get_ordering(request))
        if ordering[-1] == "-pk" and not str(ordering[0]).startswith("-"):
            ordering[-1] = "pk"
        return ordering


class ConsoleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists that stay fast, and no deleting unless a subclass says so."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    # "Show all" would be offered up to this many rows; a page holds them already.
    list_max_show_all = 50

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConsoleList

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what the offered filters ask for.

        Django obeys any lookup of the list's own fields: a regex of the password's hash, say.
        """
        for offered in self.list_filter:
            if isinstance(offered, str) and lookup in (offered, f"{offered}__exact"):
                return True
            if lookup == getattr(offered, "parameter_name", None):
                return True
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if any("\x00" in value for _, values in request.GET.lists() for value in values):
            # PostgreSQL has no such text, and Django's filters pass it on.
            return HttpResponseRedirect(request.path)
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What a service refuses becomes a message; the form's transaction is rolled back."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refused:
            messages.error(request, refused.detail)
            return HttpResponseRedirect(request.get_full_path())


class NamedAdmin(ConsoleAdmin):
    """Things with a name that may go as long as nothing uses them."""

    list_display: Any = ("name",)
    search_fields = ("name",)
    ordering = ("name", "pk")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Without a row it is asked for deleting many at once, which is not offered.
        allowed = f"{self.opts.app_label}.delete_{self.opts.model_name}"
        if obj is None or not request.user.has_perm(allowed):
            return False
        return not obj.is_used()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Create or change the row by the services that the API calls."""
        data = self.data_of(form)
        if change:
            self.update(obj, data)
            return
        obj.pk = self.create(data).pk
        obj._state.adding = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is left: the services save a row with all that belongs to it."""

    def data_of(self, form: Any) -> dict[str, Any]:
        """What the form holds, for `create` and `update`."""
        data: dict[str, Any] = form.cleaned_data
        return data

    def create(self, data: dict[str, Any]) -> Named:
        row: Named = services.create_named(self.model, **data)
        return row

    def update(self, row: Named, data: dict[str, Any]) -> None:
        services.rename(row, **data)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_named(obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Somebody may come to use it between the page's look and the deletion."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as refused:
            messages.error(request, refused.detail)
            return HttpResponseRedirect(request.get_full_path())
