"""/health/live and /health/ready: what is asked of them, and what they tell."""

import time
from datetime import timedelta

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from django.db import OperationalError, ProgrammingError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import AsyncClient
from django.utils import timezone

from servicedesk import health
from servicedesk.models import Heartbeat
from servicedesk.tests.services import own_redis

ALL_WELL = {"database": "ok", "migrations": "ok", "channel_layer": "ok"}


@pytest.fixture
def layer(settings):
    """Sets the channel layer, and takes it back."""

    def use(url):
        config = {"hosts": [{"address": url, "socket_connect_timeout": 1, "socket_timeout": 15}]}
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": config,
            }
        }
        channel_layers.backends = {}

    before = settings.CHANNEL_LAYERS
    yield use
    settings.CHANNEL_LAYERS = before
    channel_layers.backends = {}


@pytest.fixture
def forgetful():
    """A process that has not looked at its migrations yet."""
    health._all_are_applied.cache_clear()


def test_a_process_that_answers_is_alive_whatever_else_is_missing(anonymous, monkeypatch):
    monkeypatch.setattr(health, "_check_database", lambda: 1 / 0)
    for path in ("/health/live", "/health/live/"):
        response = anonymous.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_all_is_well(anonymous, forgetful):
    for name in health.HEARTBEATS.values():
        Heartbeat.beat(name)
    for path in ("/health/ready", "/health/ready/"):
        response = anonymous.get(path)
        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "checks": ALL_WELL,
            "worker": "ok",
            "escalation": "ok",
            "warnings": [],
        }


@pytest.mark.parametrize(("kind", "name"), list(health.HEARTBEATS.items()))
def test_what_is_late_or_was_never_there_is_a_warning(anonymous, kind, name):
    for other in set(health.HEARTBEATS.values()) - {name}:
        Heartbeat.beat(other)
    warning = [f"{kind}_is_stale"]
    body = anonymous.get("/health/ready").json()
    assert (body[kind], body["warnings"]) == ("never_seen", warning)
    Heartbeat.objects.create(name=name, at=timezone.now() - timedelta(minutes=3))
    response = anonymous.get("/health/ready")
    assert response.status_code == 200
    body = response.json()
    assert (body[kind], body["warnings"]) == ("stale", warning)
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=100))
    assert anonymous.get("/health/ready").json()["warnings"] == []


@pytest.mark.parametrize("part", ["migrations", "channel_layer"])
def test_a_part_that_fails_is_named_and_nothing_is_told(anonymous, monkeypatch, part):
    def fails():
        raise OSError("redis://user:secret@10.0.0.1:6379 refused")

    monkeypatch.setattr(health, f"_check_{part}", fails)
    response = anonymous.get("/health/ready")
    assert response.status_code == 503
    body = response.json()
    assert body["status"] == "unavailable"
    assert body["checks"] == {**ALL_WELL, part: "failed"}
    assert b"10.0.0.1" not in response.content


def test_a_database_that_is_away_is_named(anonymous, monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError("connection to server at 10.0.0.1 failed")

    with monkeypatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", away)
        response = anonymous.get("/health/ready")
    assert response.status_code == 503
    body = response.json()
    assert body["checks"] == {"database": "failed", "migrations": "failed", "channel_layer": "ok"}
    assert body["worker"] == "unknown"
    assert b"10.0.0.1" not in response.content


def test_pending_migrations_are_named_until_they_are_done(anonymous, forgetful):
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name, applied FROM django_migrations WHERE app = 'tickets'")
        rows = cursor.fetchall()
        cursor.execute("DELETE FROM django_migrations WHERE app = 'tickets'")
    try:
        response = anonymous.get("/health/ready")
    finally:
        with connection.cursor() as cursor:
            insert = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)"
            cursor.executemany(insert, rows)
    assert (response.status_code, response.json()["checks"]["migrations"]) == (503, "failed")
    assert anonymous.get("/health/ready").status_code == 200


def test_a_database_without_any_table_is_not_ready_and_no_defect(anonymous, monkeypatch):
    def pending():
        raise RuntimeError("migrations are pending")

    def no_table():
        raise ProgrammingError("no such table")

    monkeypatch.setattr(health, "_check_migrations", pending)
    monkeypatch.setattr(health, "_state_of", no_table)
    response = anonymous.get("/health/ready")
    assert (response.status_code, response.json()["worker"]) == (503, "unknown")


def test_the_real_channel_layer_is_asked_and_no_connection_stays(anonymous, layer, services):
    layer(services.redis_url)
    for _ in range(5):
        assert anonymous.get("/health/ready").json()["checks"] == ALL_WELL
    with redis.Redis.from_url(services.redis_url) as client:
        mine = [row for row in client.client_list() if row["db"] == _db_of(services.redis_url)]
        assert len(mine) <= 4, mine


def subscriptions_left(client, seconds=10):
    """Redis may not have read the last farewell yet."""
    deadline = time.monotonic() + seconds
    while (left := client.pubsub_channels()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


async def probe():
    response = await AsyncClient().get("/health/ready")
    # A thread of its own has answered, whose connection nobody else would close.
    await sync_to_async(connections.close_all)()
    return response


async def test_a_probe_leaves_no_channel_and_no_subscription_in_a_process_that_lives_on(db, layer):
    """On one event loop, as a server has; a test client's loop ends, and everything with it."""
    with own_redis() as server, redis.Redis.from_url(server.url) as client:
        layer(server.url)
        for _ in range(5):
            response = await probe()
            assert response.json()["checks"] == ALL_WELL
        assert get_channel_layer().channels == {}
        assert subscriptions_left(client) == []
        server.kill()
        assert (await probe()).status_code == 503
        assert get_channel_layer().channels == {}
        await get_channel_layer().flush()


async def test_a_probe_leaves_no_channel_in_memory(db):
    for _ in range(5):
        response = await probe()
        assert response.json()["checks"] == ALL_WELL
    assert get_channel_layer().channels == {}


async def test_a_layer_that_swallows_messages_is_named_and_nothing_stays(db, monkeypatch):
    async def swallow(*args):
        pass

    monkeypatch.setattr(health, "LAYER_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(InMemoryChannelLayer, "send", swallow)
    response = await probe()
    assert response.json()["checks"] == {**ALL_WELL, "channel_layer": "failed"}
    assert get_channel_layer().channels == {}


def _db_of(url):
    return url.rpartition("/")[2] or "0"


def test_a_redis_that_was_killed_is_named_and_found_again(anonymous, layer):
    with own_redis() as server:
        layer(server.url)
        assert anonymous.get("/health/ready").status_code == 200
        server.kill()
        started = time.monotonic()
        response = anonymous.get("/health/ready")
        assert response.status_code == 503
        assert response.json()["checks"] == {**ALL_WELL, "channel_layer": "failed"}
        assert time.monotonic() - started < 10  # not the 15 s that its sockets may take
        assert anonymous.get("/health/live").status_code == 200
        server.start()
        assert anonymous.get("/health/ready").status_code == 200


def test_nobody_needs_to_sign_in_and_nothing_is_written(anonymous):
    assert anonymous.head("/health/ready").status_code == 200
    assert anonymous.post("/health/ready").status_code == 405
    assert not Heartbeat.objects.exists()


def test_a_cookie_does_not_turn_a_database_that_is_away_into_a_500(alice, monkeypatch):
    from conftest import DeskClient

    client = DeskClient()
    client.force_login(alice)

    def away(*args, **kwargs):
        raise OperationalError("connection to server failed")

    with monkeypatch.context() as broken:
        broken.setattr(BaseDatabaseWrapper, "cursor", away)
        answers = [client.get(path) for path in ("/health/ready", "/api/auth/me")]
    assert [answer.status_code for answer in answers] == [503, 503]
