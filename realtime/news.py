"""Soft news: what the sockets of this process are told of typing, presence, notifications and of
tickets that changed. Nothing here is kept or repeated."""

from collections.abc import Callable, Collection
from contextlib import suppress

import msgspec

from realtime.attendance import Attendance
from realtime.connection import Connection
from realtime.messages import Changed, Hint, News, Seated, Typed
from realtime.presence import PresenceUnavailable
from realtime.protocol.commands import DESK
from realtime.protocol.frames import (
    Members,
    Notified,
    Person,
    Touched,
    TypingStarted,
    TypingStopped,
    UserPresence,
)
from realtime.protocol.wire import signal
from realtime.room import RoomKey
from realtime.rooms import Rooms
from realtime.sockets import Sockets


class NewsDesk:
    """`now` is a clock that does not jump."""

    def __init__(
        self, sockets: Sockets, rooms: Rooms, attendance: Attendance, now: Callable[[], float]
    ) -> None:
        self._sockets = sockets
        self._rooms = rooms
        self._attendance = attendance
        self._now = now
        # Gathered for a moment, because many may concern one ticket.
        self._hints: dict[int, Hint] = {}
        self._seated: set[int] = set()

    def hear(self, message: Typed | Seated | Changed | Hint | News) -> None:
        match message:
            case Typed():
                self._hear_typed(message)
            case Seated(ticket):
                self._seated.add(ticket)
            case Hint():
                self._hear_hint(message)
            case Changed(user, state, version):
                told = UserPresence(user, state, version)
                _tell(self._sockets.watchers_of(user), None, told, "presence.changed")
            case News(user, pk, kind, ticket):
                news = Notified(pk, kind, ticket)
                _tell(self._sockets.of_user(user), None, news, "notification.created")

    async def gather(self) -> None:
        """Twice a second: tell what has come together, and whose typing has ended by itself."""
        for ticket, writing in self._attendance.typing.expire(self._now()):
            self._say_stopped(ticket, writing.person, internal=writing.internal)
        hints, self._hints = self._hints, {}
        for hint in hints.values():
            self._say_touched(hint)
        seated, self._seated = self._seated, set()
        for ticket in filter(self._rooms.has_ticket, seated):
            with suppress(PresenceUnavailable):
                told = Members(await self._attendance.seated(ticket))
                self._say(ticket, told, "room.members")

    # --- Typing ------------------------------------------------------------------------

    def _hear_typed(self, message: Typed) -> None:
        ticket, person, typing = message.ticket, message.person, self._attendance.typing
        if not message.started:
            if writing := typing.stopped(ticket, person.id):
                self._say_stopped(ticket, person, internal=writing.internal)
            return
        if not self._rooms.has_ticket(ticket):
            return
        if typing.started(ticket, person, self._now(), internal=message.internal):
            self._say_note_began(ticket, person)
        told = TypingStarted(person, message.internal)
        self._say(ticket, told, "typing.started", person.id, internal=message.internal)

    def _say_stopped(self, ticket: int, person: Person, *, internal: bool) -> None:
        self._say(ticket, TypingStopped(person), "typing.stopped", person.id, internal=internal)

    def _say_note_began(self, ticket: int, person: Person) -> None:
        """What was going to be a reply became a note: for the customer the writing has ended."""
        if room := self._rooms.get(RoomKey(ticket, "customer")):
            ended = signal(room.key.name, TypingStopped(person), "typing.stopped")
            room.say(ended, but_not_user=person.id)

    def _say(
        self,
        ticket: int,
        data: msgspec.Struct,
        event: str,
        but_not_user: int = 0,
        *,
        internal: bool = False,
    ) -> None:
        """To all who have the ticket open, but not to whom it is about; notes only to staff."""
        frame = signal(f"ticket:{ticket}", data, event)
        for room in self._rooms.of_ticket(ticket, with_customers=not internal):
            room.say(frame, but_not_user=but_not_user)

    # --- Tickets that changed ----------------------------------------------------------

    def _hear_hint(self, hint: Hint) -> None:
        earlier = self._hints.get(hint.ticket)
        if earlier and earlier.is_public:
            # A note right after a reply takes nothing from the reply; people are those of now.
            hint = msgspec.structs.replace(hint, is_public=True)
        self._hints[hint.ticket] = hint

    def _say_touched(self, hint: Hint) -> None:
        told = Touched(hint.ticket)
        agents = [each for each in self._sockets.desk if each.is_concerned(hint.team, hint.people)]
        _tell(agents, DESK, told, "ticket.touched")
        if hint.is_public:
            theirs = self._sockets.of_users(hint.people)
            customers = [each for each in theirs if each.audience == "customer"]
            _tell(customers, None, told, "ticket.touched")


def _tell(
    sockets: Collection[Connection], room: str | None, data: msgspec.Struct, event: str
) -> None:
    if sockets:
        frame = signal(room, data, event)
        for connection in sockets:
            connection.send(frame)
