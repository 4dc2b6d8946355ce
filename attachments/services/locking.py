"""The lock of a content's files, which come after it."""

from collections.abc import Collection

from attachments.models import Attachment


def lock_files(blob_ids: Collection[int]) -> None:
    """Lock the files of contents, themselves locked, in the order in which everybody locks several:
    an UPDATE of all of them alone meets them as they happen to lie in the table."""
    files = Attachment.objects.select_for_update().filter(blob__in=blob_ids).order_by("pk")
    list(files.values_list("pk"))
