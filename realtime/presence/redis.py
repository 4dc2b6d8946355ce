"""Presence of several processes, in Redis. What it decides, it decides in `presence.lua` and
`viewers.lua`, each of which Redis runs as one step."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from realtime.presence.store import (
    KEPT_SECONDS,
    LEASE_SECONDS,
    LINGER_SECONDS,
    Change,
    Lease,
    PresenceUnavailable,
    State,
    Viewer,
    milliseconds,
    people,
)

T = TypeVar("T")

# The braces keep all keys together where Redis is a cluster: a script needs them in one place.
PREFIX = "{desk:presence}"
# How long Redis may take to answer, and how long a call waits for a free connection.
TIMEOUT_SECONDS = 2
# An HTTP request has less patience than the socket.
READ_TIMEOUT_SECONDS = 0.5
# Enough for a thousand sockets that connect at once; an upper bound for what that costs Redis.
CONNECTIONS = 16
# How much one run of a script does at most, while Redis does nothing else: about 2 ms.
CHUNK = 250

LEASE, LINGER, KEPT = (s * 1000 for s in (LEASE_SECONDS, LINGER_SECONDS, KEPT_SECONDS))
LEASES_SCRIPT = Path(__file__).with_name("presence.lua").read_text()
VIEWERS_SCRIPT = Path(__file__).with_name("viewers.lua").read_text()


class RedisPresence:
    """One client of Redis; to be used in one event loop."""

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # Once more after a connection was lost, since Redis may have been started anew; not
            # after it kept us waiting.
            retry=AsyncRetry(NoBackoff(), 1, (redis.ConnectionError,)),
            decode_responses=True,
        )
        self._redis = redis.asyncio.Redis.from_pool(pool)
        self._leases = self._redis.register_script(LEASES_SCRIPT)
        self._viewers = self._redis.register_script(VIEWERS_SCRIPT)
        self._lease_keys = _lease_keys(prefix)
        self._ticket_key = f"{prefix}:viewers:"

    # --- Leases ---

    async def touch(self, lease: Lease, *, now: float) -> tuple[Change | None, int]:
        connections, changes = await self._run("touch", now, [lease.user, lease.conn, lease.state])
        return _only(changes), connections

    async def refresh(self, leases: Sequence[Lease], *, now: float) -> list[Change]:
        changes: list[Change] = []
        # Connections of one user side by side, so that they are decided together.
        for chunk in _chunks(sorted(leases, key=lambda lease: lease.user)):
            wanted = [part for lease in chunk for part in (lease.user, lease.conn, lease.state)]
            changes += (await self._run("refresh", now, wanted))[1]
        return changes

    async def leave(self, user: int, conn: str, *, now: float) -> Change | None:
        return _only((await self._run("leave", now, [user, conn]))[1])

    async def expire(self, *, now: float) -> list[Change]:
        changes: list[Change] = []
        ended = CHUNK
        while ended == CHUNK:
            ended, found = await self._run("expire", now, [])
            changes += found
        return changes

    async def states(self, users: Collection[int], *, now: float) -> list[Change]:
        found: list[Change] = []
        for chunk in _chunks(list(dict.fromkeys(users))):
            found += (await self._run("states", now, chunk))[1]
        return found

    async def _run(
        self, action: str, now: float, what: Sequence[str | int]
    ) -> tuple[int, list[Change]]:
        with _unavailable():
            args = _lease_args(action, now, what)
            return _changes(await self._leases(keys=self._lease_keys, args=args))

    # --- Views ---

    async def view(self, ticket: int, conn: str, viewer: Viewer, *, now: float) -> bool:
        return bool(await self.renew_views([(ticket, conn, viewer)], now=now))

    async def renew_views(
        self, views: Sequence[tuple[int, str, Viewer]], *, now: float
    ) -> list[int]:
        changed: list[int] = []
        for chunk in _chunks(sorted(views, key=lambda view: view[0])):
            wanted = [part for t, conn, who in chunk for part in (t, conn, _text(who))]
            changed += await self._look("view", now, wanted)
        return list(dict.fromkeys(changed))

    async def unview(self, ticket: int, conn: str, *, now: float) -> bool:
        return bool(await self._look("unview", now, [ticket, conn]))

    async def viewers(self, ticket: int, *, now: float) -> list[Viewer]:
        with _unavailable():
            kept = await cast(Any, self._redis.hgetall(f"{self._ticket_key}{ticket}"))
        views = []
        for conn, value in kept.items():
            ends, _, viewer = value.partition(" ")
            views.append((int(ends), conn, viewer))
        at = milliseconds(now)
        return people(Viewer(*json.loads(viewer)) for ends, _, viewer in sorted(views) if ends > at)

    async def _look(self, action: str, now: float, what: Sequence[str | int]) -> list[int]:
        with _unavailable():
            args = [action, milliseconds(now), LEASE, KEPT, *what]
            return [int(ticket) for ticket in await self._viewers([self._ticket_key], args)]

    async def close(self) -> None:
        await self._redis.aclose()


class RedisReader:
    """The states of users for code without an event loop; may be shared by threads."""

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=READ_TIMEOUT_SECONDS,
            socket_connect_timeout=READ_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            decode_responses=True,
        )
        self._leases = self._redis.register_script(LEASES_SCRIPT)
        self._keys = _lease_keys(prefix)

    def states(self, users: Collection[int], *, now: float) -> list[Change]:
        """As PresenceStore.states. Raises PresenceUnavailable."""
        found: list[Change] = []
        with _unavailable():
            for chunk in _chunks(list(dict.fromkeys(users))):
                answer = self._leases(keys=self._keys, args=_lease_args("states", now, chunk))
                found += _changes(answer)[1]
        return found

    def close(self) -> None:
        self._redis.close()


def _lease_keys(prefix: str) -> list[str]:
    return [f"{prefix}:leases", f"{prefix}:user:"]


def _lease_args(action: str, now: float, what: Sequence[str | int]) -> list[str | int]:
    return [action, milliseconds(now), LEASE, LINGER, KEPT, CHUNK, *what]


def _changes(answer: Any) -> tuple[int, list[Change]]:
    count, *flat = answer
    users, states, versions = flat[::3], flat[1::3], flat[2::3]
    return int(count), [
        Change(int(user), cast(State, state), int(version))
        for user, state, version in zip(users, states, versions, strict=True)
    ]


def _only(changes: Sequence[Change]) -> Change | None:
    return changes[0] if changes else None


def _text(viewer: Viewer) -> str:
    return json.dumps([viewer.id, viewer.name, viewer.kind])


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


@contextmanager
def _unavailable() -> Iterator[None]:
    """Whatever goes wrong with Redis is one error to the caller."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise PresenceUnavailable(str(error)) from error
