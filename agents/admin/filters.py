"""Filters of the console's lists that never load more than a few choices."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from agents.models import Team

# What a database can hold; anything else in the address is taken for a name.
ID = re.compile(r"\d{1,18}", re.ASCII)


class BoundedFilter(admin.SimpleListFilter):
    """The first `limit` rows by name, the chosen one, and a box for the name of any other.

    The value in the address is an id, one of the `fixed` keys, or a name.
    """

    limit = 15
    template = "admin/bounded_filter.html"
    parameter_name: str
    fixed: ClassVar[dict[str, str]] = {}
    has_more = False

    def rows(self) -> QuerySet[Any]:
        """All choices, ordered by name."""
        raise NotImplementedError

    def find(self, name: str) -> Any:
        """The row of this name, or None."""
        return self.rows().filter(name__iexact=name).first()

    def condition(self, pk: int) -> Q:
        return Q(**{self.parameter_name: pk})

    def fixed_condition(self, key: str, request: HttpRequest) -> Q:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = list(self.rows()[: self.limit + 1])
        self.has_more = len(rows) > self.limit
        rows = rows[: self.limit]
        chosen = self._chosen()
        if chosen is not None:
            # So that the list shows it as selected, whether it was named or chosen.
            self.used_parameters[self.parameter_name] = str(chosen.pk)
            rows += [] if chosen in rows else [chosen]
        return [*self.fixed.items(), *((str(row.pk), str(row)) for row in rows)]

    def _chosen(self) -> Any:
        value = self.value()
        if not value or value in self.fixed:
            return None
        pk = _id(value)
        return self.find(value) if pk is None else self.rows().filter(pk=pk).first()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if value in self.fixed:
            return queryset.filter(self.fixed_condition(value, request))
        pk = _id(value)
        return queryset.none() if pk is None else queryset.filter(self.condition(pk))

    def choices(self, changelist: Any) -> Iterator[Any]:
        self.kept = [
            (name, value)
            for name, value in changelist.params.items()
            if name != self.parameter_name
        ]
        return super().choices(changelist)


class TeamFilter(BoundedFilter):
    title = "team"
    parameter_name = "team"

    def rows(self) -> QuerySet[Any]:
        return Team.objects.order_by("name", "pk")


def _id(text: str) -> int | None:
    return int(text) if ID.fullmatch(text) else None
