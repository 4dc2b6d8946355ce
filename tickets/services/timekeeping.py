"""What happens to a ticket because time passes."""

from datetime import datetime

from django.db import transaction

from tickets.events import record
from tickets.locks import lock_ticket
from tickets.models import Ticket


@transaction.atomic
def pass_time(*, ticket: Ticket, at: datetime, warns: bool = False) -> Ticket:
    """Let the ticket's clocks catch up with the time and with what is promised now.

    Records what they notice: breaches, and with `warns` what is at risk. Twice is the same as
    once.
    """
    ticket = lock_ticket(ticket.pk)
    record(ticket, actor=None, at=at, warns=warns)
    return ticket
