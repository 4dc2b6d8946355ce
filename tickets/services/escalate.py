"""Raising a ticket: because somebody asks for it, or because a rule does."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import structlog
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
from tickets.sla.rules import Key, Occasion

log = structlog.get_logger(__name__)

RAISED = ("escalation_level", "priority")
# When a ticket is looked at again on which a rule has failed: not within the same run of a sweep.
TRIED_AGAIN_AFTER = timedelta(minutes=1)


class EscalationLimit(DomainError):
    code = "escalation_limit"
    title = "The ticket cannot be escalated further"


class RulesFailed(Exception):
    """Some rules could not act (each is logged); whatever else was due is done and committed."""


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


def escalate_due(*, ticket_id: int, at: datetime) -> Ticket | None:
    """What time alone asks for: warnings, breaches, and the rules whose moment has come.

    Each happens once for a ticket, occasion and step, whoever comes and however often. None where
    somebody else has the ticket locked, or has done it by now. At most one rule hands the ticket
    over; the next one that would leaves it due for another round, which locks the agents anew.
    Raises RulesFailed, after everything else is committed.
    """
    failed: set[Key] = set()
    ticket = _follow_time(ticket_id, at, failed)
    if failed:
        steps = ", ".join(sorted(step for _, _, step in failed))
        raise RulesFailed(f"On ticket {ticket_id}: {steps}.")
    return ticket


@transaction.atomic
def _follow_time(ticket_id: int, at: datetime, failed: set[Key]) -> Ticket | None:
    """The same; a rule that fails takes down what it did itself, and is added to `failed`."""
    ticket = lock_free_ticket(ticket_id)
    if ticket is None or not _is_due(ticket, at):
        return None
    is_moved = False
    # What a rule does may settle the next one's occasion, or bring the next promise due.
    while _is_due(ticket, at):
        record(ticket, actor=None, at=at, warns=True)
        occasion = _first_due(ticket, at, failed)
        if occasion is None:
            break
        if occasion.rule.reassigns and is_moved:
            return ticket
        try:
            with transaction.atomic():
                is_moved |= _act(ticket, occasion, at)
        except Exception:
            log.exception("rule_failed", ticket=ticket_id, rule=occasion.rule.id)
            failed.add(occasion.key)
            # As it is in the database: this one has been changed halfway.
            ticket = lock_ticket(ticket_id)
    if failed:
        ticket.next_sla_at = at + TRIED_AGAIN_AFTER
        ticket.save(update_fields=["next_sla_at"])
    return ticket


def _is_due(ticket: Ticket, at: datetime) -> bool:
    return ticket.next_sla_at is not None and ticket.next_sla_at <= at


def _first_due(ticket: Ticket, at: datetime, failed: Collection[Key]) -> Occasion | None:
    """The first occasion whose moment has come, but for those that have failed."""
    clocks = list(ticket.clocks.order_by("id"))
    left = occasions_left(ticket, clocks, configuration.current(), at)
    due = [occasion for occasion in left if occasion.at <= at and occasion.key not in failed]
    return min(due, key=lambda occasion: (occasion.at, occasion.rule.id), default=None)


def _act(ticket: Ticket, occasion: Occasion, at: datetime) -> bool:
    """Do what a rule says, and note that it is done before the clocks look for what is next.

    Answers whether the ticket has changed hands.
    """
    rule = occasion.rule
    name, cycle, step = occasion.key
    Alert.objects.create(ticket=ticket, occasion=name, cycle=cycle, step=step, at=at)
    internal = {"reason": rule.name, "rule": rule.id, "notifies": list(rule.notifies)}
    level = max(ticket.escalation_level, rule.level)
    entry = _raise(ticket, level, raises_priority=rule.raises_priority, internal=internal)
    record(ticket, entry, actor=None, at=at, changed=RAISED if entry.public else ())
    return rule.reassigns and pass_up(ticket, actor=None, at=at)


def _raise(ticket: Ticket, level: int, *, raises_priority: bool, internal: dict[str, Any]) -> Entry:
    """Set level and priority; the customer hears of it where that changes anything."""
    before = Priority(ticket.priority)
    after = before.raised() if raises_priority else before
    is_raised = level > ticket.escalation_level or after > before
    ticket.escalation_level, ticket.priority = level, after
    public = {
        "level": level,
        "from_priority": before.key,
        "to_priority": after.key,
    }
    return Entry(Kind.ESCALATED, {**public, **internal}, public if is_raised else None)
