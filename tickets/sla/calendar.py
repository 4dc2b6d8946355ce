"""Business time: how much of the time between two instants is working time, and the way back.

Pure. A calendar is a time zone, weekly windows and dated exceptions. An instant is working time
if its wall-clock reading in the zone lies in a window; so nothing counts that the clocks skip in
spring, and an hour that they repeat in autumn counts twice. From that follows a function W(t),
the working time up to t, which never falls: `working` is W(end) - W(start), `add` its inverse.
All sums are whole microseconds, so that `working(t, add(t, s)) == s` holds exactly.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# The years that can be computed: one day of room on both sides for the local dates of any zone.
FIRST_YEAR, LAST_YEAR = 2, 9998
# Compiled years kept per calendar; the rarest week (15 minutes) with the longest target (366 days
# of working time) spans 675.
MAX_YEARS = 1024

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
MICROSECOND = timedelta(microseconds=1)
MINUTES_A_DAY = 24 * 60
DAY = 24 * 60 * 60  # seconds

ZONE_NAME = re.compile(r"[A-Z][\w+-]*(/[\w+-]+)*", re.ASCII | re.IGNORECASE)
# Files beside the zones: this machine's own, copies, and clocks that count leap seconds.
NOT_ZONES = ("localtime", "Factory", "posix", "right/")

Span = tuple[int, int]


class CalendarError(ValueError):
    """What is wrong: `field` is a path such as `week.monday`, `detail` a sentence."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(field, detail)
        self.field = field
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"


@dataclass(frozen=True, order=True, slots=True)
class Window:
    """Working time of a date, in minutes of its local day: `start` 0..1439, `end` 1..1440.

    With `end <= start` it runs overnight, until `end` of the next date. It belongs to the date on
    which it starts.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < MINUTES_A_DAY and 1 <= self.end <= MINUTES_A_DAY):
            raise ValueError(f"A window lies within a day; {self.start} to {self.end} does not.")

    @property
    def stop(self) -> int:
        """The end in minutes from the midnight before `start`: up to 2879 when overnight."""
        return self.end if self.end > self.start else self.end + MINUTES_A_DAY


class _Year:
    """The working time of one UTC year: disjoint spans in microseconds since 1970, in order."""

    __slots__ = ("before", "ends", "starts", "total")

    def __init__(self, spans: Sequence[Span]) -> None:
        self.starts = tuple(start for start, _ in spans)
        self.ends = tuple(end for _, end in spans)
        # Working time before each span; the last entry is the whole year's.
        self.before = tuple(accumulate((end - start for start, end in spans), initial=0))
        self.total = self.before[-1]

    def worked(self, at: int) -> int:
        """Working time of this year up to `at`."""
        i = bisect_right(self.starts, at) - 1
        return self.before[i] + min(at, self.ends[i]) - self.starts[i] if i >= 0 else 0

    def reached(self, worked: int) -> int:
        """The earliest instant with that much working time behind it, 0 < worked <= total."""
        i = bisect_left(self.before, worked) - 1
        return self.starts[i] + worked - self.before[i]

    def covers(self, at: int) -> bool:
        i = bisect_right(self.starts, at) - 1
        return i >= 0 and at < self.ends[i]

    def between(self, start: int, end: int) -> Iterator[Span]:
        for i in range(bisect_right(self.ends, start), bisect_left(self.starts, end)):
            yield max(self.starts[i], start), min(self.ends[i], end)


class BusinessCalendar:
    """A desk's working time. Immutable; safe to share between threads.

    `week` maps weekdays (0 is Monday) to windows. `exceptions` maps dates to the windows that
    replace the weekday's; no windows make a holiday. Windows that overlap count once. Instants are
    aware datetimes of any zone (ValueError if naive), those returned are in UTC. Raises
    CalendarError for an unknown zone or a week without windows, and OverflowError for instants
    outside the years 2 to 9998.
    """

    __slots__ = ("_exceptions", "_week", "_years", "_zone")

    def __init__(
        self,
        zone: str,
        week: Mapping[int, Sequence[Window]],
        exceptions: Mapping[date, Sequence[Window]] | None = None,
    ) -> None:
        self._zone = _zone(zone)
        self._week = tuple(_in_seconds(week.get(weekday, ())) for weekday in range(7))
        if not any(self._week):
            raise CalendarError("week", "A calendar needs at least one window.")
        self._exceptions = {
            day.toordinal() - EPOCH_DAY: _in_seconds(windows)
            for day, windows in (exceptions or {}).items()
        }
        self._years: dict[int, _Year] = {}

    @property
    def weekly(self) -> timedelta:
        """The working time of a week without exceptions; windows that overlap count twice."""
        return timedelta(seconds=sum(stop - start for day in self._week for start, stop in day))

    def working(self, start: datetime, end: datetime) -> timedelta:
        """The working time between two instants. Raises ValueError if `end` is before `start`."""
        start, end = _in_order(start, end)
        last = self._year(end.year).worked(_micros(end))
        first = self._year(start.year).worked(_micros(start))
        whole = sum(self._year(year).total for year in range(start.year, end.year))
        return timedelta(microseconds=whole + last - first)

    def add(self, start: datetime, duration: timedelta) -> datetime:
        """The earliest instant by which `duration` of working time has passed since `start`.

        That is `start` itself for no duration, and a window's end rather than the beginning of
        the next. Raises ValueError for a negative duration.
        """
        at, amount = _in_utc(start), duration // MICROSECOND
        if amount <= 0:
            if amount < 0:
                raise ValueError("Working time cannot be taken back.")
            return at
        number = at.year
        year = self._year(number)
        amount += year.worked(_micros(at))
        while amount > year.total:
            amount -= year.total
            number += 1
            year = self._year(number)
        return _instant(year.reached(amount))

    def intervals(
        self, start: datetime, end: datetime, *, limit: int | None = None
    ) -> list[tuple[datetime, datetime]]:
        """The working time between two instants as (begin, end) in UTC, at most `limit` of them.

        In order, never empty, never touching; computed only as far as they are asked for. Raises
        ValueError if `end` is before `start`.
        """
        spans = _merged(self._between(*_in_order(start, end)))
        return [(_instant(begin), _instant(stop)) for begin, stop in islice(spans, limit)]

    def is_working(self, at: datetime) -> bool:
        """Whether `at` is working time; a window's first instant is, its last is not."""
        at = _in_utc(at)
        return self._year(at.year).covers(_micros(at))

    def _between(self, start: datetime, end: datetime) -> Iterator[Span]:
        for number in range(start.year, end.year + 1) if start < end else ():
            yield from self._year(number).between(_micros(start), _micros(end))

    def _year(self, number: int) -> _Year:
        year = self._years.get(number)
        if year is None:
            year = self._compiled(number)
            if len(self._years) >= MAX_YEARS:
                self._years.clear()
            # No lock: threads that meet here have compiled equal years.
            self._years[number] = year
        return year

    def _compiled(self, number: int) -> _Year:
        if not FIRST_YEAR <= number <= LAST_YEAR:
            raise OverflowError(f"Working time is known for the years {FIRST_YEAR} to {LAST_YEAR}.")
        begin, end = (_seconds_since_1970(year) for year in (number, number + 1))
        spans = [
            span
            for since, until, offset in _offsets(self._zone, begin, end)
            for span in self._windows(since, until, offset)
        ]
        merged = _merged(sorted(spans))
        return _Year([(start * 1_000_000, end * 1_000_000) for start, end in merged])

    def _windows(self, since: int, until: int, offset: int) -> Iterator[Span]:
        """The windows of a stretch of UTC in which the zone's offset stays the same; seconds.

        Each is read on the wall clock and cut to what that clock shows within the stretch.
        """
        # From the day before: its night shift runs into the first, even if the clocks skipped it.
        for day in range((since + offset) // DAY - 1, (until + offset) // DAY + 1):
            midnight = day * DAY - offset
            windows = self._exceptions.get(day)
            for start, stop in self._week[(day + 3) % 7] if windows is None else windows:
                begin, end = max(midnight + start, since), min(midnight + stop, until)
                if begin < end:
                    yield begin, end


def _in_seconds(windows: Iterable[Window]) -> tuple[Span, ...]:
    return tuple((window.start * 60, window.stop * 60) for window in windows)


def _seconds_since_1970(year: int) -> int:
    return (date(year, 1, 1).toordinal() - EPOCH_DAY) * DAY


def _offsets(zone: ZoneInfo, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Stretches of constant UTC offset as (since, until, offset), all in seconds.

    Whole days only. The zone is asked once a day, and a change is then found to the second: in the
    whole tz database no two changes are less than three days apart.
    """
    since, offset = begin, _offset(zone, begin)
    for probe in range(begin + DAY, end + DAY, DAY):
        new = _offset(zone, probe)
        if new != offset:
            change = _change(zone, probe - DAY, probe)
            yield since, change, offset
            since, offset = change, new
    yield since, end, offset


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The second at which the zone takes the offset that it has at `after`."""
    new = _offset(zone, after)
    return before + bisect_left(range(before, after), True, key=lambda at: _offset(zone, at) == new)


def _offset(zone: ZoneInfo, at: int) -> int:
    offset = (EPOCH + timedelta(seconds=at)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Sorted spans with those that touch or overlap made one."""
    current: Span | None = None
    for start, end in spans:
        if current is None:
            current = start, end
        elif start <= current[1]:
            current = current[0], max(current[1], end)
        else:
            yield current
            current = start, end
    if current is not None:
        yield current


def _in_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError("An instant needs a time zone.")
    return at.astimezone(UTC)


def _in_order(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    start, end = _in_utc(start), _in_utc(end)
    if end < start:
        raise ValueError("The end lies before the start.")
    return start, end


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def _zone(name: object) -> ZoneInfo:
    try:
        if isinstance(name, str) and ZONE_NAME.fullmatch(name) and not name.startswith(NOT_ZONES):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # no such file, not a zone's file, or a folder
    raise CalendarError(
        "time_zone", f"{quoted(name)} is not a time zone; write a name such as Europe/Berlin."
    )


def quoted(value: object) -> str:
    """What somebody wrote, short enough for a sentence."""
    return f"{value!r:.40}"


def around_the_clock() -> BusinessCalendar:
    """Every minute of every day."""
    return BusinessCalendar("UTC", {weekday: [Window(0, MINUTES_A_DAY)] for weekday in range(7)})


ALWAYS = around_the_clock()
