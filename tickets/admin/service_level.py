"""A ticket's service level in words: on its page clock by clock, in the list in one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from tickets.admin.spans import written
from tickets.lifecycle import Status
from tickets.models import Metric, SlaClock, Ticket
from tickets.sla.explain import Explanation, Pause, Reading, explain_clocks
from tickets.sla.standing import SlaState, state_of

State = SlaClock.State


@dataclass(frozen=True)
class Stretch:
    """A line of the explanation: working time that counted, or a pause."""

    since: datetime
    until: datetime | None
    text: str
    is_pause: bool


@dataclass(frozen=True)
class ClockLine:
    """One clock. `tone` is a class of the style sheet."""

    label: str
    tone: str
    words: str
    reading: Reading
    stretches: list[Stretch]
    is_truncated: bool
    is_exact: bool

    @property
    def is_counting(self) -> bool:
        """Whether its time runs towards, or on from, an instant."""
        return self.reading.is_going and self.reading.clock.due_at is not None

    @property
    def used(self) -> str:
        """Such as `2h of 8h`."""
        target = written(self.reading.clock.target_seconds)
        return (
            target if self.reading.elapsed is None else f"{_span(self.reading.elapsed)} of {target}"
        )


def context_of(ticket: Ticket, at: datetime) -> dict[str, Any]:
    """What the page shows of the ticket's promises; four queries at most."""
    lines = [_line(explanation, at) for explanation in explain_clocks(ticket, at)]
    newest = {line.reading.clock.metric: line for line in lines}
    policy, state = ticket.sla_policy, state_of(ticket, at)
    return {
        "state": state,
        "policy": policy,
        "calendar": policy.calendar if policy and lines else None,
        "clocks": [line for line in lines if line in newest.values()],
        "earlier": [line for line in lines if line not in newest.values()],
    }


def _line(found: Explanation, at: datetime) -> ClockLine:
    clock = found.reading.clock
    return ClockLine(
        label=str(Metric(clock.metric).label),
        tone=_tone(found.reading, at),
        words=_words(found.reading, at),
        reading=found.reading,
        stretches=_stretches(found),
        is_truncated=found.is_truncated,
        is_exact=found.is_exact,
    )


def _tone(reading: Reading, at: datetime) -> str:
    if reading.state != State.RUNNING:
        return reading.state
    warn_at = reading.clock.warn_at
    return SlaState.AT_RISK if warn_at is not None and warn_at <= at else SlaState.ON_TRACK


def _words(reading: Reading, at: datetime) -> str:
    if not reading.is_going:
        return _end(reading)
    if reading.clock.due_at is not None:
        return _until(reading.clock.due_at, at)
    if reading.remaining is None:
        return str(State(reading.state).label)
    left = reading.remaining
    said = f"{_span(-left)} late" if reading.state == State.BREACHED else f"{_span(left)} left"
    return f"paused, {said}"


def _end(reading: Reading) -> str:
    clock, elapsed = reading.clock, reading.elapsed
    if clock.met_at is None:
        return "late when it was given up" if reading.breached_at else "no longer waited for"
    if elapsed is None:
        return "late" if reading.breached_at else "in time"
    late = elapsed - clock.target_seconds
    return f"{_span(late)} late" if reading.breached_at else f"met in {_span(elapsed)}"


def _span(seconds: int) -> str:
    """In hours and minutes; below a minute nobody needs to know."""
    return written(max(seconds, 0) // 60 * 60)


def _stretches(found: Explanation) -> list[Stretch]:
    """By time, to the second, so that they add up; pauses as far as the intervals are listed."""
    counted = [
        Stretch(one.since, one.until, written(one.seconds), False) for one in found.intervals
    ]
    end = found.intervals[-1].until if found.is_truncated else None
    paused = [
        Stretch(one.since, one.until, _pause(one), True)
        for one in found.pauses
        if end is None or one.since < end
    ]
    return sorted([*counted, *paused], key=attrgetter("since"))


def _pause(pause: Pause) -> str:
    return f"{written(pause.working_seconds)} paused: {Status(pause.status).label.lower()}"


def due_words(ticket: Ticket, at: datetime) -> str:
    """The list's column: `in 3 h`, `20 min over`, or the state where nothing is due."""
    state, due_at = state_of(ticket, at), ticket.sla_due_at
    if due_at is None:
        return str(state.label)
    words = _until(due_at, at)
    is_next = state == SlaState.BREACHED and due_at > at
    return f"Breached, next {words}" if is_next else words


def _until(due_at: datetime, at: datetime) -> str:
    """In the words of the page's own countdown (desk/times.js), which takes over from here."""
    return f"{_distance(at - due_at)} over" if due_at < at else f"in {_distance(due_at - at)}"


def _distance(span: timedelta) -> str:
    """Time by the clock on the wall, in its two largest units."""
    minutes = span // timedelta(minutes=1)
    if not minutes:
        return "under a minute"
    units = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)
