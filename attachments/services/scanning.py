"""Scanning: what is uploaded is due at once, looked at by and by, each content once."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from attachments import storage
from attachments.models import Attachment, Blob
from attachments.refusals import StorageUnavailable
from attachments.scanning import ScanInterrupted, ScannerAway, Verdict, scan
from attachments.services import news, previewing
from attachments.services.locking import lock_files
from servicedesk.sweeps import SweepResult

log = structlog.get_logger(__name__)

OFF = "off"
SKIPPED, FAILED = Blob.Scan.SKIPPED, Blob.Scan.FAILED
# Contents that one transaction marks to be scanned again.
AT_ONCE = 500
# Beyond what a scan may take, until another may take the content.
MARGIN = timedelta(minutes=2)
# Until the scanner, or the storage, is tried again once it was away.
PAUSE = timedelta(seconds=15)
# Where the scanner was there and stopped at a content: longer each time, lest one on which it
# always stops holds up all others.
LONGEST_PAUSE = timedelta(minutes=10)
# Attempts after which no pause grows any more.
ENOUGH = 16
# What the scanner cannot make anything of is tried again after 5, 10, 20… minutes, at most a day.
BACKOFF, MOST = timedelta(minutes=5), timedelta(days=1)


def initial_status(at: datetime) -> tuple[Blob.Scan, datetime | None]:
    """The state of a new content, and when it is due to be scanned."""
    if settings.SCAN_MODE == OFF:
        return SKIPPED, None
    return Blob.Scan.PENDING, at


def due(at: datetime) -> QuerySet[Blob]:
    """What may be scanned now, the longest waiting first."""
    return Blob.objects.filter(scan_due_at__lte=at).order_by("scan_due_at", "pk")


def scan_blob(blob: Blob) -> SweepResult:
    """Scan one content, unless another does; not in a transaction.

    Raises ScannerAway, and StorageUnavailable: the content is due again soon, and so are others.
    """
    now = timezone.now()
    lease = now + timedelta(seconds=settings.CLAMD_TIMEOUT) + MARGIN
    # By its due time, which everybody moves who takes it.
    if not _mine(blob).update(scan_due_at=lease):
        return SweepResult(skipped=1)
    blob.scan_due_at = lease
    try:
        with closing(storage.read(blob.key)) as chunks:
            verdict = scan(chunks, blob.size)
    except storage.MissingBytes:
        verdict = Verdict(FAILED, "The bytes are not there.")
    except (ScannerAway, StorageUnavailable) as exc:
        _put_off(blob, isinstance(exc, ScanInterrupted))
        raise
    if not _write_down(blob, verdict, timezone.now()):
        return SweepResult(skipped=1)
    news.tell(blob.pk)
    return SweepResult(handled=1)


def _mine(blob: Blob) -> QuerySet[Blob]:
    """The row, unless another has taken or settled it since."""
    return Blob.objects.filter(pk=blob.pk, scan_due_at=blob.scan_due_at)


def _put_off(taken: Blob, was_interrupted: bool) -> None:
    attempts, pause = taken.scan_attempts, PAUSE
    if was_interrupted:
        attempts = min(attempts + 1, ENOUGH)
        pause = _growing(PAUSE, attempts, LONGEST_PAUSE)
    _mine(taken).update(scan_due_at=timezone.now() + pause, scan_attempts=attempts)


@transaction.atomic
def _write_down(taken: Blob, verdict: Verdict, at: datetime) -> bool:
    """What came of it, and what follows. False where the content has gone, or was taken back."""
    blob = _mine(taken).select_for_update(no_key=True).first()
    if blob is None:
        return False
    lock_files([blob.pk])
    before = blob.scan_status
    blob.scan_status, blob.scan_note, blob.scanned_at = verdict.status, verdict.note, at
    is_failed = verdict.status == FAILED
    blob.scan_attempts = blob.scan_attempts + 1 if is_failed else 0
    blob.scan_due_at = at + _growing(BACKOFF, blob.scan_attempts, MOST) if is_failed else None
    blob.save(
        update_fields=["scan_status", "scan_note", "scanned_at", "scan_attempts", "scan_due_at"]
    )
    if before != verdict.status:
        Attachment.objects.filter(blob=blob).update(is_scan_untold=True)
    if verdict.status == Blob.Scan.INFECTED:
        log.warning("infected", blob=blob.pk, found=verdict.note)
        previewing.forget(blob, at)
    elif not is_failed:
        previewing.release(blob, at)
    return True


def _growing(first: timedelta, attempts: int, most: timedelta) -> timedelta:
    """Twice as long after each attempt."""
    return min(first * (1 << min(attempts, ENOUGH) - 1), most)


def rescan(blobs: QuerySet[Blob], at: datetime) -> int:
    """Let the scanner look at these again; until then what it found stays. Answers how many.

    What waits already is due at once. Where only what is clean is given out, nothing changes for
    who reads a clean file: new signatures are no reason to take it away.
    """
    ids = list(blobs.order_by("sha256").values_list("pk", flat=True))
    for start in range(0, len(ids), AT_ONCE):
        _rescan(ids[start : start + AT_ONCE], at)
    return len(ids)


@transaction.atomic
def _rescan(ids: Sequence[int], at: datetime) -> None:
    chosen = Blob.objects.filter(pk__in=ids)
    locked = list(chosen.select_for_update(no_key=True).order_by("sha256"))
    chosen.update(scan_due_at=at, scan_attempts=0)
    unseen = [blob.pk for blob in locked if blob.scan_status in (SKIPPED, FAILED)]
    Blob.objects.filter(pk__in=unseen).update(scan_status=Blob.Scan.PENDING)
    lock_files(unseen)
    Attachment.objects.filter(blob__in=unseen).update(is_scan_untold=True)
