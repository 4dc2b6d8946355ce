"""Who is there, who looks at which ticket, and who writes: announced over all processes.

Best effort throughout. Where Redis is away, sockets stay and tickets work; the next renewal says
again who is there.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable

import structlog

from realtime.connection import Connection
from realtime.messages import Changed, Seated, Typed
from realtime.presence import Change, Lease, PresenceUnavailable, Viewer, process_store
from realtime.protocol.frames import Person, PresenceState, TypingStarted, UserPresence
from realtime.typing import Typing

log = structlog.get_logger(__name__)
Announce = Callable[[Changed | Seated | Typed], None]


class Attendance:
    """`announce` tells all processes, this one included."""

    def __init__(self, announce: Announce) -> None:
        self._store = process_store()
        self._announce = announce
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
        now = time.time()
        leases = [_lease(connection) for connection in connections]
        views = [
            (ticket, connection.name, viewer_of(connection.person))
            for connection in connections
            for ticket in list(connection.rooms)
        ]
        try:
            self._tell(*await self._store.refresh(leases, now=now))
            for ticket in await self._store.renew_views(views, now=now):
                self._announce(Seated(ticket))
        except PresenceUnavailable as exc:
            log.warning("presence_is_away", error=str(exc))

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
        """Answers who looks at the ticket now; only oneself where nobody knows."""
        now, viewer = time.time(), viewer_of(connection.person)
        try:
            if await self._store.view(ticket, connection.name, viewer, now=now):
                self._announce(Seated(ticket))
            return people(await self._store.viewers(ticket, now=now))
        except PresenceUnavailable:
            return [connection.person]

    async def stand_up(self, connection: Connection, tickets: Iterable[int]) -> None:
        try:
            for ticket in tickets:
                if await self._store.unview(ticket, connection.name, now=time.time()):
                    self._announce(Seated(ticket))
        except PresenceUnavailable:
            return

    async def seated(self, ticket: int) -> list[Person]:
        """Raises PresenceUnavailable."""
        return people(await self._store.viewers(ticket, now=time.time()))

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
