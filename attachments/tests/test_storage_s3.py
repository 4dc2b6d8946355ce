"""S3 over HTTP: what is said when it fails, what a signed URL gives, what a bucket shows."""

import random
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest

from attachments import storage
from attachments.refusals import StorageUnavailable
from attachments.storage.providers import WINDOW
from attachments.tests.keeping import stored_keys
from servicedesk.tests.processes import free_port

pytestmark = pytest.mark.once
KEY = "3f/" + "3f" * 16


def saved(content: bytes = b"some bytes") -> str:
    key = storage.new_key()
    storage.save(key, BytesIO(content))
    return key


def every_call():
    return {
        "save": lambda: storage.save(KEY, BytesIO(b"x")),
        "read": lambda: storage.read(KEY),
        "delete": lambda: storage.delete(KEY),
        "size_of": lambda: storage.size_of(KEY),
        "keys": lambda: list(storage.keys()),
    }


@contextmanager
def breaking_off(content: bytes, times: int):
    """A server whose first answers end in the middle."""
    requests: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                requests.append(peer.recv(65536).split(b"\r\n")[0].decode())
                body = content if len(requests) > times else content[: len(content) // 2]
                head = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(content)}\r\n"
                peer.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def address(port: int) -> str:
    endpoint = f"http%3A%2F%2F127.0.0.1%3A{port}"
    return f"s3://desk?endpoint_url={endpoint}&region=us-east-1&access_key=a&secret_key=b"


@pytest.mark.parametrize("call", sorted(every_call()))
def test_a_store_that_is_away_is_said_to_be_unavailable(settings, call) -> None:
    settings.ATTACHMENTS_STORAGE = address(free_port())

    with pytest.raises(StorageUnavailable):
        every_call()[call]()


@pytest.mark.parametrize("call", sorted(every_call()))
def test_a_bucket_that_does_not_exist_is_no_missing_file(settings, object_store, call) -> None:
    settings.ATTACHMENTS_STORAGE = object_store.address("there-is-no-such-bucket")

    with pytest.raises(StorageUnavailable):
        every_call()[call]()


def test_an_answer_that_breaks_off_is_asked_for_again(settings) -> None:
    content = random.Random(2).randbytes(100_000)
    with breaking_off(content, times=2) as (port, requests):
        settings.ATTACHMENTS_STORAGE = address(port)

        assert b"".join(storage.read(KEY, 0, len(content))) == content

    assert len(requests) == 3


def test_what_breaks_off_again_and_again_is_unavailable(settings) -> None:
    with breaking_off(bytes(1000), times=99) as (port, requests):
        settings.ATTACHMENTS_STORAGE = address(port)

        with pytest.raises(StorageUnavailable):
            storage.read(KEY, 0, 1000)

    assert len(requests) == 3


def test_a_signed_url_gives_the_bytes_their_name_and_type(s3_storage) -> None:
    key = saved(b"%PDF-1.7 ...")

    url = storage.signed_url(
        key, filename="Übersicht Q3.pdf", content_type="application/pdf", is_inline=False
    )

    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"%PDF-1.7 ..."
        assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename*=utf-8''%C3%9Cbersicht%20Q3.pdf"
        )


def test_a_signed_url_lives_as_long_as_the_setting_says(s3_storage, settings) -> None:
    settings.SIGNED_URL_LIFETIME = timedelta(seconds=45)

    url = storage.signed_url(saved(), filename="a.png", content_type="image/png", is_inline=True)

    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["45"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["response-content-disposition"] == ['inline; filename="a.png"']


def test_objects_lie_under_the_prefix_and_tell_nothing(s3_storage, object_store) -> None:
    key = saved()

    listed = object_store.client.list_objects_v2(Bucket=s3_storage)["Contents"]
    assert [each["Key"] for each in listed] == [f"files/{key}"]
    facts = object_store.client.head_object(Bucket=s3_storage, Key=f"files/{key}")
    assert facts["ContentType"] == "application/octet-stream"
    assert facts["Metadata"] == {}


def test_what_lies_outside_the_prefix_is_not_ours(s3_storage, object_store) -> None:
    for name in ("somebody-elses", "files-of-others/x"):
        object_store.client.put_object(Bucket=s3_storage, Key=name, Body=b"x")

    assert list(storage.keys()) == []


def test_more_than_a_page_is_listed(s3_storage, object_store) -> None:
    client = object_store.client
    names = [f"{number:02x}/{number:032x}" for number in range(1001)]
    for name in names:
        client.put_object(Bucket=s3_storage, Key=f"files/{name}", Body=b"x")

    assert stored_keys() == set(names)


def test_what_is_deleted_while_it_is_read_does_not_seem_to_end_there(s3_storage) -> None:
    key = saved(bytes(2 * WINDOW))
    chunks = storage.read(key)
    next(chunks)

    storage.delete(key)

    with pytest.raises(storage.MissingBytes):
        list(chunks)
