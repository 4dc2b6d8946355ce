"""What a ticket, as it stands, asks of its clocks. Reads the ticket's log, saves nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from tickets.lifecycle import Status
from tickets.models import Metric, SlaClock, Ticket
from tickets.sla import clocks as turn
from tickets.sla.configuration import Configuration, Policy
from tickets.sla.periods import periods
from tickets.sla.timeline import Timeline

Move = tuple[str, datetime]


@dataclass
class Follower:
    """One ticket's clocks, the oldest first, at one instant; `follow` changes them and adds to
    them. `moves` are changes of the status that are not in the log yet."""

    ticket: Ticket
    at: datetime
    config: Configuration
    clocks: list[SlaClock]
    moves: Collection[Move] = ()
    policy: Policy | None = field(init=False)

    def __post_init__(self) -> None:
        self.policy = self.config.policy_for(self.ticket)

    @cached_property
    def timeline(self) -> Timeline | None:
        """Read when something needs it: most changes of a ticket move no clock."""
        if self.policy is None:
            return None
        return Timeline(self.policy, periods(self.ticket, self.moves), self.at)

    def take_up_changes(self) -> None:
        """Work out anew what runs, where the promises are not those it was worked out with.

        Before anything is judged by a due time: a breach stays, and must not be one of a calendar
        that somebody has changed in time.
        """
        if self.policy is None or self.ticket.sla_revision == self.config.revision:
            return
        running = [clock for clock in self.clocks if clock.ended_at is None and clock.due_at]
        until_now = Timeline(self.policy, periods(self.ticket) if running else [], self.at)
        for clock in running:
            target = self._target(clock.metric)
            if target is not None:
                turn.start(clock, until_now, target)

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
        asked = ticket.waiting_since if self._was_answered() else None
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

    def _was_answered(self) -> bool:
        """By a reply, or by a resolution that the customer came back from."""
        first = self._latest(Metric.FIRST_RESPONSE)
        was_resolved = self.ticket.reopen_count > 0 and (first is None or first.met_at is not None)
        return self.ticket.first_responded_at is not None or was_resolved

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
        if is_running and not self._is_promised_anew(clock, target):
            return
        assert self.timeline is not None
        turn.start(clock, self.timeline, target)

    def _pause(self, clock: SlaClock, target: timedelta) -> None:
        is_still = clock.ended_at is None and clock.due_at is None
        if is_still and not clock._state.adding and not self._is_promised_anew(clock, target):
            return
        assert self.timeline is not None
        turn.pause(clock, self.timeline, target)

    def _is_promised_anew(self, clock: SlaClock, target: timedelta) -> bool:
        return clock.target_seconds != int(target.total_seconds()) or clock.policy_id != (
            self.policy.id if self.policy else None
        )

    def _meet(self, clock: SlaClock, at: datetime) -> None:
        if clock.ended_at is None:
            turn.meet(clock, self.timeline, at)

    def _cancel(self, clock: SlaClock) -> None:
        if clock._state.adding:
            self.clocks.remove(clock)
        elif clock.ended_at is None:
            turn.cancel(clock, self.timeline, self.at)
