"""The rooms of this process: what they need from the layer and from the log."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog
from django.db import Error as DbError

from realtime import log as event_log
from realtime.database import in_database
from realtime.layer import Layer
from realtime.room import Entry, LeaveReason, Member, Room, RoomKey

READ_AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)
TurnOut = Callable[[Member, RoomKey, LeaveReason], None]
Begin = Callable[[Awaitable[None]], None]


class Rooms:
    """`turn_out` is called for every member that a room has put out; `begin` does work beside
    everything else."""

    def __init__(self, layer: Layer, turn_out: TurnOut, begin: Begin) -> None:
        self._layer = layer
        self._turn_out = turn_out
        self._begin = begin
        self._rooms: dict[RoomKey, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, key: RoomKey) -> Room | None:
        return self._rooms.get(key)

    def of_ticket(self, ticket: int, *, with_customers: bool) -> list[Room]:
        keys = [RoomKey(ticket, "staff")]
        keys += [RoomKey(ticket, "customer")] if with_customers else []
        return [self._rooms[key] for key in keys if key in self._rooms]

    def has_ticket(self, ticket: int) -> bool:
        return bool(self.of_ticket(ticket, with_customers=True))

    def enter(self, key: RoomKey, member: Member) -> Room:
        """The room, in which the member arrives now."""
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = Room(key, self._begin_refill)
        room.enter(member)
        return room

    async def subscribe(self, rooms: Collection[Room]) -> None:
        """Hear what happens in rooms that were just opened, and what did before we listened."""
        if rooms:
            await asyncio.gather(*(self._layer.subscribe(room.key.group) for room in rooms))
            self._begin(self.sweep(rooms))

    def leave(self, key: RoomKey, member: Member) -> None:
        if room := self._rooms.get(key):
            room.leave(member)
            if room.is_empty and not room.is_open:
                # Nobody was let in: there is nothing to keep and nothing to unsubscribe.
                del self._rooms[key]

    def hear(self, key: RoomKey, entry: Entry) -> None:
        if room := self._rooms.get(key):
            room.hear(entry)

    async def sweep(self, rooms: Iterable[Room] | None = None) -> None:
        """Compare the heads with the log's: what the layer lost is found here."""
        candidates = list(self._rooms.values()) if rooms is None else rooms
        were = {room: room.head for room in candidates if not room.is_empty}
        if not were:
            return
        try:
            heads = await in_database(event_log.heads, [room.key for room in were])
        except DbError as exc:
            log.warning("sweep_failed", error=repr(exc))
            return
        for room, after in were.items():
            standing = heads.get(room.key, event_log.GONE)
            self._put_out(room.key, room.hear_head(standing, after=after))

    def prune(self) -> None:
        """Forget the rooms that everybody has left."""
        for key in [key for key, room in self._rooms.items() if room.is_empty]:
            del self._rooms[key]
            self._layer.unsubscribe(key.group)

    def _begin_refill(self, room: Room) -> None:
        self._begin(self._refill(room))

    async def _refill(self, room: Room) -> None:
        """One for all members, and nobody who leaves can cancel it."""
        after, users = room.begin_refill()
        try:
            page = await in_database(event_log.read_page, room.key, after, users)
        except Exception as exc:
            log.warning("refill_failed", room=room.key.group, error=repr(exc))
        else:
            self._put_out(room.key, room.refill(page))
            if not room.has_gap:
                return
            log.error("log_has_a_gap", room=room.key.group, after=after)
        await asyncio.sleep(READ_AGAIN_SECONDS)
        room.try_again()

    def _put_out(self, key: RoomKey, gone: Iterable[tuple[Member, LeaveReason]]) -> None:
        for member, reason in gone:
            self._turn_out(member, key, reason)
