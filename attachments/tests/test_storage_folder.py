"""The folder: what a crash, a full disk, a link or another user can do to it."""

import gc
import hashlib
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from attachments import storage
from attachments.refusals import StorageUnavailable
from attachments.storage.folder import Folder
from attachments.tests.keeping import stored_keys
from servicedesk.tests.processes import ROOT

pytestmark = pytest.mark.once

MB = 1024 * 1024
# Writes files for as long as it lives, and says which ones it has finished.
WRITER = """
import hashlib, sys
from io import BytesIO
from pathlib import Path
from attachments.storage import new_key
from attachments.storage.folder import Folder

folder = Folder(Path(sys.argv[1]))
while True:
    key = new_key()
    folder.put(key, BytesIO(hashlib.sha256(key.encode()).digest() * 65536))
    print(key, flush=True)
"""


def content_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest() * 65536


def saved(content: bytes = b"some bytes") -> str:
    key = storage.new_key()
    storage.save(key, BytesIO(content))
    return key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def largest_file(size: int):
    """This process can write no file beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nobody_else_may_look(folder_storage) -> None:
    before = os.umask(0)
    try:
        key = saved()
    finally:
        os.umask(before)

    path = folder_storage / key
    assert [mode(each) for each in (path, path.parent, folder_storage)] == [0o600, 0o700, 0o700]


def test_nothing_lies_beside_what_is_kept(folder_storage) -> None:
    key = saved()

    assert [path for path in folder_storage.rglob("*") if path.is_file()] == [folder_storage / key]


def test_a_writer_that_is_killed_leaves_whole_files_only(folder_storage) -> None:
    finished, rng = set(), random.Random(5)

    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder_storage)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        first = writer.stdout.readline().strip()
        assert first, "the writer ended before it had written anything"
        finished.add(first)
        time.sleep(rng.random() * 0.03)
        os.kill(writer.pid, signal.SIGKILL)
        # The last line may be cut off where it died.
        rest = writer.communicate()[0].splitlines(keepends=True)
        finished.update(line.strip() for line in rest if line.endswith("\n"))

    entries = stored_keys()
    assert finished <= entries
    for key in entries:
        if not key.endswith(".part"):
            assert b"".join(storage.read(key)) == content_of(key)


def test_what_a_killed_writer_left_goes_with_its_key(folder_storage) -> None:
    key = storage.new_key()
    path = folder_storage / f"{key}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of it")

    assert stored_keys() == {f"{key}.part"}
    assert storage.size_of(key) is None
    storage.delete(key)

    assert list(storage.keys()) == []


def test_what_a_killed_writer_left_can_be_deleted_by_what_it_is_called(folder_storage) -> None:
    key = saved()
    os.link(folder_storage / key, folder_storage / f"{key}.part")

    storage.delete(f"{key}.part")

    assert stored_keys() == {key}


def test_a_full_disk_is_said_and_leaves_nothing(folder_storage) -> None:
    key = storage.new_key()

    with largest_file(MB // 2), pytest.raises(StorageUnavailable):
        storage.save(key, BytesIO(bytes(MB)))

    assert list(storage.keys()) == []
    storage.save(key, BytesIO(bytes(MB)))
    assert storage.size_of(key) == MB


def test_a_file_that_breaks_off_while_it_is_read_leaves_nothing() -> None:
    class Broken(BytesIO):
        def read(self, size=-1):
            if self.tell() > MB:
                raise OSError("the disk it comes from is broken")
            return super().read(size)

    with pytest.raises(StorageUnavailable):
        storage.save(storage.new_key(), Broken(bytes(3 * MB)))

    assert list(storage.keys()) == []


def test_a_folder_that_cannot_be_written_is_unavailable(folder_storage) -> None:
    folder_storage.write_text("in its place there is a file")

    with pytest.raises(StorageUnavailable):
        saved()


def test_a_file_that_is_a_link_leads_nowhere(folder_storage, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    key = saved()
    (folder_storage / key).unlink()
    (folder_storage / key).symlink_to(secret)

    with pytest.raises(storage.MissingBytes):
        storage.read(key)
    assert storage.size_of(key) is None
    assert list(storage.keys()) == []
    storage.delete(key)
    assert secret.read_text() == "not yours"


def test_a_folder_that_is_a_link_leads_nowhere(folder_storage, tmp_path) -> None:
    key = saved()
    outside = tmp_path / "outside"
    (folder_storage / key).parent.rename(outside)
    (folder_storage / key[:2]).symlink_to(outside)

    with pytest.raises(storage.MissingBytes):
        storage.read(key)
    assert list(storage.keys()) == []
    with pytest.raises(StorageUnavailable):
        storage.save(f"{key[:2]}/{'0' * 32}", BytesIO(b"x"))
    with pytest.raises(StorageUnavailable):
        storage.delete(key)
    assert [path.name for path in outside.iterdir()] == [key[3:]]


def test_a_pipe_is_no_file_and_keeps_nobody_waiting(folder_storage) -> None:
    key = saved()
    (folder_storage / key).unlink()
    os.mkfifo(folder_storage / key)

    with pytest.raises(storage.MissingBytes):
        storage.read(key)


@pytest.mark.parametrize(
    "key", ["../secret", "3f/../../secret", "/etc/passwd", "3f/", "", "3f/3f9c", "ZZ/" + "0" * 32]
)
def test_what_is_no_key_is_no_path(key) -> None:
    for act in (storage.read, storage.delete, storage.size_of):
        with pytest.raises(ValueError, match="no key"):
            act(key)
    with pytest.raises(ValueError, match="no key"):
        storage.save(key, BytesIO(b"x"))


def test_an_abandoned_read_closes_what_it_opened() -> None:
    key = saved(bytes(MB))
    before = open_descriptors()

    unread, begun, closed = storage.read(key), storage.read(key), storage.read(key)
    next(begun)
    assert open_descriptors() == before + 3
    closed.close()
    del unread, begun
    gc.collect()

    assert open_descriptors() == before
    assert list(closed) == []


def test_what_is_being_read_can_be_read_to_its_end_while_it_is_deleted() -> None:
    key = saved(bytes(MB))
    chunks = storage.read(key)
    next(chunks)

    storage.delete(key)

    assert sum(map(len, chunks)) == MB - 128 * 1024


def test_a_folder_signs_nothing_and_has_paths_for_nginx() -> None:
    key = saved()

    with pytest.raises(storage.NotSigned):
        storage.signed_url(key, filename="a.txt", content_type="text/plain", is_inline=False)
    assert storage.accel_path(key, "/protected/") == f"/protected/{key}"
    assert storage.accel_path(key, "/protected") == f"/protected/{key}"


def test_the_folder_is_made_with_its_parents(tmp_path) -> None:
    Folder(tmp_path / "a" / "b").put(storage.new_key(), BytesIO(b"x"))

    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
