"""What a saved view says: the filters of `GET /api/tickets/`, as they stand in its address.

One vocabulary for the API and the console. `me` and `mine` are whoever looks.
"""

from datetime import datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rest_framework.exceptions import ValidationError

from servicedesk.errors import FieldError
from tickets.api.filters import PAGING, TicketFilters
from tickets.models import Ticket
from tickets.models.ticket import TicketQuerySet

# More than there are filters.
MAX_PARAMETERS = 30
EXAMPLE = "such as status=open,pending&assignee=me"


def checked(query: str, *, at: datetime) -> str:
    """The query string, written the one way that is kept. Raises FieldError on `query`."""
    filters = filters_of(query)
    if shown := sorted(PAGING & set(filters)):
        raise _refused(f"{shown[0]}: a view says which tickets, not how they are shown.")
    form = TicketFilters(filters, queryset=Ticket.objects.none(), at=at)
    try:
        errors = {} if form.is_valid() else form.errors
    except ValidationError as exc:
        # Parameters that are no filters.
        errors = exc.detail
    if errors:
        name, (message, *_) = next(iter(errors.items()))
        raise _refused(f"{name[:100]}: {message}")
    return written(filters)


def written(filters: dict[str, str]) -> str:
    """Filters as a query string, without the empty ones; commas stay readable."""
    return urlencode({name: value for name, value in filters.items() if value}, safe=",")


def narrowed(tickets: TicketQuerySet, query: str, *, user: Any, at: datetime) -> TicketQuerySet:
    """The tickets that a checked query is about, for this user at this moment."""
    request: Any = SimpleNamespace(user=user)
    filters = TicketFilters(filters_of(query), queryset=tickets, request=request, at=at)
    found: TicketQuerySet = filters.qs
    return found


def filters_of(query: str) -> dict[str, str]:
    """By name. Raises FieldError."""
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as exc:
        raise _refused(f"A query string, {EXAMPLE}.") from exc
    filters = dict(pairs)
    if len(filters) < len(pairs):
        raise _refused("Each filter once; several values by comma.")
    if any("\x00" in text for pair in pairs for text in pair):
        raise _refused("A filter holds no NUL.")
    return filters


def _refused(sentence: str) -> FieldError:
    return FieldError("query", sentence)
