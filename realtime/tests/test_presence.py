"""Presence: what a store answers, whatever it keeps its leases in. Time is what the tests say."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest
import redis

from realtime.presence import (
    MAX_VIEWERS,
    Change,
    Lease,
    MemoryPresence,
    RedisPresence,
    Viewer,
    make_store,
)
from servicedesk.tests.processes import ROOT

pytestmark = pytest.mark.once

# Seconds for what surely comes, also on a busy machine.
PATIENCE = 30
T = 1_800_000_000.0
BOB, DANA = 7, 8
ONLINE, AWAY = Lease(BOB, "tab", "online"), Lease(BOB, "tab", "away")
OTHER_TAB = Lease(BOB, "other", "online")

ALICE = Viewer(1, "Alice", "customer")
AGENT = Viewer(BOB, "Bob", "agent")
SAM = Viewer(9, "Sam", "supervisor")


@pytest.fixture
def namespace(services):
    """What the keys of one test begin with, and a client that sees them; emptied afterwards."""
    prefix = f"{{test-{secrets.token_hex(6)}}}"
    with redis.Redis.from_url(services.redis_url, decode_responses=True) as client:
        yield prefix, client
        if keys := client.keys(f"{prefix}*"):
            client.delete(*keys)


@pytest.fixture(params=["memory", "redis"])
async def store(request):
    if request.param == "memory":
        yield MemoryPresence()
        return
    prefix, _ = request.getfixturevalue("namespace")
    presence = RedisPresence(request.getfixturevalue("services").redis_url, prefix)
    yield presence
    await presence.close()


async def state_of(store, user, now):
    (found,) = await store.states([user], now=now)
    return found.state


def seen(change):
    return None if change is None else (change.user, change.state)


def all_seen(changes):
    return sorted(map(seen, changes))


# --- Coming, going, and staying -------------------------------------------------------


async def test_whoever_connects_is_online_and_it_is_said_once(store):
    change, connections = await store.touch(ONLINE, now=T)
    assert (seen(change), connections) == ((BOB, "online"), 1)
    assert await store.touch(ONLINE, now=T + 1) == (None, 1)
    assert await store.states([BOB], now=T + 1) == [change]


async def test_somebody_unknown_is_offline_in_version_0(store):
    await store.touch(ONLINE, now=T)
    found = await store.states([DANA, BOB, 99], now=T)
    assert [(each.user, each.state) for each in found] == [
        (DANA, "offline"),
        (BOB, "online"),
        (99, "offline"),
    ]
    assert (found[0].version, found[2].version) == (0, 0)
    assert await store.states([], now=T) == []


async def test_two_tabs_count_twice_and_show_once(store):
    await store.touch(ONLINE, now=T)
    assert await store.touch(OTHER_TAB, now=T) == (None, 2)
    assert await store.leave(BOB, "tab", now=T + 1) is None
    assert await store.expire(now=T + 20) == []
    assert await state_of(store, BOB, T + 20) == "online"


async def test_a_user_is_away_when_no_connection_is_online(store):
    await store.touch(ONLINE, now=T)
    await store.touch(OTHER_TAB, now=T)
    assert await store.touch(AWAY, now=T + 1) == (None, 2)
    change, _ = await store.touch(Lease(BOB, "other", "away"), now=T + 2)
    assert seen(change) == (BOB, "away")
    change, _ = await store.touch(OTHER_TAB, now=T + 3)
    assert seen(change) == (BOB, "online")


async def test_a_closed_connection_lingers_eight_seconds(store):
    await store.touch(ONLINE, now=T)
    assert await store.leave(BOB, "tab", now=T + 10) is None
    assert await store.expire(now=T + 17.9) == []
    assert await state_of(store, BOB, T + 17.9) == "online"
    assert all_seen(await store.expire(now=T + 18)) == [(BOB, "offline")]


async def test_a_page_reload_shows_nothing(store):
    await store.touch(ONLINE, now=T)
    await store.leave(BOB, "tab", now=T + 1)
    assert await store.touch(OTHER_TAB, now=T + 3) == (None, 1)
    assert await store.expire(now=T + 10) == []
    assert await state_of(store, BOB, T + 10) == "online"


async def test_a_lingering_connection_counts_for_the_state_and_not_for_the_number(store):
    await store.touch(ONLINE, now=T)
    await store.leave(BOB, "tab", now=T + 1)
    change, connections = await store.touch(Lease(BOB, "other", "away"), now=T + 2)
    assert (change, connections) == (None, 1)
    assert all_seen(await store.expire(now=T + 9)) == [(BOB, "away")]


async def test_closing_twice_or_what_is_not_open_changes_nothing(store):
    assert await store.leave(BOB, "tab", now=T) is None
    await store.touch(ONLINE, now=T)
    await store.leave(BOB, "tab", now=T)
    await store.leave(BOB, "tab", now=T + 6)
    assert all_seen(await store.expire(now=T + 8)) == [(BOB, "offline")]
    assert await store.leave(BOB, "tab", now=T + 9) is None


async def test_a_lease_lasts_45_seconds_and_each_renewal_as_much_again(store):
    await store.touch(ONLINE, now=T)
    for elapsed in (15, 30, 45, 60):
        assert await store.refresh([ONLINE], now=T + elapsed) == []
    assert await store.expire(now=T + 104.9) == []
    assert all_seen(await store.expire(now=T + 105)) == [(BOB, "offline")]


async def test_after_a_crash_a_user_is_offline_within_50_seconds(store):
    await store.touch(ONLINE, now=T)
    await store.refresh([ONLINE], now=T + 15)  # and then the process is killed
    for elapsed in range(2, 60, 2):
        if changes := await store.expire(now=T + 15 + elapsed):
            break
    assert all_seen(changes) == [(BOB, "offline")]
    assert elapsed <= 50


async def test_with_two_tabs_on_two_processes_one_killed_a_user_stays_online(store):
    await store.touch(ONLINE, now=T)
    await store.touch(OTHER_TAB, now=T)
    for elapsed in range(15, 120, 15):
        assert await store.refresh([OTHER_TAB], now=T + elapsed) == []
        assert await store.expire(now=T + elapsed) == []
    assert await state_of(store, BOB, T + 120) == "online"


async def test_the_state_is_right_before_anybody_has_expired_it(store):
    change, _ = await store.touch(ONLINE, now=T)
    assert await store.states([BOB], now=T + 45) == [Change(BOB, "offline", change.version)]
    assert all_seen(await store.expire(now=T + 46)) == [(BOB, "offline")]


async def test_who_comes_back_after_all_ended_is_announced_though_nobody_saw_the_end(store):
    first, _ = await store.touch(ONLINE, now=T)
    again, _ = await store.touch(OTHER_TAB, now=T + 50)
    assert seen(again) == (BOB, "online")
    assert again.version > first.version
    assert await store.expire(now=T + 51) == []


async def test_whoever_finds_a_lease_ended_answers_the_change(store):
    await store.touch(ONLINE, now=T)
    await store.touch(Lease(BOB, "other", "away"), now=T + 10)
    assert seen(await store.leave(BOB, "other", now=T + 50)) == (BOB, "away")
    assert await store.expire(now=T + 50) == []


# --- Renewing -------------------------------------------------------------------------


async def test_renewing_begins_anew_what_was_lost(store):
    assert all_seen(await store.refresh([ONLINE, Lease(DANA, "x", "away")], now=T)) == [
        (BOB, "online"),
        (DANA, "away"),
    ]
    assert all_seen(await store.expire(now=T + 45)) == [(BOB, "offline"), (DANA, "offline")]
    assert all_seen(await store.refresh([ONLINE], now=T + 60)) == [(BOB, "online")]


async def test_renewing_does_not_open_what_was_closed(store):
    await store.touch(ONLINE, now=T)
    await store.leave(BOB, "tab", now=T + 1)
    assert await store.refresh([ONLINE], now=T + 2) == []
    assert all_seen(await store.expire(now=T + 9)) == [(BOB, "offline")]


async def test_renewing_brings_the_state_that_was_missed(store):
    await store.touch(ONLINE, now=T)
    assert all_seen(await store.refresh([AWAY], now=T + 15)) == [(BOB, "away")]


async def test_the_connections_of_a_user_are_renewed_as_one_change(store):
    leases = [Lease(BOB, "a", "away"), Lease(DANA, "b", "away"), Lease(BOB, "c", "online")]
    assert all_seen(await store.refresh(leases, now=T)) == [(BOB, "online"), (DANA, "away")]
    assert await store.refresh([], now=T) == []


async def test_thousands_of_sockets_are_renewed_and_expired(store):
    leases = [Lease(user, f"c{n}", "online") for n in range(2) for user in range(1, 701)]
    assert len(await store.refresh(leases, now=T)) == 700
    assert await store.refresh(leases, now=T + 15) == []
    assert len(await store.states(range(1, 701), now=T + 15)) == 700
    gone = await store.expire(now=T + 60)
    assert all_seen(gone) == [(user, "offline") for user in range(1, 701)]
    assert await store.expire(now=T + 60) == []


# --- Versions -------------------------------------------------------------------------


async def test_versions_rise_with_each_change_also_within_one_millisecond(store):
    versions = []
    for state in ("online", "away") * 3:
        change, _ = await store.touch(Lease(BOB, "tab", state), now=T)
        versions.append(change.version)
    assert versions == sorted(set(versions))
    assert versions[0] == T * 1000


async def test_versions_rise_also_when_a_clock_is_behind(store):
    first, _ = await store.touch(ONLINE, now=T)
    second, _ = await store.touch(AWAY, now=T - 5)
    assert second.version == first.version + 1


# --- Who looks at a ticket ------------------------------------------------------------


async def test_people_look_at_a_ticket_and_away(store):
    assert await store.view(42, "a", ALICE, now=T) is True
    assert await store.view(42, "b", AGENT, now=T) is True
    assert await store.viewers(42, now=T) == [ALICE, AGENT]
    assert await store.viewers(43, now=T) == []
    assert await store.unview(42, "a", now=T + 1) is True
    assert await store.unview(42, "a", now=T + 1) is False
    assert await store.viewers(42, now=T + 1) == [AGENT]


async def test_a_second_tab_is_no_second_person(store):
    assert await store.view(42, "a", AGENT, now=T) is True
    assert await store.view(42, "b", AGENT, now=T) is False
    assert await store.view(42, "a", AGENT, now=T) is False
    assert await store.viewers(42, now=T) == [AGENT]
    assert await store.unview(42, "a", now=T) is False
    assert await store.unview(42, "b", now=T) is True


async def test_views_are_renewed_and_end_after_45_seconds(store):
    await store.view(42, "a", ALICE, now=T)
    await store.view(42, "b", AGENT, now=T)
    await store.view(43, "b", AGENT, now=T)
    mine = [(42, "b", AGENT), (43, "b", AGENT)]
    assert await store.renew_views(mine, now=T + 30) == []
    assert await store.viewers(42, now=T + 45) == [AGENT]
    assert await store.renew_views(mine, now=T + 45) == [42]
    assert await store.renew_views(mine, now=T + 60) == []
    assert await store.renew_views([], now=T + 60) == []


async def test_only_the_first_to_renew_is_told_that_somebody_is_gone(store):
    for conn, viewer in (("a", ALICE), ("b", AGENT), ("c", SAM)):
        await store.view(42, conn, viewer, now=T)
    await store.renew_views([(42, "b", AGENT), (42, "c", SAM)], now=T + 40)
    assert await store.renew_views([(42, "b", AGENT)], now=T + 50) == [42]
    assert await store.renew_views([(42, "c", SAM)], now=T + 50) == []


async def test_who_looks_again_after_their_view_ended_is_new(store):
    await store.view(42, "a", ALICE, now=T)
    assert await store.viewers(42, now=T + 50) == []
    assert await store.view(42, "b", ALICE, now=T + 50) is True


async def test_renewing_says_again_who_looks_where_it_was_lost(store):
    views = [(42, "a", ALICE), (42, "b", AGENT), (43, "b", AGENT)]
    assert sorted(await store.renew_views(views, now=T)) == [42, 43]
    assert await store.viewers(42, now=T) == [ALICE, AGENT]


async def test_viewers_come_by_name_then_id_and_at_most_a_hundred(store):
    named = [Viewer(3, "Kim", "agent"), Viewer(2, "Kim", "agent"), Viewer(5, "Amy", "agent")]
    await store.renew_views([(42, f"c{v.id}", v) for v in named], now=T)
    assert [v.id for v in await store.viewers(42, now=T)] == [5, 2, 3]
    crowd = [(43, f"c{n}", Viewer(n, f"Agent {n:04}", "agent")) for n in range(600)]
    assert await store.renew_views(crowd, now=T) == [43]
    shown = await store.viewers(43, now=T)
    assert [viewer.id for viewer in shown] == list(range(MAX_VIEWERS))


@pytest.mark.parametrize("name", ["Zoë 🦊", '"quoted" \\ [1, 2]', "two\nlines", "7 7", ""])
async def test_any_name_comes_back_as_it_was(store, name):
    viewer = Viewer(17, name, "customer")
    await store.view(42, "a", viewer, now=T)
    assert await store.viewers(42, now=T) == [viewer]


async def test_who_was_renamed_has_their_latest_name(store):
    await store.view(42, "b", Viewer(BOB, "Bob", "agent"), now=T)
    await store.view(42, "a", Viewer(BOB, "Robert", "agent"), now=T + 1)
    assert await store.viewers(42, now=T + 1) == [Viewer(BOB, "Robert", "agent")]


# --- Redis itself ---------------------------------------------------------------------


async def test_several_processes_that_expire_at_once_answer_each_change_once(services, namespace):
    prefix, _ = namespace
    stores = [RedisPresence(services.redis_url, prefix) for _ in range(3)]
    everybody = range(1, 601)
    leases = [Lease(user, f"c{user}", "online") for user in everybody]
    for now in (T, T + 100, T + 200):
        answers = await asyncio.gather(*(store.refresh(leases, now=now) for store in stores))
        assert all_seen(chain.from_iterable(answers)) == [(u, "online") for u in everybody]
        answers = await asyncio.gather(*(store.expire(now=now + 50) for store in stores * 2))
        assert all_seen(chain.from_iterable(answers)) == [(u, "offline") for u in everybody]
    for store in stores:
        await store.close()


EXPIRING = """
import asyncio, json, sys
from realtime.presence import RedisPresence

async def main(url, prefix, now):
    store = RedisPresence(url, prefix)
    print("ready", flush=True)
    sys.stdin.readline()
    changes = [change for _ in range(5) for change in await store.expire(now=float(now))]
    await store.close()
    print(json.dumps([[change.user, change.state] for change in changes]))

asyncio.run(main(*sys.argv[1:]))
"""


def _with_pipes(command: list[str]) -> Any:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def test_two_real_processes_that_expire_at_once_answer_each_change_once(services, namespace):
    prefix, _ = namespace
    everybody = range(1, 2001)

    async def connect():
        store = RedisPresence(services.redis_url, prefix)
        await store.refresh([Lease(user, "tab", "online") for user in everybody], now=T)
        await store.close()

    asyncio.run(connect())
    command = [sys.executable, "-c", EXPIRING, services.redis_url, prefix, str(T + 45)]
    with ExitStack() as stack:
        processes = [stack.enter_context(_with_pipes(command)) for _ in range(2)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    gone = sorted(map(tuple, chain.from_iterable(answers)))
    assert gone == [(user, "offline") for user in everybody]


async def test_what_one_process_holds_the_others_see_and_outlive(services, namespace):
    prefix, _ = namespace
    here, there = (RedisPresence(services.redis_url, prefix) for _ in range(2))
    await here.touch(ONLINE, now=T)
    assert await there.touch(OTHER_TAB, now=T) == (None, 2)
    await here.close()  # as a killed process: without leaving
    assert await there.refresh([OTHER_TAB], now=T + 40) == []
    assert await there.expire(now=T + 60) == []
    await there.leave(BOB, "other", now=T + 60)
    assert all_seen(await there.expire(now=T + 68)) == [(BOB, "offline")]
    await there.close()


async def test_versions_rise_also_when_redis_lost_everything(services, namespace):
    prefix, client = namespace
    store = RedisPresence(services.redis_url, prefix)
    first, _ = await store.touch(ONLINE, now=T)
    client.delete(*client.keys(f"{prefix}*"))
    (second,) = await store.refresh([AWAY], now=T + 1)
    assert first
    assert second.version > first.version
    await store.close()


async def test_every_key_ends_by_itself_and_has_the_prefix(services, namespace):
    prefix, client = namespace
    store = RedisPresence(services.redis_url, prefix)
    await store.touch(ONLINE, now=T)
    await store.touch(OTHER_TAB, now=T)
    await store.leave(BOB, "other", now=T)
    await store.refresh([Lease(DANA, "x", "away")], now=T)
    await store.view(42, "tab", AGENT, now=T)
    await store.renew_views([(43, "tab", AGENT)], now=T)
    await store.expire(now=T + 30)
    keys = client.keys(f"{prefix}*")
    assert len(keys) == 5  # the leases, two users, two tickets
    assert all(0 < client.pttl(key) <= 3_600_000 for key in keys)
    await store.close()


async def test_leases_that_ended_leave_nothing_but_the_last_state(services, namespace):
    prefix, client = namespace
    store = RedisPresence(services.redis_url, prefix)
    await store.touch(ONLINE, now=T)
    await store.leave(BOB, "tab", now=T)
    await store.expire(now=T + 8)
    (key,) = client.keys(f"{prefix}*")
    assert set(client.hgetall(key)) == {"state", "version"}
    await store.close()


async def test_a_lease_whose_user_was_lost_is_forgotten(services, namespace):
    prefix, client = namespace
    store = RedisPresence(services.redis_url, prefix)
    await store.touch(ONLINE, now=T)
    client.delete(f"{prefix}:user:{BOB}")
    assert await store.expire(now=T + 45) == []
    assert client.keys(f"{prefix}*") == []
    await store.close()


async def test_a_store_is_made_by_address(services):
    assert isinstance(make_store(""), MemoryPresence)
    store = make_store(services.redis_url)
    assert isinstance(store, RedisPresence)
    assert await store.states([-1], now=time.time()) == [Change(-1, "offline", 0)]
    await store.close()
