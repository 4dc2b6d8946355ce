"""Bytes in a local folder that only the desk's own user may enter.

Every path is walked by file descriptors that follow no link, so that a link in the folder leads
nowhere.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from attachments.storage.store import (
    CHUNK,
    PART,
    KeyTaken,
    MissingBytes,
    NotSigned,
    Stored,
    is_ours,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting for the other end of what is not a file but a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Nothing, or a link.
_NOT_THERE = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}


class Folder:
    """A `Store`. The key "3f/3f9c…" is the file 3f9c… in the folder 3f."""

    failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, location: Path) -> None:
        self.location = location

    def put(self, key: str, file: BinaryIO) -> None:
        """Written under another name first, which is linked to the key once all is on the disk: a
        link, unlike a rename, replaces nothing."""
        name = _name(key)
        self._make_room(key)
        with self._folder_of(key) as folder:
            part = os.open(name + PART, _NEW_FILE, 0o600, dir_fd=folder)
            try:
                with os.fdopen(part, "wb", buffering=0) as target:
                    shutil.copyfileobj(file, target, CHUNK)
                    os.fsync(target.fileno())
                os.link(name + PART, name, src_dir_fd=folder, dst_dir_fd=folder)
            except FileExistsError:
                raise KeyTaken from None
            finally:
                _unlink(name + PART, folder)
            try:
                os.fsync(folder)
            except OSError:
                _unlink(name, folder)
                raise

    def chunks(self, key: str, start: int, stop: int | None) -> Iterator[bytes]:
        with self._opened(key) as file:
            file.seek(start)
            while stop is None or start < stop:
                chunk = file.read(CHUNK if stop is None else min(CHUNK, stop - start))
                if not chunk:
                    break
                start += len(chunk)
                yield chunk

    def remove(self, key: str) -> None:
        """With what a writer that was killed has left of it."""
        name = _name(key)
        with suppress(FileNotFoundError), self._folder_of(key) as folder:
            for each in (name, name + PART):
                _unlink(each, folder)

    def length(self, key: str) -> int | None:
        with suppress(MissingBytes), self._opened(key) as file:
            return os.fstat(file.fileno()).st_size
        return None

    def entries(self) -> Iterator[Stored]:
        if not self.location.exists():
            return
        folders = [entry for entry in os.scandir(self.location) if _is_folder(entry)]
        for folder in sorted(folders, key=lambda entry: entry.name):
            with os.scandir(folder) as files:
                yield from filter(None, (_stored(folder.name, file) for file in files))

    def sign(self, key: str, *, disposition: str, content_type: str, lifetime: timedelta) -> str:
        raise NotSigned

    def _make_room(self, key: str) -> None:
        """The folders that the key needs, on the disk before anything is in them."""
        folder = self.location / key.partition("/")[0]
        if folder.is_dir():
            return
        self.location.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        root = os.open(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(root)
        finally:
            os.close(root)

    @contextmanager
    def _folder_of(self, key: str) -> Iterator[int]:
        folder = os.open(self.location / key.partition("/")[0], _FOLDER)
        try:
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        """Raises MissingBytes where there is no regular file."""
        name = _name(key)
        try:
            with self._folder_of(key) as folder:
                descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise MissingBytes from None
            raise
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise MissingBytes
            yield file


def _name(key: str) -> str:
    """Of the file. Keys are random and made here: another one is a defect, and no path."""
    if not is_ours(key):
        raise ValueError(f"{key!r} is no key")
    return key.partition("/")[2]


def _unlink(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _stored(folder: str, entry: os.DirEntry[str]) -> Stored | None:
    """None for what is no file, or no longer there."""
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    modified_at = datetime.fromtimestamp(facts.st_mtime, UTC)
    return Stored(f"{folder}/{entry.name}", facts.st_size, modified_at)
