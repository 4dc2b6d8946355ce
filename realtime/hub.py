"""The one hub of a process: its sockets, and what they hear.

It writes nothing durable. What it is told over the channel layer, or by services in this process,
it hands to the rooms and users concerned; what was not told, its sweeps find.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import structlog

from realtime import broadcast
from realtime.attendance import Attendance
from realtime.connection import Connection
from realtime.database import Together, in_database
from realtime.layer import Layer
from realtime.limits import MessageBudget
from realtime.looking import Look, Looked, look_at
from realtime.messages import (
    EVERYBODY,
    Alive,
    Changed,
    Check,
    Happened,
    Hint,
    Message,
    News,
    Seated,
    Typed,
)
from realtime.presence import EXPIRE_SECONDS, RENEW_SECONDS, PresenceUnavailable
from realtime.protocol import HEARTBEAT_SECONDS
from realtime.protocol.commands import DESK
from realtime.protocol.frames import (
    DRAINING,
    SIGNED_OUT,
    TOO_SLOW,
    Bye,
    Degraded,
    Heartbeat,
    Members,
    Notified,
    Person,
    RoomLeft,
    Touched,
    TypingStarted,
    TypingStopped,
    UserPresence,
)
from realtime.protocol.wire import Prepared, prepare, signal
from realtime.room import ACCESS_REVOKED, Entry, LeaveReason, Member, RoomKey
from realtime.rooms import Rooms

SWEEP_SECONDS, SWEEP_DEGRADED_SECONDS = 10.0, 2.0
LOOK_AGAIN_SECONDS = 30.0
LOOKED_AT_ONCE = 50
# Hints, members and endings of typing are gathered for so long: many may concern one ticket.
GATHER_SECONDS = 0.5
DRAIN_SECONDS = 5.0
# Those who are sent away come back within this time, not all at once.
COME_BACK_MS = 2000

log = structlog.get_logger(__name__)
_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


async def get_hub() -> "Hub":
    """The hub of the running loop, started."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
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
        self._connections: set[Connection] = set()
        self._by_user: dict[int, set[Connection]] = defaultdict(set)
        self._beats: list[set[Connection]] = [set() for _ in range(int(HEARTBEAT_SECONDS))]
        self._watchers: dict[int, set[Connection]] = defaultdict(set)
        self.desk: set[Connection] = set()
        self.layer = Layer(self.hear, self._layer_changed)
        self.rooms = Rooms(self.layer, self._turn_out, self.begin)
        self.attendance = Attendance(self._announce, self.begin)
        self.budget = MessageBudget()
        self.look = Together(look_at, LOOKED_AT_ONCE)
        # Users and sessions that somebody was told to look at again, and when.
        self._doubted: dict[int | str, float] = {}
        self._hints: dict[int, Hint] = {}
        self._seated: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._connections)

    # --- Life --------------------------------------------------------------------------

    async def start(self) -> None:
        broadcast.listeners.add(self)
        await self.layer.start()
        await self.layer.subscribe(EVERYBODY)
        self._every(1.0, self._beat)
        self._every(1.0, self._give_up_slow)
        self._every(GATHER_SECONDS, self._gather)
        self._every(EXPIRE_SECONDS, self.attendance.expire)
        self._every(RENEW_SECONDS, self._renew)
        self._every(LOOK_AGAIN_SECONDS, self._look_at_all)
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
        for connection in list(self._connections):
            wait = random.randrange(COME_BACK_MS)  # noqa: S311
            connection.end(msgspec.structs.replace(DRAINING, retry_after_ms=wait))
        if self._connections:
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
        self._connections.add(connection)
        self._by_user[connection.user_id].add(connection)
        min(self._beats, key=len).add(connection)
        if self._doubted.keys() & {connection.user_id, connection.signed_in.session}:
            # They may have ended while this socket signed in, before it could be told.
            self.begin(self._look_at([connection]))
        known = await self.attendance.arrive(connection)
        return max(known, len(self._by_user[connection.user_id]))

    async def remove(self, connection: Connection) -> None:
        """Whatever it was in. Safe to call for one that never was added."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        connection.forget_token()
        self._forget(self._by_user, connection.user_id, connection)
        for beat in self._beats:
            beat.discard(connection)
        self.watch(connection, frozenset())
        self.desk.discard(connection)
        tickets = list(connection.rooms)
        for ticket in tickets:
            self.rooms.leave(connection.rooms.pop(ticket), connection)
        self.attendance.stop_typing(connection, tickets)
        await self.attendance.stand_up(connection, tickets)
        await self.attendance.depart(connection)
        if not self._connections:
            self._is_empty.set()

    async def leave_room(self, connection: Connection, ticket: int) -> None:
        if key := connection.rooms.pop(ticket, None):
            self.rooms.leave(key, connection)
            self.attendance.stop_typing(connection, [ticket])
            await self.attendance.stand_up(connection, [ticket])

    def watch(self, connection: Connection, users: frozenset[int]) -> None:
        """Tell this socket of the presence of these users, and of no others."""
        for user in connection.watched - users:
            self._forget(self._watchers, user, connection)
        for user in users - connection.watched:
            self._watchers[user].add(connection)
        connection.watched = users

    @staticmethod
    def _forget(index: dict[int, set[Connection]], user: int, connection: Connection) -> None:
        index[user].discard(connection)
        if not index[user]:
            del index[user]

    def turn_out(self, connection: Connection, key: RoomKey, reason: LeaveReason) -> None:
        """Out of a room that does not know yet."""
        self.rooms.leave(key, connection)
        self._turn_out(connection, key, reason)

    def _turn_out(self, member: Member, key: RoomKey, reason: LeaveReason) -> None:
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
        if group == EVERYBODY:
            return bool(self._connections)
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
            case Typed():
                self._hear_typed(message)
            case Seated(ticket):
                self._seated.add(ticket)
            case Changed(user, state, version):
                self._tell(
                    self._watchers.get(user, ()),
                    None,
                    UserPresence(user, state, version),
                    "presence.changed",
                )
            case Hint():
                self._hints[message.ticket] = message
            case News(user, pk, kind, ticket):
                news = Notified(pk, kind, ticket)
                self._tell(self._by_user.get(user, ()), None, news, "notification.created")
            case Check():
                self._hear_check(message)
            case Alive():
                pass

    def _hear_typed(self, message: Typed) -> None:
        ticket, person, typing = message.ticket, message.person, self.attendance.typing
        if not message.started:
            if writing := typing.stopped(ticket, person.id):
                self._say_stopped(ticket, person, internal=writing.internal)
            return
        if not self.rooms.has_ticket(ticket):
            return
        now = self.now()
        if typing.started(ticket, person, now, internal=message.internal):
            self._say_note_began(ticket, person)
        told = TypingStarted(person, message.internal)
        self._say(ticket, told, "typing.started", person.id, internal=message.internal)

    def _say_stopped(self, ticket: int, person: Person, *, internal: bool) -> None:
        self._say(ticket, TypingStopped(person), "typing.stopped", person.id, internal=internal)

    def _say_note_began(self, ticket: int, person: Person) -> None:
        """What was going to be a reply became a note: for the customer the writing has ended."""
        if room := self.rooms.get(RoomKey(ticket, "customer")):
            ended = signal(room.key.name, TypingStopped(person), "typing.stopped")
            room.say(ended, but_not_user=person.id)

    def _say(self, ticket: int, data: Any, event: str, user: int, *, internal: bool) -> None:
        """To all who have the ticket open, but not to whom it is about; notes only to staff."""
        frame = signal(f"ticket:{ticket}", data, event)
        for room in self.rooms.of_ticket(ticket, with_customers=not internal):
            room.say(frame, but_not_user=user)

    def _tell(
        self, sockets: Collection[Connection], room: str | None, data: Any, event: str
    ) -> None:
        if sockets:
            frame = signal(room, data, event)
            for connection in sockets:
                connection.send(frame)

    def _hear_check(self, message: Check) -> None:
        self._doubted |= dict.fromkeys([*message.users, *message.ended], self.now())
        for connection in list(self._connections) if message.ended else []:
            if connection.signed_in.session in message.ended:
                connection.end(SIGNED_OUT)
        concerned = [each for user in message.users for each in self._by_user.get(user, ())]
        if concerned:
            self.begin(self._look_at(concerned))

    # --- Rounds ------------------------------------------------------------------------

    async def _beat(self) -> None:
        beat = self._beats.pop(0)
        self._beats.append(beat)
        for connection in beat:
            rooms = [self.rooms.get(key) for key in connection.rooms.values()]
            # Who is still being sent what they missed is not behind.
            live = [room for room in rooms if room and room.is_member(connection)]
            connection.say(Heartbeat({room.key.name: room.head for room in live}))

    async def _give_up_slow(self) -> None:
        now = self.now()
        for connection in self._connections:
            if connection.outbound.has_stalled(now):
                connection.end(TOO_SLOW)

    async def _gather(self) -> None:
        for ticket, writing in self.attendance.typing.expire(self.now()):
            self._say_stopped(ticket, writing.person, internal=writing.internal)
        hints, self._hints = self._hints, {}
        for hint in hints.values():
            self._say_touched(hint)
        seated, self._seated = self._seated, set()
        for ticket in seated:
            if self.rooms.has_ticket(ticket):
                await self._say_members(ticket)

    def _say_touched(self, hint: Hint) -> None:
        told = Touched(hint.ticket)
        concerned = [each for each in self.desk if each.is_concerned(hint.team, hint.people)]
        self._tell(concerned, DESK, told, "ticket.touched")
        if hint.is_public:
            customers = [
                each
                for user in hint.people
                for each in self._by_user.get(user, ())
                if each.audience == "customer"
            ]
            self._tell(customers, None, told, "ticket.touched")

    async def _say_members(self, ticket: int) -> None:
        with suppress(PresenceUnavailable):
            told = Members(await self.attendance.seated(ticket))
            self._say(ticket, told, "room.members", 0, internal=False)

    async def _renew(self) -> None:
        await self.attendance.renew(list(self._connections))

    def _sweep_seconds(self) -> float:
        return SWEEP_SECONDS if self.layer.is_healthy else SWEEP_DEGRADED_SECONDS

    async def _sweep(self) -> None:
        oldest = self.now() - LOOK_AGAIN_SECONDS
        self._doubted = {key: at for key, at in self._doubted.items() if at > oldest}
        self.attendance.forget_seats()
        await self.rooms.sweep()
        await self.rooms.prune()

    async def _layer_changed(self, is_healthy: bool) -> None:
        log.warning("channel_layer", healthy=is_healthy)
        frame = prepare(Degraded(active=not is_healthy))
        for connection in self._connections:
            connection.send(frame)
        self.begin(self.rooms.sweep())
        if is_healthy:
            self.begin(self._renew())

    async def _look_at_all(self) -> None:
        await self._look_at(list(self._connections))

    async def _look_at(self, connections: list[Connection]) -> None:
        """Close the sockets of who may not stay, and take others out of what they may not see.

        What was announced is found at once, what the announcement of was lost in the next round.
        """
        for start in range(0, len(connections), LOOKED_AT_ONCE):
            some = connections[start : start + LOOKED_AT_ONCE]
            looks = [Look(each.signed_in, [*each.rooms, *each.entering]) for each in some]
            for connection, look, looked in zip(
                some, looks, await in_database(look_at, looks), strict=True
            ):
                if connection.signed_in is look.signed_in:  # else it has another session by now
                    self._judge(connection, look, looked)
                if connection.is_on_desk:
                    await connection.learn_teams()

    def _judge(self, connection: Connection, look: Look, looked: Looked) -> None:
        if isinstance(looked.standing, Bye):
            connection.end(looked.standing)
            return
        connection.signed_in = connection.signed_in.refreshed(looked.standing)
        hidden = set(look.tickets).difference(looked.seen)
        for ticket in hidden:
            self.turn_out(connection, RoomKey(ticket, connection.audience), ACCESS_REVOKED)
