"""Is the process alive, and is the desk ready? Answers for load balancers and operators."""

import asyncio
import secrets
import threading
from datetime import timedelta
from functools import lru_cache
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from servicedesk.models import Heartbeat

LAYER_TIMEOUT_SECONDS = 2
SEND_AGAIN_SECONDS = 0.05
STALE_AFTER = timedelta(minutes=2)
# What must run all the time, and under which name it says that it does. Escalation may have a
# process of its own (`escalate_tickets --loop`).
HEARTBEATS = {"worker": "worker", "escalation": "escalate_tickets"}

# Set by the server when it was told to end.
draining = threading.Event()

log = structlog.get_logger(__name__)


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """503 when a part that requests need is missing; stale sweeps are only a warning.

    The body names the parts, never addresses or error texts: it is public.
    """
    database_answers = _holds("database", _check_database)
    parts = {
        "database": database_answers,
        "migrations": database_answers and _holds("migrations", _check_migrations),
        "channel_layer": _holds("channel_layer", _check_channel_layer),
    }
    if draining.is_set():
        parts["draining"] = False
    is_ready = all(parts.values())
    # Before the first migration there is no table to read it from.
    beats = {
        name: _state_of(kind) if parts["migrations"] else "unknown"
        for name, kind in HEARTBEATS.items()
    }
    body = {
        "status": "ok" if is_ready else "unavailable",
        "checks": {name: "ok" if holds else "failed" for name, holds in parts.items()},
        **beats,
        "warnings": [f"{name}_is_stale" for name, state in beats.items() if state != "ok"],
    }
    return JsonResponse(body, status=200 if is_ready else 503)


def _holds(name: str, check: Any) -> bool:
    try:
        check()
    except Exception as exc:
        log.warning("not_ready", part=name, error=repr(exc))
        return False
    return True


def _check_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _check_migrations() -> None:
    """Reading the migrations from disk is slow; a schema only moves forward under a running
    process, so a good answer is remembered (a failure raises, and is not)."""
    _all_are_applied(connection.settings_dict["NAME"])


@lru_cache
def _all_are_applied(database: str) -> bool:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError(f"migrations are pending in {database}")
    return True


def _check_channel_layer() -> None:
    async def within_time() -> None:
        layer = get_channel_layer()
        assert layer is not None
        await asyncio.wait_for(_round_trip(layer), LAYER_TIMEOUT_SECONDS)

    async_to_sync(within_time)()


async def _round_trip(layer: Any) -> None:
    """A message to ourselves, sent until it arrives: Redis may see the first one before the
    subscription to its channel. Nothing stays behind, neither here nor in Redis."""
    # Not from `new_channel`: when that fails, nobody knows the name to clean up after.
    channel = f"health.{secrets.token_hex(8)}"
    reading = asyncio.ensure_future(layer.receive(channel))
    try:
        while not (await asyncio.wait([reading], timeout=SEND_AGAIN_SECONDS))[0]:
            await layer.send(channel, {"type": "health"})
        reading.result()
    finally:
        await _let_go(layer, channel, reading)


async def _let_go(layer: Any, channel: str, reading: "asyncio.Future[Any]") -> None:
    """A layer forgets a channel when somebody who waits there is cancelled, and only then; it
    has no method for it."""

    async def drain() -> None:
        while True:
            await layer.receive(channel)

    # Waiting before `reading` is cancelled: else it would have to subscribe anew.
    waiting = asyncio.ensure_future(drain())
    await asyncio.sleep(0)
    reading.cancel()
    waiting.cancel()
    leaving = asyncio.gather(reading, waiting, return_exceptions=True)
    await asyncio.wait_for(leaving, LAYER_TIMEOUT_SECONDS)


def _state_of(kind: str) -> str:
    beat = Heartbeat.objects.filter(name=kind).first()
    if beat is None:
        return "never_seen"
    return "ok" if timezone.now() - beat.at < STALE_AFTER else "stale"
