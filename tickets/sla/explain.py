"""Why a clock is due when it is: what it counted, interval by interval, and when it stood still.

Reads only. What the clock's row says holds (a due time is kept, an end is history); how it came
about is worked out anew from the ticket's log and the policy as it is now, and `is_exact` says
whether both agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice

from tickets.models import SlaClock, Ticket
from tickets.sla import configuration
from tickets.sla.configuration import Configuration
from tickets.sla.periods import Period, periods
from tickets.sla.timeline import Timeline

State = SlaClock.State
# Intervals listed of one clock; a year of working days has 260.
INTERVALS_SHOWN = 100
SECOND = timedelta(seconds=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Reading:
    """A clock as it stands at an instant, whether a sweep has looked or not; durations in whole
    seconds of working time. `elapsed` is None where no policy says any more what counts."""

    clock: SlaClock
    state: str
    breached_at: datetime | None
    elapsed: int | None

    @property
    def is_going(self) -> bool:
        """Whether it has not ended: it runs, late or not, or stands still."""
        return self.clock.ended_at is None

    @property
    def remaining(self) -> int | None:
        """Seconds left, negative when late; None once it has ended."""
        if self.elapsed is None or not self.is_going:
            return None
        return self.clock.target_seconds - self.elapsed


@dataclass(frozen=True)
class Interval:
    """Working time that counted; `seconds` are rounded so that those of a clock add up."""

    since: datetime
    until: datetime
    seconds: int


@dataclass(frozen=True)
class Pause:
    """A stretch in one status in which nothing counted; `until` is None while it lasts."""

    since: datetime
    until: datetime | None
    status: str
    working_seconds: int


@dataclass(frozen=True)
class Explanation:
    """A clock's reading and how it came about.

    The intervals reach from the start to the due time, also to one that is still to come, where
    the clock is running (late or not) and add up to the target; and to the end, or to now for a
    paused clock, where they add up to what has elapsed. At most INTERVALS_SHOWN are listed
    (`is_truncated`). `is_exact` is False where the calendar, the policy or its pauses were changed
    since the due time, or the end, was noted: then they need not add up.
    """

    reading: Reading
    pauses: list[Pause] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    is_truncated: bool = False
    is_exact: bool = False


def read_clocks(ticket: Ticket, at: datetime) -> list[Reading]:
    """Each of the ticket's clocks as it stands at `at`, the oldest first; at most three queries."""
    clocks = _clocks_of(ticket)
    if all(clock.elapsed_seconds is not None for clock in clocks):
        return [read(clock, None, at) for clock in clocks]
    return [read(clock, timeline, at) for clock, timeline in _with_timelines(ticket, clocks, at)]


def explain_clocks(ticket: Ticket, at: datetime) -> list[Explanation]:
    """Each of the ticket's clocks explained, the oldest first; at most three queries."""
    clocks = _clocks_of(ticket)
    if not clocks:
        return []
    return [explain(clock, timeline, at) for clock, timeline in _with_timelines(ticket, clocks, at)]


def read(clock: SlaClock, timeline: Timeline | None, at: datetime) -> Reading:
    """The clock at `at`: one that has run out is broken, whoever has noticed."""
    state, breached_at = clock.state, clock.breached_at
    if state == State.RUNNING and clock.due_at is not None and clock.due_at <= at:
        state, breached_at = State.BREACHED, clock.due_at
    elapsed = clock.elapsed_seconds
    if clock.ended_at is None and timeline is not None:
        elapsed = timeline.elapsed(clock.started_at, max(at, clock.started_at)) // SECOND
    return Reading(clock, state, breached_at, elapsed)


def explain(clock: SlaClock, timeline: Timeline | None, at: datetime) -> Explanation:
    """The clock at `at` with its pauses and the working time that it counted."""
    reading = read(clock, timeline, at)
    if timeline is None:
        return Explanation(reading)
    since = clock.started_at
    now = max(clock.ended_at or at, since)
    until = (clock.due_at if reading.is_going else None) or now
    spans = list(islice(_counted(timeline, since, until), INTERVALS_SHOWN + 1))
    counted = timeline.elapsed(since, until)
    return Explanation(
        reading,
        pauses=list(_pauses(timeline, since, now, is_going=reading.is_going)),
        intervals=list(_rounded(spans[:INTERVALS_SHOWN])),
        is_truncated=len(spans) > INTERVALS_SHOWN,
        is_exact=_agrees(clock, counted),
    )


def _agrees(clock: SlaClock, counted: timedelta) -> bool:
    if clock.ended_at is not None:
        return counted // SECOND == clock.elapsed_seconds
    # A paused clock has no due time that could be another's.
    return clock.due_at is None or counted == clock.target_seconds * SECOND


def _counted(timeline: Timeline, since: datetime, until: datetime) -> Iterator[Span]:
    """The working time between two instants, without the pauses, as far as it is asked for."""
    pauses = timeline.pauses(since, until)
    begins = [since, *(end for _, end in pauses)]
    ends = [*(begin for begin, _ in pauses), until]
    intervals = timeline.policy.calendar.intervals
    stretches = zip(begins, ends, strict=True)
    return chain.from_iterable(
        intervals(begin, end, limit=INTERVALS_SHOWN + 1) for begin, end in stretches
    )


def _rounded(spans: Iterable[Span]) -> Iterator[Interval]:
    """Whole seconds: each the difference of the rounded sums, so that no fraction is lost."""
    total = timedelta()
    for since, until in spans:
        before, total = total // SECOND, total + (until - since)
        yield Interval(since, until, total // SECOND - before)


def _pauses(
    timeline: Timeline, since: datetime, now: datetime, *, is_going: bool
) -> Iterator[Pause]:
    working = timeline.policy.calendar.working
    for period in timeline.periods:
        if period.status not in timeline.still_statuses:
            continue
        begin, end = max(period.since, since), min(period.until or now, now)
        lasts = is_going and period.until is None and begin <= now
        if begin < end or lasts:
            seconds = working(begin, end) // SECOND
            yield Pause(begin, None if lasts else end, period.status, seconds)


def _clocks_of(ticket: Ticket) -> list[SlaClock]:
    return list(SlaClock.objects.filter(ticket=ticket).order_by("id"))


def _with_timelines(
    ticket: Ticket, clocks: Iterable[SlaClock], at: datetime
) -> Iterator[tuple[SlaClock, Timeline | None]]:
    config, found = configuration.current(), periods(ticket)
    for clock in clocks:
        yield clock, _timeline(clock, config, found, at)


def _timeline(
    clock: SlaClock, config: Configuration, found: list[Period], at: datetime
) -> Timeline | None:
    """The ticket's time as the clock's own policy counts it, if that is still in force."""
    policy = next((policy for policy in config.policies if policy.id == clock.policy_id), None)
    return Timeline(policy, found, at) if policy else None
