"""Whether sockets may stay, and what they may still see: looked at again when something happened,
and now and then in case that we were not told."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from realtime.connection import Connection
from realtime.database import in_database
from realtime.log import audience_of
from realtime.looking import Look, Looked, look_at
from realtime.messages import Check
from realtime.protocol.frames import SIGNED_OUT, Bye
from realtime.room import ACCESS_REVOKED, RESYNC_REQUIRED, LeaveReason, Room, RoomKey
from realtime.rooms import Rooms
from realtime.sockets import Sockets

LOOK_AGAIN_SECONDS = 30.0
LOOK_AFTER_FAILURE_SECONDS = 1.0
LOOKED_AT_ONCE = 50

log = structlog.get_logger(__name__)

TurnOut = Callable[[Connection, RoomKey, LeaveReason], None]


@dataclass(frozen=True, eq=False)
class Held:
    """A member of a room who gets nothing before it was looked up whether they may."""

    connection: Connection
    room: Room
    arrival: int
    cursor: int


class Guard:
    """`turn_out` takes a socket out of a room, `begin` does work beside everything else, `now` is a
    clock that does not jump."""

    def __init__(
        self,
        sockets: Sockets,
        rooms: Rooms,
        turn_out: TurnOut,
        begin: Callable[[Awaitable[None]], None],
        now: Callable[[], float],
    ) -> None:
        self._sockets = sockets
        self._rooms = rooms
        self._turn_out = turn_out
        self._begin = begin
        self._now = now
        # Users and sessions of which we were told lately, and when.
        self._doubted: dict[int | str, float] = {}
        # Who is to be looked at, and whether that came up while they were.
        self._due: dict[Connection, bool] = {}
        self._held: list[Held] = []

    def hear(self, message: Check) -> None:
        self._doubted |= dict.fromkeys([*message.users, *message.ended], self._now())
        if message.ended:
            for connection in self._sockets:
                if connection.signed_in.session in message.ended:
                    connection.end(SIGNED_OUT)
        self._hold(self._sockets.of_users(message.users))

    def greet(self, connection: Connection) -> None:
        """Of a socket that was just added, or that brought another token: its session may have
        ended while it signed in, when it could not be found yet."""
        if self._doubted.keys() & {connection.user_id, connection.signed_in.session}:
            self._begin(self.look([connection]))

    async def round(self) -> None:
        """Every 30 seconds: what we were not told is found here."""
        oldest = self._now() - LOOK_AGAIN_SECONDS
        self._doubted = {key: at for key, at in self._doubted.items() if at > oldest}
        await self.look(list(self._sockets))

    def _hold(self, connections: Collection[Connection]) -> None:
        """What happens in their rooms from now on waits until they have been looked at."""
        self._held += [
            Held(connection, room, *room.suspend(connection))
            for connection in connections
            for key in connection.rooms.values()
            if (room := self._rooms.get(key)) and room.is_member(connection)
        ]
        is_at_work = bool(self._due)
        self._due |= dict.fromkeys(connections, True)
        if not is_at_work and self._due:
            self._begin(self._work())

    async def _work(self) -> None:
        """One look after the other: who is due again while they are looked at stays held."""
        while self._due:
            connections = list(self._due)
            self._due = dict.fromkeys(connections, False)
            try:
                await self.look(connections)
            except Exception:
                # They stay held: nobody gets anything because nobody could be asked.
                log.exception("look_failed")
                await asyncio.sleep(LOOK_AFTER_FAILURE_SECONDS)
                continue
            self._due = {each: again for each, again in self._due.items() if again}
            self._let_in([held for held in self._held if held.connection not in self._due])

    def _let_in(self, these: Sequence[Held]) -> None:
        self._held = [held for held in self._held if held not in these]
        for held in these:
            is_waiting = held.room.is_arriving(held.connection, held.arrival)
            if is_waiting and not held.room.admit(held.connection, held.cursor):
                self._turn_out(held.connection, held.room.key, RESYNC_REQUIRED)

    async def look(self, connections: Sequence[Connection]) -> None:
        """Close the sockets of who may not stay, and take the others out of what they may not see
        any more."""
        for start in range(0, len(connections), LOOKED_AT_ONCE):
            await self._look_at(connections[start : start + LOOKED_AT_ONCE])

    async def _look_at(self, connections: Collection[Connection]) -> None:
        looks = [Look(each.signed_in, [*each.rooms, *each.entering]) for each in connections]
        answers = await in_database(look_at, looks)
        for connection, look, looked in zip(connections, looks, answers, strict=True):
            if connection.signed_in is look.signed_in:  # else it has another session by now
                self._judge(connection, look, looked)
            if connection in self._sockets.desk:
                await connection.learn_teams()

    def _judge(self, connection: Connection, look: Look, looked: Looked) -> None:
        if isinstance(looked.standing, Bye):
            connection.end(looked.standing)
            return
        if audience_of(looked.standing) != connection.audience:
            connection.end(SIGNED_OUT)
            return
        connection.signed_in = connection.signed_in.refreshed(looked.standing)
        for ticket in set(look.tickets).difference(looked.seen):
            self._turn_out(connection, RoomKey(ticket, connection.audience), ACCESS_REVOKED)
