"""What a store of presence can do, whatever it keeps its leases in.

A connection holds a lease that its process renews. A user is online while any of their leases is
online, else away while any is away, else offline. The store remembers which state was last
answered as a change; whoever finds another one, by an act of theirs or because leases ended, is
answered the change and announces it, and nobody else is.

Times are given in seconds since the epoch, as `time.time()` has them, and kept in whole
milliseconds.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["online", "away", "offline"]

# How long a lease lasts, and how often it is to be renewed.
LEASE_SECONDS = 45
RENEW_SECONDS = 15
# How long the lease of a closed connection still counts, so that nobody sees a page reload.
LINGER_SECONDS = 8
# For how long a renewal shows that a connection is open. Those of a process that died are not
# counted for as long as they are shown: its users are coming back elsewhere.
COUNTED_SECONDS = 20
# How often each process is to look for leases that ended.
EXPIRE_SECONDS = 2
# How long a store remembers what nobody touches.
KEPT_SECONDS = 3600
MAX_VIEWERS = 100


class PresenceUnavailable(Exception):
    """The store does not answer; the caller carries on without presence."""


@dataclass(frozen=True)
class Change:
    """The state of a user. `version` rises with each change of theirs, also when the store lost
    everything in between; 0 when the store knows nothing of them."""

    user: int
    state: State
    version: int


@dataclass(frozen=True)
class Lease:
    """One connection of a user, and the state it wishes to be seen in."""

    user: int
    conn: str
    state: State


@dataclass(frozen=True)
class Viewer:
    """Somebody who looks at a ticket; `kind` is customer, agent or supervisor."""

    id: int
    name: str
    kind: str


class PresenceStore(Protocol):
    """Every method but `close` may raise PresenceUnavailable."""

    async def touch(self, lease: Lease, *, now: float) -> tuple[Change | None, int]:
        """Connect, or set another state: the change, if the user's state is another one now, and
        how many connections they have open, by what was renewed lately."""

    async def refresh(self, leases: Sequence[Lease], *, now: float) -> list[Change]:
        """Renew the leases of all sockets of a process. One that is not known, because it ended
        or was lost, begins anew; one that was closed is left alone."""

    async def leave(self, user: int, conn: str, *, now: float) -> Change | None:
        """Close a connection. Its lease lingers, so usually nothing changes yet."""

    async def expire(self, *, now: float) -> list[Change]:
        """Take away the leases that ended: the changes that nobody was answered before."""

    async def states(self, users: Collection[int], *, now: float) -> list[Change]:
        """How each of the users is seen, in the order given. Where leases ended that `expire` has
        not come to, the state is right already, while the version is still the last change's."""

    async def view(self, ticket: int, conn: str, viewer: Viewer, *, now: float) -> bool:
        """Look at a ticket: whether the people who do are others now, whatever their sockets."""

    async def renew_views(
        self, views: Sequence[tuple[int, str, Viewer]], *, now: float
    ) -> list[int]:
        """Renew the views (ticket, conn, viewer) of a process: the tickets whose people changed,
        also because the views of others ended."""

    async def unview(self, ticket: int, conn: str, *, now: float) -> bool:
        """Look away, at once: whether the people who look are others now."""

    async def viewers(self, ticket: int, *, now: float) -> list[Viewer]:
        """The people who look at a ticket, each once, by name then id, at most MAX_VIEWERS."""

    async def close(self) -> None:
        """Give back what the store holds open here; what it knows stays."""


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def people(viewers: Iterable[Viewer]) -> list[Viewer]:
    """Each person once, as the last view names them, by name then id; at most MAX_VIEWERS."""
    by_id = {viewer.id: viewer for viewer in viewers}
    return sorted(by_id.values(), key=lambda viewer: (viewer.name, viewer.id))[:MAX_VIEWERS]
