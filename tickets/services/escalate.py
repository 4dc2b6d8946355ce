from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from agents.models import User
from servicedesk.errors import DomainError
from tickets.events import Entry, record
from tickets.locks import lock_ticket
from tickets.models import Kind, Priority, Ticket
from tickets.models.ticket import MAX_ESCALATION_LEVEL
from tickets.parts import require_staff
from tickets.services.assign import TicketEnded


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
    """Raise the ticket's escalation level (by one, or to `level`) and its priority one step.

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
    before = Priority(ticket.priority)
    ticket.escalation_level = target
    ticket.priority = before.raised()
    public = {
        "level": target,
        "from_priority": before.key,
        "to_priority": Priority(ticket.priority).key,
    }
    entry = Entry(Kind.ESCALATED, {**public, "reason": reason}, public)
    record(ticket, entry, actor=actor, at=at, changed=["escalation_level", "priority"])
    return ticket
