"""What a place for bytes can do, whichever it is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol

from servicedesk.errors import DomainError

# Bytes at a time: what is held of a file in memory while it is read from a folder, or given on.
CHUNK = 128 * 1024
# The first of a provider's answer, and each part of it, must come within so many seconds.
CONNECT_SECONDS, READ_SECONDS, RETRIES = 3, 20, 2

# What a writer that was killed leaves of a key in a folder.
PART = ".part"
_OURS = re.compile(rf"[0-9a-f]{{2}}/[0-9a-f]{{32}}({re.escape(PART)})?")


class MissingBytes(DomainError):
    """There is nothing under the key: deleted a moment ago, or lost."""

    code = "not_found"
    status = 404
    title = "There is nothing here"

    def __init__(self) -> None:
        super().__init__("The content of the file is gone.")


class KeyTaken(Exception):
    """There is something under a key that is to be new: a defect, since keys are random."""


class NotSigned(Exception):
    """This place cannot be asked for bytes by a URL: it is a folder."""


class NotAFolder(Exception):
    """This place has no paths that a web server could send from."""


@dataclass(frozen=True)
class Stored:
    """What lies in the storage: its size in bytes, and when it was written last."""

    key: str
    size: int
    modified_at: datetime


class Store(Protocol):
    """Raises what is in `failures` where it cannot be reached; nothing of it is buffered whole."""

    failures: tuple[type[Exception], ...]

    def put(self, key: str, file: BinaryIO) -> None:
        """Write what is left of the file; raises KeyTaken."""

    def chunks(self, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        """The bytes from start up to stop; raises MissingBytes."""

    def remove(self, key: str) -> None:
        """Also where there is nothing."""

    def length(self, key: str) -> int | None:
        """In bytes; None where there is nothing."""

    def entries(self) -> Iterator[Stored]:
        """Everything that is kept here, also what is not ours."""

    def sign(self, key: str, *, disposition: str, content_type: str, lifetime: timedelta) -> str:
        """A URL whose answer has these headers; raises NotSigned."""


def is_ours(key: str) -> bool:
    """Whether `attachments.storage` makes such keys; what else lies there is somebody else's."""
    return _OURS.fullmatch(key) is not None
