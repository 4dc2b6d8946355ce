"""What a list of tickets may be narrowed and ordered by. Whatever is not named here is a 400."""

import re
from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_filters.fields import IsoDateTimeField
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from agents.models import Team, User
from servicedesk.errors import FieldError
from tickets.lifecycle import Status
from tickets.models import Priority, Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.search import MAX_QUERY, matching
from tickets.sla.standing import DUE_ORDER, SOUGHT_STATES, in_any_state, with_due_order

ID = re.compile(r"[0-9]{1,18}", re.ASCII)
# By the name in the API: the field for staff and the field for customers.
ORDERINGS = {
    "updated_at": ("updated_at", "public_updated_at"),
    "created_at": ("created_at", "created_at"),
    "priority": ("priority", "priority"),
    "due_at": (DUE_ORDER, DUE_ORDER),
}
ORDERING_NAMES = [sign + name for name in ORDERINGS for sign in ("", "-")]
# Parameters of the paging, which are not filters.
PAGING = {"cursor", "page_size", "count", "ordering"}


def _split(value: str) -> list[str]:
    return [part for part in value.split(",") if part]


def ordering_of(request: Request, caller: User) -> str:
    """What `orderable` tickets are ordered by, with its sign. Raises FieldError."""
    asked = request.query_params.get("ordering") or "-updated_at"
    name = asked.removeprefix("-")
    if name not in ORDERINGS:
        raise FieldError("ordering", f"Known orderings: {', '.join(ORDERINGS)}.")
    field = ORDERINGS[name][0 if caller.is_desk_staff else 1]
    return f"-{field}" if asked.startswith("-") else field


def newest_change(caller: User) -> str:
    """The order of the newest change that the caller can see."""
    return f"-{ORDERINGS['updated_at'][0 if caller.is_desk_staff else 1]}"


def orderable(tickets: TicketQuerySet, request: Request) -> TicketQuerySet:
    """The tickets with what `ordering_of` says, where that is no field of theirs."""
    asked = request.query_params.get("ordering", "").removeprefix("-")
    return with_due_order(tickets) if asked == "due_at" else tickets


class KeysField(forms.CharField):
    """Comma-separated words out of a fixed list."""

    def __init__(self, *, known: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = known

    def clean(self, value: Any) -> list[str]:
        words = _split(super().clean(value))
        if unknown := [word for word in words if word not in self.known]:
            raise forms.ValidationError(f"Unknown: {', '.join(unknown)}.")
        return words


class KeysFilter(django_filters.Filter):
    field_class = KeysField


class IdsField(forms.CharField):
    """Comma-separated ids, and the words that are allowed instead."""

    def __init__(self, *, words: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def clean(self, value: Any) -> list[str]:
        parts = _split(super().clean(value))
        if bad := [part for part in parts if part not in self.words and not ID.fullmatch(part)]:
            raise forms.ValidationError(f"Not an id: {', '.join(bad)[:100]}.")
        return parts


class IdsFilter(django_filters.Filter):
    field_class = IdsField


class MomentField(IsoDateTimeField):
    """An ISO 8601 time that has a counterpart in UTC, as the last hours of year 9999 have not."""

    def clean(self, value: Any) -> datetime | None:
        moment: datetime | None = super().clean(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as exc:
            raise forms.ValidationError("Out of range.") from exc


class MomentFilter(django_filters.IsoDateTimeFilter):
    field_class = MomentField


class TicketFilters(django_filters.FilterSet):
    status = KeysFilter(method="by_status", known=Status.values)
    priority = KeysFilter(method="by_priority", known=[p.key for p in Priority])
    assignee = IdsFilter(method="by_reference", words=("me", "none"))
    team = IdsFilter(method="by_reference", words=("mine", "none"))
    requester = IdsFilter(method="by_reference", words=("me",))
    category = IdsFilter(method="by_reference", words=("none",))
    tag = django_filters.CharFilter(method="by_tag", max_length=500)
    escalated = django_filters.BooleanFilter(method="by_escalation")
    sla = KeysFilter(method="by_sla", known=[str(state) for state in SOUGHT_STATES])
    created_after = MomentFilter("created_at", "gte")
    created_before = MomentFilter("created_at", "lt")
    updated_after = MomentFilter(method="by_update")
    q = django_filters.CharFilter(method="by_text", max_length=MAX_QUERY)

    class Meta:
        model = Ticket
        fields: list[str] = []

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at = at

    def is_valid(self) -> bool:
        """Also refuses parameters that are no filters."""
        if unknown := sorted(set(self.data) - set(self.filters) - PAGING):
            raise ValidationError({name: ["There is no such filter."] for name in unknown})
        escalated = self.data.get("escalated")
        if escalated is not None and escalated not in ("true", "false"):
            raise ValidationError({"escalated": ["true or false."]})
        return bool(super().is_valid())

    def by_status(self, tickets: TicketQuerySet, name: str, words: list[str]) -> Any:
        return tickets.filter(status__in=words)

    def by_priority(self, tickets: TicketQuerySet, name: str, words: list[str]) -> Any:
        return tickets.filter(priority__in=[Priority.from_key(word) for word in words])

    def by_reference(self, tickets: TicketQuerySet, name: str, words: list[str]) -> Any:
        ids = [int(word) for word in words if word.isdigit()]
        if "me" in words:
            ids.append(self.request.user.pk)
        wanted = Q(**{f"{name}__in": ids})
        if "mine" in words:
            wanted |= Q(team__in=Team.objects.filter(agents=self.request.user.pk).values("pk"))
        return tickets.filter(
            wanted | Q(**{f"{name}__isnull": True}) if "none" in words else wanted
        )

    def by_tag(self, tickets: TicketQuerySet, name: str, value: str) -> Any:
        tagged = Ticket.tags.through.objects.filter(tag__name__in=_split(value.lower()))
        return tickets.filter(pk__in=tagged.values("ticket"))

    def by_escalation(self, tickets: TicketQuerySet, name: str, value: bool) -> Any:
        return (
            tickets.filter(escalation_level__gt=0) if value else tickets.filter(escalation_level=0)
        )

    def by_sla(self, tickets: TicketQuerySet, name: str, words: list[str]) -> Any:
        return tickets.filter(in_any_state(words, self.at))

    def by_update(self, tickets: TicketQuerySet, name: str, value: Any) -> Any:
        field = ORDERINGS["updated_at"][0 if self.request.user.is_desk_staff else 1]
        return tickets.filter(**{f"{field}__gte": value})

    def by_text(self, tickets: TicketQuerySet, name: str, value: str) -> QuerySet[Ticket]:
        return matching(tickets, value, notes=self.request.user.is_desk_staff)


def _list_of(name: str, items: dict[str, Any], description: str = "") -> OpenApiParameter:
    """Several values by comma."""
    schema = {"type": "array", "items": items}
    return OpenApiParameter(name, schema, explode=False, style="form", description=description)


def _one(name: str, schema: dict[str, Any], description: str = "") -> OpenApiParameter:
    return OpenApiParameter(name, schema, description=description)


_TEXT = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
# How the schema describes TicketFilters; a test holds them against each other.
FILTER_PARAMETERS = [
    _list_of("status", {"type": "string", "enum": Status.values}),
    _list_of("priority", {"type": "string", "enum": [priority.key for priority in Priority]}),
    _list_of("assignee", _TEXT, "Ids, `me` or `none`."),
    _list_of("team", _TEXT, "Ids, `mine` or `none`."),
    _list_of("requester", _TEXT, "Ids or `me`."),
    _list_of("category", _TEXT, "Ids or `none`."),
    _list_of("tag", _TEXT, "Names; any of them will do."),
    _one("escalated", {"type": "boolean"}),
    _list_of("sla", {"type": "string", "enum": SOUGHT_STATES}, "How the ticket stands now."),
    _one("created_after", _MOMENT),
    _one("created_before", _MOMENT),
    _one("updated_after", _MOMENT),
    _one("q", {"type": "string", "maxLength": MAX_QUERY}, "Full text; the last word may be begun."),
]


def filtered(
    tickets: TicketQuerySet,
    request: Request,
    names: dict[str, str] | None = None,
    at: datetime | None = None,
) -> TicketQuerySet:
    """The tickets that the query string asks for, ready to be ordered as it says. Raises
    FieldError for what it may not hold.

    `names` translates parameters to filters; without it, each filter goes by its own name. `at`
    is the moment that `sla` speaks of, now by default.
    """
    query = request.query_params.dict()
    if odd := [name for name, value in query.items() if "\x00" in value]:
        raise FieldError(odd[0], "A filter holds no NUL.")
    if names is not None:
        if unknown := sorted(set(query) - set(names)):
            raise FieldError(unknown[0], "There is no such filter.")
        query = {names[key]: value for key, value in query.items()}
    filters = TicketFilters(query, queryset=tickets, request=request, at=at or timezone.now())
    if not filters.is_valid():
        name, messages = next(iter(filters.errors.items()))
        said = {filter_name: key for key, filter_name in (names or {}).items()}
        raise FieldError(said.get(name, name), str(messages[0]))
    return orderable(filters.qs, request)
