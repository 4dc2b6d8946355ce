"""A file as an answer: its headers, its status, and that its reader is closed in every case."""

import asyncio
import threading
import time
from contextlib import aclosing
from email.message import Message
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from attachments.api.streaming import (
    accel_response,
    content_disposition,
    file_response,
    redirect_response,
)
from attachments.refusals import StorageUnavailable

pytestmark = pytest.mark.once

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)


class Store:
    """Gives the content in chunks and tells what became of its reader."""

    chunk = 1000

    def __init__(self, content=CONTENT):
        self.content = content
        self.calls: list[tuple[int, int]] = []
        self.given = 0
        self.readers = 0

    def read(self, start, stop):
        self.calls.append((start, stop))
        self.readers += 1
        try:
            for place in range(start, min(stop, len(self.content)), self.chunk):
                self.given += 1
                yield self.content[place : min(place + self.chunk, stop)]
        finally:
            self.readers -= 1


def response(store, method="GET", **headers):
    request = RequestFactory().generic(
        method, "/", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    return file_response(
        request,
        size=SIZE,
        etag="abc",
        read=store.read,
        filename="clip.mp4",
        content_type="video/mp4",
        is_inline=False,
    )


# --- What is answered -------------------------------------------------------------------


def test_the_whole_file_with_all_that_keeps_it_harmless():
    store = Store()
    answer = response(store)
    assert answer.status_code == 200
    assert b"".join(answer) == CONTENT
    assert dict(answer.items()) == {
        "Content-Type": "video/mp4",
        "Content-Disposition": 'attachment; filename="clip.mp4"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
        "Cross-Origin-Resource-Policy": "same-site",
        "ETag": '"abc"',
        "Accept-Ranges": "bytes",
        "Content-Length": str(SIZE),
    }
    assert store.readers == 0


def test_a_part_reads_that_part_only():
    store = Store()
    answer = response(store, Range="bytes=500-3499")
    assert (answer.status_code, answer["Content-Length"]) == (206, "3000")
    assert answer["Content-Range"] == f"bytes 500-3499/{SIZE}"
    assert b"".join(answer) == CONTENT[500:3500]
    assert store.calls == [(500, 3500)]


def test_a_part_that_lies_outside_is_a_problem_that_tells_the_size():
    store = Store()
    answer = response(store, Range=f"bytes={SIZE}-")
    assert (answer.status_code, answer["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert answer["Content-Type"] == "application/problem+json"
    assert b'"code":"range_not_satisfiable"' in answer.content
    assert "Content-Disposition" not in answer
    assert store.calls == []


def test_head_tells_everything_and_reads_nothing():
    store = Store()
    head, get = response(store, "HEAD", Range="bytes=0-1"), response(store)
    assert (head.status_code, head.content, dict(head.items())) == (200, b"", dict(get.items()))
    assert len(store.calls) == 1


def test_who_has_the_file_gets_nothing_but_its_tag():
    store = Store()
    for method in ("GET", "HEAD"):
        answer = response(store, method, If_None_Match='W/"abc", "x"')
        assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", '"abc"')
        assert answer["Content-Length"] == str(SIZE)
        assert answer["Cache-Control"] == "private, no-cache"
    assert store.calls == []


def test_who_means_another_file_is_told_so():
    store = Store()
    answer = response(store, If_Match='"other"')
    assert answer.status_code == 412
    assert b'"code":"precondition_failed"' in answer.content
    assert store.calls == []


def test_an_empty_file_is_answered_without_reading():
    answer: Any = file_response(
        RequestFactory().get("/", headers={"Range": "bytes=-5"}),
        size=0,
        etag="abc",
        read=Store().read,
        filename="nothing",
        content_type="text/plain",
        is_inline=True,
    )
    assert (answer.status_code, answer["Content-Length"], answer.content) == (200, "0", b"")


def test_a_redirect_is_not_kept():
    answer = redirect_response("https://store.example/key?signed=1")
    assert (answer.status_code, answer["Cache-Control"]) == (302, "no-store")
    assert answer["Location"] == "https://store.example/key?signed=1"


def test_nginx_is_told_where_the_file_lies_and_what_to_say_of_it():
    answer = accel_response(
        "/files/ab/ä b", etag="abc", filename="a.png", content_type="image/png", is_inline=True
    )
    assert answer["X-Accel-Redirect"] == "/files/ab/%C3%A4%20b"
    assert answer["Content-Disposition"] == 'inline; filename="a.png"'
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert (answer["ETag"], answer["Content-Type"]) == ('"abc"', "image/png")
    assert answer.content == b""


# --- Names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("a b (1).pdf", 'attachment; filename="a b (1).pdf"'),
        (
            "Übersicht.pdf",
            "attachment; filename=\"Ubersicht.pdf\"; filename*=UTF-8''%C3%9Cbersicht.pdf",
        ),
        ("日本.pdf", "attachment; filename=\"__.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf"),
        ('a"; b="c', "attachment; filename=\"a__ b=_c\"; filename*=UTF-8''a%22%3B%20b%3D%22c"),
        ("50%41.txt", "attachment; filename=\"50_41.txt\"; filename*=UTF-8''50%2541.txt"),
        (
            "\u0646\u200c\u0645",
            "attachment; filename=\"___\"; filename*=UTF-8''%D9%86%E2%80%8C%D9%85",
        ),
        ("a\\b.txt", 'attachment; filename="a_b.txt"'),
        ("../etc/passwd", 'attachment; filename=".._etc_passwd"'),
        (
            "a\r\nB: c",
            "attachment; filename=\"a__B_ c\"; filename*=UTF-8''a__B%3A%20c",
        ),
        ("a\u202egpj.exe", 'attachment; filename="a_gpj.exe"'),
        ("\ud800.txt", 'attachment; filename="_.txt"'),
        ("", 'attachment; filename="file"'),
    ],
)
def test_a_name_says_what_it_can_and_does_no_harm(name, expected):
    assert content_disposition(name, is_inline=False) == expected


@given(st.text(max_size=150))
def test_any_name_is_one_header_that_programs_read_as_they_should(name):
    header = content_disposition(name, is_inline=True)
    assert header.isascii()
    assert header.isprintable()
    message = Message()
    message["Content-Disposition"] = header
    assert message.get_content_disposition() == "inline"
    parameters = message.get_params([], header="Content-Disposition")
    assert {key for key, _ in parameters} <= {"inline", "filename", "filename*"}
    extended = header.partition("filename*=UTF-8''")[2]
    shown = unquote(extended) if extended else header.partition('"')[2].removesuffix('"')
    assert not set(shown) & set("/\\\r\n\0\u202e")
    assert len(shown) == (len(name) or len("file"))


# --- How it is read ---------------------------------------------------------------------


def test_a_storage_that_is_away_is_told_before_the_answer_begins():
    def away(start, stop):
        if stop:
            raise StorageUnavailable
        yield b""

    store = Store()
    store.read = away  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        response(store)


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[:3000]])
def test_a_file_that_has_become_shorter_is_never_a_whole_answer(content):
    store = Store(content)
    with pytest.raises(OSError, match="fewer or more"):
        b"".join(response(store))
    assert store.readers == 0


def test_a_storage_that_gives_too_much_is_stopped_before_it_is_sent():
    class Generous(Store):
        def read(self, start, stop):
            yield CONTENT
            yield b"more"

    sent = []
    with pytest.raises(OSError, match="fewer or more"):
        sent.extend(response(Generous()))
    assert b"".join(sent) == CONTENT


def test_an_answer_that_is_closed_early_closes_its_reader():
    store = Store()
    answer = response(store)
    assert next(iter(answer)) == CONTENT[:1000]
    assert store.readers == 1
    answer.close()
    assert store.readers == 0


async def test_under_asgi_chunks_are_read_one_by_one_in_other_threads():
    threads = set()

    class Watched(Store):
        def read(self, start, stop):
            for chunk in super().read(start, stop):
                threads.add(threading.current_thread().name)
                yield chunk

    store = Watched()
    answer = response(store)
    received = b""
    async with aclosing(aiter(answer)) as chunks:
        async for chunk in chunks:
            received += chunk
            assert store.given * 1000 - len(received) <= 1000
    assert received == CONTENT
    # The first one was read by whoever made the answer.
    threads.discard(threading.current_thread().name)
    assert threads
    assert all(name.startswith("download") for name in threads)
    assert store.readers == 0


async def test_a_slow_storage_does_not_hold_up_the_loop():
    class Slow(Store):
        def read(self, start, stop):
            for number, chunk in enumerate(super().read(start, stop)):
                if number:
                    time.sleep(0.02)
                yield chunk

    turns = 0

    async def live():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    living = asyncio.create_task(live())
    received = b"".join([chunk async for chunk in response(Slow())])
    living.cancel()
    assert received == CONTENT
    assert turns > 100


async def test_a_reader_that_goes_while_the_storage_is_slow_waits_for_nothing_and_leaves_nothing():
    reached, go = threading.Event(), threading.Event()

    class Stuck(Store):
        def read(self, start, stop):
            for number, chunk in enumerate(super().read(start, stop)):
                if number == 1:
                    reached.set()
                    go.wait(30)
                yield chunk

    store = Stuck()
    answer = response(store)

    async def send():
        async for _ in answer:
            pass

    sending = asyncio.create_task(send())
    await asyncio.to_thread(reached.wait, 30)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    closing = asyncio.create_task(asyncio.to_thread(answer.close))
    await asyncio.sleep(0.05)
    assert store.readers == 1
    go.set()
    await closing
    assert store.readers == 0
    assert store.given == 2
