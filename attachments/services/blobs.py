"""Contents: kept once, for as long as a file has them."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Exists, OuterRef

from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.refusals import StorageUnavailable
from attachments.services.loosening import loosen, part_keys
from attachments.services.previewing import wanted
from attachments.services.scanning import initial_status


def keep(
    *, key: str, sha256: str, size: int, content_type: str, at: datetime
) -> tuple[Blob, Preview | None]:
    """The row of a content whose bytes are in the storage under `key`, and of its preview.

    Where the content is kept already, its row is locked and the new copy becomes loose; one that
    came when nothing was scanned here is due, if now something is. Inside a transaction. Raises
    StorageUnavailable where the copy was tidied away meanwhile, because the upload took longer than
    anything may.
    """
    status, due_at = initial_status(at)
    row = Blob(
        sha256=sha256, size=size, key=key, created_at=at, scan_status=status, scan_due_at=due_at
    )
    kept = Blob.objects.select_for_update(no_key=True).filter(sha256=sha256)
    # Whoever lets the last file of this content go may do so between the two statements.
    while (blob := kept.first()) is None:
        Blob.objects.bulk_create([row], ignore_conflicts=True)
    loose = LooseBytes.objects.filter(key=key)
    if blob.key == key:
        if loose.delete()[0] != 1:
            raise StorageUnavailable
    else:
        loose.update(due_at=at)
        if due_at and blob.scan_status == Blob.Scan.SKIPPED and blob.scanned_at is None:
            blob.scan_status, blob.scan_due_at = status, due_at
            blob.save(update_fields=["scan_status", "scan_due_at"])
    return blob, wanted(blob, content_type, at)


def release(ids: Collection[int], at: datetime) -> None:
    """Let go of the contents among these that no file has any more; their bytes become loose.

    Inside a transaction. Contents are locked in the order of their hashes, and whoever attaches one
    holds the same lock: either they come first and the content stays, or they find it gone.
    """
    locked = Blob.objects.select_for_update().filter(pk__in=ids).order_by("sha256")
    held = [blob.pk for blob in locked]
    used = Attachment.objects.filter(blob=OuterRef("pk"))
    unused = list(Blob.objects.filter(~Exists(used), pk__in=held))
    previews = Preview.objects.filter(blob__in=unused)
    loosen([*(blob.key for blob in unused), *part_keys(previews)], at)
    previews.delete()
    Blob.objects.filter(pk__in=[blob.pk for blob in unused]).delete()
