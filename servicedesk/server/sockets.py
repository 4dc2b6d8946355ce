"""WebSockets: a bounded way in, and a direct way out."""

import asyncio
from collections.abc import Callable
from typing import Any

from autobahn.websocket import ConnectionDeny
from autobahn.websocket import protocol as autobahn
from autobahn.websocket.types import ConnectionRequest
from daphne.ws_protocol import WebSocketProtocol

# Messages that may wait for the application before reading pauses, and when it goes on.
MAX_WAITING, MAX_WAITING_BYTES = 64, 1024 * 1024
RESUME_AT = 16
# Of any kind, pieces of messages and pings too: the application hears of whole messages only.
FRAMES_A_SECOND = 500
DRAINING = 4412
# What a peer gets to say goodbye, or to read what was sent before.
CLOSE_SECONDS = 3
OPEN = WebSocketProtocol.STATE_OPEN

Told = Callable[[], None]
# Of every new socket it formats the whole configuration, for a debugging line that nobody reads.
setattr(autobahn, "pformat", repr)  # noqa: B010


class Socket(WebSocketProtocol):  # type: ignore[misc]
    is_paused = False
    frames = 0
    counted_from = 0.0

    def onConnect(self, request: ConnectionRequest) -> Any:  # noqa: N802
        # Daphne would answer 500, with a traceback in the log.
        if not request.headers.get("sec-websocket-protocol", "").isascii():
            raise ConnectionDeny(400, "Bad Request")  # type: ignore[no-untyped-call]
        return super().onConnect(request)

    def pause_reading(self) -> None:
        if not self.is_paused:
            self.is_paused = True
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        if self.is_paused:
            self.is_paused = False
            self.transport.resumeProducing()
            # The last piece that was read may hold many frames more.
            asyncio.get_running_loop().call_soon(self.consumeData)

    def processData(self) -> bool:  # noqa: N802
        """One frame out of what was read; false where there is nothing to do for now."""
        return not self.is_paused and super().processData()

    def onFrameBegin(self) -> None:  # noqa: N802
        now = asyncio.get_running_loop().time()
        if now - self.counted_from > 1:
            self.frames, self.counted_from = 0, now
        self.frames += 1
        if self.frames > FRAMES_A_SECOND:
            self.dropConnection(abort=True)
        else:
            super().onFrameBegin()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: N802, N803
        # Where the handshake itself was wrong, Daphne has never heard of this socket.
        if hasattr(self, "server"):
            super().onClose(wasClean, code, reason)

    def dropConnection(self, abort: bool = False) -> None:  # noqa: N802
        """Without an end to it, a peer that reads nothing would keep the connection for ever."""
        super().dropConnection(abort)
        if not abort:
            loop = asyncio.get_running_loop()
            loop.call_later(CLOSE_SECONDS, self.transport.abortConnection)

    def go_away(self) -> None:
        """For whoever nobody else has sent away by now."""
        if self.state == self.STATE_CONNECTING:
            self.failHandshake("Service Unavailable", 503)
            self.server.protocol_disconnected(self)
        elif self.state == OPEN:
            self.sendClose(DRAINING)


class InputQueue(asyncio.Queue[dict[str, Any]]):
    """What the application has not received yet. Full, it lets the peer wait."""

    def __init__(self, socket: Socket) -> None:
        super().__init__()
        self._socket = socket
        self._bytes = 0

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        self._bytes += _size(item)
        if self.qsize() >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES:
            self._socket.pause_reading()

    def _get(self) -> dict[str, Any]:
        item = super()._get()
        self._bytes -= _size(item)
        if self.qsize() <= RESUME_AT and self._bytes < MAX_WAITING_BYTES:
            self._socket.resume_reading()
        return item


def _size(item: dict[str, Any]) -> int:
    return len(item.get("text") or item.get("bytes") or "")


class DirectTransport:
    """The way around ASGI for frames that are ready to be sent.

    An application finds it in `scope["extensions"]["desk.transport"]`. Nothing is compressed and
    nothing masked, so one frame fits every socket.
    """

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    @property
    def is_open(self) -> bool:
        return bool(self._socket.state == OPEN)

    def write(self, data: bytes) -> None:
        """Whole WebSocket frames, header and payload; dropped where the socket is not open.

        This is called for every delivery. Where nothing waits they go out at once: by way of the
        reactor, which registers and forgets the socket for each of them, it costs four times more.
        """
        socket = self._socket
        if socket.state != OPEN:
            return
        transport = socket.transport
        sent = 0
        if not (transport.dataBuffer or transport._tempDataBuffer):
            try:
                sent = transport.socket.send(data)
            except OSError:
                # Full, or broken: the reactor waits for the one and notices the other.
                sent = 0
        if sent < len(data):
            transport.write(data[sent:])

    def listen(self, pause: Told, resume: Told, gone: Told) -> None:
        """Call `pause` once when the peer has fallen behind by 64 KiB, `resume` once when all
        of it is sent, and so on in turn; `gone` when the connection is lost."""
        self._socket.transport.unregisterProducer()
        self._socket.transport.registerProducer(_Pace(pause, resume, gone), True)

    def abort(self) -> None:
        """Drop the connection now; what was not sent yet is lost."""
        self._socket.dropConnection(abort=True)


class _Pace:
    """What Twisted calls a push producer. It pauses one with every write to a full buffer."""

    def __init__(self, pause: Told, resume: Told, gone: Told) -> None:
        self._pause, self._resume, self._gone = pause, resume, gone
        self._is_paused = False

    def pauseProducing(self) -> None:  # noqa: N802
        if not self._is_paused:
            self._is_paused = True
            self._pause()

    def resumeProducing(self) -> None:  # noqa: N802
        if self._is_paused:
            self._is_paused = False
            self._resume()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is lost; the application hears of it by `websocket.disconnect`, too."""
        self._gone()
