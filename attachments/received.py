"""A file as it came in, through whichever door, before anything is known about it."""

import hashlib
import tempfile
from typing import Any, BinaryIO


class Received:
    """A file as it came in. What lies on the disk has no name there, so that nothing is left of it
    however this process ends."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.size = 0
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self._digest = hashlib.sha256()

    @classmethod
    def of(cls, filename: str, content: bytes) -> "Received":
        """A file that is in memory."""
        received = cls(filename)
        received.write(content, len(content))
        return received

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def fingerprint(self) -> list[Any]:
        """What makes it the same file when a request is sent again."""
        return [self.filename, self.size, self.sha256]

    def write(self, chunk: bytes, most: int) -> None:
        """What is beyond `most` bytes is counted, but not kept: it will be refused."""
        self.size += len(chunk)
        if self.size <= most:
            self.file.write(chunk)
            self._digest.update(chunk)

    def close(self) -> None:
        self.file.close()
