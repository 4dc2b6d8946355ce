"""The row of a reply or note; what follows from it is decided by who adds it."""

from datetime import datetime

from agents.models import User
from tickets.events import Entry, next_seqs
from tickets.models import Kind, Message, Ticket
from tickets.parts import is_agent_reply


def add_message(
    ticket: Ticket,
    author: User,
    body: str,
    *,
    is_internal: bool,
    at: datetime,
    client_msg_id: str | None = None,
) -> tuple[Entry, set[str]]:
    """Insert the message under the ticket's lock; the caller records the entry next, first of all.

    Answers the entry and the names of the ticket's fields that changed with it.
    """
    seq, public_seq = next_seqs(ticket, is_public=not is_internal)
    message = Message.objects.create(
        ticket=ticket,
        author=author,
        body=body,
        is_internal=is_internal,
        created_at=at,
        seq=seq,
        public_seq=public_seq,
        client_msg_id=client_msg_id or None,
    )
    changed = set()
    is_first = ticket.first_responded_at is None
    if is_first and not is_internal and is_agent_reply(author, ticket):
        ticket.first_responded_at = at
        changed.add("first_responded_at")
    if not is_internal:
        changed |= _wait_or_not(ticket, author, at)
    data = {"message": message.pk}
    return Entry(Kind.MESSAGE_CREATED, data, None if is_internal else data), changed


def _wait_or_not(ticket: Ticket, author: User, at: datetime) -> set[str]:
    """A customer's first unanswered message makes them wait; the desk's answer ends it."""
    waits = not is_agent_reply(author, ticket)
    if waits == (ticket.waiting_since is not None):
        return set()
    ticket.waiting_since = at if waits else None
    return {"waiting_since"}
