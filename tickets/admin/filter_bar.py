"""The filters of the ticket list as one form above it, and what they are set to as chips."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import ChangeList

from tickets.admin.views import SavedViewFilter


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True)
class Filter:
    """One filter. With `has_more` the choices are only the first, and any other is typed by name.

    `chosen` is the label of what it is set to, empty where it is not; `without` the list's address
    with this one off.
    """

    name: str
    title: str
    choices: Sequence[Choice]
    has_more: bool
    chosen: str
    without: str


def filters_of(changelist: ChangeList) -> list[Filter]:
    """Each filter but the saved view, which has its tab."""
    specs = [each for each in changelist.filter_specs if not isinstance(each, SavedViewFilter)]
    return [_filter(spec, changelist) for spec in specs]


def _filter(spec: Any, changelist: ChangeList) -> Filter:
    is_own = hasattr(spec, "parameter_name")
    name = spec.parameter_name if is_own else spec.lookup_kwarg
    known: Iterable[tuple[Any, Any]] = spec.lookup_choices if is_own else spec.field.flatchoices
    value = _value(spec.used_parameters.get(name))
    choices = [Choice(str(key), str(label), str(key) == value) for key, label in known]
    chosen = next((choice.label for choice in choices if choice.is_chosen), value)
    return Filter(
        name=name,
        title=str(spec.title),
        choices=choices,
        has_more=getattr(spec, "has_more", False),
        chosen=chosen,
        without=changelist.get_query_string(remove=[name]),
    )


def _value(used: Any) -> str:
    last = used[-1] if isinstance(used, list) and used else used
    return str(last) if last else ""
