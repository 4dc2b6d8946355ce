"""What can happen to a clock. Rows are changed in memory; tickets.sla.keeping saves them.

`due_at` and `warn_at` follow from the start, the target and the pauses, never from what they
were before: so a change of priority, policy or calendar needs no history of such changes.
"""

from datetime import datetime, timedelta

from django.conf import settings

from tickets.models import SlaClock
from tickets.sla.timeline import Timeline

State = SlaClock.State


def start(clock: SlaClock, timeline: Timeline, target: timedelta) -> None:
    """Run, towards `target` of working time."""
    _go_on(clock, timeline, target, State.RUNNING)
    clock.due_at = timeline.reach(clock.started_at, target)
    clock.warn_at = timeline.reach(clock.started_at, target * settings.SLA_WARNING_AT)


def pause(clock: SlaClock, timeline: Timeline, target: timedelta) -> None:
    """Stand still. There is no due time, since nobody knows for how long."""
    _go_on(clock, timeline, target, State.PAUSED)
    clock.due_at = clock.warn_at = None


def _go_on(clock: SlaClock, timeline: Timeline, target: timedelta, state: str) -> None:
    """Under this policy and towards this target, also if it had ended; a breach stays."""
    clock.policy_id = timeline.policy.id
    clock.target_seconds = int(target.total_seconds())
    clock.state = State.BREACHED if clock.breached_at else state
    clock.met_at = clock.ended_at = clock.elapsed_seconds = None


def meet(clock: SlaClock, timeline: Timeline | None, at: datetime) -> None:
    """The promise was kept, or at last fulfilled if it had been broken."""
    clock.met_at = at
    _end(clock, timeline, at, State.MET)


def cancel(clock: SlaClock, timeline: Timeline | None, at: datetime) -> None:
    """Nobody waits for it any more."""
    _end(clock, timeline, at, State.CANCELLED)


def _end(clock: SlaClock, timeline: Timeline | None, at: datetime, state: str) -> None:
    clock.ended_at = at
    clock.state = State.BREACHED if clock.breached_at else state
    if timeline is not None:
        elapsed = timeline.elapsed(clock.started_at, max(at, clock.started_at))
        clock.elapsed_seconds = int(elapsed.total_seconds())


def breach(clock: SlaClock) -> None:
    """The due time has passed, whenever somebody noticed."""
    clock.breached_at = clock.due_at
    clock.state = State.BREACHED


def warn(clock: SlaClock, at: datetime) -> None:
    """Somebody was told that most of its time is used up."""
    clock.warned_at = at


def has_run_out(clock: SlaClock, at: datetime) -> bool:
    """Whether it runs and no time is left."""
    return clock.state == State.RUNNING and clock.due_at is not None and clock.due_at <= at


def is_overdue(clock: SlaClock, at: datetime) -> bool:
    """Whether it runs and its time is over. What is done at the very due time is in time."""
    return has_run_out(clock, at) and clock.due_at != at


def is_at_risk(clock: SlaClock, at: datetime) -> bool:
    """Whether it runs and most of its time is used up."""
    return clock.state == State.RUNNING and clock.warn_at is not None and clock.warn_at <= at
