"""The one hub of a process: its sockets, and what they hear.

It writes nothing durable. What it is told over the channel layer, or by services in this process,
it hands to the rooms and users concerned; what was not told, its sweeps find.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from realtime import broadcast
from realtime.attendance import Attendance
from realtime.connection import Connection
from realtime.database import Together
from realtime.guard import LOOK_AGAIN_SECONDS, LOOKED_AT_ONCE, Guard
from realtime.layer import Layer
from realtime.limits import MessageBudget
from realtime.looking import look_at
from realtime.messages import EVERYBODY, Alive, Changed, Check, Happened, Message, Seated, Typed
from realtime.news import NewsDesk
from realtime.presence import EXPIRE_SECONDS, RENEW_SECONDS
from realtime.protocol.frames import DRAINING, TOO_SLOW, Degraded, Heartbeat, RoomLeft
from realtime.protocol.wire import Prepared, prepare
from realtime.room import Entry, LeaveReason, Member, RoomKey
from realtime.rooms import Rooms
from realtime.sockets import Sockets

SWEEP_SECONDS, SWEEP_DEGRADED_SECONDS = 10.0, 2.0
GATHER_SECONDS = 0.5
DRAIN_SECONDS = 5.0
# Those who are sent away come back within this time, not all at once.
COME_BACK_MS = 2000

log = structlog.get_logger(__name__)
# By loop; a hub that stops takes itself out.
_hubs: "dict[asyncio.AbstractEventLoop, Hub]" = {}


async def get_hub() -> "Hub":
    """The hub of the running loop, started."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        for ended in [each for each in _hubs if each.is_closed()]:
            del _hubs[ended]
        _hubs[loop] = Hub(loop)
        await _hubs[loop].start()
    return _hubs[loop]


async def drain() -> None:
    """Send the sockets of this loop, if it has any, to other processes."""
    if hub := _hubs.get(asyncio.get_running_loop()):
        await hub.drain()


class Hub:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_empty = asyncio.Event()
        self.sockets = Sockets()
        self.layer = Layer(self.hear, self._layer_changed)
        self.rooms = Rooms(self.layer, self._was_put_out, self.begin)
        self.attendance = Attendance(self._announce, self.begin)
        self.news = NewsDesk(self.sockets, self.rooms, self.attendance, self.now)
        self.guard = Guard(self.sockets, self.rooms, self.turn_out, self.begin, self.now)
        self.budget = MessageBudget()
        # Who joins asks here, together with whoever else does.
        self.look = Together(look_at, LOOKED_AT_ONCE)

    # --- Life --------------------------------------------------------------------------

    async def start(self) -> None:
        broadcast.listeners.add(self)
        await self.layer.start()
        await self.layer.subscribe(EVERYBODY)
        self._every(1.0, self._beat)
        self._every(1.0, self._give_up_slow)
        self._every(GATHER_SECONDS, self.news.gather)
        self._every(EXPIRE_SECONDS, self.attendance.expire)
        self._every(RENEW_SECONDS, self._renew)
        self._every(LOOK_AGAIN_SECONDS, self.guard.round)
        self._every(self._sweep_seconds, self._sweep)

    async def stop(self) -> None:
        broadcast.listeners.discard(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.layer.stop()
        _hubs.pop(self._loop, None)

    async def drain(self) -> None:
        """Send everybody to another process, and leave when they have gone."""
        for connection in self.sockets:
            wait = random.randrange(COME_BACK_MS)  # noqa: S311
            connection.end(msgspec.structs.replace(DRAINING, retry_after_ms=wait))
        if self.sockets:
            self._is_empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), DRAIN_SECONDS)
        await self.stop()

    def begin(self, work: Awaitable[Any]) -> None:
        """Do it beside everything else; a failure is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("hub_task_failed", exc_info=task.exception())

    def _every(
        self, seconds: float | Callable[[], float], action: Callable[[], Awaitable[None]]
    ) -> None:
        async def run() -> None:
            while True:
                await asyncio.sleep(seconds() if callable(seconds) else seconds)
                try:
                    await action()
                except Exception:
                    # A database that is away must not end what looks whether it is back.
                    log.exception("hub_round_failed", action=action.__name__)

        self.begin(run())

    def now(self) -> float:
        """A clock that does not jump, in seconds."""
        return self._loop.time()

    # --- Sockets -----------------------------------------------------------------------

    async def add(self, connection: Connection) -> int:
        """Answers how many sockets the user has, over all processes where that is known."""
        self.sockets.add(connection)
        here = len(self.sockets.of_user(connection.user_id))
        self.guard.greet(connection)
        return max(here, await self.attendance.arrive(connection))

    async def remove(self, connection: Connection) -> None:
        """Whatever it was in. Safe to call for one that never was added."""
        if connection not in self.sockets:
            return
        self.sockets.remove(connection)
        connection.forget_token()
        tickets = [*connection.rooms, *connection.entering]
        for ticket in tickets:
            self.rooms.leave(RoomKey(ticket, connection.audience), connection)
        self.attendance.stop_typing(connection, tickets)
        await self.attendance.stand_up(connection, tickets)
        await self.attendance.depart(connection)
        if not self.sockets:
            self._is_empty.set()

    async def leave_room(self, connection: Connection, ticket: int) -> None:
        if key := connection.rooms.pop(ticket, None):
            self.rooms.leave(key, connection)
            self.attendance.stop_typing(connection, [ticket])
            await self.attendance.stand_up(connection, [ticket])

    def turn_out(self, connection: Connection, key: RoomKey, reason: LeaveReason) -> None:
        """Out of a room that does not know of it."""
        self.rooms.leave(key, connection)
        self._was_put_out(connection, key, reason)

    def _was_put_out(self, member: Member, key: RoomKey, reason: LeaveReason) -> None:
        assert isinstance(member, Connection)
        if member.rooms.pop(key.ticket, None) is None:
            # Not let in yet, and perhaps never to be: the answer to their command says so.
            return
        member.say(RoomLeft(key.name, reason))
        self.attendance.stop_typing(member, [key.ticket])
        self.begin(self.attendance.stand_up(member, [key.ticket]))

    # --- What is heard -----------------------------------------------------------------

    def hears(self, group: str) -> bool:
        """Whether somebody here listens. Called from any thread."""
        if self._loop.is_closed():
            broadcast.listeners.discard(self)
            return False
        if group == EVERYBODY:
            return bool(self.sockets)
        return self.rooms.get(RoomKey.of_group(group)) is not None

    def tell(self, message: Message) -> None:
        """From any thread of this process, without the channel layer."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.hear, message)

    def _announce(self, message: Changed | Seated | Typed) -> None:
        """To all processes, this one first."""
        self.hear(message)
        self.begin(self.layer.publish(EVERYBODY, message))

    def hear(self, message: Message) -> None:
        match message:
            case Happened():
                key = RoomKey(message.ticket, message.audience)
                frame = Prepared(message.frame)
                self.rooms.hear(key, Entry(message.seq, frame, message.may_change_access))
            case Check():
                self.guard.hear(message)
            case Alive():
                pass  # the layer keeps these to itself
            case _:
                self.news.hear(message)

    # --- Rounds ------------------------------------------------------------------------

    async def _beat(self) -> None:
        for connection in self.sockets.next_beat():
            rooms = [self.rooms.get(key) for key in connection.rooms.values()]
            # Who is still being sent what they missed is not behind.
            live = [room for room in rooms if room and room.is_member(connection)]
            connection.say(Heartbeat({room.key.name: room.head for room in live}))

    async def _give_up_slow(self) -> None:
        now = self.now()
        for connection in self.sockets:
            if connection.outbound.has_stalled(now):
                connection.end(TOO_SLOW)

    async def _renew(self) -> None:
        await self.attendance.renew(list(self.sockets))

    def _sweep_seconds(self) -> float:
        return SWEEP_SECONDS if self.layer.is_healthy else SWEEP_DEGRADED_SECONDS

    async def _sweep(self) -> None:
        self.attendance.forget_seats()
        await self.rooms.sweep()
        self.rooms.prune()

    async def _layer_changed(self, is_healthy: bool) -> None:
        log.warning("channel_layer", healthy=is_healthy)
        frame = prepare(Degraded(active=not is_healthy))
        for connection in self.sockets:
            connection.send(frame)
        self.begin(self.rooms.sweep())
        if is_healthy:
            self.begin(self._renew())
