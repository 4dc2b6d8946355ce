"""Working hours as people write them, and what can be wrong with them. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise

from tickets.sla.calendar import (
    MINUTES_A_DAY,
    WEEKDAYS,
    BusinessCalendar,
    CalendarError,
    Window,
    quoted,
)

CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d|24:00"
WINDOW_TEXT = re.compile(rf"({CLOCK})-({CLOCK})", re.ASCII)


def parse(
    zone: str,
    week: Mapping[str, Sequence[str]],
    exceptions: Mapping[date, Sequence[str]] | None = None,
) -> BusinessCalendar:
    """A calendar as people write it: `{"monday": ["09:00-12:00", "22:00-06:00"]}`.

    Raises CalendarError with the field and a sentence. Unlike the constructor it refuses windows
    that overlap: within a date, and from one weekday's night into the next. The nights before and
    after an exception may overlap it, for nobody can be expected to rewrite the week around it.
    """
    days = _parsed_week(week)
    dated = {}
    for day, texts in _items("exceptions", exceptions or {}):
        # A datetime is a date too, but not a day.
        if not isinstance(day, date) or isinstance(day, datetime):
            raise CalendarError("exceptions", f"{quoted(day)} is not a date.")
        dated[day] = _parsed_day(f"exceptions.{day}", texts)
    return BusinessCalendar(zone, days, dated)


def window_text(window: Window) -> str:
    """The window as `parse` reads it, such as `09:00-17:30`."""
    start, end = divmod(window.start, 60), divmod(window.end, 60)
    return "{:02}:{:02}-{:02}:{:02}".format(*start, *end)


def _parsed_week(week: object) -> dict[int, list[Window]]:
    days = {}
    for name, texts in _items("week", week):
        if name not in WEEKDAYS:
            raise CalendarError("week", f"{quoted(name)} is not a weekday, monday to sunday.")
        days[WEEKDAYS.index(name)] = _parsed_day(f"week.{name}", texts)
    for weekday, windows in days.items():
        _refuse_spill(windows, (weekday + 1) % 7, days)
    return days


def _parsed_day(field: str, texts: object) -> list[Window]:
    """The windows of one date, in order."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise CalendarError(field, "Write a list of windows such as 09:00-17:30.")
    windows = sorted(_parsed_window(field, text) for text in texts)
    for one, other in pairwise(windows):
        if other.start < one.stop:
            raise CalendarError(field, f"{window_text(one)} and {window_text(other)} overlap.")
    return windows


def _parsed_window(field: str, text: object) -> Window:
    found = WINDOW_TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise CalendarError(
            field, f"{quoted(text)} is not a window; write 09:00-17:30, or overnight 22:00-06:00."
        )
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in found.groups())
    if start == MINUTES_A_DAY:
        raise CalendarError(field, f"{quoted(text)} begins at 24:00, which is only an end.")
    if start == end:
        raise CalendarError(
            field, f"{quoted(text)} ends where it begins; write 00:00-24:00 for the whole day."
        )
    return Window(start, end or MINUTES_A_DAY)


def _refuse_spill(windows: list[Window], tomorrow: int, days: dict[int, list[Window]]) -> None:
    """Only a day's last window can run on; what it then meets first is the next day's first."""
    for night, morning in zip(windows[-1:], days.get(tomorrow, [])[:1], strict=False):
        if morning.start < night.stop - MINUTES_A_DAY:
            raise CalendarError(
                f"week.{WEEKDAYS[tomorrow]}",
                f"{window_text(morning)} overlaps {window_text(night)} of the day before.",
            )


def _items(field: str, mapping: object) -> Iterable[tuple[object, object]]:
    if not isinstance(mapping, Mapping):
        raise CalendarError(field, "Write days, each with a list of windows.")
    return mapping.items()
