"""Putting files on tickets."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from agents.models import User
from attachments import policy
from attachments.models import Attachment
from attachments.policy import Category
from attachments.refusals import TooManyFiles
from attachments.services.news import entry
from servicedesk.errors import FieldError
from tickets.events import Entry
from tickets.models import Kind, Message, Ticket


class Room:
    """How many files a place still takes: a ticket that is locked, or a person's drafts."""

    def __init__(self, ticket: Ticket | None, user: User) -> None:
        self._rules = policy.current()
        self._is_ticket = ticket is not None
        files = Attachment.objects.present()
        files = (
            files.filter(ticket=ticket) if ticket else files.filter(uploaded_by=user, ticket=None)
        )
        self._there = list(files.values_list("category", flat=True))

    def take(self, category: Category) -> None:
        """Raises TooManyFiles."""
        if not self._is_ticket:
            if len(self._there) >= self._rules.drafts_per_user:
                raise TooManyFiles("Too many of your files wait to be sent; send or remove some.")
        elif len(self._there) >= self._rules.files_per_ticket:
            raise TooManyFiles(f"A ticket has at most {self._rules.files_per_ticket} files.")
        elif self._there.count(category.name) >= (
            category.files_per_ticket or len(self._there) + 1
        ):
            most = category.files_per_ticket
            raise TooManyFiles(f"A ticket has at most {most} files of this type ({category.name}).")
        self._there.append(category.name)


def put_on(
    ticket: Ticket,
    files: Iterable[Attachment],
    *,
    at: datetime,
    message: Message | None = None,
    is_internal: bool = False,
) -> list[Entry]:
    """Make files part of a ticket that is locked. Answers what is to be recorded of it."""
    entries = []
    for file in files:
        is_new = file.is_draft
        file.ticket, file.message = ticket, message or file.message
        file.is_internal = file.is_internal or is_internal
        file.attached_at = file.attached_at or at
        if is_new:
            # What was found out so far is told with the file itself.
            file.is_scan_untold = file.is_preview_untold = False
            entries.append(entry(Kind.FILE_ATTACHED, file))
        file.save(update_fields=FIELDS)
    return entries


FIELDS = (
    "ticket",
    "message",
    "is_internal",
    "attached_at",
    "is_scan_untold",
    "is_preview_untold",
)


def attach(
    ids: Sequence[UUID],
    *,
    ticket: Ticket,
    author: User,
    at: datetime,
    message: Message | None = None,
    is_internal: bool = False,
) -> list[Entry]:
    """Put drafts of the author's on a ticket that is locked; with a message also what they have
    uploaded to this ticket and not sent yet.

    Raises FieldError where one is not theirs to send, or would show what is internal, and
    TooManyFiles.
    """
    if not ids:
        return []
    own = Attachment.objects.present().filter(uploaded_by=author, message=None, pk__in=ids)
    locked = own.select_for_update().order_by("pk")
    found = {file.pk: file for file in locked if file.ticket_id in (None, ticket.pk)}
    if len(found) != len(ids):
        raise FieldError("attachments", "There is no such file of yours to send.", "not_found")
    files = [found[pk] for pk in ids]
    if not is_internal and any(file.is_internal for file in files):
        raise FieldError("attachments", "An internal file goes with an internal note only.")
    if is_internal and any(not (file.is_draft or file.is_internal) for file in files):
        raise FieldError("attachments", "Customers see the file already; no note can hide it.")
    room, rules = Room(ticket, author), policy.current()
    for file in files:
        if file.is_draft:
            room.take(rules.category(file.category))
    return put_on(ticket, files, at=at, message=message, is_internal=is_internal)


def move(source: Ticket, survivor: Ticket) -> list[Entry]:
    """Let the survivor of a merger have the source's files, both being locked. Answers what is to
    be recorded of the survivor."""
    locked = Attachment.objects.filter(ticket=source).select_for_update().order_by("pk")
    present = [file for file in locked if file.removed_at is None]
    Attachment.objects.filter(ticket=source).update(ticket=survivor)
    present.sort(key=lambda file: (file.created_at, file.pk))
    return [entry(Kind.FILE_ATTACHED, file) for file in present]
