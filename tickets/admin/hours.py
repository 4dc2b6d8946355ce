"""A calendar's hours as people write them: a line for each weekday, a line for each date."""

import re
from datetime import date
from typing import Any

from django import forms

from tickets.admin.fields import Words
from tickets.services.setup import Day

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# What looks like hours, so that a slip in them is told and not taken for a name.
HOURS = re.compile(r"[\d:]+-[\d:]+(,[\d:]+-[\d:]+)*,?", re.ASCII)
# Word processors make a long dash of it.
DASH = re.compile(r"(?<=\d)\s*[-\u2013]\s*(?=\d{1,2}:)", re.ASCII)


def windows_of(text: str) -> tuple[str, ...]:
    """`9:00 - 12:00, 13:00-17:30` as windows; what is none is left for the check to tell."""
    words = DASH.sub("-", text).replace(",", " ").split()
    return tuple("-".join(map(_two_digits, word.split("-"))) for word in words)


def _two_digits(clock: str) -> str:
    """`9:00` as `09:00`."""
    return clock.zfill(5) if clock[1:2] == ":" else clock


class Hours(forms.CharField):
    """Windows of a weekday, by comma. Empty: it is off."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"size": 40, "autocomplete": "off", "placeholder": "off"})
        super().__init__(required=False, max_length=400, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def clean(self, value: Any) -> Any:
        return windows_of(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return windows_of(data or "") != tuple(initial or ())


class Dates(Words):
    """`2026-12-24 Christmas Eve 09:00-12:00`, one on each line; without hours a holiday."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widget.attrs["cols"] = 80

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(map(_line, value))

    def clean(self, value: Any) -> Any:
        lines = (super().clean(value) or "").splitlines()
        return [_day(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != list(initial or ()))
        except forms.ValidationError:
            return True


def _line(day: Day) -> str:
    return " ".join(part for part in (str(day.date), day.name, ", ".join(day.windows)) if part)


def _day(number: int, line: str) -> Day:
    first, *words = DASH.sub("-", line).split()
    try:
        day = date.fromisoformat(first) if DATE.fullmatch(first) else None
    except ValueError:
        day = None
    if day is None:
        raise forms.ValidationError(f"Line {number} does not begin with a date like 2026-12-24.")
    hours: list[str] = []
    while words and HOURS.fullmatch(words[-1]):
        hours.insert(0, words.pop())
    return Day(day, " ".join(words), windows_of(" ".join(hours)))
