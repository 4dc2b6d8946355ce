"""The store of this process, and presence for code that has no event loop."""

import threading
import time
from collections.abc import Collection
from functools import cache

import structlog
from django.conf import settings

from realtime.presence.memory import MemoryPresence
from realtime.presence.redis import RedisPresence, RedisReader
from realtime.presence.store import Change, PresenceStore, PresenceUnavailable, State

log = structlog.get_logger(__name__)
# Set while Redis is known to be away, so that it is logged once.
_outage = threading.Event()


def make_store(redis_url: str) -> PresenceStore:
    """A store in Redis, or without an address one in the memory of this process."""
    return RedisPresence(redis_url) if redis_url else MemoryPresence()


@cache
def _store_at(redis_url: str) -> PresenceStore:
    return make_store(redis_url)


@cache
def _reader_at(redis_url: str) -> RedisReader:
    return RedisReader(redis_url)


def process_store() -> PresenceStore:
    """The one store of this process. In Redis it belongs to the event loop that first uses it."""
    return _store_at(settings.REDIS_URL)


def current_states(users: Collection[int]) -> dict[int, State]:
    """How each of the users is seen now: offline, all of them, while Redis is away."""
    states: dict[int, State] = dict.fromkeys(users, "offline")
    try:
        states |= {found.user: found.state for found in _found(users)}
        _outage.clear()
    except PresenceUnavailable as error:
        if not _outage.is_set():
            _outage.set()
            log.warning("presence_unavailable", error=str(error))
    return states


def _found(users: Collection[int]) -> list[Change]:
    store = process_store()
    if isinstance(store, MemoryPresence):
        return store.states_now(users, now=time.time())
    return _reader_at(settings.REDIS_URL).states(users, now=time.time())
