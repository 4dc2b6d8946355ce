"""When an escalation rule acts on a ticket. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tickets.lifecycle import PAUSING_STATUSES
from tickets.models import EscalationRule, SlaClock, Ticket
from tickets.sla.calendar import BusinessCalendar
from tickets.sla.configuration import Rule

Trigger = EscalationRule.Trigger
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Occasion:
    """A rule's reason to act on a ticket, and from when on: once, whoever looks."""

    rule: Rule
    name: str
    cycle: int
    at: datetime

    @property
    def key(self) -> Key:
        """As the alert that says it has acted: occasion, cycle and step."""
        return (self.name, self.cycle, f"rule:{self.rule.id}")


def occasions(
    ticket: Ticket,
    clocks: Sequence[SlaClock],
    rules: Collection[Rule],
    calendar: BusinessCalendar,
) -> list[Occasion]:
    """Every occasion that the ticket gives these rules as it stands, also those acted on already.

    A rule's delay is counted in `calendar`. What has ended gives none, nor does what waits for
    somebody else, as long as it does.
    """
    if ticket.is_ended or ticket.status in PAUSING_STATUSES:
        return []
    return [
        Occasion(rule, name, cycle, calendar.add(since, rule.after))
        for rule in rules
        for name, cycle, since in _begun(ticket, clocks, rule)
    ]


def _begun(
    ticket: Ticket, clocks: Sequence[SlaClock], rule: Rule
) -> Iterator[tuple[str, int, datetime]]:
    """The occasion's name, its cycle, and the instant from which the rule counts its delay."""
    match rule.trigger:
        case Trigger.SLA_WARNING | Trigger.SLA_BREACHED:
            for clock in clocks:
                since = _since(clock, rule)
                if since is not None:
                    yield clock.metric, clock.cycle, since
        case Trigger.NO_FIRST_RESPONSE:
            # A resolution is an answer, too.
            if ticket.first_responded_at is None and not ticket.reopen_count:
                yield rule.trigger, 1, ticket.created_at
        case Trigger.UNASSIGNED:
            # Each stay in the queue is an occasion of its own.
            if ticket.queued_at is not None and ticket.weight:
                yield rule.trigger, int(ticket.queued_at.timestamp()), ticket.queued_at
        case Trigger.REOPENED:
            if ticket.reopen_count >= rule.reopen_count:
                yield rule.trigger, rule.reopen_count, ticket.updated_at


def _since(clock: SlaClock, rule: Rule) -> datetime | None:
    """When the clock reached, or will reach, what the rule waits for."""
    is_still = clock.due_at is None
    if clock.ended_at is not None or is_still or rule.metric not in ("", clock.metric):
        return None
    if rule.trigger == Trigger.SLA_WARNING:
        return clock.warned_at or clock.warn_at
    return clock.breached_at or clock.due_at
