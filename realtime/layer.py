"""The channel layer as the hub uses it: one subscription per group for the whole process.

A layer may be away, lose messages, or forget its subscriptions in a restart; the hub lives on.
`is_healthy` says whether a message of our own came back lately.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from channels.layers import InMemoryChannelLayer, get_channel_layer

from realtime.broadcast import ORIGIN
from realtime.messages import Alive, Envelope, Message, pack, unpack

ALIVE_EVERY_SECONDS = 1.0
MISSED_UNTIL_DEGRADED = 2
# Joining waits so long for a subscription; then the sweeps do what it would have done.
SUBSCRIBE_SECONDS = 1.0
SUBSCRIBE_ANEW_SECONDS = 600.0
STOP_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Layer:
    """`hear` is called for every message of other processes, `changed` when health does: with
    True when the layer carries messages again (some were lost meanwhile)."""

    def __init__(
        self, hear: Callable[[Message], None], changed: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._layer: Any = get_channel_layer()
        self._is_local = isinstance(self._layer, InMemoryChannelLayer)
        self._hear = hear
        self._changed = changed
        self._channel = ""
        self._wanted: set[str] = set()
        self._have: set[str] = set()
        self._lock = asyncio.Lock()
        self._sent = self._came_back = 0
        self._sending: asyncio.Task[Any] | None = None
        self._subscribed_at = 0.0
        self.is_healthy = True
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        # A layer in memory reaches only this process, whose sockets hear everything directly.
        if not self._is_local:
            self._subscribed_at = asyncio.get_running_loop().time()
            self._begin(self._receive())
            self._begin(self._keep_mended())
            self._begin(self._watch())

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            # Not for ever: the core layer may hold on to a cancellation while Redis is away.
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    async def subscribe(self, group: str) -> None:
        """Returns when messages of the group arrive, or when that takes too long."""
        self._wanted.add(group)
        if not self._is_local:
            await asyncio.wait([self._begin(self._mend(group))], timeout=SUBSCRIBE_SECONDS)

    def unsubscribe(self, group: str) -> None:
        """Some time from now."""
        self._wanted.discard(group)
        if not self._is_local:
            self._begin(self._mend(group))

    async def publish(self, group: str, message: Message) -> None:
        """To the other processes, best effort: not while nothing comes through anyway."""
        if self._is_local or not self.is_healthy:
            return
        try:
            await self._layer.group_send(group, pack(Envelope(ORIGIN, message)))
        except Exception as exc:
            log.warning("channel_layer_is_away", error=repr(exc))

    def _begin(self, coroutine: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _mend(self, group: str) -> None:
        """Bring the subscription in line with what is wanted, one at a time and in order."""
        async with self._lock:
            if not self._channel or (group in self._wanted) == (group in self._have):
                return
            try:
                if group in self._wanted:
                    await self._layer.group_add(group, self._channel)
                    self._have.add(group)
                else:
                    await self._layer.group_discard(group, self._channel)
                    self._have.discard(group)
            except Exception as exc:
                log.warning("subscription_failed", group=group, error=repr(exc))

    async def _receive(self) -> None:
        while True:
            try:
                if not self._channel:
                    self._channel = await self._layer.new_channel("desk")
                    await self._mend_all()
                message = await self._layer.receive(self._channel)
            except Exception as exc:
                log.warning("channel_layer_is_away", error=repr(exc))
                await asyncio.sleep(0.5)
            else:
                self._understand(message)

    def _understand(self, message: dict[str, Any]) -> None:
        try:
            self._take(unpack(message))
        except (KeyError, msgspec.MsgspecError):
            log.warning("message_not_understood")
        except Exception:
            log.exception("message_failed")

    def _take(self, envelope: Envelope) -> None:
        if isinstance(envelope.message, Alive):
            self._came_back = max(self._came_back, envelope.message.number)
        elif envelope.origin != ORIGIN:
            self._hear(envelope.message)

    async def _mend_all(self) -> None:
        for group in self._wanted ^ self._have:
            await self._mend(group)

    async def _keep_mended(self) -> None:
        """Beside the watch, because a layer that hangs would hold that up."""
        while True:
            await asyncio.sleep(ALIVE_EVERY_SECONDS)
            if asyncio.get_running_loop().time() - self._subscribed_at > SUBSCRIBE_ANEW_SECONDS:
                # The core layer forgets groups after a day, and all of them with its Redis.
                self._subscribe_anew()
            await self._mend_all()

    def _subscribe_anew(self) -> None:
        self._have.clear()
        self._subscribed_at = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        """Send ourselves a number every second; what has not come back by the next is missed."""
        had_missed = False
        while True:
            await asyncio.sleep(ALIVE_EVERY_SECONDS)
            missed = self._sent - self._came_back
            if missed >= MISSED_UNTIL_DEGRADED and self.is_healthy:
                self.is_healthy = False
                await self._changed(False)
            elif not missed and had_missed:
                self._begin(self._recover())
            had_missed = missed > 0
            await self._say_alive()

    async def _recover(self) -> None:
        """Listen everywhere first: whoever compares with the log then misses nothing after it."""
        self._subscribe_anew()
        await self._mend_all()
        self.is_healthy = True
        await self._changed(True)

    async def _say_alive(self) -> None:
        self._sent += 1
        if not self._channel or (self._sending and not self._sending.done()):
            return  # not sent is as good as missed
        self._sending = self._begin(self._send_alive(self._sent))

    async def _send_alive(self, number: int) -> None:
        with suppress(Exception):
            await self._layer.send(self._channel, pack(Envelope(ORIGIN, Alive(number))))
