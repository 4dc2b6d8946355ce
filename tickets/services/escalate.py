"""Raising a ticket: because somebody asks for it, or because a rule does."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.models import User
from servicedesk.errors import DomainError
from tickets.events import Entry, record
from tickets.locks import lock_free_ticket, lock_ticket
from tickets.models import Alert, Kind, Priority, Ticket
from tickets.models.ticket import MAX_ESCALATION_LEVEL
from tickets.parts import require_staff
from tickets.services.assign import TicketEnded
from tickets.services.path import pass_up
from tickets.sla import configuration
from tickets.sla.keeping import occasions_left
from tickets.sla.rules import Occasion

RAISED = ("escalation_level", "priority")


class EscalationLimit(DomainError):
    code = "escalation_limit"
    title = "The ticket cannot be escalated further"


@transaction.atomic
def escalate(
    *,
    ticket: Ticket,
    reason: str,
    actor: User,
    at: datetime,
    level: int | None = None,
    expected: Collection[int] | None = None,
) -> Ticket:
    """Raise the ticket's level (by one, or to `level`) and its priority one step, and hand it to
    the next on the escalation path who has room.

    Raises TicketEnded, and EscalationLimit above level 3 or at or below the present level.
    """
    require_staff(actor)
    ticket = lock_ticket(ticket.pk, expected)
    if ticket.is_ended:
        raise TicketEnded(f"The ticket is {ticket.status}.")
    target = ticket.escalation_level + 1 if level is None else level
    if not ticket.escalation_level < target <= MAX_ESCALATION_LEVEL:
        raise EscalationLimit(
            f"The ticket is at level {ticket.escalation_level} of {MAX_ESCALATION_LEVEL}.",
            escalation_level=ticket.escalation_level,
        )
    entry = _raise(ticket, target, raises_priority=True, internal={"reason": reason})
    record(ticket, entry, actor=actor, at=at, changed=RAISED)
    pass_up(ticket, actor=actor, at=at)
    return ticket


@transaction.atomic
def escalate_due(*, ticket_id: int, at: datetime) -> Ticket | None:
    """What time alone asks for: warnings, breaches, and the rules whose moment has come.

    Each happens once for a ticket, occasion and step, whoever comes and however often. None where
    somebody else has the ticket locked, or has done it by now.
    """
    ticket = lock_free_ticket(ticket_id)
    if ticket is None or ticket.next_sla_at is None or ticket.next_sla_at > at:
        return None
    record(ticket, actor=None, at=at, warns=True)
    for occasion in _due(ticket, at):
        _act(ticket, occasion, at)
    return ticket


def _due(ticket: Ticket, at: datetime) -> list[Occasion]:
    """The occasions whose moment has come, in its order."""
    clocks = list(ticket.clocks.order_by("id"))
    left = occasions_left(ticket, clocks, configuration.current(), at)
    due = [occasion for occasion in left if occasion.at <= at]
    return sorted(due, key=lambda occasion: (occasion.at, occasion.rule.id))


def _act(ticket: Ticket, occasion: Occasion, at: datetime) -> None:
    """Do what a rule says, and note that it is done before the clocks look for what is next."""
    rule = occasion.rule
    name, cycle, step = occasion.key
    Alert.objects.create(ticket=ticket, occasion=name, cycle=cycle, step=step, at=at)
    internal = {"reason": rule.name, "rule": rule.id, "notifies": list(rule.notifies)}
    level = max(ticket.escalation_level, rule.level)
    entry = _raise(ticket, level, raises_priority=rule.raises_priority, internal=internal)
    record(ticket, entry, actor=None, at=at, changed=RAISED if entry.public else ())
    if rule.reassigns:
        pass_up(ticket, actor=None, at=at)


def _raise(ticket: Ticket, level: int, *, raises_priority: bool, internal: dict[str, Any]) -> Entry:
    """Set level and priority; the customer hears of it where that changes anything."""
    before = Priority(ticket.priority)
    is_raised = level > ticket.escalation_level or raises_priority
    ticket.escalation_level = level
    ticket.priority = before.raised() if raises_priority else before
    public = {
        "level": level,
        "from_priority": before.key,
        "to_priority": Priority(ticket.priority).key,
    }
    return Entry(Kind.ESCALATED, {**public, **internal}, public if is_raised else None)
