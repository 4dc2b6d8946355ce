"""Whether everything that rows promise is in the storage, whole."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from attachments import storage
from attachments.models import Attachment, Blob, Preview
from attachments.storage import MissingBytes

MISSING, ALTERED = "missing", "altered"


@dataclass(frozen=True)
class Problem:
    """Bytes that are missing or altered: a file's content, or what was drawn of it.

    `files` are those that show it: `{"id", "ticket", "filename"}`, ticket null for a draft.
    """

    problem: str
    of: str
    key: str
    files: list[dict[str, Any]]


@dataclass
class Tally:
    """What was looked at; `vanished` were deleted meanwhile, by right."""

    contents: int = 0
    parts: int = 0
    bytes: int = 0
    vanished: int = 0
    problems: int = 0


def verify(tally: Tally, *, is_quick: bool, batch: int) -> Iterator[Problem]:
    """Compare each row with its bytes: size and, unless quick, SHA-256. Flat memory, no
    transaction; uploads and deletions may go on. Raises StorageUnavailable.

    A row goes before its bytes do. So what looks wrong while its row is still there is wrong.
    """
    for blob in _each(Blob.objects.all(), batch):
        tally.contents += 1
        tally.bytes += blob.size
        sha256 = None if is_quick else blob.sha256
        said = _compare(blob.key, blob.size, sha256)
        is_there = Blob.objects.filter(pk=blob.pk, key=blob.key).exists
        files = Attachment.objects.filter(blob=blob.pk)
        yield from _settle(tally, said, "content", blob.key, is_there, files)
    for preview in _each(Preview.objects.filter(status=Preview.Status.READY), batch):
        for part in preview.parts.values():
            tally.parts += 1
            tally.bytes += part["size"]
            said = _compare(part["key"], part["size"], None)
            files = Attachment.objects.filter(preview=preview.pk)
            is_there = _still_names(preview.pk, part["key"])
            yield from _settle(tally, said, "preview", part["key"], is_there, files)


def _each(rows: QuerySet[Any], batch: int) -> Iterator[Any]:
    """In short statements, so that a long look holds nothing up."""
    last = 0
    while page := list(rows.filter(pk__gt=last).order_by("pk")[:batch]):
        yield from page
        last = page[-1].pk


def _compare(key: str, size: int, sha256: str | None) -> str | None:
    """What is wrong with the bytes, if anything."""
    found = storage.size_of(key)
    if found is None:
        return MISSING
    if found != size:
        return ALTERED
    if sha256 is None:
        return None
    digest = hashlib.sha256()
    try:
        for chunk in storage.read(key):
            digest.update(chunk)
    except MissingBytes:
        return MISSING
    return None if digest.hexdigest() == sha256 else ALTERED


def _still_names(preview_id: int, key: str) -> Callable[[], bool]:
    def is_there() -> bool:
        rows = Preview.objects.filter(pk=preview_id).values_list("parts", flat=True)
        return any(part["key"] == key for parts in rows for part in parts.values())

    return is_there


def _settle(
    tally: Tally,
    said: str | None,
    of: str,
    key: str,
    is_there: Callable[[], bool],
    files: QuerySet[Attachment],
) -> Iterator[Problem]:
    if said is None:
        return
    if not is_there():
        tally.vanished += 1
        return
    tally.problems += 1
    rows = files.order_by("pk").values_list("pk", "ticket", "filename")
    shown = [{"id": str(pk), "ticket": ticket, "filename": name} for pk, ticket, name in rows]
    yield Problem(said, of, key, shown)
