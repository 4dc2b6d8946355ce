"""The rows of replies and notes; what follows from them is decided by who adds or moves them."""

import hashlib
from datetime import datetime

from agents.models import User
from tickets.events import Entry, next_seqs
from tickets.models import Kind, Message, Ticket
from tickets.parts import is_agent_reply

MERGED = "merged:"
MOVED_FIELDS = ("ticket", "seq", "public_seq", "merged_from", "client_msg_id")


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
    # Conversations are read in this order; as in the log, time does not run backwards.
    at = max(at, ticket.updated_at)
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


def move_messages(source: Ticket, survivor: Ticket) -> list[Entry]:
    """Let the survivor have the source's conversation, its opening text included.

    Under both locks. The caller records the entries next, first of all: the messages take new
    places, those of these events, and keep their time.
    """
    opening = Message(
        author=source.requester,
        body=source.description if source.description.strip() else source.subject,
        created_at=source.created_at,
    )
    said = Message.objects.filter(ticket=source.pk).order_by("created_at", "id").defer("body")
    messages = [opening, *said]
    seq, public_seq = survivor.last_seq, survivor.last_public_seq
    for message in messages:
        seq += 1
        public_seq += not message.is_internal
        message.seq, message.public_seq = seq, None if message.is_internal else public_seq
        message.ticket = survivor
        message.merged_from_id = message.merged_from_id or source.pk
        message.client_msg_id = name_through(source.pk, message.client_msg_id)
    opening.save(force_insert=True)
    Message.objects.bulk_update(messages[1:], MOVED_FIELDS, batch_size=500)
    return [_moved(message) for message in messages]


def _moved(message: Message) -> Entry:
    data = {"message": message.pk, "merged_from": message.merged_from_id}
    return Entry(Kind.MESSAGE_CREATED, data, None if message.is_internal else data)


def name_through(ticket_id: int, client_msg_id: str | None) -> str | None:
    """What a client's name for a message becomes where it was sent to a ticket that was merged:
    clients may use the same one in both tickets."""
    if client_msg_id is None or client_msg_id.startswith(MERGED):
        return client_msg_id
    digest = hashlib.sha256(client_msg_id.encode()).hexdigest()[:32]
    return f"{MERGED}{ticket_id}:{digest}"


def _wait_or_not(ticket: Ticket, author: User, at: datetime) -> set[str]:
    """A customer's first unanswered message makes them wait; the desk's answer ends it."""
    waits = not is_agent_reply(author, ticket)
    if waits == (ticket.waiting_since is not None):
        return set()
    ticket.waiting_since = at if waits else None
    return {"waiting_since"}
