"""What every place for bytes does, on a folder and on S3 over HTTP."""

import hashlib
import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from attachments import storage
from attachments.tests.keeping import stored_keys

pytestmark = [pytest.mark.usefixtures("each_storage"), pytest.mark.once]
MB = 1024 * 1024
# The shortest, around a chunk, around a window, and more than two windows.
SIZES = [1, 100_000, 128 * 1024, 128 * 1024 + 1, MB - 1, MB, MB + 1, 5 * MB]


def saved(content: bytes) -> str:
    key = storage.new_key()
    storage.save(key, BytesIO(content))
    return key


def whole(key: str, *bounds: int) -> bytes:
    return b"".join(storage.read(key, *bounds))


def test_keys_are_random_short_and_spread() -> None:
    keys = {storage.new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert all(len(key) <= 64 and storage.is_ours(key) for key in keys)
    assert len({key[:2] for key in keys}) > 200


@pytest.mark.parametrize("size", SIZES)
def test_bytes_in_are_bytes_out(size) -> None:
    content = random.Random(size).randbytes(size)

    key = saved(content)

    chunks = list(storage.read(key))
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= 256 * 1024
    assert storage.size_of(key) == size


def test_a_file_is_kept_from_its_beginning() -> None:
    file = BytesIO(b"0123456789")
    file.read(4)
    key = storage.new_key()

    storage.save(key, file)

    assert whole(key) == b"0123456789"


def test_ranges_are_slices() -> None:
    content = random.Random(1).randbytes(3 * MB + 17)
    key = saved(content)

    @hypothesis_settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(st.integers(0, len(content) + 5), st.none() | st.integers(0, len(content) + 2 * MB))
    def check(start: int, stop: int | None) -> None:
        assert whole(key, start, stop) == content[start:stop]  # type: ignore[arg-type]

    check()


def test_one_byte_and_the_last_byte_and_none() -> None:
    key = saved(b"abc")

    assert whole(key, 0, 1) == b"a"
    assert whole(key, 2, 3) == b"c"
    assert whole(key, 3) == b""
    assert whole(key, 100) == b""


def test_what_is_not_there_is_missing_at_once() -> None:
    key = storage.new_key()

    with pytest.raises(storage.MissingBytes):
        storage.read(key)
    with pytest.raises(storage.MissingBytes):
        storage.read(key, 5, 10)
    assert storage.size_of(key) is None


def test_a_key_is_written_once() -> None:
    key = saved(b"the first")

    with pytest.raises(storage.KeyTaken):
        storage.save(key, BytesIO(b"the second"))

    assert whole(key) == b"the first"
    assert stored_keys() == {key}


def test_what_is_deleted_is_gone_also_twice() -> None:
    key, other = saved(b"x"), saved(b"y")

    storage.delete(key)
    storage.delete(key)
    storage.delete(storage.new_key())

    assert storage.size_of(key) is None
    assert whole(other) == b"y"


def test_everything_is_listed_with_size_and_time() -> None:
    before = timezone.now()
    keys = {saved(b"x" * size): size for size in range(1, 30)}

    listed = list(storage.keys())

    assert {each.key: each.size for each in listed} == keys
    slack = timedelta(seconds=5)
    assert all(before - slack < each.modified_at < timezone.now() + slack for each in listed)


def test_an_empty_storage_lists_nothing() -> None:
    assert list(storage.keys()) == []


def test_twenty_at_once_do_not_disturb_each_other() -> None:
    start = threading.Barrier(20)

    def work(number: int) -> str:
        content = random.Random(number).randbytes(50_000 + number * 1000)
        start.wait()
        for _ in range(5):
            key = saved(content)
            assert hashlib.sha256(whole(key)).digest() == hashlib.sha256(content).digest()
            storage.delete(key)
        return saved(content)

    with ThreadPoolExecutor(20) as threads:
        left = set(threads.map(work, range(20)))

    assert stored_keys() == left


def test_saving_and_reading_a_large_file_takes_little_memory(tmp_path) -> None:
    size = 40 * MB
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
    # What the client of a provider loads once is not what a file takes.
    whole(saved(b"warm"))

    tracemalloc.start()
    key = storage.new_key()
    with path.open("rb") as file:
        storage.save(key, file)
    read = sum(map(len, storage.read(key)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert read == size
    assert peak < 8 * MB
