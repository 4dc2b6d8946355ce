"""The export's bytes, line by line, out of a CSV file or out of a zip with one CSV in it."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# A longer line is cut into pieces, none of which is a whole row: memory stays bounded.
MAX_LINE = 1024 * 1024
BUFFER = 64 * 1024
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


class NotAnExport(Exception):
    """The file cannot be read as an incident export; the text says why."""


class Lines:
    """The lines of a byte stream as text, counted from 1.

    A byte that is no UTF-8 becomes a lone surrogate, so that only its own row is spoilt.
    """

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.number = 0
        self.size = size  # bytes there are
        self.done = 0  # bytes read so far
        self._stream = stream
        self._is_new = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Raises NotAnExport where a zip turns out to be damaged."""
        try:
            line = self._stream.readline(MAX_LINE)
        except DAMAGED as exc:
            raise NotAnExport(f"The file is damaged after line {self.number}: {exc}") from exc
        if not line:
            raise StopIteration
        self.done += len(line)
        self.number += self._is_new
        self._is_new = line.endswith(b"\n")
        return line.decode("utf-8", "surrogateescape")


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """The file's lines; a zip is read as a stream and never unpacked. Raises NotAnExport."""
    try:
        file = path.open("rb")
    except OSError as exc:
        raise NotAnExport(f"{path} cannot be read: {exc.strerror}.") from exc
    with file:
        if file.read(4) in ZIP_STARTS:
            with _packed(file) as lines:
                yield lines
            return
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        yield Lines(file, size)


@contextmanager
def _packed(file: IO[bytes]) -> Iterator[Lines]:
    try:
        archive = zipfile.ZipFile(file)
        member = _only_csv(archive)
        stream = archive.open(member)
    except (*DAMAGED, RuntimeError) as exc:  # RuntimeError: it is encrypted
        raise NotAnExport(f"The zip cannot be read: {exc}") from exc
    with archive, stream, io.BufferedReader(stream, BUFFER) as buffered:  # type: ignore[type-var]
        yield Lines(buffered, member.file_size)


def _only_csv(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Macs put a hidden twin of every file into `__MACOSX`: that one is not meant."""
    found = [
        member
        for member in archive.infolist()
        if member.filename.lower().endswith(".csv") and not member.filename.startswith("__MACOSX/")
    ]
    if len(found) != 1:
        raise NotAnExport(f"The zip must hold one CSV file; it holds {len(found)}.")
    return found[0]
