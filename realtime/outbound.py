"""The way out to one socket: how frames reach the server, and what happens to who does not read.

A server of ours lets finished bytes be written straight to its transport; that is what makes a
delivery cheap. Any other server gets ASGI messages, one coroutine step each. In both cases frames
wait here while the peer is slow: up to 256 of them or 1 MiB. Signals are dropped first; when even
the rest does not fit, or nothing has moved for a while, the socket is given up (and resumes from
where it was).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from realtime.protocol.wire import Prepared

MAX_WAITING_FRAMES = 256
MAX_WAITING_BYTES = 1024 * 1024
MAX_STALL_SECONDS = 3.0
FINISH_SECONDS = 1.0

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Transport(Protocol):
    """What a server of ours puts into the scope."""

    def write(self, data: bytes) -> None: ...
    def listen(
        self, pause: Callable[[], None], resume: Callable[[], None], gone: Callable[[], None]
    ) -> None: ...
    def abort(self) -> None: ...


class Backlog:
    """What waits for a slow reader. No I/O."""

    def __init__(self) -> None:
        self._frames: deque[Prepared] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Prepared) -> bool:
        """False where it does not fit, not even in the place of signals."""
        if not self._fits(frame):
            if frame.is_signal:
                return True
            self._drop_signals()
            if not self._fits(frame):
                return False
        self._frames.append(frame)
        self._bytes += len(frame.wire)
        return True

    def take(self) -> Prepared:
        frame = self._frames.popleft()
        self._bytes -= len(frame.wire)
        return frame

    def clear(self) -> None:
        self._frames.clear()
        self._bytes = 0

    def _fits(self, frame: Prepared) -> bool:
        return (
            len(self._frames) < MAX_WAITING_FRAMES
            and self._bytes + len(frame.wire) <= MAX_WAITING_BYTES
        )

    def _drop_signals(self) -> None:
        self._frames = deque(frame for frame in self._frames if not frame.is_signal)
        self._bytes = sum(len(frame.wire) for frame in self._frames)


class Outbound:
    """`send` is what everybody calls. `give_up` is called once, when the peer is too slow."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.backlog = Backlog()
        # Since when nothing has moved, by the loop's clock.
        self.stalled_since: float | None = None
        self.is_over = False
        self._give_up = give_up
        self._nothing_waits = asyncio.Event()
        self._nothing_waits.set()

    def send(self, frame: Prepared) -> None:
        raise NotImplementedError

    def push(self, frame: Prepared) -> None:
        """Send it, whatever was decided about others."""
        raise NotImplementedError

    async def drained(self) -> None:
        """Returns when nothing waits here."""
        await self._nothing_waits.wait()

    async def finish(self, last: Prepared) -> bool:
        """Nothing comes after this frame. Answers whether it has gone; else the peer is too slow
        for it."""
        self.is_over = True
        self.push(last)
        try:
            await asyncio.wait_for(self.drained(), FINISH_SECONDS)
        except TimeoutError:
            return False
        return True

    def abort(self) -> None:
        """Drop what waits, and the connection without waiting for the peer where the server can."""
        self.backlog.clear()
        self._nothing_waits.set()

    def has_stalled(self, now: float) -> bool:
        """Whether nothing has moved for too long. `now` is the loop's time."""
        since = self.stalled_since
        return since is not None and now - since > MAX_STALL_SECONDS

    def wait(self, frame: Prepared) -> None:
        """Keep the frame until the peer reads; without room for it nothing more goes out."""
        self._nothing_waits.clear()
        if not self.backlog.put(frame):
            self.is_over = True
            self.backlog.clear()
            self._give_up()

    def nothing_waits(self) -> None:
        if not self.backlog:
            self._nothing_waits.set()


class DirectOutbound(Outbound):
    """Writes to the server's transport until that says that its buffer is full."""

    def __init__(self, transport: Transport, give_up: Callable[[], None]) -> None:
        super().__init__(give_up)
        self._transport = transport
        self._write = transport.write
        self._is_paused = False
        transport.listen(self._pause, self._resume, self._gone)

    def send(self, frame: Prepared) -> None:
        # One step less than by `push`: this is called for every delivery.
        if not (self._is_paused or self.is_over):
            self._write(frame.wire)
        elif not self.is_over:
            self.wait(frame)

    def push(self, frame: Prepared) -> None:
        if self._is_paused:
            self.wait(frame)
        else:
            self._write(frame.wire)

    def abort(self) -> None:
        super().abort()
        self._transport.abort()

    def _gone(self) -> None:
        self.is_over = True
        super().abort()

    def _pause(self) -> None:
        self._is_paused = True
        self.stalled_since = asyncio.get_running_loop().time()

    def _resume(self) -> None:
        self._is_paused = False
        self.stalled_since = None
        while self.backlog and not self._is_paused:
            self._write(self.backlog.take().wire)
        self.nothing_waits()


class AsgiOutbound(Outbound):
    """Through the server's `send`, by a task that ends whenever nothing is left."""

    def __init__(self, send: Send, give_up: Callable[[], None]) -> None:
        super().__init__(give_up)
        self._send = send
        self._task: asyncio.Task[None] | None = None

    def send(self, frame: Prepared) -> None:
        if not self.is_over:
            self.push(frame)

    def push(self, frame: Prepared) -> None:
        self.wait(frame)
        if self.backlog and self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.backlog:
                self.stalled_since = loop.time()
                text = self.backlog.take().json.decode()
                await self._send({"type": "websocket.send", "text": text})
        except Exception:
            # The server has lost the socket; the application is told of it in its own time.
            self.is_over = True
            self.backlog.clear()
        finally:
            self._task = None
            self.stalled_since = None
            self.nothing_waits()


def outbound_for(scope: dict[str, Any], send: Send, give_up: Callable[[], None]) -> Outbound:
    """The shortest way that the server of this socket offers."""
    transport = scope.get("extensions", {}).get("desk.transport")
    if transport is None:
        return AsgiOutbound(send, give_up)
    return DirectOutbound(transport, give_up)
