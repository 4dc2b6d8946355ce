"""Files that are kept without coming through a door: for tests of what becomes of them."""

import hashlib
from datetime import datetime
from io import BytesIO

from django.utils import timezone

from agents.models import User
from attachments import policy, storage
from attachments.models import Attachment, LooseBytes, Preview
from attachments.services.uploading import Stored, take
from tickets.models import Ticket


def put(content: bytes, *, due_at: datetime) -> Stored:
    """As an upload does before its transaction: the row, then the bytes."""
    key = storage.new_key()
    LooseBytes.objects.create(key=key, due_at=due_at)
    storage.save(key, BytesIO(content))
    category = policy.current().category("text")
    digest = hashlib.sha256(content).hexdigest()
    return Stored(0, "a.txt", len(content), digest, "text/plain", category, key)


def keep(
    content: bytes, uploader: User, *, ticket: Ticket | None = None, at: datetime | None = None
) -> Attachment:
    """A file on the ticket, or a draft."""
    at = at or timezone.now()
    stored = put(content, due_at=at)
    (file,) = take([stored], uploader=uploader, ticket=ticket, at=at).files
    return file


def draw(file: Attachment, content: bytes = b"drawn") -> str:
    """As render_previews does; answers the key of what was drawn."""
    assert file.blob is not None
    key = put(content, due_at=timezone.now()).key
    part = {"key": key, "size": len(content), "content_type": "application/json"}
    preview, _ = Preview.objects.get_or_create(
        blob=file.blob, content_type=file.content_type, defaults={"due_at": timezone.now()}
    )
    Preview.objects.filter(pk=preview.pk).update(
        status=Preview.Status.READY, due_at=None, parts={"json": part}
    )
    Attachment.objects.filter(pk=file.pk).update(preview=preview)
    LooseBytes.objects.filter(key=key).delete()
    return key


def stored_keys() -> set[str]:
    entries = storage.keys()
    return {each.key for each in entries}
