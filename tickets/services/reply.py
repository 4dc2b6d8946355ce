"""Replies and internal notes, and what a reply does to the ticket."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agents.models import User
from servicedesk.errors import DomainError
from tickets import files
from tickets.events import Entry, record
from tickets.lifecycle import FINAL_STATUSES, Status, within_window
from tickets.locks import lock_survivor
from tickets.models import Message, Ticket
from tickets.parts import is_agent_reply, require_staff
from tickets.services.merge import TicketMerged
from tickets.services.messages import add_message, kept_name, name_through
from tickets.services.move import STATUS_FIELDS, move_by_itself
from tickets.services.open import open_ticket


class IdempotencyConflict(DomainError):
    code = "idempotency_conflict"
    status = 409
    title = "This client_msg_id was used for another message"


@dataclass(frozen=True)
class Posted:
    """`is_new` is False where the message was there already; `follow_up` is the ticket that it went
    to where that is not the one it was sent to: a follow-up, or what that one was merged into."""

    message: Message
    is_new: bool = True
    follow_up: Ticket | None = None


@dataclass(frozen=True)
class Sent:
    """What somebody has to say."""

    author: User
    body: str
    at: datetime
    is_internal: bool
    attachments: tuple[UUID, ...]


@transaction.atomic
def post_message(
    *,
    ticket: Ticket,
    author: User,
    body: str,
    at: datetime,
    is_internal: bool = False,
    client_msg_id: str | None = None,
    attachments: Sequence[UUID] = (),
) -> Posted:
    """Add a reply or a note, with drafts of the author's as its files.

    The desk's first reply opens a new ticket and sets `first_responded_at`; a customer's reply
    takes a pending or resolved ticket, and a closed one within its window, back to open. After
    that, or once cancelled, it opens a follow-up ticket. What is sent to a merged ticket reaches
    its survivor; raises TicketMerged where the author may not see that one. The same
    `client_msg_id` again answers the same message; with another body
    or other files it raises IdempotencyConflict.
    """
    if is_internal:
        require_staff(author)
    sent = Sent(author, body, at, is_internal, tuple(attachments))
    return _post(ticket, sent, kept_name(client_msg_id))


def _post(ticket: Ticket, sent: Sent, name: str | None) -> Posted:
    """The same, with the name under which the message is kept."""
    author, at = sent.author, sent.at
    address, ticket = ticket.pk, lock_survivor(ticket.pk)
    if name and (earlier := _sent_before(address, ticket, author, name)):
        return _again(earlier, address, sent)
    if ticket.pk != address:
        if not Ticket.objects.visible_to(author).filter(pk=ticket.pk).exists():
            raise TicketMerged("It was merged into a ticket that you do not see.")
        name = name_through(address, name)
    is_customer_reply = not sent.is_internal and not is_agent_reply(author, ticket)
    if is_customer_reply and not _takes_replies(ticket, at):
        return _follow_up(ticket, sent, name)
    entry, changed = add_message(
        ticket, author, sent.body, is_internal=sent.is_internal, at=at, client_msg_id=name
    )
    message = _message_of(entry)
    entries = [entry, *_attach(ticket, message, sent)]
    if (target := _moves_to(ticket, sent.is_internal, is_customer_reply)) is not None:
        entries.append(move_by_itself(ticket, target, at=at))
        changed |= set(STATUS_FIELDS)
    record(ticket, *entries, actor=author, at=at, changed=changed)
    return Posted(message, follow_up=ticket if ticket.pk != address else None)


def _attach(ticket: Ticket, message: Message, sent: Sent) -> list[Entry]:
    return files.kept().attach(
        sent.attachments,
        ticket=ticket,
        message=message,
        author=sent.author,
        is_internal=sent.is_internal,
        at=sent.at,
    )


def _moves_to(ticket: Ticket, is_internal: bool, is_customer_reply: bool) -> Status | None:
    """Where a message of this kind takes the ticket, if anywhere."""
    if is_internal:
        return None
    if not is_customer_reply:
        return Status.OPEN if ticket.status == Status.NEW else None
    waiting = (Status.PENDING, Status.RESOLVED, Status.CLOSED)
    return Status.OPEN if ticket.status in waiting else None


def _takes_replies(ticket: Ticket, at: datetime) -> bool:
    """Whether a customer's reply still belongs here, rather than into a follow-up."""
    if ticket.status not in FINAL_STATUSES:
        return True
    return ticket.status == Status.CLOSED and within_window(
        ticket.closed_at, at, settings.REOPEN_WINDOW
    )


def _follow_up(ticket: Ticket, sent: Sent, name: str | None) -> Posted:
    """The reply in the author's open follow-up ticket, or in a new one."""
    author = sent.author
    earlier = ticket.follow_ups.filter(requester=author).exclude(status__in=FINAL_STATUSES)
    follow_up = earlier.order_by("-pk").first()
    if follow_up is None:
        follow_up = open_ticket(
            requester=author,
            subject=f"Follow-up: {ticket.subject}"[:200],
            description=f"Follow-up of {ticket.number}.",
            category=ticket.category,
            team=ticket.team,
            required_skills=list(ticket.required_skills.all()),
            actor=author,
            at=sent.at,
            follow_up_of=ticket,
        )
    posted = _post(follow_up, sent, name)
    return replace(posted, follow_up=posted.follow_up or follow_up)


def _sent_before(address: int, ticket: Ticket, author: User, name: str) -> Message | None:
    """The message of this name that was sent to `address`, wherever it is now."""
    through = name_through(address, name)
    here = Q(ticket=ticket, client_msg_id=name if ticket.pk == address else through)
    follow_ups = Q(ticket__follow_up_of__in={address, ticket.pk}, client_msg_id__in=[name, through])
    sent = Message.objects.filter(here | follow_ups, author=author)
    return sent.select_related("ticket", "author").first()


def _again(earlier: Message, address: int, sent: Sent) -> Posted:
    its_files = set(files.kept().sent_with(earlier.pk))
    was = (earlier.body, earlier.is_internal, its_files)
    if was != (sent.body, sent.is_internal, set(sent.attachments)):
        raise IdempotencyConflict("Use a new client_msg_id for a new message.")
    moved = earlier.ticket if earlier.ticket_id != address else None
    return Posted(earlier, is_new=False, follow_up=moved)


def _message_of(entry: Entry) -> Message:
    return Message.objects.select_related("author").get(pk=entry.data["message"])
