"""Presence of a single process, in its memory."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from realtime.presence.store import (
    COUNTED_SECONDS,
    KEPT_SECONDS,
    LEASE_SECONDS,
    LINGER_SECONDS,
    Change,
    Lease,
    State,
    Viewer,
    milliseconds,
    people,
)

LEASE, LINGER, KEPT, COUNTED = (
    s * 1000 for s in (LEASE_SECONDS, LINGER_SECONDS, KEPT_SECONDS, COUNTED_SECONDS)
)


@dataclass(frozen=True)
class _Held:
    """A lease as it is kept; `ends` in milliseconds since the epoch, first instant without it."""

    state: State
    ends: int
    is_closed: bool = False


_Leases = dict[str, _Held]


@dataclass
class _User:
    announced: State = "offline"
    version: int = 0
    leases: _Leases = field(default_factory=dict)

    def state_at(self, at: int) -> State:
        said = {held.state for held in self.leases.values() if held.ends > at}
        return "online" if "online" in said else "away" if "away" in said else "offline"

    def has_ended(self, at: int) -> bool:
        return any(held.ends <= at for held in self.leases.values())

    def is_forgotten(self, at: int) -> bool:
        return not self.leases and self.version + KEPT <= at


@dataclass(frozen=True)
class _View:
    viewer: Viewer
    ends: int


_Views = dict[str, _View]


class MemoryPresence:
    """Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[int, _User] = {}
        self._tickets: dict[int, _Views] = {}

    # --- Leases ---

    async def touch(self, lease: Lease, *, now: float) -> tuple[Change | None, int]:
        at = milliseconds(now)

        def hold(leases: _Leases) -> None:
            leases[lease.conn] = _Held(lease.state, at + LEASE)

        with self._lock:
            change = self._act(lease.user, hold, at)
            leases = self._users[lease.user].leases.values()
            return change, sum(held.ends > at + LEASE - COUNTED for held in leases)

    async def refresh(self, leases: Sequence[Lease], *, now: float) -> list[Change]:
        at = milliseconds(now)

        def renew(wanted: Iterable[Lease], leases: _Leases) -> None:
            for lease in wanted:
                known = leases.get(lease.conn)
                if known is None or not known.is_closed:
                    leases[lease.conn] = _Held(lease.state, at + LEASE)

        by_user: dict[int, list[Lease]] = {}
        for lease in leases:
            by_user.setdefault(lease.user, []).append(lease)
        with self._lock:
            changes = [
                self._act(user, partial(renew, wanted), at) for user, wanted in by_user.items()
            ]
        return [change for change in changes if change]

    async def leave(self, user: int, conn: str, *, now: float) -> Change | None:
        at = milliseconds(now)

        def linger(leases: _Leases) -> None:
            held = leases.get(conn)
            if held and not held.is_closed:
                leases[conn] = _Held(held.state, at + LINGER, is_closed=True)

        with self._lock:
            return self._act(user, linger, at) if user in self._users else None

    async def expire(self, *, now: float) -> list[Change]:
        at = milliseconds(now)
        with self._lock:
            due = [number for number, user in self._users.items() if user.has_ended(at)]
            changes = [self._act(number, _leave_alone, at) for number in due]
            self._forget(at)
        return [change for change in changes if change]

    async def states(self, users: Collection[int], *, now: float) -> list[Change]:
        return self.states_now(users, now=now)

    def states_now(self, users: Collection[int], *, now: float) -> list[Change]:
        """The same as `states`, for callers without an event loop."""
        at = milliseconds(now)
        unknown = _User()
        with self._lock:
            found = {number: self._users.get(number, unknown) for number in users}
            return [
                Change(number, user.state_at(at), user.version) for number, user in found.items()
            ]

    def _act(self, number: int, act: Callable[[_Leases], None], at: int) -> Change | None:
        """Do something to the leases of a user: the change that is now to be announced."""
        user = self._users.setdefault(number, _User())
        user.leases = {conn: held for conn, held in user.leases.items() if held.ends > at}
        before = user.state_at(at)
        act(user.leases)
        after = user.state_at(at)
        if before == after == user.announced:
            return None
        user.announced, user.version = after, max(user.version + 1, at)
        return Change(number, after, user.version)

    def _forget(self, at: int) -> None:
        for number in [n for n, user in self._users.items() if user.is_forgotten(at)]:
            del self._users[number]
        for ticket, views in list(self._tickets.items()):
            if all(view.ends + KEPT <= at for view in views.values()):
                del self._tickets[ticket]

    # --- Views ---

    async def view(self, ticket: int, conn: str, viewer: Viewer, *, now: float) -> bool:
        return bool(await self.renew_views([(ticket, conn, viewer)], now=now))

    async def renew_views(
        self, views: Sequence[tuple[int, str, Viewer]], *, now: float
    ) -> list[int]:
        at = milliseconds(now)
        by_ticket: dict[int, _Views] = {}
        for ticket, conn, viewer in views:
            by_ticket.setdefault(ticket, {})[conn] = _View(viewer, at + LEASE)
        with self._lock:
            return [t for t, added in by_ticket.items() if self._look(t, at, added=added)]

    async def unview(self, ticket: int, conn: str, *, now: float) -> bool:
        with self._lock:
            return self._look(ticket, milliseconds(now), removed=conn)

    async def viewers(self, ticket: int, *, now: float) -> list[Viewer]:
        at = milliseconds(now)
        with self._lock:
            views = [(v.ends, c, v.viewer) for c, v in self._tickets.get(ticket, {}).items()]
        views.sort(key=lambda view: view[:2])
        return people(viewer for ends, _, viewer in views if ends > at)

    def _look(
        self, ticket: int, at: int, *, added: _Views | None = None, removed: str = ""
    ) -> bool:
        """Whether the people changed, because views ended or by what is added or removed."""
        known = self._tickets.pop(ticket, {})
        current = {conn: view for conn, view in known.items() if view.ends > at}
        after = {conn: view for conn, view in current.items() if conn != removed} | (added or {})
        if after:
            self._tickets[ticket] = after
        return not _ids(known) == _ids(current) == _ids(after)

    async def close(self) -> None:
        pass


def _leave_alone(leases: _Leases) -> None:
    """For a user whose leases ended, which is change enough."""


def _ids(views: _Views) -> set[int]:
    return {view.viewer.id for view in views.values()}
