"""The rows of replies and notes; what follows from them is decided by who adds or moves them."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from agents.models import User
from tickets.events import Entry, next_seqs
from tickets.models import Kind, Message, Ticket
from tickets.parts import is_agent_reply

# How names of our own begin. Those of clients that do are kept under another one (`kept_name`).
THROUGH, HASHED = "through:", "hashed:"
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


def move_messages(source: Ticket, survivor: Ticket) -> tuple[list[Entry], set[str]]:
    """Let the survivor have the source's conversation, its opening text included.

    Under both locks. The caller records the entries next, first of all: the messages take new
    places, those of these events, and keep their time. Answers the entries and the names of the
    survivor's fields that changed with them.
    """
    opening = Message(
        author=source.requester,
        body=source.description if source.description.strip() else source.subject,
        created_at=source.created_at,
    )
    said = Message.objects.filter(ticket=source.pk).order_by("created_at", "id").defer("body")
    messages = [opening, *said.select_related("author")]
    seq, public_seq = survivor.last_seq, survivor.last_public_seq
    for message in messages:
        seq += 1
        public_seq += not message.is_internal
        message.seq, message.public_seq = seq, None if message.is_internal else public_seq
        message.ticket = survivor
        message.merged_from_id = message.merged_from_id or source.pk
        message.client_msg_id = name_through(source.pk, message.client_msg_id)
    changed = _take_up_answers(survivor, messages) | _wait_with(source, survivor)
    opening.save(force_insert=True)
    Message.objects.bulk_update(messages[1:], MOVED_FIELDS, batch_size=500)
    return [_moved(message) for message in messages], changed


def _moved(message: Message) -> Entry:
    """Which ticket it was said in is for the desk: the survivor's customers may not know of it."""
    public = {"message": message.pk}
    data = {**public, "merged_from": message.merged_from_id}
    return Entry(Kind.MESSAGE_CREATED, data, None if message.is_internal else public)


def _take_up_answers(survivor: Ticket, moved: Sequence[Message]) -> set[str]:
    """What the desk said in the source since there is a survivor was said to its customer, too.

    It ends the wait for an answer, but for what was asked after it.
    """
    answers = [at for at in _answered_at(survivor, moved) if at > survivor.created_at]
    if not answers:
        return set()
    changed = set()
    if survivor.first_responded_at is None:
        survivor.first_responded_at = answers[0]
        changed.add("first_responded_at")
    if survivor.waiting_since is not None and survivor.waiting_since < answers[-1]:
        survivor.waiting_since = _asked_after(survivor, answers[-1])
        changed.add("waiting_since")
    return changed


def _answered_at(survivor: Ticket, moved: Sequence[Message]) -> Iterable[datetime]:
    """When the desk spoke in public; not by who asked for the ticket in which they wrote."""
    origins = {message.merged_from_id for message in moved if message.merged_from_id}
    asked = set(Ticket.objects.filter(pk__in=origins).values_list("pk", "requester"))
    for message in moved:
        is_answer = not message.is_internal and is_agent_reply(message.author, survivor)
        if is_answer and (message.merged_from_id, message.author_id) not in asked:
            yield message.created_at


def _asked_after(ticket: Ticket, at: datetime) -> datetime | None:
    """The time of the first public message since then that is not the desk speaking."""
    said = ticket.messages.filter(is_internal=False, created_at__gt=at).select_related("author")
    rows = said.order_by("created_at", "id").defer("body")
    return next((row.created_at for row in rows if not is_agent_reply(row.author, ticket)), None)


def _wait_with(source: Ticket, survivor: Ticket) -> set[str]:
    """Whoever waits for an answer in the source waits for it in the survivor from now on, though
    not since before there was one."""
    if source.waiting_since is None:
        return set()
    since = max(source.waiting_since, survivor.created_at)
    survivor.waiting_since = min(since, survivor.waiting_since or since)
    return {"waiting_since"}


def name_through(ticket_id: int, name: str | None) -> str | None:
    """What the kept name of a message becomes where it was sent to a ticket that was merged:
    clients may use the same one in both tickets."""
    if name is None or name.startswith(THROUGH):
        return name
    return f"{THROUGH}{ticket_id}:{_digest(name)}"


def kept_name(client_msg_id: str | None) -> str | None:
    """A client's name for a message as it is kept: never one of ours, whatever the client says."""
    if not client_msg_id or not client_msg_id.startswith((THROUGH, HASHED)):
        return client_msg_id or None
    return f"{HASHED}{_digest(client_msg_id)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _wait_or_not(ticket: Ticket, author: User, at: datetime) -> set[str]:
    """A customer's first unanswered message makes them wait; the desk's answer ends it."""
    waits = not is_agent_reply(author, ticket)
    if waits == (ticket.waiting_since is not None):
        return set()
    ticket.waiting_since = at if waits else None
    return {"waiting_since"}
