"""Previews: wanted with the first file of a content and type, drawn by and by, each once.

Locks: the content, then its previews, then files.
"""

import tempfile
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import Enum
from io import BytesIO

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from attachments import policy, storage
from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.previews import kind_of, running
from attachments.previews.answers import DrawingFailed, Part
from attachments.previews.running import DrawingInterrupted
from attachments.refusals import StorageUnavailable
from attachments.services import news
from attachments.services.locking import lock_files
from attachments.services.loosening import loosen, part_keys
from servicedesk.sweeps import SweepResult

log = structlog.get_logger(__name__)

# Whoever took a preview has this long to draw it before another may: to fetch the file, to draw
# (attachments.previews.limits.SECONDS) and to store the parts.
RENDER_LEASE = timedelta(minutes=10)
RENDER_ATTEMPTS = 5
# 1, 5, 25 and 125 minutes: two and a half hours without the storage cost no preview.
RENDER_BACKOFF = timedelta(minutes=1)
BACKOFF_GROWTH = 5
# What waits for the scanner is released by it; this is for when that was lost, or the mode changed.
LOOK_AGAIN = timedelta(hours=1)

# One part in the storage: its key, its size in bytes and its content type.
Kept = Mapping[str, str | int]


class _Lost(Exception):
    """What was stored has been tidied away again."""


class _Readiness(Enum):
    NOW = "now"
    LATER = "later"
    NEVER = "never"


def wanted(blob: Blob, content_type: str, at: datetime) -> Preview | None:
    """The preview of a content as a file of this type; None where nothing is to be seen.

    Inside a transaction that holds the content.
    """
    if kind_of(content_type) is None or blob.scan_status == Blob.Scan.INFECTED:
        return None
    due_at = at + LOOK_AGAIN if _readiness(blob) is _Readiness.LATER else at
    row = Preview(blob=blob, content_type=content_type, due_at=due_at)
    Preview.objects.bulk_create([row], ignore_conflicts=True)
    return Preview.objects.get(blob=blob, content_type=content_type)


def release(blob: Blob, at: datetime) -> None:
    """The scanner has looked at the content and not called it infected: what waited for that is
    due, also where the content was in quarantine and its files have lost their previews.

    Inside the transaction that says so, with the content as it is now.
    """
    bare = Attachment.objects.filter(blob=blob, preview=None)
    for content_type in set(bare.order_by().values_list("content_type", flat=True)):
        if preview := wanted(blob, content_type, at):
            bare.filter(content_type=content_type).update(preview=preview)
    waiting = Preview.objects.filter(blob=blob, attempts=0).exclude(status=Preview.Status.READY)
    waiting.update(status=Preview.Status.PENDING, due_at=at, note="")


def forget(blob: Blob, at: datetime) -> None:
    """Drop every preview of a content that is infected or removed; their bytes become loose.

    Inside a transaction that holds the content.
    """
    previews = Preview.objects.select_for_update().filter(blob=blob).order_by("pk")
    loosen(part_keys(previews), at)
    Preview.objects.filter(blob=blob).delete()


def render(preview: Preview) -> SweepResult:
    """Draw one preview, if it is due and nobody else does; not in a transaction.

    Handled is also what cannot be drawn, since that is settled; failed is what has to be tried
    again, for a reason that other previews may well share.
    """
    now = timezone.now()
    due = Preview.objects.select_related("blob").filter(pk=preview.pk, due_at__lte=now).first()
    if due is None:
        return SweepResult(skipped=1)
    match _readiness(due.blob):
        case _Readiness.LATER:
            _mine(due).update(due_at=now + LOOK_AGAIN)
            return SweepResult(skipped=1)
        case _Readiness.NEVER:
            # No attempt: should the scanner change its opinion, it is drawn.
            due.attempts = 0
            return _fail(due, "Nothing is drawn that the scanner could not look at.")
    if not _claim(due, now):
        return SweepResult(skipped=1)
    if due.attempts > RENDER_ATTEMPTS:
        return _fail(due, "Whoever tried to draw the file did not survive it.")
    try:
        parts = _drawn(due)
        return _settle(due, Preview.Status.READY, parts=_stored(parts))
    except DrawingFailed as failure:
        return _fail(due, str(failure))
    except (DrawingInterrupted, StorageUnavailable, storage.MissingBytes, OSError, _Lost) as exc:
        return _try_again(due, str(exc) or type(exc).__name__)


def _readiness(blob: Blob) -> _Readiness:
    """Whether the content may be looked at, as whoever downloads it may."""
    if blob.scan_status == Blob.Scan.INFECTED:
        return _Readiness.NEVER
    if settings.SCAN_MODE != "closed" or blob.scan_status == Blob.Scan.CLEAN:
        return _Readiness.NOW
    is_skipped = blob.scan_status == Blob.Scan.SKIPPED
    return _Readiness.NEVER if is_skipped else _Readiness.LATER


def _claim(preview: Preview, now: datetime) -> bool:
    """Take it by moving its due time ahead, unless another has done so since it was read."""
    lease = now + RENDER_LEASE
    if not _mine(preview).update(due_at=lease, attempts=F("attempts") + 1):
        return False
    preview.due_at, preview.attempts = lease, preview.attempts + 1
    return True


def _mine(preview: Preview) -> QuerySet[Preview]:
    """The row, unless another has taken, settled or dropped it since."""
    return Preview.objects.filter(pk=preview.pk, due_at=preview.due_at)


def _drawn(preview: Preview) -> list[Part]:
    kind = kind_of(preview.content_type)
    assert kind is not None
    with tempfile.TemporaryFile() as copy:
        for chunk in storage.read(preview.blob.key):
            copy.write(chunk)
        pixels = policy.current().image_pixels
        return running.draw(copy, kind=kind, content_type=preview.content_type, pixels=pixels)


def _stored(parts: Collection[Part]) -> dict[str, Kept]:
    """Put them into the storage, where they are loose until the preview has them."""
    kept: dict[str, Kept] = {}
    for part in parts:
        key = storage.new_key()
        LooseBytes.objects.create(key=key, due_at=timezone.now() + settings.LOOSE_BYTES_GRACE)
        storage.save(key, BytesIO(part.data))
        kept[part.name] = {
            "key": key,
            "size": len(part.data),
            "content_type": part.content_type,
        }
    return kept


def _fail(preview: Preview, note: str) -> SweepResult:
    log.info("preview_failed", preview=preview.pk, note=note)
    return _settle(preview, Preview.Status.FAILED, note=note)


def _try_again(preview: Preview, reason: str) -> SweepResult:
    log.warning("preview_interrupted", preview=preview.pk, reason=reason)
    if preview.attempts >= RENDER_ATTEMPTS:
        _settle(preview, Preview.Status.FAILED, note=reason)
    else:
        pause = RENDER_BACKOFF * BACKOFF_GROWTH ** (preview.attempts - 1)
        _mine(preview).update(due_at=timezone.now() + pause)
    return SweepResult(failed=1)


def _settle(
    preview: Preview,
    status: Preview.Status,
    *,
    parts: Mapping[str, Kept] | None = None,
    note: str = "",
) -> SweepResult:
    """Write down how it went, and tell the tickets. Raises _Lost."""
    if not _is_written(preview, status, parts or {}, note[:200]):
        return SweepResult(skipped=1)
    news.tell(preview.blob_id)
    return SweepResult(handled=1)


@transaction.atomic
def _is_written(
    preview: Preview, status: Preview.Status, parts: Mapping[str, Kept], note: str
) -> bool:
    """False where the content has gone or been found infected, or the preview is not ours any
    more; then the parts may be deleted."""
    blob = Blob.objects.select_for_update(no_key=True).filter(pk=preview.blob_id).first()
    lock_files([preview.blob_id])
    loose = LooseBytes.objects.filter(key__in=[part["key"] for part in parts.values()])
    if blob is not None and blob.scan_status == Blob.Scan.INFECTED:
        forget(blob, timezone.now())
    changed = _mine(preview).update(
        status=status, parts=parts, note=note, due_at=None, attempts=preview.attempts
    )
    if not changed:
        loose.update(due_at=timezone.now())
        return False
    if loose.delete()[0] != len(parts):
        raise _Lost("What was drawn is not in the storage any more.")
    Attachment.objects.filter(preview=preview.pk).update(is_preview_untold=True)
    return True
