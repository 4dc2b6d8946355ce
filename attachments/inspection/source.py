"""A file that is looked into here and there, never read whole unless it is small."""

import os
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

HEAD = 64 * 1024
CHUNK = 256 * 1024


class Source:
    """`size` bytes. What lies outside is not there: reading it gives less."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    @cached_property
    def head(self) -> bytes:
        return self.at(0, HEAD)

    def tail(self, length: int) -> bytes:
        return self.at(max(self.size - length, 0), length)

    def at(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset >= self.size or length <= 0:
            return b""
        self.file.seek(offset, os.SEEK_SET)
        return self.file.read(min(length, self.size - offset))

    def chunks(self) -> Iterator[bytes]:
        for offset in range(0, self.size, CHUNK):
            yield self.at(offset, CHUNK)

    def whole(self) -> bytes:
        """For formats whose files are small."""
        return self.at(0, self.size)
