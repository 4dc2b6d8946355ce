from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.saving import save_clean
from servicedesk.api.text import refuse_control_characters
from servicedesk.errors import FieldError
from tickets.models import Calendar, CalendarDate
from tickets.services.setup.locking import lock
from tickets.sla import revision
from tickets.sla.calendar import WEEKDAYS, CalendarError
from tickets.sla.holidays import public_holidays
from tickets.sla.hours import parse

MAX_DATES = 2000
# Rarer working time would put due times centuries ahead, and each of their years is worked out.
LEAST_A_WEEK = timedelta(hours=1)
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)
MAX_NAME = 100

Week = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Day:
    """A date of a calendar. A special day has windows as in the week, a holiday has none."""

    date: date
    name: str = ""
    windows: tuple[str, ...] = ()


@transaction.atomic
def create_calendar(
    *,
    name: str,
    week: Week,
    time_zone: str = "UTC",
    holidays: Sequence[Day] = (),
    special_days: Sequence[Day] = (),
) -> Calendar:
    """A new calendar. Raises FieldError, by the paths of the arguments (`week/monday`)."""
    calendar = Calendar(name=name, time_zone=time_zone, week=week)
    return _save(calendar, holidays, special_days)


@transaction.atomic
def update_calendar(
    *,
    calendar: Calendar,
    name: str | None = None,
    time_zone: str | None = None,
    week: Week | None = None,
    holidays: Sequence[Day] | None = None,
    special_days: Sequence[Day] | None = None,
) -> Calendar:
    """Change a calendar; what is None stays. Raises FieldError as `create_calendar`, Http404."""
    locked = lock(calendar)
    locked.name = locked.name if name is None else name
    locked.time_zone = locked.time_zone if time_zone is None else time_zone
    locked.week = locked.week if week is None else week
    kept = [Day(row.date, row.name, tuple(row.windows)) for row in locked.dates.all()]
    if holidays is None:
        holidays = [day for day in kept if not day.windows]
    if special_days is None:
        special_days = [day for day in kept if day.windows]
    return _save(locked, holidays, special_days)


def import_holidays(
    *, calendar: Calendar, country: str, years: Collection[int], subdivision: str = ""
) -> Calendar:
    """Add a country's holidays; a date that the calendar has already stays as it is.

    Raises FieldError for an unknown country, subdivision or year, and for too many dates; Http404.
    """
    # Before anything is locked: the first time, a list of all countries is made.
    return _add_holidays(calendar, public_holidays(country, subdivision=subdivision, years=years))


@transaction.atomic
def _add_holidays(calendar: Calendar, found: Mapping[date, str]) -> Calendar:
    locked = lock(calendar)
    taken = set(locked.dates.values_list("date", flat=True))
    new = {day: name for day, name in found.items() if day not in taken}
    if len(taken) + len(new) > MAX_DATES:
        raise FieldError("years", _too_many())
    CalendarDate.objects.bulk_create(
        CalendarDate(calendar=locked, date=day, name=name[:MAX_NAME]) for day, name in new.items()
    )
    revision.bump()
    return locked


def _save(calendar: Calendar, holidays: Sequence[Day], special_days: Sequence[Day]) -> Calendar:
    check_calendar(
        time_zone=calendar.time_zone,
        week=calendar.week,
        holidays=holidays,
        special_days=special_days,
    )
    week = calendar.week
    calendar.week = {day: sorted(week[day]) for day in WEEKDAYS if week.get(day)}
    save_clean(calendar)
    days = [*holidays, *special_days]
    calendar.dates.exclude(date__in=[day.date for day in days]).delete()
    CalendarDate.objects.bulk_create(
        [
            CalendarDate(
                calendar=calendar, date=day.date, name=day.name, windows=sorted(day.windows)
            )
            for day in days
        ],
        update_conflicts=True,
        unique_fields=["calendar", "date"],
        update_fields=["name", "windows"],
    )
    revision.bump()
    return calendar


def check_calendar(
    *, time_zone: str, week: Week, holidays: Sequence[Day], special_days: Sequence[Day]
) -> None:
    """Raises FieldError, by the paths of the arguments: `time_zone`, `special_days/0/windows`."""
    _check_dates(holidays, special_days)
    try:
        calendar = parse(time_zone, week, {day.date: day.windows for day in special_days})
    except CalendarError as broken:
        raise FieldError(_path_of(broken, special_days), broken.detail) from broken
    if calendar.weekly < LEAST_A_WEEK:
        raise FieldError("week", "A week needs at least an hour of working time.")


def _path_of(broken: CalendarError, special_days: Sequence[Day]) -> str:
    """Where the mistake stands in the arguments of `check_calendar`."""
    kind, _, part = broken.field.partition(".")
    if kind != "exceptions":
        return broken.field.replace(".", "/")
    dates = [str(day.date) for day in special_days]
    return f"special_days/{dates.index(part)}/windows"


def _check_dates(holidays: Sequence[Day], special_days: Sequence[Day]) -> None:
    """What `parse` does not look at: the dates themselves, and that each is there once."""
    if len(holidays) + len(special_days) > MAX_DATES:
        raise FieldError("holidays", _too_many())
    for number, day in enumerate(special_days):
        if not day.windows:
            raise FieldError(
                f"special_days/{number}/windows", "Without hours, this date is a holiday."
            )
    seen: Counter[date] = Counter()
    numbered = chain(
        ((f"holidays/{number}", day) for number, day in enumerate(holidays)),
        ((f"special_days/{number}", day) for number, day in enumerate(special_days)),
    )
    for path, day in numbered:
        if not FIRST_DAY <= day.date <= LAST_DAY:
            raise FieldError(f"{path}/date", f"A date lies between {FIRST_DAY} and {LAST_DAY}.")
        seen[day.date] += 1
        if seen[day.date] > 1:
            raise FieldError(f"{path}/date", "This date is in the calendar already.", "unique")
        _check_name(f"{path}/name", day.name)


def _check_name(path: str, name: str) -> None:
    if len(name) > MAX_NAME:
        raise FieldError(path, f"A name has at most {MAX_NAME} characters.", "max_length")
    try:
        refuse_control_characters(name)
    except ValidationError as broken:
        raise FieldError(path, broken.messages[0], "line_break") from broken


def _too_many() -> str:
    return f"A calendar has at most {MAX_DATES:,} dates."
