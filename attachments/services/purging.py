"""Tidying up: drafts nobody came back for, bytes no row has any more, use of days that are over."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from attachments import storage
from attachments.models import Attachment, Blob, DailyUse, LooseBytes
from attachments.refusals import StorageUnavailable
from attachments.services import blobs
from attachments.services.known import GOING, left_behind
from servicedesk.sweeps import SweepResult

# Whoever ends the worker does not wait long for so many.
AT_A_TIME = 50
# A worker that took bytes has this long to delete them before another may.
LEASE = timedelta(minutes=10)
BACKOFF = timedelta(minutes=1)
USE_KEPT = timedelta(days=2)


def purge(*, at: datetime, batch: int) -> SweepResult:
    """Drop what is due, at most `batch` (and AT_A_TIME) of each kind. Twice is the same as once."""
    batch = min(batch, AT_A_TIME)
    result = SweepResult(handled=drop_old_drafts(at, batch) + _forget_use(at))
    result.add(delete_loose(at, batch))
    return result


def old_drafts(at: datetime) -> QuerySet[Attachment]:
    """Files that have waited for their ticket longer than settings.DRAFT_LIFETIME."""
    return Attachment.objects.filter(ticket=None, created_at__lt=at - settings.DRAFT_LIFETIME)


@transaction.atomic
def drop_old_drafts(at: datetime, batch: int) -> int:
    """Answers how many; what none of the remaining files has too becomes loose."""
    found = dict(old_drafts(at).order_by("created_at").values_list("pk", "blob")[:batch])
    contents = [blob for blob in found.values() if blob is not None]
    # Contents first, as everybody locks them; then look again, since one may be sent right now.
    list(Blob.objects.select_for_update().filter(pk__in=contents).order_by("sha256"))
    locked = old_drafts(at).select_for_update().filter(pk__in=found).order_by("pk")
    drafts = list(locked.values_list("pk", flat=True))
    Attachment.objects.filter(pk__in=drafts).delete()
    blobs.release(contents, at)
    return len(drafts)


def loose(at: datetime) -> QuerySet[LooseBytes]:
    """Bytes that may be deleted."""
    return LooseBytes.objects.filter(due_at__lte=at)


def delete_loose(at: datetime, batch: int) -> SweepResult:
    """Delete bytes, then forget them; outside any transaction. Whoever dies in between lets
    another do the same again."""
    taken = _take(at, batch)
    for position, row in enumerate(taken):
        try:
            storage.delete(row.key.removeprefix(GOING))
        except StorageUnavailable:
            _give_back(taken[position:], at)
            return SweepResult(handled=position, failed=len(taken) - position)
        LooseBytes.objects.filter(pk=row.pk).delete()
    return SweepResult(handled=len(taken))


@transaction.atomic
def _take(at: datetime, batch: int) -> list[LooseBytes]:
    """Claim bytes. From then on an upload that took longer than it may does not find its row, and
    gives up; one that finds it first holds it locked, and is left alone."""
    free = loose(at).select_for_update(skip_locked=True).order_by("due_at", "pk")
    ids = list(free.values_list("pk", flat=True)[:batch])
    claimed = LooseBytes.objects.filter(pk__in=ids)
    claimed.exclude(key__startswith=GOING).update(key=Concat(Value(GOING), "key"))
    claimed.update(due_at=at + LEASE)
    return list(claimed.order_by("pk"))


def _give_back(rows: Collection[LooseBytes], at: datetime) -> None:
    LooseBytes.objects.filter(pk__in=[row.pk for row in rows]).update(due_at=at + BACKOFF)


def _forget_use(at: datetime) -> int:
    return DailyUse.objects.filter(day__lt=(at - USE_KEPT).date()).delete()[0]


def remove_left_behind(at: datetime) -> int:
    """Look through the whole storage, and delete what no row knows and nobody can be writing any
    more. Answers how many. Raises StorageUnavailable."""
    count = 0
    for each in left_behind(at):
        storage.delete(each.key)
        count += 1
    return count
