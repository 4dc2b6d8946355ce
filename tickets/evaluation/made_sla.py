"""How well our business calendar reproduces the `made_sla` flag of an incident export. Pure.

The incidents are split by the day they were opened. What can be chosen is chosen on the older
ones, every share is reported on the later ones. docs/made_sla.md tells method and results.
"""

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice, pairwise, zip_longest
from operator import itemgetter
from pathlib import Path
from zoneinfo import ZoneInfo

from tickets.importing.mapping import known
from tickets.importing.reading import moment
from tickets.importing.source import Lines, NotAnExport, open_lines
from tickets.sla.calendar import WEEKDAYS, BusinessCalendar, around_the_clock
from tickets.sla.hours import parse

COLUMNS = (
    "number", "incident_state", "priority", "opened_at", "sys_updated_at", "resolved_at",
    "made_sla",
)  # fmt: skip
FLAGS = {"true": True, "false": False}
CLOSED = "Closed"
WAITING = "Awaiting"  # how the names of the states begin in which the desk waits
# The log's clock: no zone is stated, and what is reproduced needs none.
ZONE = ZoneInfo("UTC")
# Incidents opened before it choose, those opened from it on are held out.
HELD_OUT_FROM = datetime(2016, 4, 22, tzinfo=UTC)
MODERATE = "3 - Moderate"
# Weekdays on which the log opens 10 to 25 % of the usual: the desk's public holidays.
HOLIDAYS = (date(2016, 3, 25), date(2016, 4, 21), date(2016, 5, 26))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Incident:
    """A closed incident as its last row has it; times to the minute."""

    number: str
    priority: str
    opened_at: datetime
    resolved_at: datetime  # closed_at where the log has none
    first_closed_at: datetime
    closed_at: datetime  # the first row of the last time it was closed
    saved_at: datetime  # the last row, which may only touch a closed incident
    waits: tuple[Span, ...]  # the times it spent in the waiting states
    made_sla: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """A way of measuring an incident: its working time, where it stops, whether waits count."""

    name: str
    calendar: BusinessCalendar
    stop: Callable[[Incident], datetime]
    pauses: bool = False

    def paused(self, incident: Incident) -> timedelta:
        """The working time of an incident in which this clock stood still."""
        spans = incident.waits if self.pauses else ()
        stop = self.stop(incident)
        inside = ((max(a, incident.opened_at), min(b, stop)) for a, b in spans)
        return sum((self.calendar.working(a, b) for a, b in inside if a < b), timedelta())

    def worked(self, incident: Incident) -> timedelta:
        """The working time from the opening to the stop, without what was paused."""
        stop = max(self.stop(incident), incident.opened_at)
        return self.calendar.working(incident.opened_at, stop) - self.paused(incident)

    def due(self, incident: Incident, target: timedelta) -> datetime:
        """The first minute that is too late.

        A minute more than the target, since the log leaves out the seconds: what was opened at
        15:00 may have been opened at 15:00:59.
        """
        allowed = target + self.paused(incident) + MINUTE
        return self.calendar.add(incident.opened_at, allowed)

    def is_made(self, incident: Incident, target: timedelta) -> bool:
        return self.stop(incident) < self.due(incident, target)


@dataclass(frozen=True, slots=True)
class Target:
    """The working time allowed, and the gap in which any other would choose as well.

    `low` is the longest that counts as made, `high` the shortest that does not: None where even
    the longest counts as made.
    """

    low: timedelta
    high: timedelta | None

    @property
    def value(self) -> timedelta:
        """The first whole hour in the gap, as people set targets; `low` if it holds none."""
        whole = -(-self.low // HOUR) * HOUR
        return whole if self.high is None or whole < self.high else self.low


@dataclass(frozen=True, slots=True)
class Score:
    """Incidents by what is computed and what the log's flag says."""

    both_made: int = 0
    both_missed: int = 0
    only_computed_made: int = 0
    only_flagged_made: int = 0

    @property
    def right(self) -> int:
        return self.both_made + self.both_missed

    @property
    def total(self) -> int:
        return self.right + self.only_computed_made + self.only_flagged_made

    @property
    def share(self) -> float:
        """Of all, those computed as flagged: 0 to 1; 0 of none."""
        return self.right / self.total if self.total else 0.0

    @property
    def majority(self) -> float:
        """The share of the flag that is more frequent: right for whoever always says just that."""
        made = self.both_made + self.only_flagged_made
        return max(made, self.total - made) / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.total)


def wilson(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval of a share that was counted; 95 % by default. (0, 1) of none.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not total:
        return 0.0, 1.0
    share, spread = right / total, z * z / total
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)


# --- The clocks -----------------------------------------------------------------------


def closing(incident: Incident) -> datetime:
    return incident.closed_at


def first_closing(incident: Incident) -> datetime:
    return incident.first_closed_at


def resolution(incident: Incident) -> datetime:
    return incident.resolved_at


def last_save(incident: Incident) -> datetime:
    return incident.saved_at


def weekdays(window: str, holidays: Iterable[date] = ()) -> BusinessCalendar:
    """Monday to Friday, one window a day on the log's clock."""
    week = {day: [window] for day in WEEKDAYS[:5]}
    return parse(str(ZONE), week, {day: [] for day in holidays})


# Of all windows of whole hours the one that fits the older incidents best: see `windows`.
WINDOW = "14:00-23:00"
WORKING_DAY = timedelta(hours=9)
RULE = Clock(f"Monday to Friday {WINDOW}, to the closing", weekdays(WINDOW), closing)


def clocks() -> list[Clock]:
    """From the simplest clock to the rule, and what the rule would be with other ends."""
    office, always = RULE.calendar, around_the_clock()
    return [
        Clock("around the clock, to the resolution", always, resolution),
        Clock("around the clock, to the closing", always, closing),
        Clock("Monday to Friday 00:00-24:00, to the closing", weekdays("00:00-24:00"), closing),
        RULE,
        Clock("the same, to the first closing", office, first_closing),
        Clock("the same, to the last row", office, last_save),
        Clock("the same, to the resolution", office, resolution),
        Clock("the same, to the closing, paused while it waits", office, closing, pauses=True),
        Clock("the same, to the closing, less three holidays", weekdays(WINDOW, HOLIDAYS), closing),
    ]


def windows(lengths: Iterable[int] = range(7, 13)) -> list[Clock]:
    """Every daily window of whole hours and of these lengths, in hours, overnight ones too."""
    spans = [(start, (start + length) % 24) for length in lengths for start in range(24)]
    texts = [f"{start:02}:00-{end or 24:02}:00" for start, end in spans]
    return [Clock(text, weekdays(text), closing) for text in texts]


# --- Choosing and scoring -------------------------------------------------------------


def split(incidents: Iterable[Incident]) -> tuple[list[Incident], list[Incident]]:
    """Those that choose, and those held out."""
    older: list[Incident] = []
    later: list[Incident] = []
    for incident in incidents:
        (older if incident.opened_at < HELD_OUT_FROM else later).append(incident)
    return older, later


def by_priority(incidents: Iterable[Incident]) -> dict[str, list[Incident]]:
    groups: dict[str, list[Incident]] = {}
    for incident in incidents:
        groups.setdefault(incident.priority, []).append(incident)
    return dict(sorted(groups.items()))


def fit(clock: Clock, incidents: Iterable[Incident]) -> Target:
    """The target that gets most of these incidents right; of equals the shortest."""
    measured = sorted((clock.worked(incident), incident.made_sla) for incident in incidents)
    gain, most, low, high = 0, -math.inf, timedelta(), None
    # By the time worked: each is a target that might be, and so is none at all.
    flags: dict[timedelta, list[bool]] = {timedelta(): []}
    for time, made_sla in measured:
        flags.setdefault(time, []).append(made_sla)
    for time, next_time in zip_longest(flags, islice(flags, 1, None)):
        gain += 2 * sum(flags[time]) - len(flags[time])
        if gain > most:
            most, low, high = gain, time, next_time
    return Target(low, high)


def score(clock: Clock, target: timedelta, incidents: Iterable[Incident]) -> Score:
    counts = {(computed, flag): 0 for computed in (True, False) for flag in (True, False)}
    for incident in incidents:
        counts[clock.is_made(incident, target), incident.made_sla] += 1
    return Score(
        both_made=counts[True, True],
        both_missed=counts[False, False],
        only_computed_made=counts[True, False],
        only_flagged_made=counts[False, True],
    )


def close_calls(clock: Clock, target: timedelta, incidents: Iterable[Incident]) -> list[Incident]:
    """Those that came within a working day of the target: what is far from it is easily right."""
    return [each for each in incidents if abs(clock.worked(each) - target) <= WORKING_DAY]


# --- Reading --------------------------------------------------------------------------


@dataclass(slots=True)
class Log:
    """The incidents of an export, and how many cannot be judged: broken, or not closed."""

    incidents: list[Incident]
    left_out: int = 0


def read(path: Path) -> Log:
    """Every closed incident of an export, a CSV or a zip with one. Raises NotAnExport."""
    log = Log([])
    with open_lines(path) as lines:
        for _, rows in groupby(_rows(lines), itemgetter("number")):
            incident = _incident(list(rows))
            if incident is None:
                log.left_out += 1
            else:
                log.incidents.append(incident)
    return log


def _rows(lines: Lines) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(lines, restval="")
    try:
        reader.fieldnames = [name.removeprefix("\ufeff") for name in reader.fieldnames or ()]
        if missing := set(COLUMNS) - set(reader.fieldnames):
            raise NotAnExport(f"The file has no column {', '.join(sorted(missing))}.")
        yield from reader
    except csv.Error as exc:
        raise NotAnExport(f"Line {lines.number} is no CSV: {exc}") from exc


def _incident(rows: Sequence[Mapping[str, str]]) -> Incident | None:
    """None where a time or the flag cannot be read, and where it is not closed at the end."""
    last = rows[-1]
    try:
        saves = [(row["incident_state"], moment(row["sys_updated_at"], ZONE)) for row in rows]
        closed_at = _closed_at(saves)
        if closed_at is None:
            return None
        resolved = known(last["resolved_at"])
        return Incident(
            number=last["number"],
            priority=last["priority"],
            opened_at=moment(last["opened_at"], ZONE),
            resolved_at=moment(resolved, ZONE) if resolved else closed_at,
            first_closed_at=next(at for state, at in saves if state == CLOSED),
            closed_at=closed_at,
            saved_at=saves[-1][1],
            waits=_waits(saves),
            made_sla=FLAGS[last["made_sla"]],
        )
    except (ValueError, KeyError):
        return None


def _closed_at(saves: Sequence[tuple[str, datetime]]) -> datetime | None:
    """The first of the closed rows at the end: the log saves closed incidents again."""
    closed_at = None
    for state, at in reversed(saves):
        if state != CLOSED:
            break
        closed_at = at
    return closed_at


def _waits(saves: Sequence[tuple[str, datetime]]) -> tuple[Span, ...]:
    return tuple(
        (start, end)
        for (state, start), (_, end) in pairwise(saves)
        if state.startswith(WAITING) and start < end
    )
