"""One ticket's stream for one audience in one process. No I/O, so that anything can drive it.

The log in the database is the truth. What arrives over the channel layer only saves time: it is
delivered where it is the very next event and cannot have changed who may see the ticket. In every
other case - something is missing, came late, or concerns access - the room asks to be refilled, and
a refill reads the events first and then who may still see the ticket. So nothing that was lost,
doubled or overtaken on the way makes a gap or a double, and nobody gets an event that was committed
after they lost access.

Members arrive in two steps. `enter` comes before their access is looked up in the database, `admit`
after it: a refill that runs in between decides about them, too.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from realtime.protocol.wire import Prepared

Audience = Literal["staff", "customer"]
# Frames kept for those who arrive, come back, or were slower than the room.
KEPT, KEPT_BYTES = 256, 512 * 1024
ACCESS_REVOKED: Literal["access_revoked"] = "access_revoked"
RESYNC_REQUIRED: Literal["resync_required"] = "resync_required"
LeaveReason = Literal["access_revoked", "resync_required"]


class RoomKey(NamedTuple):
    ticket: int
    audience: Audience

    @property
    def name(self) -> str:
        """What clients call it, whatever their audience."""
        return f"ticket:{self.ticket}"

    @property
    def group(self) -> str:
        """Its name in the channel layer."""
        return f"ticket.{self.ticket}.{self.audience}"

    @classmethod
    def of_group(cls, group: str) -> "RoomKey":
        _, ticket, audience = group.split(".")
        return cls(int(ticket), audience)  # type: ignore[arg-type]


class Member(Protocol):
    """A socket, as far as a room knows it."""

    @property
    def user_id(self) -> int: ...

    @property
    def send(self) -> Callable[[Prepared], None]: ...


class Entry(NamedTuple):
    """One event of the log, as the room's audience gets it."""

    seq: int
    frame: Prepared
    may_change_access: bool


class Standing(NamedTuple):
    """The log's incarnation and its last seq, read in one go with the reader's access."""

    epoch: str
    head: int


@dataclass(frozen=True)
class Page:
    """What a refill read: events after the room's head, and then which users may see the ticket."""

    standing: Standing
    entries: Sequence[Entry]
    allowed: Collection[int]


class Room:
    """`head` is the last seq that every live member has had."""

    def __init__(self, key: RoomKey, ask_refill: Callable[["Room"], None]) -> None:
        self.key = key
        self.epoch = ""
        self.head = 0
        self.is_open = False
        # The log has not got what it should have: whoever refills the room tries again later.
        self.has_gap = False
        self._began_at = 0
        self._ask_refill = ask_refill
        self._is_refilling = False
        # The highest seq that is known to exist.
        self._target = 0
        # What the refill under way was asked for: after which seq, and about whom.
        self._read_after = self._read_upto = 0
        self._read_for: set[Member] = set()
        self._kept: deque[Entry] = deque()
        self._kept_bytes = 0
        # By the number of their arrival, which tells one from the next of the same member.
        self._arriving: dict[Member, int] = {}
        self._arrivals = 0
        self._live: dict[Member, Callable[[Prepared], None]] = {}
        # Members who had more than the room when they came, until it has caught up with them.
        self._ahead: dict[Member, int] = {}

    # --- Members -----------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        return not self._live and not self._arriving

    def is_member(self, member: Member) -> bool:
        return member in self._live

    def members(self) -> list[Member]:
        """The live ones and those who arrive."""
        return [*self._live, *self._arriving]

    def enter(self, member: Member) -> int:
        """Before the member's access is looked up. Who was in comes in anew. Answers the number of
        this arrival."""
        self.leave(member)
        self._arrivals += 1
        self._arriving[member] = self._arrivals
        return self._arrivals

    def open(self, standing: Standing) -> None:
        """The first look at the log is where the stream begins; later ones change nothing."""
        if not self.is_open:
            self.is_open = True
            self.epoch, self.head = standing
            self._began_at = self.head
            self._target = max(self._target, self.head)

    def continues(self, standing: Standing) -> bool:
        """Whether who looked then may come in. Not after an older look than the one that the room
        began with: nobody has asked whether they may see what came in between. And not after a
        look at another log than the room's."""
        is_same = standing.epoch == self.epoch and standing.head >= self._began_at
        return is_same or not self.is_open

    def kept_between(self, after: int, upto: int) -> list[Entry] | None:
        """The events after `after` up to `upto`; None where they are not kept any more."""
        if after >= upto:
            return []
        found = [entry for entry in self._kept if after < entry.seq <= upto]
        return found if len(found) == upto - after else None

    def admit(self, member: Member, cursor: int) -> bool:
        """Let in who has everything up to `cursor`, after sending what came since.

        False where that is not kept: then it is read from the log, up to `head`, and tried again.
        The caller has made sure that the member is still arriving.
        """
        missing = self.kept_between(cursor, self.head)
        if missing is None:
            return False
        for entry in missing:
            member.send(entry.frame)
        if cursor > self.head:
            self._ahead[member] = cursor
        self._arriving.pop(member, None)
        self._live[member] = member.send
        # The room may have been empty, and not have cared, or may be behind its new member.
        self._want(cursor)
        return True

    def suspend(self, member: Member) -> tuple[int, int]:
        """Back to arriving, until its access was looked up again; answers the number of this
        arrival, and what it had."""
        cursor = max(self.head, self._ahead.get(member, 0))
        return self.enter(member), cursor

    def is_arriving(self, member: Member, arrival: int | None = None) -> bool:
        """Whether it is, and if asked, whether it has not come anew since that arrival."""
        return member in self._arriving and arrival in (None, self._arriving[member])

    def leave(self, member: Member) -> None:
        self._live.pop(member, None)
        self._arriving.pop(member, None)
        self._ahead.pop(member, None)

    # --- What is heard -----------------------------------------------------------------

    def hear(self, entry: Entry) -> None:
        """An event from the channel layer: the next one, an old one, or one after a gap."""
        if not self.is_open or entry.seq <= self.head:
            return
        if entry.seq == self.head + 1 and not entry.may_change_access:
            self._advance(entry)
        self._want(entry.seq)

    def hear_head(self, standing: Standing, *, after: int) -> list[tuple[Member, LeaveReason]]:
        """What a sweep read when the room was at `after`; answers who must leave."""
        if not self.is_open:
            return []
        if self._began_anew(standing, after):
            return self._turn_out(self.members(), RESYNC_REQUIRED)
        self._want(standing.head)
        return []

    def say(self, frame: Prepared, *, but_not_user: int = 0) -> None:
        """A signal: to all live members, best effort."""
        for member, send in self._live.items():
            if member.user_id != but_not_user:
                send(frame)

    def _want(self, seq: int) -> None:
        self._target = max(self._target, seq)
        if self._target > self.head and not self._is_refilling and not self.is_empty:
            self._is_refilling = True
            self._ask_refill(self)

    def _advance(self, entry: Entry) -> None:
        self.head = entry.seq
        self._keep(entry)
        frame = entry.frame
        if self._ahead:
            self._advance_unevenly(entry)
            return
        for send in self._live.values():
            send(frame)

    def _keep(self, entry: Entry) -> None:
        self._kept.append(entry)
        self._kept_bytes += len(entry.frame.wire)
        while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft().frame.wire)

    def _advance_unevenly(self, entry: Entry) -> None:
        for member, send in self._live.items():
            if self._ahead.get(member, 0) < entry.seq:
                send(entry.frame)
        self._ahead = {member: seq for member, seq in self._ahead.items() if seq > entry.seq}

    def _began_anew(self, standing: Standing, after: int) -> bool:
        """Another log than the one that had been followed up to `after` before this was read."""
        return standing.epoch != self.epoch or standing.head < after

    # --- Refilling ---------------------------------------------------------------------

    def begin_refill(self) -> tuple[int, set[int]]:
        """Called right before the log is read: after which seq, and about which users."""
        self._read_after, self._read_upto = self.head, self._target
        self._read_for = set(self.members())
        return self._read_after, {member.user_id for member in self._read_for}

    def refill(self, page: Page) -> list[tuple[Member, LeaveReason]]:
        """Take in what was read; answers who must leave and why. Asks again where there is more."""
        self._is_refilling = False
        if self._began_anew(page.standing, self._read_after):
            return self._turn_out(self.members(), RESYNC_REQUIRED)
        stayed = self._read_for.intersection(self.members())
        forbidden = [member for member in stayed if member.user_id not in page.allowed]
        left = self._turn_out(forbidden, ACCESS_REVOKED)
        if not page.entries and self._read_upto > self._read_after:
            # It is known that there is more. Asking at once would find nothing again.
            self.has_gap = self._is_refilling = True
            return left
        for entry in page.entries:
            if entry.may_change_access and self._has_newcomers():
                # Nobody has asked about them since this happened.
                break
            if entry.seq == self.head + 1:
                self._advance(entry)
        self._want(page.standing.head)
        return left

    def _has_newcomers(self) -> bool:
        return not self._read_for.issuperset(self.members())

    def try_again(self) -> None:
        """The log could not be read, or had a gap: ask anew."""
        self.has_gap = self._is_refilling = False
        self._want(self._target)

    def _turn_out(
        self, members: Iterable[Member], reason: LeaveReason
    ) -> list[tuple[Member, LeaveReason]]:
        gone = list(members)
        for member in gone:
            self.leave(member)
        return [(member, reason) for member in gone]
