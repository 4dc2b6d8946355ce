"""What must hold of a ticket's clocks, worked out from its log with nothing but a stopwatch.

For policies that count around the clock: there working time is time.
"""

from collections import Counter
from datetime import datetime, timedelta

from tickets.lifecycle import Status
from tickets.models import Kind, SlaClock, Ticket

STILL = {Status.PENDING, Status.ON_HOLD, Status.RESOLVED, Status.CLOSED, Status.CANCELLED}


def used(ticket: Ticket, since: datetime, until: datetime) -> timedelta:
    """How long the ticket was neither paused nor ended between the two instants."""
    total, status, at = timedelta(), str(Status.NEW), ticket.created_at
    moves = [(e.data["to"], e.at) for e in ticket.events.all() if e.kind == Kind.STATUS_CHANGED]
    for to, then in [*moves, ("", until)]:
        begin, end = max(at, since), min(then, until)
        if status not in STILL and begin < end:
            total += end - begin
        status, at = to, then
    return total


def assert_clocks_follow(ticket: Ticket) -> None:
    """The ticket comes with its events, as the last change left it."""
    clocks = list(SlaClock.objects.filter(ticket=ticket).order_by("id"))
    going = [clock for clock in clocks if clock.ended_at is None]
    cycles = Counter(clock.metric for clock in clocks)
    for metric, count in cycles.items():
        found = [clock.cycle for clock in clocks if clock.metric == metric]
        assert found == list(range(1, count + 1))
    assert all(count == 1 for count in Counter(clock.metric for clock in going).values())
    assert not (going and ticket.is_ended)
    for clock in going:
        _assert_goes_on(ticket, clock)
    _assert_told_once(ticket, clocks)
    _assert_summed_up(ticket, going)


def _assert_goes_on(ticket: Ticket, clock: SlaClock) -> None:
    assert clock.met_at is None
    if ticket.status in STILL:
        assert (clock.due_at, clock.warn_at) == (None, None)
        assert clock.state == ("breached" if clock.breached_at else "paused")
        return
    assert clock.state == ("breached" if clock.breached_at else "running")
    assert clock.due_at is not None
    target = timedelta(seconds=clock.target_seconds)
    now = ticket.updated_at
    left = target - used(ticket, clock.started_at, now)
    if left >= timedelta():
        assert clock.due_at == now + left
    else:
        # It ran out before: at an instant by which exactly so much was used.
        assert used(ticket, clock.started_at, clock.due_at) == target


def _assert_told_once(ticket: Ticket, clocks: list[SlaClock]) -> None:
    told = Counter(event.kind for event in ticket.events.all())
    assert told[Kind.SLA_BREACHED] == sum(clock.breached_at is not None for clock in clocks)
    assert told[Kind.SLA_WARNED] == sum(clock.warned_at is not None for clock in clocks)


def _assert_summed_up(ticket: Ticket, going: list[SlaClock]) -> None:
    due = [clock.due_at for clock in going if clock.due_at]
    assert ticket.sla_due_at == min(due, default=None)
    running = [clock for clock in going if clock.state == "running"]
    waited_for = [
        instant
        for clock in running
        for instant in (clock.due_at, None if clock.warned_at else clock.warn_at)
        if instant is not None
    ]
    if waited_for:
        assert ticket.next_sla_at is not None
        assert ticket.next_sla_at <= min(waited_for)
