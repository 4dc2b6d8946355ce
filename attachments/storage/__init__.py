"""Where the bytes of files are: a folder, or a bucket (`attachments.storage.address`).

A key is random and tells nothing of the file. What does not answer raises StorageUnavailable.
"""

import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import structlog
from django.conf import settings
from django.utils.http import content_disposition_header

from attachments.refusals import StorageUnavailable
from attachments.storage.address import resolve
from attachments.storage.folder import Folder
from attachments.storage.store import (
    KeyTaken,
    MissingBytes,
    NotAFolder,
    NotSigned,
    Store,
    Stored,
    is_ours,
)

__all__ = [
    "KeyTaken",
    "MissingBytes",
    "NotAFolder",
    "NotSigned",
    "Stored",
    "accel_path",
    "delete",
    "is_folder",
    "is_ours",
    "keys",
    "new_key",
    "read",
    "save",
    "signed_url",
    "size_of",
]

log = structlog.get_logger(__name__)


def new_key() -> str:
    """A random name, such as "3f/3f9c…"; 35 characters, 256 of them beginning differently."""
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}"


def save(key: str, file: BinaryIO) -> None:
    """Keep the whole file, from its position 0 to its end, in flat memory.

    Afterwards the bytes are durable and whole under the key, or nothing is. Raises KeyTaken,
    which is a defect, and StorageUnavailable.
    """
    file.seek(0)
    with _reaching() as store:
        store.put(key, file)


def read(key: str, start: int = 0, stop: int | None = None) -> "Chunks":
    """The bytes from start up to stop, in chunks of at most 128 KB.

    Raises MissingBytes and StorageUnavailable, here or (where the bytes go away in the middle)
    later.
    """
    return Chunks(_read(key, start, stop))


class Chunks(Iterator[bytes]):
    """What is read. The first chunk is fetched at once, so that whoever answers a request knows
    whether there is anything before they promise it. An abandoned one closes what it opened."""

    def __init__(self, source: Generator[bytes, None, None]) -> None:
        self._source = source
        self._first = next(source, b"")

    def __next__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return next(self._source)

    def close(self) -> None:
        self._first = b""
        self._source.close()


def _read(key: str, start: int, stop: int | None) -> Generator[bytes, None, None]:
    with _reaching() as store:
        yield from store.chunks(key, start, stop)


def delete(key: str) -> None:
    """Also where there is nothing. Raises StorageUnavailable."""
    with _reaching() as store:
        store.remove(key)


def size_of(key: str) -> int | None:
    """In bytes; None where there is nothing. Raises StorageUnavailable."""
    with _reaching() as store:
        return store.length(key)


def keys() -> Iterator[Stored]:
    """Everything in the storage, a page at a time, also what nobody knows of (`is_ours`). Raises
    StorageUnavailable."""
    with _reaching() as store:
        yield from store.entries()


def signed_url(key: str, *, filename: str, content_type: str, is_inline: bool) -> str:
    """Where anybody may get the bytes for settings.SIGNED_URL_LIFETIME, under this name and type.

    Raises NotSigned where files are in a folder, and StorageUnavailable.
    """
    disposition = content_disposition_header(not is_inline, filename) or "inline"
    with _reaching() as store:
        return store.sign(
            key,
            disposition=disposition,
            content_type=content_type,
            lifetime=settings.SIGNED_URL_LIFETIME,
        )


def accel_path(key: str, prefix: str) -> str:
    """What X-Accel-Redirect says, `prefix` being nginx's internal location of the folder. Raises
    NotAFolder."""
    if not is_folder():
        raise NotAFolder
    return f"{prefix.rstrip('/')}/{key}"


def is_folder() -> bool:
    """Whether files are in a local folder, which is looked through quickly."""
    return isinstance(_store(), Folder)


def _store() -> Store:
    return resolve(settings.ATTACHMENTS_STORAGE, settings.ATTACHMENTS_FOLDER)


@contextmanager
def _reaching() -> Iterator[Store]:
    """The place, all of whose failures become StorageUnavailable."""
    store = _store()
    try:
        yield store
    except store.failures as error:
        log.warning("storage_failed", error=repr(error))
        raise StorageUnavailable from error
