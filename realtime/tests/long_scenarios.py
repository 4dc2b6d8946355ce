"""What takes a minute to show; `make chaos` names this file, the suite leaves it out."""

import asyncio
import time

import pytest

from agents.models import User
from realtime.database import in_database
from realtime.tests.cluster import Cluster

pytestmark = pytest.mark.postgres


async def test_sockets_end_within_a_minute_also_where_nobody_was_told_why(
    cluster: Cluster, alice: User
):
    sockets = [await desk.client(alice) for desk in cluster.desks]
    cluster.redis.kill()
    # Past the services: no process announces it, nor would it be heard.
    await in_database(User.objects.filter(pk=alice.pk).update, is_active=False)
    async with asyncio.timeout(60):
        await asyncio.gather(*(client.socket.wait_closed() for client in sockets))
    assert {await client.closed() for client in sockets} == {4503}


async def test_who_was_on_a_killed_process_is_seen_offline_within_fifty_seconds(
    cluster: Cluster, bob: User, sam: User
):
    one, other = cluster.desks
    async with await other.client(sam) as watcher:
        tab = await one.client(bob)
        # Answered once the desk has taken the socket in, presence included.
        await tab.ask("ping")
        await watcher.done("presence.subscribe", users=[bob.pk])
        started = time.monotonic()
        one.kill()
        await watcher.until(lambda: "offline" in map(_presence, watcher.frames), 60)
        assert time.monotonic() - started < 50
        await tab.close()


def _presence(frame):
    return frame["data"]["state"] if frame.get("event") == "presence.changed" else None


async def test_a_socket_that_says_nothing_for_a_minute_lives_on(cluster: Cluster, sam: User):
    async with await cluster.desks[0].client(sam) as client:
        await asyncio.sleep(65)
        assert sum(frame["type"] == "hb" for frame in client.frames) in (2, 3)
        assert (await client.ask("ping"))["type"] == "pong"
