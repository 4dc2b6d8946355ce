"""A desk around `realtime.room` without I/O: logs, processes, a layer that loses, and clients.

What a process does with a room goes through the steps of `realtime.rooms` and `realtime.joining`,
in their order. Each is a generator, and at every `yield` anything else may happen in between: the
database answers from a thread, the loop does something else, the socket is cut. Whoever drives the
desk says what happens next; a client judges every frame the moment it is sent.

A session is one client's time in one room, from the answer to its `room.join` to the end.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Any

from realtime.protocol.wire import Prepared
from realtime.room import (
    ACCESS_REVOKED,
    RESYNC_REQUIRED,
    Audience,
    Entry,
    LeaveReason,
    Member,
    Page,
    Room,
    RoomKey,
    Standing,
)

# Small ones, so that every limit is met often. A room of these tests keeps KEPT frames, too.
PAGE, KEPT, MAX_REPLAY = 3, 4, 9
STAFF, CUSTOMERS = (1, 2, 3), (11, 12, 13)
PEOPLE = (*STAFF, *CUSTOMERS)
# Whose pages are open: everybody's, and of two people a second one.
PAGES = (*PEOPLE, STAFF[0], CUSTOMERS[0])
TICKETS = (0, 1)
# More layer messages are not under way to one process; the oldest are lost.
MOST_MESSAGES = 12

Steps = Generator[None, None, None]
MakeRoom = Callable[[RoomKey, Callable[[Room], None]], Room]
MakeDesk = Callable[[int, Sequence[int]], "Desk"]


class Unavailable(Exception):
    """The database did not answer."""


def audience_of(user: int) -> Audience:
    return "staff" if user in STAFF else "customer"


# --- The log -----------------------------------------------------------------------------


class Frame(Prepared):
    """An event's frame for one audience. Rooms hand it on; clients hold it against the log."""

    __slots__ = ("at", "is_internal", "seq", "ticket")

    def __init__(self, ticket: int, seq: int, at: int, *, is_internal: bool) -> None:
        super().__init__(b"{}")
        self.ticket, self.seq, self.at, self.is_internal = ticket, seq, at, is_internal


@dataclass(frozen=True)
class Happening:
    """A row of the log; `at` is its place in the order of all commits."""

    at: int
    is_internal: bool
    may_change_access: bool


class Log:
    """One ticket's events, numbered twice, and who may see the ticket."""

    def __init__(self, ticket: int, may_see: Iterable[int]) -> None:
        self.ticket = ticket
        self.may_see = set(may_see)
        # The `at` of the event by which somebody lost access.
        self.lost_at: dict[int, int] = {}
        self.incarnation = 0
        self._rows: list[Happening] = []
        self._entries: dict[Audience, list[Entry]] = {"staff": [], "customer": []}

    @property
    def epoch(self) -> str:
        return f"{self.ticket}.{self.incarnation}"

    def append(self, row: Happening) -> dict[RoomKey, Entry]:
        """What the layer is told of it, for each audience."""
        self._rows.append(row)
        audiences: list[Audience] = ["staff"] if row.is_internal else ["staff", "customer"]
        return {RoomKey(self.ticket, each): self._number(each, row) for each in audiences}

    def _number(self, audience: Audience, row: Happening) -> Entry:
        entries = self._entries[audience]
        seq = len(entries) + 1
        frame = Frame(self.ticket, seq, row.at, is_internal=row.is_internal)
        entries.append(Entry(seq, frame, row.may_change_access))
        return entries[-1]

    def change_access(self, user: int, at: int) -> None:
        """Take it away, or give it back."""
        if user in self.may_see:
            self.may_see.remove(user)
            self.lost_at[user] = at
        else:
            self.may_see.add(user)

    def may_get(self, user: int, at: int) -> bool:
        """Nothing from the moment of the loss on, unless it was given back."""
        return user in self.may_see or at < self.lost_at.get(user, 0)

    def begin_anew(self, count: int) -> None:
        """With the first `count` events, as from an older backup."""
        rows, self._rows = self._rows[:count], []
        self.incarnation += 1
        self._entries = {"staff": [], "customer": []}
        for row in rows:
            self.append(row)

    def standing(self, audience: Audience) -> Standing:
        return Standing(self.epoch, len(self._entries[audience]))

    def says(self, audience: Audience, frame: Frame) -> bool:
        return any(entry.frame is frame for entry in self._entries[audience][frame.seq - 1 :][:1])

    def page(self, audience: Audience, after: int, upto: int | None = None) -> list[Entry]:
        return self._entries[audience][after:upto][:PAGE]


# --- Clients -----------------------------------------------------------------------------


class State(Enum):
    OUT = auto()  # wants to come in
    ASKED = auto()  # has sent `room.join`
    IN = auto()  # has its answer
    AWAY = auto()  # was told that the ticket is not for it


class How(Enum):
    """With what a client joins."""

    RESUME = auto()
    WITHOUT_CURSOR = auto()
    CURSOR_AHEAD = auto()
    OTHER_EPOCH = auto()


@dataclass(slots=True)
class Following:
    """What a client knows of one ticket. `epoch` is empty before its first snapshot."""

    state: State = State.OUT
    epoch: str = ""
    seq: int = 0
    joined_at: int = 0
    is_live: bool = False


class Client:
    """Somebody's page: it keeps its cursors when its socket is cut, and checks what it gets."""

    def __init__(self, desk: "Desk", user: int) -> None:
        self.desk, self.user = desk, user
        self.audience = audience_of(user)
        self.socket: Socket | None = None
        self.following = {ticket: Following() for ticket in TICKETS}

    def begins(self, ticket: int, how: How) -> tuple[int | None, str | None]:
        """The `last_seq` and the `epoch` of its `room.join`. Who has none reads a snapshot."""
        following, log = self.following[ticket], self.desk.logs[ticket]
        if not following.epoch:
            following.epoch, following.seq = log.standing(self.audience)
        following.state = State.ASKED
        if how is How.CURSOR_AHEAD:
            return following.seq + 1000, following.epoch
        if how is How.OTHER_EPOCH:
            return following.seq, "other"
        return (None, None) if how is How.WITHOUT_CURSOR else (following.seq, following.epoch)

    def joined(self, ticket: int, epoch: str, cursor: int) -> None:
        self.desk.sessions += 1
        following = self.following[ticket]
        following.state, following.is_live = State.IN, False
        following.epoch, following.seq, following.joined_at = epoch, cursor, cursor

    def take(self, frame: Frame) -> None:
        """Every delivery of the desk comes through here."""
        following, log = self.following[frame.ticket], self.desk.logs[frame.ticket]
        assert self.audience == "staff" or not frame.is_internal, "internal"
        assert following.state is State.IN, "an event of a room that the client is not in"
        if following.epoch != log.epoch:
            return  # void: the log is another one, and the end asks that `room.left` has come
        assert log.may_get(self.user, frame.at), "delivered after access was lost"
        assert frame.seq == following.seq + 1, "a gap, a double, or out of order"
        assert log.says(self.audience, frame), "not what the log says"
        following.seq += 1

    def is_live(self, ticket: int, seq: int) -> None:
        following = self.following[ticket]
        following.is_live = True
        assert seq == following.seq or self._is_void(ticket), "live before it had everything"

    def beats(self, ticket: int, head: int) -> None:
        """A heartbeat: the room is never further than what it has sent."""
        assert head <= self.following[ticket].seq or self._is_void(ticket), "behind its room"

    def left(self, ticket: int, reason: LeaveReason) -> None:
        self.refused(ticket, reason)

    def refused(self, ticket: int, reason: str) -> None:
        following = self.following[ticket]
        following.is_live = False
        if reason in {ACCESS_REVOKED, "not_found"}:
            following.state = State.AWAY
            return
        following.state = State.OUT
        if reason == RESYNC_REQUIRED:
            following.epoch = ""

    def hears_that_it_may_see(self, ticket: int) -> None:
        if self.following[ticket].state is State.AWAY:
            self.following[ticket].state = State.OUT

    def is_cut_off(self, unread: int = 0) -> None:
        """The last `unread` frames of each room did not arrive any more."""
        self.socket = None
        for following in self.following.values():
            if following.state is State.IN:
                following.seq = max(following.joined_at, following.seq - unread)
            if following.state is not State.AWAY:
                following.state = State.OUT

    def has_everything(self, ticket: int) -> bool:
        following = self.following[ticket]
        return (following.epoch, following.seq) == self.desk.logs[ticket].standing(self.audience)

    def _is_void(self, ticket: int) -> bool:
        return self.following[ticket].epoch != self.desk.logs[ticket].epoch


class Socket:
    """A connection to one process: the member of its rooms."""

    def __init__(self, client: Client, process: "Process") -> None:
        self.client, self.process = client, process
        self.user_id = client.user
        self.rooms: dict[int, RoomKey] = {}
        self.joins: dict[int, Steps] = {}
        self.is_over = False

    def send(self, frame: Prepared) -> None:
        if not self.is_over:
            assert isinstance(frame, Frame)
            self.client.take(frame)

    def tell(self, say: Callable[..., None], *what: Any) -> None:
        """Anything that is not an event."""
        if not self.is_over:
            say(*what)


# --- A process ---------------------------------------------------------------------------


class Process:
    """As `realtime.rooms.Rooms` and `realtime.joining`, step by step."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk
        self.rooms: dict[RoomKey, Room] = {}
        # What the layer has for it: (key, entry), in the order of the commits.
        self.inbox: deque[tuple[RoomKey, Entry]] = deque(maxlen=MOST_MESSAGES)

    def hear(self, key: RoomKey, entry: Entry) -> None:
        if room := self.rooms.get(key):
            room.hear(entry)

    def leave(self, key: RoomKey, socket: Socket) -> None:
        if room := self.rooms.get(key):
            room.leave(socket)
            if room.is_empty and not room.is_open:
                del self.rooms[key]

    def leave_room(self, socket: Socket, ticket: int) -> None:
        if key := socket.rooms.pop(ticket, None):
            self.leave(key, socket)

    def remove(self, socket: Socket) -> None:
        """What the hub does when the socket is over."""
        for ticket in list(socket.rooms):
            self.leave_room(socket, ticket)

    def put_out(self, key: RoomKey, gone: Iterable[tuple[Member, LeaveReason]]) -> None:
        for member, reason in gone:
            assert isinstance(member, Socket)
            if member.rooms.pop(key.ticket, None) is not None:
                member.tell(member.client.left, key.ticket, reason)

    def look_at(self, socket: Socket) -> Steps:
        """As the hub, in its rounds and when it is told that access has changed."""
        yield
        tickets = {*socket.rooms, *socket.joins}
        yield
        try:
            self.desk.read()
        except Unavailable:
            return
        hidden = [each for each in tickets if socket.user_id not in self.desk.logs[each].may_see]
        yield
        for ticket in hidden:
            key = RoomKey(ticket, socket.client.audience)
            self.leave(key, socket)
            self.put_out(key, [(socket, ACCESS_REVOKED)])

    # --- Sweeping and refilling ---

    def sweep(self, rooms: Sequence[Room] | None = None) -> Steps:
        yield
        candidates = list(self.rooms.values()) if rooms is None else rooms
        were = {room: room.head for room in candidates if not room.is_empty}
        yield
        try:
            self.desk.read()
        except Unavailable:
            return
        standings = {room: self.desk.standing(room.key) for room in were}
        yield
        for room, after in were.items():
            self.put_out(room.key, room.hear_head(standings[room], after=after))
        if rooms is None:
            self.prune()

    def prune(self) -> None:
        self.rooms = {key: room for key, room in self.rooms.items() if not room.is_empty}

    def begin_refill(self, room: Room) -> None:
        self.desk.begin(self, self.refill(room))

    def refill(self, room: Room) -> Steps:
        yield
        after, users = room.begin_refill()
        log, audience = self.desk.logs[room.key.ticket], room.key.audience
        yield
        try:
            self.desk.read()
        except Unavailable:
            yield
            room.try_again()
            return
        entries = log.page(audience, after)
        yield
        standing = log.standing(audience)
        allowed = set()
        for user in sorted(users):
            yield
            if user in log.may_see:
                allowed.add(user)
        yield
        self.put_out(room.key, room.refill(Page(standing, entries, allowed)))

    # --- Joining ---

    def join(self, socket: Socket, ticket: int, last_seq: int | None, epoch: str | None) -> Steps:
        """What the client is told is what `realtime.commands` would answer."""
        try:
            yield from self._join(socket, ticket, last_seq, epoch)
        except Unavailable:
            socket.tell(socket.client.refused, ticket, "unavailable")
        finally:
            socket.joins.pop(ticket, None)

    def _join(self, socket: Socket, ticket: int, last_seq: int | None, epoch: str | None) -> Steps:
        key = RoomKey(ticket, socket.client.audience)
        socket.rooms.pop(ticket, None)
        room = self.rooms.get(key)
        if room is None:
            room = self.rooms[key] = self.desk.make_room(key, self.begin_refill)
        room.enter(socket)
        try:
            standing, cursor = yield from self._arrive(room, socket, last_seq, epoch)
        except BaseException as exc:
            self.leave(key, socket)
            if isinstance(exc, Refused):
                socket.tell(socket.client.refused, ticket, exc.code)
                return
            raise
        yield
        if not room.is_arriving(socket):
            socket.tell(socket.client.refused, ticket, "not_found")
            return
        socket.rooms[ticket] = key
        socket.tell(socket.client.joined, ticket, standing.epoch, cursor)
        try:
            yield from self._go_live(room, socket, cursor, standing.head)
        except (Unavailable, LookupError):
            self.leave(key, socket)
            self.put_out(key, [(socket, RESYNC_REQUIRED)])

    def _arrive(
        self, room: Room, socket: Socket, last_seq: int | None, epoch: str | None
    ) -> Generator[None, None, tuple[Standing, int]]:
        yield
        self.desk.read()
        log = self.desk.logs[room.key.ticket]
        standing = log.standing(room.key.audience) if socket.user_id in log.may_see else None
        yield
        if standing is None:
            raise Refused("not_found")
        cursor = standing.head if last_seq is None else last_seq
        is_other_log = epoch is not None and epoch != standing.epoch
        can_continue = room.continues(standing) and not is_other_log
        if not can_continue or not 0 <= standing.head - cursor <= MAX_REPLAY:
            raise Refused(RESYNC_REQUIRED)
        is_new = not room.is_open
        room.open(standing)
        if is_new:
            yield
            self.desk.begin(self, self.sweep([room]))
        return standing, cursor

    def _go_live(self, room: Room, socket: Socket, cursor: int, head: int) -> Steps:
        cursor = yield from self._replay(room, socket, cursor, head)
        while room.is_arriving(socket):
            if room.admit(socket, cursor):
                socket.tell(socket.client.is_live, room.key.ticket, max(cursor, room.head))
                return
            cursor = yield from self._replay(room, socket, cursor, room.head)

    def _replay(
        self, room: Room, socket: Socket, cursor: int, upto: int
    ) -> Generator[None, None, int]:
        while cursor < upto and room.is_arriving(socket):
            entries = room.kept_between(cursor, upto)
            if entries is None:
                yield
                self.desk.read()
                log = self.desk.logs[room.key.ticket]
                entries = log.page(room.key.audience, cursor, upto)
                yield
                if not entries:
                    raise LookupError
                if not room.is_arriving(socket):
                    break
            for entry in entries:
                socket.send(entry.frame)
                cursor = entry.seq
            yield
        return cursor


class Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# --- The desk ----------------------------------------------------------------------------


@dataclass
class Commit:
    """One transaction: harmless events around a change of somebody's access, or without one."""

    ticket: int
    user: int | None = None
    before: int = 0
    after: int = 0
    is_internal: bool = False
    rows: list[Happening] = field(default_factory=list)


class Desk:
    """What may happen, as methods. Numbers that name something are taken modulo how many there
    are, so that any number will do."""

    make_process = Process

    def __init__(
        self, processes: int = 2, pages: Sequence[int] = PAGES, make_room: MakeRoom = Room
    ) -> None:
        self.make_room = make_room
        self.logs = [Log(ticket, PEOPLE[ticket :: len(TICKETS)]) for ticket in TICKETS]
        self.processes = [self.make_process(self) for _ in range(processes)]
        self.clients = [Client(self, user) for user in pages]
        self.under_way: list[tuple[Process, Steps]] = []
        self.sessions = 0
        self.came_last = (TICKETS[0], PEOPLE[0])
        self._clock = 0
        self._is_failing = False

    # --- For processes ---

    def begin(self, process: Process, steps: Steps) -> Steps:
        self.under_way.append((process, steps))
        return steps

    def read(self) -> None:
        """Before every look at the database. Raises Unavailable."""
        if self._is_failing:
            self._is_failing = False
            raise Unavailable

    def standing(self, key: RoomKey) -> Standing:
        return self.logs[key.ticket].standing(key.audience)

    # --- What may happen ---

    def go_on(self, which: int) -> None:
        """One step of something that is under way."""
        if self.under_way:
            index = which % len(self.under_way)
            if next(self.under_way[index][1], self) is self:
                self.under_way[index] = self.under_way[-1]
                self.under_way.pop()

    def commit(self, what: Commit, *, is_published: bool = True) -> None:
        """Whose publisher is killed right after it is told to nobody."""
        log = self.logs[what.ticket]
        rows = [*[False] * what.before, *[True] * (what.user is not None), *[False] * what.after]
        told = []
        for may_change_access in rows:
            self._clock += 1
            is_internal = what.is_internal
            if may_change_access:
                assert what.user is not None
                log.change_access(what.user, self._clock)
                # A customer's access never changes behind the customers' back.
                is_internal = is_internal and what.user in STAFF
            told.append(log.append(Happening(self._clock, is_internal, may_change_access)))
        self._tell_those_who_may_come_back(log)
        for process in self.processes if is_published else ():
            process.inbox.extend(item for each in told for item in each.items())

    def _tell_those_who_may_come_back(self, log: Log) -> None:
        for client in self.clients:
            if client.user in log.may_see:
                client.hears_that_it_may_see(log.ticket)

    def deliver(self, process: int, which: int, *, keeps_copy: bool = False) -> None:
        here = self.processes[process % len(self.processes)]
        if here.inbox:
            index = which % len(here.inbox)
            key, entry = here.inbox[index]
            if not keeps_copy:
                del here.inbox[index]
            here.hear(key, entry)

    def lose(self, process: int, which: int) -> None:
        here = self.processes[process % len(self.processes)]
        if here.inbox:
            del here.inbox[which % len(here.inbox)]

    def connect(self, who: int, process: int) -> None:
        client = self.clients[who % len(self.clients)]
        if client.socket is None:
            client.socket = Socket(client, self.processes[process % len(self.processes)])

    def join(self, who: int, ticket: int, how: How = How.RESUME) -> None:
        """Also anew, from within; a socket does one thing after another."""
        client = self.clients[who % len(self.clients)]
        socket = client.socket
        if socket is None or ticket in socket.joins:
            return
        if client.following[ticket].state is not State.AWAY:
            self.came_last = (ticket, client.user)
            last_seq, epoch = client.begins(ticket, how)
            steps = socket.process.join(socket, ticket, last_seq, epoch)
            next(steps)
            socket.joins[ticket] = self.begin(socket.process, steps)

    def leave(self, who: int, ticket: int) -> None:
        client = self.clients[who % len(self.clients)]
        socket = client.socket
        if socket and ticket in socket.rooms and ticket not in socket.joins:
            client.following[ticket].state = State.OUT
            socket.process.leave_room(socket, ticket)

    def disconnect(self, who: int, unread: int, *, cancels: bool) -> None:
        """What the socket was doing is cancelled at once, or comes to its end first."""
        client = self.clients[who % len(self.clients)]
        if socket := client.socket:
            socket.is_over = True
            client.is_cut_off(unread)
            self.begin(socket.process, self._end(socket, cancels=cancels))

    def _end(self, socket: Socket, *, cancels: bool) -> Steps:
        yield
        if cancels:
            for join in list(socket.joins.values()):
                join.close()
        while socket.joins:
            yield
        socket.process.remove(socket)

    def kill(self, process: int, unread: int) -> None:
        """And another one starts in its place."""
        index = process % len(self.processes)
        dead = self.processes[index]
        for client in self.clients:
            if client.socket and client.socket.process is dead:
                client.socket.is_over = True
                client.is_cut_off(unread)
        self.under_way = [each for each in self.under_way if each[0] is not dead]
        self.processes[index] = self.make_process(self)

    def sweep(self, process: int) -> None:
        here = self.processes[process % len(self.processes)]
        self.begin(here, here.sweep())

    def look_at(self, who: int) -> None:
        """May this client stay where it is?"""
        if socket := self.clients[who % len(self.clients)].socket:
            self.begin(socket.process, socket.process.look_at(socket))

    def fail(self) -> None:
        """The next look at the database does not succeed."""
        self._is_failing = True

    def begin_anew(self, ticket: int, count: int) -> None:
        """An older log takes the place of a ticket's; what the layer had of it is gone."""
        log = self.logs[ticket]
        log.begin_anew(count)
        for process in self.processes:
            kept = [item for item in process.inbox if item[0].ticket != ticket]
            process.inbox = deque(kept, maxlen=MOST_MESSAGES)

    def beat(self) -> None:
        """To all live members of all rooms."""
        for client in self.clients:
            socket = client.socket
            for ticket, key in socket.rooms.items() if socket else ():
                room = socket.process.rooms.get(key) if socket else None
                if room and room.is_member(socket):  # type: ignore[arg-type]
                    client.beats(ticket, room.head)

    # --- For whoever drives the desk ---

    def who_is_away(self, ticket: int) -> list[int]:
        """The users who were told that the ticket is not for them."""
        clients = self.clients
        return [each.user for each in clients if each.following[ticket].state is State.AWAY]

    def who_is_out(self, ticket: int) -> list[int]:
        """The clients that want to come in, by their places."""
        clients = enumerate(self.clients)
        return [who for who, each in clients if each.following[ticket].state is State.OUT]

    # --- The end ---

    def settle(self) -> None:
        """Nothing more is delivered. Sweeps alone bring everybody what they lack, and turn out who
        must go; then who was out comes back, and has everything, too."""
        self._is_failing = False
        for process in self.processes:
            process.inbox.clear()
        self._sweep_all()
        self._all_who_are_in_have_everything()
        for who, client in enumerate(self.clients):
            self.connect(who, who)
            for ticket in TICKETS:
                if client.user in self.logs[ticket].may_see:
                    client.hears_that_it_may_see(ticket)
        # The first time a client may learn that it has to read a snapshot, or that a room of the
        # log before this one must first be given up.
        for _ in range(3):
            self._all_who_are_out_come_in()
            self._sweep_all()
        self._all_who_are_in_have_everything()
        for client in self.clients:
            for ticket, following in client.following.items():
                expected = State.IN if client.user in self.logs[ticket].may_see else None
                assert expected in {following.state, None}, "somebody could not come back"
                assert (following.state is State.IN) == (expected is State.IN), "still in"

    def _sweep_all(self) -> None:
        for process in range(len(self.processes)):
            self.sweep(process)
        rounds = 0
        while self.under_way:
            self.go_on(rounds)
            rounds += 1
            assert rounds < 100_000, "something never ends"

    def _all_who_are_out_come_in(self) -> None:
        for who, client in enumerate(self.clients):
            for ticket, following in client.following.items():
                if following.state is State.OUT:
                    self.join(who, ticket)

    def _all_who_are_in_have_everything(self) -> None:
        for client in self.clients:
            for ticket, following in client.following.items():
                if following.state is State.IN:
                    assert client.user in self.logs[ticket].may_see, "still in"
                    assert following.is_live, "never went live"
                    assert client.has_everything(ticket), "lacks something in the end"


# --- A driver ----------------------------------------------------------------------------


class Found(Exception):
    """What a client or the end of a desk's life objected to, where, and after how many sessions."""


def play(desk_of: MakeDesk, sessions: int) -> int:
    """Let desks live until there were at least so many sessions; answers how many there were.

    Always the same desks. Raises Found.
    """
    had = seed = 0
    while had < sessions:
        seed += 1
        rng = Random(seed)
        desk = desk_of(rng.choice((1, 1, 2, 3)), rng.choice((PAGES, STAFF, CUSTOMERS)))
        try:
            drive(desk, rng)
        except AssertionError as exc:
            raise Found(f"{exc} (seed {seed}, after {had + desk.sessions:,} sessions)") from exc
        had += desk.sessions
    return had


def drive(desk: Desk, rng: Random, steps: int = 300) -> None:
    """So many things happen at random, and then the desk settles.

    No two desks are alike: what happens often on one is rare on another, so that also what takes
    many of one kind, or none of another, comes about (Groce et al., Swarm Testing, 2012).
    """
    weights = [weight * rng.choice((0.2, 1, 1, 3)) for _, weight in ACTIONS]
    tickets = rng.choice((TICKETS, TICKETS[:1]))
    dice = Dice(desk, rng, tickets, haste=rng.choice((0, 0.5, 0.9)))
    for action, _ in rng.choices(ACTIONS, weights, k=steps):
        action(dice)
    desk.settle()


@dataclass(frozen=True)
class Dice:
    """What happens next on a desk of which only some tickets are busy."""

    desk: Desk
    rng: Random
    tickets: Sequence[int]
    haste: float

    def number(self) -> int:
        return self.rng.randrange(64)

    def ticket(self) -> int:
        return self.rng.choice(self.tickets)

    def happens(self, probability: float) -> bool:
        return self.rng.random() < probability

    def go_on(self) -> None:
        """On some desks what began last overtakes what began before, which waits in the middle."""
        self.desk.go_on(-1 if self.happens(self.haste) else self.number())

    def deliver(self) -> None:
        """In order most of the time; else late, overtaking, or twice."""
        which = 0 if self.happens(0.75) else self.number()
        self.desk.deliver(self.number(), which, keeps_copy=self.happens(0.1))

    def lose(self) -> None:
        self.desk.lose(self.number(), self.number())

    def write(self) -> None:
        """Now and then more than a page, than a room keeps, or than is replayed."""
        count = self.rng.choice((1, 1, 1, 2, 3, 5, 12))
        what = Commit(self.ticket(), before=count, is_internal=self.happens(0.3))
        self.desk.commit(what, is_published=self.happens(0.9))

    def change_access(self) -> None:
        """Often of who has come in last, or of somebody who may come back by it."""
        ticket, user = self.ticket(), self.rng.choice(PEOPLE)
        away = self.desk.who_is_away(ticket)
        if self.happens(0.5):
            ticket, user = self.desk.came_last
        elif away and self.happens(0.7):
            user = self.rng.choice(away)
        before, after = self.rng.randrange(2), self.rng.randrange(2)
        what = Commit(ticket, user, before, after, self.happens(0.3))
        self.desk.commit(what, is_published=self.happens(0.9))

    def join(self) -> None:
        """Mostly somebody who is not in, and goes on where they were."""
        ticket, who = self.ticket(), self.number()
        outside = self.desk.who_is_out(ticket)
        if outside and self.happens(0.8):
            who = self.rng.choice(outside)
        how = self.rng.choice(list(How)) if self.happens(0.1) else How.RESUME
        self.desk.connect(who, self.number())
        self.desk.join(who, ticket, how)

    def leave(self) -> None:
        self.desk.leave(self.number(), self.ticket())

    def disconnect(self) -> None:
        self.desk.disconnect(self.number(), self.rng.randrange(4), cancels=self.happens(0.3))

    def kill(self) -> None:
        self.desk.kill(self.number(), self.rng.randrange(4))

    def sweep(self) -> None:
        self.desk.sweep(self.number())

    def look_at(self) -> None:
        self.desk.look_at(self.number())

    def beat(self) -> None:
        self.desk.beat()

    def fail(self) -> None:
        self.desk.fail()

    def begin_anew(self) -> None:
        self.desk.begin_anew(self.ticket(), self.rng.randrange(8))


ACTIONS: list[tuple[Callable[[Dice], None], float]] = [
    (Dice.go_on, 70),
    (Dice.deliver, 12),
    (Dice.lose, 3),
    (Dice.write, 6),
    (Dice.change_access, 6),
    (Dice.join, 14),
    (Dice.leave, 2),
    (Dice.disconnect, 4),
    (Dice.kill, 0.5),
    (Dice.sweep, 1.5),
    (Dice.look_at, 1),
    (Dice.beat, 1),
    (Dice.fail, 0.5),
    (Dice.begin_anew, 0.1),
]
