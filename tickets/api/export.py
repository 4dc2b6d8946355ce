"""The list of tickets as a file."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from agents.api.callers import caller_of
from agents.api.permissions import IsSupervisor
from servicedesk.api.views import DeskViewSet
from tickets import export
from tickets.api.filters import FILTER_PARAMETERS, ORDERING_NAMES, filtered, ordering_of
from tickets.models import Ticket

CSV = "text/csv; charset=utf-8"
# Those of the list, but for its paging: all of it is answered.
PARAMETERS = {name: name for name in [*(p.name for p in FILTER_PARAMETERS), "ordering"]}


class OneFile(DefaultContentNegotiation):
    """There is one representation, whatever the client would rather have (RFC 9110, 12.4.1)."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


@extend_schema(tags=["tickets"])
class ExportViewSet(DeskViewSet):
    queryset = Ticket.objects.none()
    permission_classes = (IsAuthenticated, IsSupervisor)
    content_negotiation_class = OneFile
    pagination_class = None

    @extend_schema(
        responses={(200, "text/csv"): OpenApiTypes.STR},
        parameters=[
            *FILTER_PARAMETERS,
            OpenApiParameter(
                "ordering", {"type": "string", "enum": ORDERING_NAMES, "default": "-updated_at"}
            ),
        ],
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        """The filtered list as CSV (RFC 4180, UTF-8), for supervisors.

        Cells that a spreadsheet would take for a formula begin with an apostrophe.
        """
        caller, at = caller_of(request), timezone.now()
        tickets = filtered(Ticket.objects.visible_to(caller), request, PARAMETERS, at)
        ordering = ordering_of(request, caller)
        sign = "-" if ordering.startswith("-") else ""
        # Whatever is refused is refused here, before the first byte.
        ids = export.ids_of(tickets.order_by(ordering, f"{sign}pk"))
        is_async = isinstance(request._request, ASGIRequest)
        return StreamingHttpResponse(
            _without_waiting(ids, at) if is_async else _pieces(ids, at),
            content_type=CSV,
            headers={"Content-Disposition": f'attachment; filename="tickets-{at:%Y-%m-%d}.csv"'},
        )


def _pieces(ids: Sequence[int], at: datetime) -> Iterator[bytes]:
    yield export.header()
    for chunk in export.chunks(ids):
        yield export.rows(chunk, at)


async def _without_waiting(ids: Sequence[int], at: datetime) -> AsyncIterator[bytes]:
    """The same for the event loop: Django would read a plain iterator to its end before it sent
    anything. Each piece is made in a thread that has the database only for so long."""
    yield export.header()
    for chunk in export.chunks(ids):
        yield await sync_to_async(_rows_apart, thread_sensitive=False)(chunk, at)


def _rows_apart(ids: Sequence[int], at: datetime) -> bytes:
    try:
        return export.rows(ids, at)
    finally:
        connection.close()
