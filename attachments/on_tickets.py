"""What tickets show of files: fills the seam `tickets.files`."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from agents.models import User
from attachments import access, policy, services
from attachments.models import Attachment
from attachments.received import Received
from attachments.refusals import TooManyFiles
from attachments.services.attaching import attach, move
from tickets.files import File, Reception, Upload

__all__ = [
    "attach",
    "move",
    "named",
    "of_messages",
    "receive",
    "refusal_of",
    "sent_with",
    "without_message",
]


def receive(uploads: Sequence[Upload], *, author: User, at: datetime) -> Reception:
    rules = policy.current()
    if len(uploads) > rules.files_per_request:
        raise TooManyFiles(f"At most {rules.files_per_request} files at a time.")
    most = max(category.max_bytes for category in rules.categories)
    received = [Received(upload.name or "") for upload in uploads]
    try:
        for one, upload in zip(received, uploads, strict=True):
            for chunk in upload.chunks():
                one.write(chunk, most)
        stored, refusals = services.store(received, uploader=author, at=at)
    finally:
        for one in received:
            one.close()
    outcome = services.take(stored, uploader=author, ticket=None, at=at)
    refused = sorted([*refusals, *outcome.refusals], key=lambda each: each.position)
    return Reception(
        [file.pk for file in outcome.files],
        [f"{each.filename}: {each.error.detail}" for each in refused],
    )


def of_messages(ids: Collection[int]) -> Mapping[int, Sequence[Attachment]]:
    found: dict[int, list[Attachment]] = defaultdict(list)
    if not ids:
        return found
    for file in Attachment.objects.present().with_facts().filter(message__in=ids):
        assert file.message_id is not None
        found[file.message_id].append(file)
    return found


def sent_with(message_id: int) -> Collection[UUID]:
    return list(Attachment.objects.filter(message=message_id).values_list("pk", flat=True))


def without_message(ticket_id: int) -> Sequence[Attachment]:
    files = Attachment.objects.present().with_facts()
    return list(files.filter(ticket=ticket_id, message=None))


def refusal_of(file: File) -> str:
    assert isinstance(file, Attachment)
    return access.refusal_of(file)


def named(ids: Iterable[str]) -> Mapping[str, Attachment]:
    wanted = set(ids)
    files = Attachment.objects.with_facts().filter(pk__in=wanted) if wanted else ()
    return {str(file.pk): file for file in files}
