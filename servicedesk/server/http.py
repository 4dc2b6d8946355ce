"""A connection and its requests: limits before anything is buffered, and a pace for answers."""

import asyncio
from io import BytesIO
from typing import Any
from urllib.parse import unquote

from corsheaders.middleware import CorsMiddleware
from daphne.http_protocol import WebRequest
from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.http.response import HttpResponse, HttpResponseBase
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers

from servicedesk.api.errors import problem_for_status
from servicedesk.middleware import RequestContextMiddleware

# In how much time all headers of a request must be there, however slowly they drip.
HEADERS_SECONDS = 20
# How long the rest of a refused body is thrown away. Closing at once would reset the connection,
# and many clients would never see the answer.
LINGER_SECONDS = 5
# How long a peer may take for what was written last, 64 KiB or a little more. Who is slower than
# that holds a file open for nothing.
STALL_SECONDS = 300.0
# RFC 9110, section 11.6.1: a 401 names the scheme that would have done.
CHALLENGE = 'Bearer realm="desk"'
# Half of Twisted is typed, and not always as it works.
_HTTPChannel: Any = HTTPChannel


class Channel(_HTTPChannel):  # type: ignore[misc]
    """A connection. `is_writable` tells whether the peer keeps up with what is sent."""

    def connectionMade(self) -> None:  # noqa: N802
        super().connectionMade()
        self.requestFactory = Request
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self.factory.server.channels.add(self)
        self._start_clock()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        super().connectionLost(reason)
        self.is_writable.set()
        self.factory.server.channels.discard(self)

    def hand_over(self) -> None:
        """The connection speaks another protocol from now on: forget it, and be forgotten."""
        self.transport.unregisterProducer()
        self.factory.server.channels.discard(self)

    # --- How long a request may take to arrive ---

    def _start_clock(self) -> None:
        self._are_headers_due = True
        self.setTimeout(HEADERS_SECONDS)

    def resetTimeout(self) -> None:  # noqa: N802
        """Called for every piece that arrives; between headers it gains no time."""
        if self._are_headers_due:
            return
        if self.requests:
            super().resetTimeout()
        else:
            self._start_clock()

    def allHeadersReceived(self) -> None:  # noqa: N802
        self._are_headers_due = False
        self.setTimeout(self.factory.timeOut)
        super().allHeadersReceived()

    # --- Called by the transport ---

    def pauseProducing(self) -> None:  # noqa: N802
        super().pauseProducing()
        self.is_writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        super().resumeProducing()
        self.is_writable.set()

    async def until_writable(self) -> None:
        """Return when what was sent before is with the peer; one that stalls is cut off."""
        if self.is_writable.is_set():
            return
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self.is_writable.wait()
        except TimeoutError:
            self.transport.abortConnection()

    # --- Draining ---

    def checkPersistence(self, request: Any, version: bytes) -> bool:  # noqa: N802
        if self.factory.server.is_draining:
            return _will_close(request)
        return bool(super().checkPersistence(request, version))

    def answer_last(self) -> None:
        """The request in hand is the last one of this connection."""
        for request in self.requests:
            self.persistent = _will_close(request)

    def close_if_idle(self) -> None:
        """What was sent before still arrives."""
        if not self.requests:
            self.loseConnection()


def _will_close(request: Any) -> bool:
    request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
    return False


class Request(WebRequest):  # type: ignore[misc]
    # Where Twisted puts the body: in memory or, of what may be large, in a file without a name.
    content: Any

    def __init__(self, channel: Channel, queued: object) -> None:
        # Twisted would parse forms too, with several copies in memory.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self.is_refused = False
        self._received = 0

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """All headers are there. `length` is unknown of a body in chunks."""
        super().gotLength(length)
        self.method, self.uri = self.channel._command, self.channel._path
        self._limit = body_limit(_path_of(self.uri))
        self._has_credentials = _has_credentials(self)
        self._check_size(length or 0)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self._received += len(data)
        self._check_size(self._received)
        if not self.is_refused:
            super().handleContentChunk(data)

    def _check_size(self, size: int) -> None:
        """Whoever does not even claim to be somebody would be refused after a large body, too."""
        if size > self._limit:
            self.refuse(413)
        elif size > settings.JSON_BODY_MAX_BYTES and not self._has_credentials:
            self.refuse(401)

    def process(self) -> None:
        """The request is complete."""
        if self.is_refused:
            return
        if self.server.is_draining and _header(self, b"Upgrade").lower() == "websocket":
            self.refuse(503)
            return
        super().process()
        if self.transport is None:  # it became a socket
            self.channel.hand_over()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """What Daphne calls where it has to answer itself, also in the middle of an answer."""
        if self._response_started:
            self.transport.abortConnection()
        else:
            self.refuse(status)

    def refuse(self, status: int) -> None:
        """Answer with a problem and close the connection; what still arrives is thrown away."""
        if self.is_refused:
            return
        self.is_refused = True
        # What it has of the disk, it gives back now.
        self.content.close()
        self.content = BytesIO()
        # Nobody must be told to go on sending.
        self.requestHeaders.removeHeader(b"Expect")
        response = _problem(self, status)
        headers = Headers({name: [value] for name, value in response.items()})
        headers.setRawHeaders("Connection", ["close"])
        headers.setRawHeaders("Content-Length", [str(len(response.content))])
        reason = response.reason_phrase.encode()
        self.channel.writeHeaders(b"HTTP/1.1", b"%d" % status, reason, headers)
        if self.method != b"HEAD":
            self.channel.write(response.content)
        self.transport.loseWriteConnection()
        loop = asyncio.get_running_loop()
        loop.call_later(LINGER_SECONDS, self.transport.abortConnection)


def body_limit(path: str) -> int:
    """How many bytes a body may have: what the longest prefix in BODY_LIMITS that fits says."""
    fitting = [prefix for prefix in settings.BODY_LIMITS if path.startswith(prefix)]
    limit: int = settings.BODY_LIMITS[max(fitting, key=len)]
    return limit


def _problem(request: Request, status: int) -> HttpResponse:
    """With what every answer of the desk has: an id, a line in the log, and the headers without
    which a front end on another origin could not read it."""

    def answer(_: HttpRequest) -> HttpResponseBase:
        problem = problem_for_status(status)
        if status == 401:
            problem.headers["WWW-Authenticate"] = CHALLENGE
        return problem.response()

    asked = HttpRequest()
    asked.method = request.method.decode("latin-1")
    asked.path = asked.path_info = _path_of(request.uri)
    asked.META = {
        "HTTP_ORIGIN": _header(request, b"Origin"),
        "HTTP_X_REQUEST_ID": _header(request, b"X-Request-ID"),
    }
    response = RequestContextMiddleware(CorsMiddleware(answer))(asked)  # type: ignore[arg-type]
    assert isinstance(response, HttpResponse)
    return response


def _has_credentials(request: Request) -> bool:
    """Whether there is a token or a session's cookie, good or not."""
    cookies = parse_cookie(_header(request, b"Cookie"))
    return bool(_header(request, b"Authorization")) or settings.SESSION_COOKIE_NAME in cookies


def _header(request: Request, name: bytes) -> str:
    value: bytes = request.getHeader(name) or b""
    return value.decode("latin-1")


def _path_of(uri: bytes) -> str:
    """As Django will see it, so that no escape leads past a limit."""
    return unquote(uri.partition(b"?")[0].decode("latin-1"))
