"""Keeping time: what a change of a ticket, or time alone, does to its clocks.

Called by tickets.events.record under the ticket's lock, with every change there is, so that no
service can forget it. The clocks follow from the ticket as it stands and from its log.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tickets.models import Alert, Kind, SlaClock, SlaStanding, Ticket
from tickets.sla import clocks as turn
from tickets.sla import configuration
from tickets.sla.calendar import ALWAYS
from tickets.sla.configuration import Configuration
from tickets.sla.following import Follower, Move
from tickets.sla.rules import Occasion, occasions

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


@dataclass
class Kept:
    """What keeping time brought: events to record, ticket fields and rows to save."""

    news: list[tuple[Kind, dict[str, Any]]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    clocks: list[SlaClock] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)

    def tell(self, ticket: Ticket, clock: SlaClock, kind: Kind, step: str, at: datetime) -> None:
        assert clock.due_at is not None
        data = {"metric": clock.metric, "due_at": clock.due_at.isoformat().replace("+00:00", "Z")}
        self.news.append((kind, data))
        self.alerts.append(
            Alert(ticket=ticket, occasion=clock.metric, cycle=clock.cycle, step=step, at=at)
        )

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
    before = [_values(clock) for clock in found]
    follower = Follower(ticket, at, config, found, moves)
    follower.take_up_changes()
    kept = _let_time_pass(ticket, found, at, warns=warns)
    follower.follow()
    kept.clocks = [
        clock
        for position, clock in enumerate(found)
        if clock._state.adding or _values(clock) != before[position]
    ]
    kept.fields = _sum_up(follower)
    return kept


def _let_time_pass(
    ticket: Ticket, clocks: Collection[SlaClock], at: datetime, *, warns: bool
) -> Kept:
    """Note what was broken, and on request what is at risk, before anything changes.

    For who comes by, what is done at the very due time is in time; who looks for it finds that
    the time is over.
    """
    kept = Kept()
    for clock in clocks:
        if turn.is_overdue(clock, at) or (warns and turn.has_run_out(clock, at)):
            turn.breach(clock)
            kept.tell(ticket, clock, Kind.SLA_BREACHED, "breach", at)
        elif warns and clock.warned_at is None and turn.is_at_risk(clock, at):
            turn.warn(clock, at)
            kept.tell(ticket, clock, Kind.SLA_WARNED, "warning", at)
    return kept


def _sum_up(kept: Follower) -> set[str]:
    """Write what the clocks come to onto the ticket; answers the fields that changed."""
    ticket, clocks = kept.ticket, kept.clocks
    was = {name: getattr(ticket, name) for name in TICKET_FIELDS}
    going = [clock for clock in clocks if clock.ended_at is None and clock.due_at]
    running = [clock for clock in going if clock.state == State.RUNNING]
    ticket.sla_policy_id = kept.policy.id if kept.policy else None
    ticket.sla_revision = kept.config.revision
    ticket.sla_standing = standing_of(clocks)
    ticket.sla_due_at = _first(clock.due_at for clock in going)
    ticket.sla_warn_at = _first(clock.warn_at for clock in running)
    ticket.next_sla_at = _first(
        [
            *(clock.due_at for clock in running),
            *(clock.warn_at for clock in running if clock.warned_at is None),
            *(occasion.at for occasion in occasions_left(ticket, clocks, kept.config, kept.at)),
        ]
    )
    return {name for name, value in was.items() if getattr(ticket, name) != value}


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
