from datetime import datetime

from django.db import transaction

from agents.models import User
from servicedesk.errors import DomainError, NotAllowed
from tickets.events import Entry, record
from tickets.lifecycle import Status
from tickets.locks import lock_ticket
from tickets.models import Kind, Rating, Ticket
from tickets.services.merge import refuse_merged


class NotResolved(DomainError):
    code = "not_resolved"
    title = "Only a resolved ticket can be rated"


@transaction.atomic
def rate(*, ticket: Ticket, score: int, actor: User, at: datetime, comment: str = "") -> Rating:
    """The requester's verdict on the resolution, 1 to 5; a later one replaces it."""
    ticket = lock_ticket(ticket.pk)
    if actor.pk != ticket.requester_id:
        raise NotAllowed("Only the requester rates a ticket.")
    refuse_merged(ticket)
    if ticket.status not in (Status.RESOLVED, Status.CLOSED):
        raise NotResolved(f"The ticket is {ticket.status}.")
    rating, _ = Rating.objects.update_or_create(
        ticket=ticket, defaults={"score": score, "comment": comment, "rated_at": at}
    )
    data = {"score": score}
    record(ticket, Entry(Kind.RATED, data, data), actor=actor, at=at)
    return rating
