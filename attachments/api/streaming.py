"""The bytes of a file as an answer, whole or in part, at the reader's pace."""

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from attachments.api.ranges import select
from servicedesk.api.errors import Problem

Read = Callable[[int, int], Iterator[bytes]]

# Threads that wait for disks and stores; readers that do not read have none. They are not those
# of the requests, whose views may have to wait for the database.
READERS = ThreadPoolExecutor(8, thread_name_prefix="download")
# What a name must not bring into a header or onto somebody's disk: controls, characters that
# are not shown, halves of surrogate pairs, separators of paths. Joiners are letters of a kind, in
# Persian as in emoji.
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
SEPARATORS, JOINERS = frozenset("/\\"), frozenset("\u200c\u200d")
# In a quoted string. Programs differ over escapes, semicolons and percent signs in one.
PLAIN = re.compile(r"[^ !#$&'()+,\-.0-9=@A-Z\[\]^_`a-z{}~]")
# RFC 8187, attr-char.
ATTR_CHARS = "!#$&+-.^_`|~"


def file_response(
    request: HttpRequest | Request,
    *,
    size: int,
    etag: str,
    read: Read,
    filename: str,
    content_type: str,
    is_inline: bool,
) -> HttpResponseBase:
    """Answer GET or HEAD as RFC 9110 has it: 200, 206, 304, 412 or 416.

    `read(start, stop)` gives the bytes `start` up to, not including, `stop` in chunks, of which
    few are in memory at a time. It is called for GET only, and its first chunk is read here, so
    that a storage which is away can still be told; the others later, in other threads: it must
    not touch the database. `etag` is what stands between the quotes. The caller has asked for
    permission.
    """
    tag = f'"{etag}"'
    headers = {
        **_headers(filename, content_type, is_inline=is_inline),
        "ETag": tag,
        "Accept-Ranges": "bytes",
    }
    chosen = select(method=str(request.method), headers=request.headers, etag=tag, size=size)
    if chosen.status == 304:
        # What 200 would say of the length, or nothing; Django would say 0.
        return HttpResponse(status=304, headers={**headers, "Content-Length": str(size)})
    if chosen.status >= 400:
        return _refusal(chosen.status, size)
    if chosen.status == 206:
        headers["Content-Range"] = f"bytes {chosen.start}-{chosen.stop - 1}/{size}"
    length = chosen.stop - chosen.start
    headers["Content-Length"] = str(length)
    if request.method == "HEAD" or not length:
        return HttpResponse(status=chosen.status, headers=headers)
    body = _Body(read(chosen.start, chosen.stop), length)
    return PacedResponse(body, status=chosen.status, headers=headers)


def redirect_response(url: str) -> HttpResponse:
    """To a signed URL, which is good for this caller and for a minute."""
    return HttpResponseRedirect(url, headers={"Cache-Control": "no-store"})


def accel_response(
    path: str, *, etag: str, filename: str, content_type: str, is_inline: bool
) -> HttpResponse:
    """nginx sends what lies below the internal location `path`; it sees to ranges itself."""
    headers = _headers(filename, content_type, is_inline=is_inline)
    return HttpResponse(
        headers={**headers, "ETag": f'"{etag}"', "X-Accel-Redirect": quote(path)},
    )


def content_disposition(filename: str, *, is_inline: bool) -> str:
    """RFC 6266: the name for old programs in ASCII, and as it is (RFC 8187) where that differs."""
    name = "".join("_" if _is_unsafe(char) else char for char in filename) or "file"
    parts = unicodedata.normalize("NFD", name)
    plain = PLAIN.sub("_", "".join(char for char in parts if not unicodedata.combining(char)))
    kind = "inline" if is_inline else "attachment"
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe=ATTR_CHARS)}"
    return f'{kind}; filename="{plain}"{extended}'


def _is_unsafe(char: str) -> bool:
    if char in JOINERS:
        return False
    return char in SEPARATORS or unicodedata.category(char) in UNSAFE


def _headers(filename: str, content_type: str, *, is_inline: bool) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": content_disposition(filename, is_inline=is_inline),
        "X-Content-Type-Options": "nosniff",
        # Whatever it is, opened by itself it runs nothing, and not as this site.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        # Kept by the reader's browser, which must ask each time whether it still may show it.
        "Cache-Control": "private, no-cache",
        # Front ends fetch with CORS, which this does not touch. It is for those on a neighbouring
        # host that show images in place, and against everybody else's pages doing so.
        "Cross-Origin-Resource-Policy": "same-site",
    }


def _refusal(status: int, size: int) -> HttpResponse:
    if status == 412:
        return Problem(412, "precondition_failed", "The file is not the one you mean").response()
    problem = Problem(
        416,
        "range_not_satisfiable",
        "The range lies outside of the file",
        f"The file has {size} bytes.",
        headers={"Content-Range": f"bytes */{size}"},
    )
    return problem.response()


class _Body:
    """The chunks of a reader, which must give exactly `length` bytes; the first is read at once.

    One thread may close it while another one reads: it waits until that is done.
    """

    def __init__(self, chunks: Iterator[bytes], length: int) -> None:
        self._chunks, self._missing = chunks, length
        self._lock = Lock()
        self._ahead = [self._read()]

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> bytes:
        with self._lock:
            chunk = self._ahead.pop() if self._ahead else self._read()
        if not chunk:
            raise StopIteration
        return chunk

    def _read(self) -> bytes:
        chunk = next(self._chunks, b"")
        self._missing -= len(chunk)
        # Raised, the connection is cut: nobody must take a part for the whole.
        if self._missing < 0 or (self._missing and not chunk):
            raise OSError("The storage gave fewer or more bytes than the file has.")
        return chunk

    def close(self) -> None:
        with self._lock:
            self._ahead.clear()
            if close := getattr(self._chunks, "close", None):
                close()


class PacedResponse(StreamingHttpResponse):
    """A body from a plain iterator, also under ASGI, where Django would read all of it at once.

    There each chunk is read in a thread, when the one before is with the peer. Whoever stops
    early closes the response (Django does), and with it the iterator.
    """

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop, chunks = asyncio.get_running_loop(), iter(self)
        while chunk := await loop.run_in_executor(READERS, _next, chunks):
            yield chunk


def _next(chunks: Iterator[Any]) -> bytes:
    return next(chunks, b"")
