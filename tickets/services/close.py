"""Closing by itself."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from tickets.events import record
from tickets.lifecycle import Status
from tickets.locks import lock_free_ticket
from tickets.models import Ticket
from tickets.services.move import STATUS_FIELDS, move_by_itself


@transaction.atomic
def close_resolved(*, ticket_id: int, at: datetime) -> bool:
    """The desk closes a ticket that has been resolved for long enough (AUTO_CLOSE_AFTER).

    False where that is not so any more, or where somebody has the ticket in hand at this moment:
    what they do may well keep it open, and the next round looks again.
    """
    free = lock_free_ticket(ticket_id)
    if free is None or not _is_over(free, at):
        return False
    entry = move_by_itself(free, Status.CLOSED, at=at)
    record(free, entry, actor=None, at=at, changed=STATUS_FIELDS)
    return True


def _is_over(ticket: Ticket, at: datetime) -> bool:
    if ticket.status != Status.RESOLVED or ticket.resolved_at is None:
        return False
    return at >= ticket.resolved_at + settings.AUTO_CLOSE_AFTER
