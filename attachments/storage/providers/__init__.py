"""Object stores, by django-storages: it knows how to sign in to each and how to sign URLs.

Its file objects are not used: they fetch the whole object to read a part of it. Here it is read
in windows, so that a slow reader holds one of them and no connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from attachments.storage.store import CHUNK, MissingBytes

# Bytes that one request fetches.
WINDOW = 1024 * 1024
# Bytes that one request sends, where the provider takes an object in parts.
SENT_AT_ONCE = 4 * 1024 * 1024
CONTENT_TYPE = "application/octet-stream"


class ObjectStore(ABC):
    """What the providers' stores share; goes before a class of django-storages."""

    location: str

    @abstractmethod
    def fetch(self, key: str, start: int, stop: int) -> bytes | None:
        """These bytes, fewer where the object ends before; None where there is none."""

    def chunks(self, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        while stop is None or start < stop:
            end = start + WINDOW if stop is None else min(start + WINDOW, stop)
            window = self.fetch(key, start, end)
            if window is None:
                raise MissingBytes
            for offset in range(0, len(window), CHUNK):
                yield window[offset : offset + CHUNK]
            if len(window) < end - start:
                return
            start = end

    def full_name(self, key: str) -> str:
        """Of the object, with the prefix of the address."""
        return f"{self.location}/{key}" if self.location else key

    def key_of(self, full_name: str) -> str:
        return full_name.removeprefix(self.prefix)

    @property
    def prefix(self) -> str:
        return self.full_name("")
