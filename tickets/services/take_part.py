from datetime import datetime

from django.db import transaction

from agents.models import User
from servicedesk.errors import FieldError
from tickets.events import Entry, record
from tickets.locks import lock_ticket
from tickets.models import Kind, Participant, Ticket
from tickets.parts import require_staff
from tickets.services.merge import refuse_merged


@transaction.atomic
def add_participant(*, ticket: Ticket, user: User, actor: User, at: datetime) -> bool:
    """Let somebody else see the ticket. False where they take part already."""
    require_staff(actor)
    if not user.is_active:
        raise FieldError("user", "This account is inactive.")
    ticket = lock_ticket(ticket.pk)
    refuse_merged(ticket)
    _, is_new = Participant.objects.get_or_create(
        ticket=ticket, user=user, defaults={"added_at": at}
    )
    if is_new:
        _record(ticket, actor, at, added=[user.pk])
    return is_new


@transaction.atomic
def remove_participant(*, ticket: Ticket, user_id: int, actor: User, at: datetime) -> bool:
    """Take the ticket out of somebody's sight. False where they took no part."""
    require_staff(actor)
    ticket = lock_ticket(ticket.pk)
    removed, _ = Participant.objects.filter(ticket=ticket, user=user_id).delete()
    if removed:
        _record(ticket, actor, at, removed=[user_id])
    return bool(removed)


def _record(
    ticket: Ticket,
    actor: User,
    at: datetime,
    added: list[int] | None = None,
    removed: list[int] | None = None,
) -> None:
    data = {"added": added or [], "removed": removed or []}
    entry = Entry(Kind.PARTICIPANTS_CHANGED, data, data)
    record(ticket, entry, actor=actor, at=at, changed=["version"])
