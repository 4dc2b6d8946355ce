"""Who is there, who looks at which ticket, and who writes: announced over all processes.

Best effort throughout. Where Redis is away, sockets stay and tickets work; the next renewal says
again who is there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

import structlog

from realtime.connection import Connection
from realtime.messages import Changed, Seated, Typed
from realtime.presence import Change, Lease, PresenceUnavailable, Viewer, process_store
from realtime.protocol.frames import Person, PresenceState, TypingStarted, UserPresence
from realtime.typing import Typing

log = structlog.get_logger(__name__)
# Who sits down within this time is told to the store in one go.
SEATED_TOGETHER_SECONDS = 0.05
# How old the others may be that somebody who sits down is told of.
LATELY_SECONDS = 1.0

Announce = Callable[[Changed | Seated | Typed], None]
View = tuple[int, str, Viewer]


class Attendance:
    """`announce` tells all processes, this one included; `begin` does work beside everything."""

    def __init__(self, announce: Announce, begin: Callable[[Awaitable[None]], None]) -> None:
        self._store = process_store()
        self._announce = announce
        self._begin = begin
        self._to_seat: list[View] = []
        # Of tickets: since when it is read who looks at them, and who did.
        self._seated: dict[int, tuple[float, asyncio.Future[list[Person]]]] = {}
        self.typing = Typing()

    # --- Presence ----------------------------------------------------------------------

    async def arrive(self, connection: Connection) -> int:
        """Or take up another state. Answers how many sockets the user has now, wherever; 0 where
        nobody knows."""
        try:
            change, count = await self._store.touch(_lease(connection), now=time.time())
        except PresenceUnavailable:
            return 0
        self._tell(change)
        return count

    async def depart(self, connection: Connection) -> None:
        """After it has left its rooms. A user whose page reloads is not seen to go."""
        try:
            left = await self._store.leave(connection.user_id, connection.name, now=time.time())
        except PresenceUnavailable:
            return
        self._tell(left)

    async def states(self, users: Collection[int]) -> list[UserPresence]:
        """Raises PresenceUnavailable."""
        found = await self._store.states(users, now=time.time())
        return [UserPresence(each.user, each.state, each.version) for each in found]

    async def renew(self, connections: Collection[Connection]) -> None:
        """Every 15 seconds: what is not renewed ends."""
        leases = [_lease(connection) for connection in connections]
        try:
            self._tell(*await self._store.refresh(leases, now=time.time()))
        except PresenceUnavailable as exc:
            log.warning("presence_is_away", error=str(exc))
        # Only now: who has left meanwhile does not sit down again.
        views = [
            (ticket, connection.name, viewer_of(connection.person))
            for connection in connections
            for ticket in connection.seats
        ]
        await self._renew_views(views)

    async def _renew_views(self, views: Sequence[View]) -> None:
        with suppress(PresenceUnavailable):
            for ticket in await self._store.renew_views(views, now=time.time()):
                self._announce(Seated(ticket))

    async def expire(self) -> None:
        """Every two seconds, in every process; each change is announced by one of them."""
        try:
            self._tell(*await self._store.expire(now=time.time()))
        except PresenceUnavailable:
            return

    def _tell(self, *changes: Change | None) -> None:
        for change in changes:
            if change is not None:
                self._announce(Changed(change.user, change.state, change.version))

    # --- Who looks at a ticket ---------------------------------------------------------

    async def sit_down(self, connection: Connection, ticket: int) -> list[Person]:
        """Answers who looks at the ticket, oneself included.

        The others may be a moment old, as whoever came before us was told; that somebody else has
        come since is said by `room.members`. So a room into which a thousand come back at once is
        not read a thousand times.
        """
        connection.seats.add(ticket)
        view = (ticket, connection.name, viewer_of(connection.person))
        self._to_seat.append(view)
        if len(self._to_seat) == 1:
            self._begin(self._seat())
        others = await self._seated_lately(ticket)
        return [*(each for each in others if each.id != connection.user_id), connection.person]

    async def _seat(self) -> None:
        await asyncio.sleep(SEATED_TOGETHER_SECONDS)
        views, self._to_seat = self._to_seat, []
        await self._renew_views(views)

    async def _seated_lately(self, ticket: int) -> list[Person]:
        """Whoever comes while it is read waits for that, and does not read it, too."""
        now = asyncio.get_running_loop().time()
        read_at, reading = self._seated.get(ticket, (-LATELY_SECONDS, None))
        if reading is None or now - read_at > LATELY_SECONDS:
            reading = asyncio.ensure_future(self._seated_if_known(ticket))
            self._seated[ticket] = (now, reading)
        return await asyncio.shield(reading)

    async def _seated_if_known(self, ticket: int) -> list[Person]:
        try:
            return await self.seated(ticket)
        except PresenceUnavailable:
            return []

    async def stand_up(self, connection: Connection, tickets: Collection[int]) -> None:
        """Of the tickets, those that it looks at."""
        left = connection.seats.intersection(tickets)
        connection.seats -= left
        self._to_seat = [
            view for view in self._to_seat if view[1] != connection.name or view[0] not in left
        ]
        await asyncio.gather(*(self._unview(ticket, connection.name) for ticket in left))

    async def _unview(self, ticket: int, name: str) -> None:
        with suppress(PresenceUnavailable):
            if await self._store.unview(ticket, name, now=time.time()):
                self._announce(Seated(ticket))

    async def seated(self, ticket: int) -> list[Person]:
        """Raises PresenceUnavailable."""
        return people(await self._store.viewers(ticket, now=time.time()))

    def forget_seats(self) -> None:
        """Drop what was read too long ago to be answered."""
        oldest = asyncio.get_running_loop().time() - LATELY_SECONDS
        self._seated = {ticket: each for ticket, each in self._seated.items() if each[0] > oldest}

    # --- Typing ------------------------------------------------------------------------

    def start_typing(self, connection: Connection, ticket: int, *, internal: bool) -> None:
        connection.typing_in.add(ticket)
        now = asyncio.get_running_loop().time()
        if self.typing.may_say(ticket, connection.user_id, now, internal=internal):
            self._announce(Typed(ticket, connection.person, internal, started=True))

    def stop_typing(self, connection: Connection, tickets: Collection[int]) -> None:
        for ticket in connection.typing_in.intersection(tickets):
            connection.typing_in.discard(ticket)
            if self.typing.is_writing(ticket, connection.user_id):
                self._announce(Typed(ticket, connection.person, internal=False, started=False))

    def who_types(self, ticket: int, *, for_staff: bool, but: int) -> list[TypingStarted]:
        return [
            TypingStarted(writing.person, writing.internal)
            for writing in self.typing.in_ticket(ticket, with_internal=for_staff)
            if writing.person.id != but
        ]


def viewer_of(person: Person) -> Viewer:
    return Viewer(person.id, person.name, person.kind)


def people(viewers: Iterable[Viewer]) -> list[Person]:
    return [Person(viewer.id, viewer.name, viewer.kind) for viewer in viewers]  # type: ignore[arg-type]


def _lease(connection: Connection) -> Lease:
    state: PresenceState = connection.presence
    return Lease(connection.user_id, connection.name, state)
