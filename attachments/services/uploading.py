"""Taking files: looked at and stored first, outside any transaction; then all that fit are kept.

One bad file is refused and named; it keeps no good one out, and rides in behind none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import close_old_connections, transaction

from agents.models import User
from attachments import names, policy, storage
from attachments.inspection import inspect
from attachments.models import Attachment, LooseBytes
from attachments.policy import Category, Policy
from attachments.received import Received
from attachments.refusals import FileRefused
from attachments.services import blobs, quota
from attachments.services.attaching import Room, put_on
from tickets.events import record
from tickets.lifecycle import FINAL_STATUSES
from tickets.locks import lock_ticket
from tickets.models import Ticket
from tickets.services.assign import TicketEnded
from tickets.services.merge import refuse_merged


@dataclass(frozen=True)
class Stored:
    """A file that passed, its bytes being in the storage under `key` and loose until it is kept."""

    position: int
    filename: str
    size: int
    sha256: str
    content_type: str
    category: Category
    key: str


@dataclass(frozen=True)
class Refusal:
    """Why one file is not taken; `filename` as it was sent."""

    position: int
    filename: str
    error: FileRefused


@dataclass
class Outcome:
    """What happened to the files, each in the order in which they were sent."""

    files: list[Attachment]
    refusals: list[Refusal]


def store(
    received: Sequence[Received], *, uploader: User, at: datetime, ticket: Ticket | None = None
) -> tuple[list[Stored], list[Refusal]]:
    """Look at each file, and put the bytes of the good ones into the storage.

    Not in a transaction: this is slow, and what it leaves if it dies is tidied up by
    `purge_attachments`. What `take` would refuse anyway is not even stored: it may be large, and
    nobody's use of the day counts it. Raises what `take` does of the ticket.
    """
    if ticket is not None:
        _require_takes_files(ticket, uploader)
    rules, stored, refusals = policy.current(), list[Stored](), list[Refusal]()
    for position, each in enumerate(received):
        try:
            stored.append(_store(each, position, rules, uploader, at))
        except FileRefused as refused:
            refusals.append(Refusal(position, each.filename, refused))
    return stored, refusals


def _store(
    received: Received, position: int, rules: Policy, uploader: User, at: datetime
) -> Stored:
    filename = names.clean(received.filename)
    category = rules.admit(filename, received.size)
    content_type = inspect(received.file, filename, received.size, rules)
    for refusal in quota.refusals(uploader, category, received.size, at):
        raise refusal
    key = storage.new_key()
    LooseBytes.objects.create(key=key, due_at=at + settings.LOOSE_BYTES_GRACE)
    # The storage may take its time, and the pool has few connections.
    close_old_connections()
    storage.save(key, received.file)
    return Stored(position, filename, received.size, received.sha256, content_type, category, key)


def let_go(stored: Iterable[Stored], at: datetime) -> None:
    """What of this has not been kept, whatever the reason, may be deleted now. After `take`, and
    outside its transaction: what that rolls back it has not let go."""
    keys = [each.key for each in stored]
    LooseBytes.objects.filter(key__in=keys, due_at__gt=at).update(due_at=at)


@transaction.atomic
def take(
    stored: Iterable[Stored],
    *,
    uploader: User,
    ticket: Ticket | None,
    at: datetime,
    is_internal: bool = False,
) -> Outcome:
    """Keep the stored files, on the ticket or as drafts, as far as counts and quota allow.

    Raises TicketMerged, and TicketEnded for customers: they reply, which reopens it.
    """
    refusals, kept = list[Refusal](), dict[int, Attachment]()
    room: Room | None = None
    if ticket is not None:
        ticket = lock_ticket(ticket.pk)
        _require_takes_files(ticket, uploader)
    fitting = []
    quota.open_day(uploader, at)
    for each in stored:
        try:
            with transaction.atomic():
                # First, since it holds up who else uploads for this person: then nobody adds
                # drafts while they are counted.
                quota.use(uploader, each.category, each.size, at)
                room = room or Room(ticket, uploader)
                room.take(each.category)
            fitting.append(each)
        except FileRefused as refused:
            refusals.append(Refusal(each.position, each.filename, refused))
            LooseBytes.objects.filter(key=each.key).update(due_at=at)
    for each in sorted(fitting, key=lambda one: one.sha256):
        kept[each.position] = _keep(each, uploader, is_internal, at)
    files = [kept[position] for position in sorted(kept)]
    if ticket is not None and files:
        record(ticket, *put_on(ticket, files, at=at), actor=uploader, at=at)
    return Outcome(files, refusals)


def _require_takes_files(ticket: Ticket, uploader: User) -> None:
    refuse_merged(ticket)
    if ticket.status in FINAL_STATUSES and not uploader.is_desk_staff:
        raise TicketEnded(f"{ticket.number} is {ticket.status}; send the file with a reply.")


def _keep(stored: Stored, uploader: User, is_internal: bool, at: datetime) -> Attachment:
    blob, preview = blobs.keep(
        key=stored.key,
        sha256=stored.sha256,
        size=stored.size,
        content_type=stored.content_type,
        at=at,
    )
    return Attachment.objects.create(
        blob=blob,
        preview=preview,
        uploaded_by=uploader,
        filename=stored.filename,
        size=stored.size,
        sha256=stored.sha256,
        content_type=stored.content_type,
        category=stored.category.name,
        is_internal=is_internal,
        # One after the other, as they were sent.
        created_at=at + stored.position * timedelta(microseconds=1),
    )
