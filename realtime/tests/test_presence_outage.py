"""Presence while Redis is away, and presence read without an event loop."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest
import structlog

from realtime.presence import (
    Lease,
    MemoryPresence,
    PresenceUnavailable,
    RedisPresence,
    Viewer,
    current_states,
    process_store,
    reading,
)
from servicedesk.tests.services import own_redis

pytestmark = pytest.mark.once

BOB, DANA = 7, 8
LEASE = Lease(BOB, "tab", "online")
VIEW = (42, "tab", Viewer(BOB, "Bob", "agent"))
# Every call, as a function of the store and the time.
CALLS = {
    "touch": lambda store, now: store.touch(LEASE, now=now),
    "refresh": lambda store, now: store.refresh([LEASE], now=now),
    "leave": lambda store, now: store.leave(BOB, "tab", now=now),
    "expire": lambda store, now: store.expire(now=now),
    "states": lambda store, now: store.states([BOB], now=now),
    "view": lambda store, now: store.view(*VIEW, now=now),
    "renew_views": lambda store, now: store.renew_views([VIEW], now=now),
    "unview": lambda store, now: store.unview(42, "tab", now=now),
    "viewers": lambda store, now: store.viewers(42, now=now),
}
# Far more than two seconds of waiting, and far less than for ever.
SECONDS = 20


@contextmanager
def frozen(pid):
    """The process takes connections and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(autouse=True)
def fresh_stores():
    """A process has one store by address; a test has its own."""
    for cached in (reading._store_at, reading._reader_at):
        cached.cache_clear()
    reading._outage.clear()


async def test_a_killed_redis_is_one_error_at_once_and_found_again_when_it_is_back():
    with own_redis() as server:
        store = RedisPresence(server.url)
        now = time.time()
        first, _ = await store.touch(LEASE, now=now)
        server.kill()
        started = time.monotonic()
        for call in CALLS.values():
            with pytest.raises(PresenceUnavailable):
                await call(store, now)
        assert time.monotonic() - started < SECONDS
        server.start()
        # It lost everything, the scripts included; a renewal says again who is there.
        (again,) = await store.refresh([LEASE], now=now + 15)
        assert (again.user, again.state) == (BOB, "online")
        assert first
        assert again.version > first.version
        assert await store.renew_views([VIEW], now=now + 15) == [42]
        await store.close()


@pytest.mark.parametrize("name", ["touch", "viewers"])
async def test_a_hanging_redis_costs_seconds(name):
    with own_redis() as server:
        store = RedisPresence(server.url)
        await store.touch(LEASE, now=time.time())
        with frozen(server.pid):
            started = time.monotonic()
            with pytest.raises(PresenceUnavailable):
                await CALLS[name](store, time.time())
            assert time.monotonic() - started < SECONDS
        assert await store.refresh([LEASE], now=time.time()) == []
        await store.close()


# --- Without an event loop ------------------------------------------------------------


async def test_a_process_without_redis_has_one_store_in_memory(settings):
    settings.REDIS_URL = ""
    store = process_store()
    assert isinstance(store, MemoryPresence)
    assert process_store() is store
    await store.touch(LEASE, now=time.time())
    assert current_states([BOB, DANA]) == {BOB: "online", DANA: "offline"}


async def test_the_store_in_memory_is_read_from_other_threads(settings):
    settings.REDIS_URL = ""
    store, answers, is_over = process_store(), [], threading.Event()

    def read():
        while not is_over.is_set():
            answers.append(set(current_states(range(50))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        await store.touch(Lease(number % 60, f"c{number}", "online"), now=time.time())
        await store.expire(now=time.time())
    is_over.set()
    reader.join()
    assert answers
    assert all(answer == set(range(50)) for answer in answers)


async def test_presence_in_redis_is_read_as_it_is_now(settings):
    with own_redis() as server:
        settings.REDIS_URL = server.url
        store = process_store()
        assert isinstance(store, RedisPresence)
        now = time.time()
        await store.touch(LEASE, now=now)
        await store.touch(Lease(DANA, "tab", "away"), now=now - 60)
        assert current_states([BOB, DANA, 99]) == {BOB: "online", DANA: "offline", 99: "offline"}
        assert current_states([]) == {}
        assert len(current_states(range(1000))) == 1000
        await store.close()


def test_while_redis_is_away_everybody_is_offline_and_it_is_logged_once(settings):
    with own_redis() as server, structlog.testing.capture_logs() as logs:
        settings.REDIS_URL = server.url
        assert current_states([BOB]) == {BOB: "offline"}
        assert logs == []
        for outage in (1, 2):
            server.kill()
            for _ in range(3):
                assert current_states([BOB, DANA]) == {BOB: "offline", DANA: "offline"}
            assert [entry["event"] for entry in logs] == ["presence_unavailable"] * outage
            server.start()
            assert current_states([BOB]) == {BOB: "offline"}


def test_a_hanging_redis_does_not_hold_up_a_request_for_long(settings):
    with own_redis() as server:
        settings.REDIS_URL = server.url
        assert current_states([BOB]) == {BOB: "offline"}
        with frozen(server.pid):
            started = time.monotonic()
            assert current_states([BOB]) == {BOB: "offline"}
            assert time.monotonic() - started < SECONDS
