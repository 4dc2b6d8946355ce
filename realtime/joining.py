"""Joining rooms: enter, look, subscribe, replay, go live.

A connection enters a room before its access is looked up, and goes live in the same step in which
its cursor is compared with the room's head for the last time. What is replayed ends at the head
that was read together with the access, so it was all committed while the user could see it; what
comes after that head comes from the room, which asks for itself (realtime.room).
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from realtime import log
from realtime.connection import Connection
from realtime.database import in_database
from realtime.looking import Look
from realtime.protocol import MAX_REPLAY, MAX_ROOMS
from realtime.protocol.commands import DESK, Join
from realtime.protocol.frames import Bye, ErrorCode, Joined, JoinedDesk, Person, RoomLeft, RoomLive
from realtime.room import RESYNC_REQUIRED, Room, RoomKey, Standing

if TYPE_CHECKING:
    from realtime.hub import Hub

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Refused(Exception):
    """One room that cannot be joined, or one command that cannot be done."""

    code: ErrorCode
    message: str
    details: dict[str, Any] | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True)
class Arrival:
    """Somebody whose access is known, on the way into a room from `cursor` on."""

    room: Room
    standing: Standing
    cursor: int


NOT_FOUND = Refused("not_found", "There is no such room for you.")
TOO_MANY_ROOMS = Refused("room_limit", f"A connection has at most {MAX_ROOMS} rooms.")


async def arrive(
    hub: "Hub", connection: Connection, wanted: Sequence[Join]
) -> list[Arrival | Refused]:
    """Enter tickets' rooms, look, and subscribe; an outcome for each, in order.

    Whoever is let in is live only after `go_live`. Raises what the database raises; then nobody
    has entered anything, and who was in is told that they are out.
    """
    were_in = [key for key in connection.rooms.values() if _is_wanted(key, wanted)]
    entered = _enter(hub, connection, wanted)
    try:
        looked = await hub.look(Look(connection.signed_in, [key.ticket for key in entered]))
        if isinstance(looked.standing, Bye):
            connection.end(looked.standing)
        standings = looked.seen
        outcomes = [_judge(join, entered, standings, connection) for join in wanted]
        arrivals = [outcome for outcome in outcomes if isinstance(outcome, Arrival)]
        new = {arrival.room for arrival in arrivals if not arrival.room.is_open}
        for arrival in arrivals:
            arrival.room.open(arrival.standing)
        await hub.rooms.subscribe(new)
    except BaseException:
        _turn_away(hub, connection, entered)
        for key in were_in:
            connection.say(RoomLeft(key.name, RESYNC_REQUIRED))
        raise
    _turn_away(hub, connection, entered.keys() - {arrival.room.key for arrival in arrivals})
    return outcomes


def _is_wanted(key: RoomKey, wanted: Sequence[Join]) -> bool:
    return any(join.ticket == key.ticket for join in wanted)


def _turn_away(hub: "Hub", connection: Connection, keys: Collection[RoomKey]) -> None:
    for key in keys:
        connection.entering.discard(key.ticket)
        hub.rooms.leave(key, connection)
    # Who was in, and came anew with a cursor that is none, is not in any more.
    hub.begin(hub.attendance.stand_up(connection, [key.ticket for key in keys]))


def _enter(hub: "Hub", connection: Connection, wanted: Sequence[Join]) -> dict[RoomKey, Room]:
    entered: dict[RoomKey, Room] = {}
    names = set(connection.rooms)
    for join in wanted:
        assert isinstance(join.ticket, int)
        if len(names | {join.ticket}) > MAX_ROOMS:
            continue
        names.add(join.ticket)
        key = RoomKey(join.ticket, connection.audience)
        connection.rooms.pop(join.ticket, None)
        connection.entering.add(join.ticket)
        entered[key] = hub.rooms.enter(key, connection)
    return entered


def _judge(
    join: Join,
    entered: dict[RoomKey, Room],
    standings: dict[int, Standing],
    connection: Connection,
) -> Arrival | Refused:
    assert isinstance(join.ticket, int)
    room = entered.get(RoomKey(join.ticket, connection.audience))
    if room is None:
        return TOO_MANY_ROOMS
    standing = standings.get(join.ticket)
    if standing is None or not room.is_arriving(connection):
        return NOT_FOUND
    cursor = join.last_seq if isinstance(join.last_seq, int) else standing.head
    is_other_log = isinstance(join.epoch, str) and join.epoch != standing.epoch
    can_continue = room.continues(standing) and not is_other_log
    if not can_continue or not 0 <= standing.head - cursor <= MAX_REPLAY:
        return _resync(join.ticket, standing)
    return Arrival(room, standing, cursor)


def _resync(ticket: int, standing: Standing) -> Refused:
    return Refused(
        "resync_required",
        "The log cannot be continued from there; read the ticket and join from its stream.",
        {"snapshot": f"/api/tickets/{ticket}/", "head": standing.head},
    )


async def take_seats(
    hub: "Hub", connection: Connection, outcomes: Sequence[Arrival | Refused]
) -> list[list[Person]]:
    """Who looks at each ticket, those who arrive included."""

    async def seat(outcome: Arrival | Refused) -> list[Person]:
        if isinstance(outcome, Refused):
            return []
        return await hub.attendance.sit_down(connection, outcome.room.key.ticket)

    return await asyncio.gather(*map(seat, outcomes))


def describe(hub: "Hub", connection: Connection, arrival: Arrival, members: list[Person]) -> Joined:
    """The answer, which goes out at once. Raises Refused for who was put out by now; from then on
    they are told when that happens."""
    key, standing = arrival.room.key, arrival.standing
    connection.entering.discard(key.ticket)
    if not arrival.room.is_arriving(connection):
        hub.begin(hub.attendance.stand_up(connection, [key.ticket]))
        raise _resync(key.ticket, standing)
    connection.rooms[key.ticket] = key
    return Joined(
        room=key.name,
        epoch=standing.epoch,
        head=standing.head,
        replay=standing.head - arrival.cursor,
        members=members,
        typing=hub.attendance.who_types(
            key.ticket, for_staff=connection.audience == "staff", but=connection.user_id
        ),
    )


async def go_live(hub: "Hub", connection: Connection, arrival: Arrival) -> None:
    """Send what the client has missed, then let it in; unless it was put out meanwhile.

    The command has been answered. When the log cannot be read now, the client is told to read the
    ticket and to come again.
    """
    try:
        await _go_live(connection, arrival)
    except Exception as exc:
        logger.warning("replay_failed", room=arrival.room.key.group, error=repr(exc))
        hub.turn_out(connection, arrival.room.key, RESYNC_REQUIRED)


async def _go_live(connection: Connection, arrival: Arrival) -> None:
    room = arrival.room
    cursor = await _replay(connection, room, arrival.cursor, arrival.standing.head)
    while room.is_arriving(connection) and not connection.outbound.is_over:
        if room.admit(connection, cursor):
            connection.say(RoomLive(room.key.name, max(cursor, room.head)))
            return
        cursor = await _replay(connection, room, cursor, room.head)


async def _replay(connection: Connection, room: Room, cursor: int, upto: int) -> int:
    """Send the events up to `upto`, kept or from the log, at the pace of who reads them."""
    while cursor < upto and room.is_arriving(connection) and not connection.outbound.is_over:
        entries = room.kept_between(cursor, upto)
        if entries is None:
            entries = await in_database(log.between, room.key, cursor, upto)
            if not entries:
                raise LookupError(f"The log of {room.key.group} has a gap after {cursor}.")
            if not room.is_arriving(connection):
                break
        for entry in entries:
            connection.send(entry.frame)
            cursor = entry.seq
            # Event by event: together they may be more than may wait.
            await connection.outbound.drained()
    return cursor


async def join_desk(hub: "Hub", connection: Connection) -> JoinedDesk:
    """The agents' room, in which they hear that tickets of theirs have changed. Raises Refused."""
    if connection.audience != "staff":
        raise NOT_FOUND
    await connection.learn_teams()
    hub.sockets.desk.add(connection)
    return JoinedDesk(DESK)
