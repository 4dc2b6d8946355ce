"""Keeping time: what a change of a ticket, or time alone, does to its clocks.

Called by tickets.events.record under the ticket's lock, with every change there is, so that no
service can forget it. The clocks follow from the ticket as it stands and from its log.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from tickets.lifecycle import Status
from tickets.models import Alert, Kind, Metric, SlaClock, SlaStanding, Ticket
from tickets.sla import clocks as turn
from tickets.sla import configuration
from tickets.sla.calendar import ALWAYS
from tickets.sla.configuration import Configuration
from tickets.sla.periods import periods
from tickets.sla.rules import Occasion, occasions
from tickets.sla.timeline import Timeline

State = SlaClock.State
TICKET_FIELDS = (
    "sla_policy_id",
    "sla_standing",
    "sla_due_at",
    "sla_warn_at",
    "next_sla_at",
    "sla_revision",
)
CLOCK_FIELDS = (
    "policy_id",
    "state",
    "target_seconds",
    "due_at",
    "warn_at",
    "warned_at",
    "breached_at",
    "met_at",
    "ended_at",
    "elapsed_seconds",
)
Move = tuple[str, datetime]


@dataclass
class Kept:
    """What keeping time brought: events to record, ticket fields and rows to save."""

    news: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    clocks: list[SlaClock] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)

    def save(self) -> None:
        """The rows; the ticket is there already."""
        SlaClock.objects.bulk_create([clock for clock in self.clocks if clock._state.adding])
        for clock in self.clocks:
            if not clock._state.adding:
                clock.save(update_fields=CLOCK_FIELDS)
        Alert.objects.bulk_create(self.alerts)


def keep_time(
    ticket: Ticket, at: datetime, *, moves: Collection[Move] = (), warns: bool = False
) -> Kept:
    """Let the ticket's clocks follow it; sets the ticket's TICKET_FIELDS, saves nothing.

    `moves` are changes of the status that are about to be recorded. Warnings are given to those
    who look for them (`warns`); a breach is noticed by whoever comes by.
    """
    config = configuration.current()
    if not config.revision:
        return Kept()
    if ticket._state.adding:
        found: list[SlaClock] = []
    else:
        found = list(SlaClock.objects.filter(ticket=ticket).order_by("id"))
    keeper = _Keeper(ticket, at, config, found, moves)
    keeper.let_time_pass(warns=warns)
    keeper.follow()
    return keeper.finish()


class _Keeper:
    """One ticket's clocks at one instant."""

    def __init__(
        self,
        ticket: Ticket,
        at: datetime,
        config: Configuration,
        clocks: list[SlaClock],
        moves: Collection[Move],
    ) -> None:
        self.ticket, self.at, self.config, self.clocks, self.moves = (
            ticket,
            at,
            config,
            clocks,
            moves,
        )
        self.kept = Kept()
        self.before = [_values(clock) for clock in clocks]
        self.policy = config.policy_for(ticket)

    @cached_property
    def timeline(self) -> Timeline | None:
        """Read when something needs it: most changes of a ticket move no clock."""
        if self.policy is None:
            return None
        return Timeline(self.policy, periods(self.ticket, self.moves), self.at)

    def let_time_pass(self, *, warns: bool) -> None:
        """Note what was broken, and on request what is at risk, before anything changes."""
        for clock in self.clocks:
            if turn.is_overdue(clock, self.at) or (warns and clock.due_at == self.at):
                turn.breach(clock)
                self._tell(clock, Kind.SLA_BREACHED, "breach")
            elif warns and clock.warned_at is None and turn.is_at_risk(clock, self.at):
                clock.warned_at = self.at
                self._tell(clock, Kind.SLA_WARNED, "warning")

    def _tell(self, clock: SlaClock, kind: Kind, step: str) -> None:
        assert clock.due_at is not None
        data = {"metric": clock.metric, "due_at": clock.due_at.isoformat().replace("+00:00", "Z")}
        self.kept.news.append((kind, data))
        self.kept.alerts.append(
            Alert(
                ticket=self.ticket,
                occasion=clock.metric,
                cycle=clock.cycle,
                step=step,
                at=self.at,
            )
        )

    def follow(self) -> None:
        """Start, move, stop and end the clocks as the ticket stands now."""
        self._follow_first_response()
        self._follow_next_response()
        self._follow_resolution()

    def _follow_first_response(self) -> None:
        ticket, clock = self.ticket, self._latest(Metric.FIRST_RESPONSE)
        if clock is None and ticket.first_responded_at is None and not ticket.is_ended:
            clock = self._new(Metric.FIRST_RESPONSE, ticket.created_at)
        if clock is None or clock.met_at is not None:
            return
        if ticket.first_responded_at is not None:
            self._meet(clock, ticket.first_responded_at)
        else:
            self._go_on_or_end(clock)

    def _follow_next_response(self) -> None:
        """Each question of the customer that follows an answer has a clock of its own."""
        ticket, clock = self.ticket, self._latest(Metric.NEXT_RESPONSE)
        asked = ticket.waiting_since if ticket.first_responded_at else None
        if asked is not None and (clock is None or clock.started_at != asked):
            if clock is not None:
                self._cancel(clock)
            cycle = clock.cycle + 1 if clock else 1
            clock = self._new(Metric.NEXT_RESPONSE, asked, cycle)
        if clock is None or clock.met_at is not None:
            return
        if asked is None and ticket.status != Status.CANCELLED and not ticket.merged_into_id:
            self._meet(clock, self.at)
        else:
            self._go_on_or_end(clock)

    def _follow_resolution(self) -> None:
        ticket, clock = self.ticket, self._latest(Metric.RESOLUTION)
        if clock is None and not ticket.is_ended:
            clock = self._new(Metric.RESOLUTION, ticket.created_at)
        if clock is not None:
            self._go_on_or_end(clock)

    def _latest(self, metric: str) -> SlaClock | None:
        return next((clock for clock in reversed(self.clocks) if clock.metric == metric), None)

    def _new(self, metric: str, since: datetime, cycle: int = 1) -> SlaClock | None:
        """A clock, if that is promised at all; it is not running yet."""
        if self._target(metric) is None:
            return None
        clock = SlaClock(ticket=self.ticket, metric=metric, cycle=cycle, started_at=since)
        self.clocks.append(clock)
        return clock

    def _target(self, metric: str) -> timedelta | None:
        return self.policy.target(self.ticket, metric) if self.policy else None

    def _go_on_or_end(self, clock: SlaClock) -> None:
        """What the ticket's status asks of a clock whose end is not an answer."""
        target = self._target(clock.metric)
        if self.ticket.merged_into_id or self.ticket.status == Status.CANCELLED or target is None:
            self._cancel(clock)
        elif self.ticket.is_ended:
            self._meet(clock, self.ticket.resolved_at or self.at)
        elif self.policy is not None and self.ticket.status in self.policy.pauses:
            self._pause(clock, target)
        else:
            self._run(clock, target)

    def _run(self, clock: SlaClock, target: timedelta) -> None:
        is_running = clock.ended_at is None and clock.due_at is not None
        if is_running and not self._is_worked_out_anew(clock, target):
            return
        assert self.timeline is not None
        turn.start(clock, self.timeline, target)

    def _pause(self, clock: SlaClock, target: timedelta) -> None:
        is_still = clock.ended_at is None and clock.due_at is None
        if is_still and not clock._state.adding and not self._is_worked_out_anew(clock, target):
            return
        assert self.timeline is not None
        turn.pause(clock, self.timeline, target)

    def _is_worked_out_anew(self, clock: SlaClock, target: timedelta) -> bool:
        return (
            clock.target_seconds != int(target.total_seconds())
            or clock.policy_id != (self.policy.id if self.policy else None)
            or self.ticket.sla_revision != self.config.revision
        )

    def _meet(self, clock: SlaClock, at: datetime) -> None:
        if clock.ended_at is None:
            turn.meet(clock, self.timeline, at)

    def _cancel(self, clock: SlaClock) -> None:
        if clock._state.adding:
            self.clocks.remove(clock)
        elif clock.ended_at is None:
            turn.cancel(clock, self.timeline, self.at)

    def finish(self) -> Kept:
        """Write the sum of the clocks onto the ticket, and name what has to be saved."""
        old = list(self.before)
        self.kept.clocks = [
            clock
            for position, clock in enumerate(self.clocks)
            if clock._state.adding or _values(clock) != old[position]
        ]
        was = [getattr(self.ticket, name) for name in TICKET_FIELDS]
        self._sum_up()
        self.kept.fields = {
            name
            for name, value in zip(TICKET_FIELDS, was, strict=True)
            if getattr(self.ticket, name) != value
        }
        return self.kept

    def _sum_up(self) -> None:
        ticket = self.ticket
        going = [clock for clock in self.clocks if clock.ended_at is None and clock.due_at]
        running = [clock for clock in going if clock.state == State.RUNNING]
        ticket.sla_policy_id = self.policy.id if self.policy else None
        ticket.sla_revision = self.config.revision
        ticket.sla_standing = standing_of(self.clocks)
        ticket.sla_due_at = _first(clock.due_at for clock in going)
        ticket.sla_warn_at = _first(clock.warn_at for clock in running)
        waiting = [clock.warn_at for clock in running if clock.warned_at is None]
        due = [clock.due_at for clock in running]
        ticket.next_sla_at = _first([*waiting, *due, self._next_occasion()])

    def _next_occasion(self) -> datetime | None:
        """When the next escalation rule acts on the ticket."""
        found = occasions_left(self.ticket, self.clocks, self.config, self.at)
        return _first(occasion.at for occasion in found)


def occasions_left(
    ticket: Ticket, clocks: Sequence[SlaClock], config: Configuration, at: datetime
) -> list[Occasion]:
    """What escalation rules will act on, or should have by now, and have not acted on yet."""
    policy = config.policy_for(ticket)
    calendar = policy.calendar if policy else ALWAYS
    found = occasions(ticket, clocks, config.rules_for(ticket), calendar)
    if ticket._state.adding or all(occasion.at > at for occasion in found):
        return found
    acted = set(Alert.objects.filter(ticket=ticket).values_list("occasion", "cycle", "step"))
    return [occasion for occasion in found if occasion.key not in acted]


def standing_of(clocks: Collection[SlaClock]) -> SlaStanding:
    """The worst that can be said of a ticket's clocks; a broken promise stays broken."""
    states = {clock.state for clock in clocks}
    order = (State.BREACHED, State.RUNNING, State.PAUSED, State.MET)
    return next((SlaStanding(state) for state in order if state in states), SlaStanding.NONE)


def _first(instants: Iterable[datetime | None]) -> datetime | None:
    return min((instant for instant in instants if instant is not None), default=None)


def _values(clock: SlaClock) -> tuple[Any, ...]:
    return tuple(getattr(clock, name) for name in CLOCK_FIELDS)
