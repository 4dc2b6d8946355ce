"""Keyset paging: the next page starts after the last row seen, at any depth, without a count.

DRF's CursorPagination pages by one field and an OFFSET among equal values, which it cuts off
at 1,000: ordered by priority, where tens of thousands are equal, it repeats the same page.
Here the key is the pair (field, id), which is unique.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Model, Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from servicedesk.errors import FieldError

PAGE_SIZE = 25
MAX_PAGE_SIZE = 100


@dataclass(frozen=True)
class Cursor:
    """Where a page begins: after (or, going back, before) the row with this key."""

    ordering: str
    value: Any
    id: int
    is_reverse: bool

    def encode(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        raw = orjson.dumps([self.ordering, value, self.id, self.is_reverse])
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str, ordering: str, field: Any) -> "Cursor":
        """Raises FieldError on anything but a cursor of this ordering."""
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            kind, value, row_id, is_reverse = orjson.loads(raw)
            if isinstance(value, str) and "\x00" in value:
                raise _bad_cursor()
            value = _moment(value) if isinstance(field, DateTimeField) else field.to_python(value)
        except (ValueError, TypeError, OverflowError, ValidationError) as exc:
            raise _bad_cursor() from exc
        is_sane = kind == ordering and value is not None and isinstance(is_reverse, bool)
        if not is_sane or not isinstance(row_id, int) or not -(2**63) <= row_id < 2**63:
            raise _bad_cursor()
        return cls(kind, value, row_id, is_reverse)


def _moment(text: str) -> datetime:
    """In UTC, which a time at the very end of the calendar has no counterpart in."""
    moment = parse_datetime(text)
    if moment is None or moment.tzinfo is None:
        raise ValueError("not a moment")
    return moment.astimezone(UTC)


def _bad_cursor() -> FieldError:
    return FieldError("cursor", "This is not a cursor of this list and ordering.")


def page_size(request: Request) -> int:
    text = request.query_params.get("page_size", "")
    if not text:
        return PAGE_SIZE
    is_whole = text.isascii() and text.isdigit() and len(text) <= 9
    if not is_whole or not 1 <= int(text) <= MAX_PAGE_SIZE:
        raise FieldError("page_size", f"A page has 1 to {MAX_PAGE_SIZE} rows.")
    return int(text)


class KeysetPagination(BasePagination):
    """`{next, previous, results}`, and `count` where `?count=exact` asks for it.

    A view may set `ordering` with an optional `-`; the default is `-pk`. It is a field, `pk` or
    an annotation of its rows; never null.
    """

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        self.base_url = request.build_absolute_uri()
        self.ordering: str = getattr(view, "ordering", "-pk")
        self.size = page_size(request)
        self.count = _count(queryset, request)
        name = self.ordering.removeprefix("-")
        text = request.query_params.get("cursor")
        cursor = Cursor.decode(text, self.ordering, _field(queryset, name)) if text else None
        rows = self._fetch(queryset, name, cursor)
        self._remember_edges(rows, name)
        return rows

    def _fetch(self, queryset: QuerySet[Any], name: str, cursor: Cursor | None) -> list[Any]:
        going_back = cursor is not None and cursor.is_reverse
        descending = self.ordering.startswith("-") != going_back
        sign = "-" if descending else ""
        keys = [f"{sign}{name}"] if name == "pk" else [f"{sign}{name}", f"{sign}pk"]
        if cursor:
            queryset = queryset.filter(_beyond(name, cursor, "lt" if descending else "gt"))
        rows = list(queryset.order_by(*keys)[: self.size + 1])
        has_more = len(rows) > self.size
        rows = rows[: self.size]
        if going_back:
            rows.reverse()
        self.has_next = going_back or has_more
        self.has_previous = has_more if going_back else cursor is not None
        return rows

    def _remember_edges(self, rows: Sequence[Model], name: str) -> None:
        self.edges: tuple[Cursor, Cursor] | None = None
        if rows:
            first, last = rows[0], rows[-1]
            self.edges = (
                Cursor(self.ordering, getattr(first, name), first.pk, True),
                Cursor(self.ordering, getattr(last, name), last.pk, False),
            )

    def _link(self, wanted: bool, which: int) -> str | None:
        if not wanted:
            return None
        if self.edges is None:  # an empty page lies beyond an end; the way back is the start
            return remove_query_param(self.base_url, "cursor") if which == 0 else None
        return replace_query_param(self.base_url, "cursor", self.edges[which].encode())

    def get_paginated_response(self, data: Any) -> Response:
        body: dict[str, Any] = {
            "next": self._link(self.has_next, 1),
            "previous": self._link(self.has_previous, 0),
            "results": data,
        }
        if self.count is not None:
            body["count"] = self.count
        return Response(body)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": link,
                "previous": link,
                "count": {"type": "integer", "description": "Only with `?count=exact`."},
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("cursor", {"type": "string"}, "Where the page begins: from next/previous."),
            _parameter(
                "page_size",
                {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
                "Rows a page.",
            ),
            _parameter("count", {"type": "string", "enum": ["exact"]}, "Ask for the exact count."),
        ]


def _field(queryset: QuerySet[Any], name: str) -> Any:
    """What kind of value the rows are ordered by."""
    if name in queryset.query.annotations:
        return queryset.query.annotations[name].output_field
    meta = queryset.model._meta
    return meta.pk if name == "pk" else meta.get_field(name)


def _beyond(name: str, cursor: Cursor, direction: str) -> Q:
    if name == "pk":
        return Q(**{f"pk__{direction}": cursor.id})
    # The first condition alone decides which part of the index is read.
    return Q(**{f"{name}__{direction}e": cursor.value}) & (
        Q(**{f"{name}__{direction}": cursor.value}) | Q(**{f"pk__{direction}": cursor.id})
    )


def _count(queryset: QuerySet[Any], request: Request) -> int | None:
    asked = request.query_params.get("count")
    if asked is None:
        return None
    if asked != "exact":
        raise FieldError("count", "Only `exact` is known.")
    return queryset.order_by().count()


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}
