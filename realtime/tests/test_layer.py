"""The channel layer, as the hub and the publishers use it: on real servers, of both kinds."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async
from channels_redis.pubsub import RedisPubSubLoopLayer

from realtime import broadcast
from realtime import layer as layers
from realtime.layer import Layer
from realtime.messages import EVERYBODY, Envelope, Happened, Seated, pack
from servicedesk.tests.services import own_redis

pytestmark = pytest.mark.once

BACKENDS = {
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}
PATIENCE = 20


@pytest.fixture
def redis(monkeypatch):
    """A Redis of this test alone, which it may kill."""
    monkeypatch.setattr(broadcast, "_paused_until", 0.0)
    monkeypatch.setattr(layers, "ALIVE_EVERY_SECONDS", 0.3)
    with own_redis() as server:
        yield server


@pytest.fixture(params=list(BACKENDS))
def backend(request, settings, redis):
    hosts = [{"address": redis.url, "socket_timeout": 15}]
    layer = {"BACKEND": BACKENDS[request.param], "CONFIG": {"hosts": hosts}}
    settings.CHANNEL_LAYERS = {"default": layer}
    return request.param


class Ears:
    """What a process hears, and how it learns that its layer has come or gone."""

    def __init__(self):
        self.heard = []
        self.health = []

    async def changed(self, is_healthy):
        self.health.append(is_healthy)

    async def wait_for(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(*groups):
    ears = Ears()
    layer = Layer(ears.heard.append, ears.changed)
    await layer.start()
    # The first number has come back, so that the layer has its channel.
    await ears.wait_for(lambda: layer._came_back)
    for group in groups:
        await layer.subscribe(group)
    try:
        yield layer, ears
    finally:
        await layer.stop()


def publish_as_another_process(*parcels):
    """The way of the services, in a thread without a loop."""
    broadcast._over_layer([(to, pack(Envelope("another", what))) for to, what in parcels])


another_says = sync_to_async(publish_as_another_process, thread_sensitive=False)


async def test_what_other_processes_publish_is_heard_in_the_groups_subscribed_to(backend):
    event = Happened(7, "staff", 3, b'{"type":"event"}', False)
    async with listening("ticket.7.staff") as (_, ears):
        await another_says(
            ("ticket.7.customer", Seated(1)), ("ticket.7.staff", event), (EVERYBODY, Seated(2))
        )
        await ears.wait_for(lambda: ears.heard)
        assert ears.heard == [event]


async def test_ones_own_words_are_not_heard_again(backend):
    async with listening(EVERYBODY) as (layer, ears):
        await layer.publish(EVERYBODY, Seated(1))
        await another_says((EVERYBODY, Seated(2)))
        await ears.wait_for(lambda: ears.heard)
        assert ears.heard == [Seated(2)]


async def test_a_group_that_was_left_is_not_heard(backend):
    async with listening("ticket.7.staff", EVERYBODY) as (layer, ears):
        layer.unsubscribe("ticket.7.staff")
        await ears.wait_for(lambda: "ticket.7.staff" not in layer._have)
        await another_says(("ticket.7.staff", Seated(1)), (EVERYBODY, Seated(2)))
        await ears.wait_for(lambda: ears.heard)
        assert ears.heard == [Seated(2)]


async def test_publishers_know_who_listens(backend):
    async with listening("ticket.7.staff"):
        ask = sync_to_async(broadcast.listened_to, thread_sensitive=False)
        found = await ask(["ticket.7.staff", "ticket.8.staff"])
        # The core layer cannot be asked, and is told everything.
        assert found == (
            {"ticket.7.staff"} if backend == "pubsub" else {"ticket.7.staff", "ticket.8.staff"}
        )


async def test_a_redis_that_is_killed_is_noticed_and_listened_to_again(backend, redis):
    async with listening("ticket.7.staff") as (layer, ears):
        redis.kill()
        await ears.wait_for(lambda: ears.health == [False])
        await layer.subscribe("ticket.8.staff")
        redis.start()
        await ears.wait_for(lambda: ears.health == [False, True])

        async def heard(group, number):
            # Subscriptions are made anew right after the change.
            while Seated(number) not in ears.heard:
                await another_says((group, Seated(number)))
                await asyncio.sleep(0.1)

        async with asyncio.timeout(PATIENCE):
            await heard("ticket.7.staff", 1)
            await heard("ticket.8.staff", 2)


async def test_what_is_not_understood_is_passed_over(backend):
    async with listening(EVERYBODY) as (layer, ears):
        await layer._layer.group_send(EVERYBODY, {"type": "desk.message", "body": b"\xff"})
        await layer._layer.group_send(EVERYBODY, {"type": "other"})
        await another_says((EVERYBODY, Seated(1)))
        await ears.wait_for(lambda: ears.heard)
        assert ears.heard == [Seated(1)]


async def test_a_redis_that_hangs_is_noticed_though_somebody_joins(backend, redis):
    async with listening("ticket.7.staff") as (layer, ears):
        os.kill(redis.pid, signal.SIGSTOP)
        try:
            joins = [asyncio.create_task(layer.subscribe(f"ticket.{n}.staff")) for n in range(5)]
            async with asyncio.timeout(PATIENCE / 2):
                while ears.health != [False]:
                    await asyncio.sleep(0.05)
            await asyncio.gather(*joins)
        finally:
            os.kill(redis.pid, signal.SIGCONT)
        await ears.wait_for(lambda: ears.health == [False, True])


def test_publishing_does_not_wait_for_a_redis_that_is_away(backend, redis, caplog):
    redis.kill()
    broadcast.publish([(EVERYBODY, Seated(1))])
    started = time.monotonic()
    for _ in range(100):
        broadcast.publish([(EVERYBODY, Seated(1))])
        assert broadcast.listened_to(["ticket.7.staff"]) == set()
    # A hundred tries would each take their time-out, or a log line.
    assert time.monotonic() - started < broadcast.PAUSE_SECONDS
    assert caplog.text.count("channel_layer_is_away") <= 1


def test_the_pub_sub_layer_names_its_channels_as_we_do(settings):
    """`broadcast` publishes past the layer, with a client of its own."""
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": BACKENDS["pubsub"],
            "CONFIG": {"hosts": [{"address": "redis://127.0.0.1:1"}], "prefix": "other"},
        }
    }
    layer = RedisPubSubLoopLayer(hosts=["redis://127.0.0.1:1"], prefix="other")
    assert broadcast.channel_of("desk") == layer._get_group_channel_name("desk")
