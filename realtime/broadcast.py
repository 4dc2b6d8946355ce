"""Telling the sockets of every process, from synchronous code, after a commit.

Best effort and quick: nobody waits for a channel layer that is away, because whoever misses a
message finds the event in the log.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from realtime.messages import Envelope, Message, pack

# Who we are to the other processes.
ORIGIN = secrets.token_hex(8)
TIMEOUT_SECONDS = 1
# For so long a layer that has failed is not tried again.
PAUSE_SECONDS = 2.0

Parcel = tuple[str, Message]


class Listener(Protocol):
    """The hub of an event loop of this process; both are called from any thread."""

    def hears(self, group: str) -> bool: ...
    def tell(self, message: Message) -> None: ...


listeners: set[Listener] = set()

log = structlog.get_logger(__name__)
_paused_until = 0.0


def publish(parcels: Sequence[Parcel]) -> None:
    """Send each message to its group, and to the sockets of this process without a detour."""
    for listener in list(listeners):
        for _, message in parcels:
            listener.tell(message)
    if parcels:
        _carry(lambda: _over_layer([(to, pack(Envelope(ORIGIN, what))) for to, what in parcels]))


def listened_to(groups: Sequence[str]) -> set[str]:
    """The groups that some process listens to: what nobody hears need not be put into words.

    A process that begins to listen after this was asked compares its rooms with the log.
    """
    found = {group for group in groups if any(each.hears(group) for each in list(listeners))}
    _carry(lambda: found.update(_subscribed(groups)))
    return found


def _carry(work: Callable[[], Any]) -> None:
    """Do it, unless the layer has just failed."""
    global _paused_until  # noqa: PLW0603
    if time.monotonic() < _paused_until:
        return
    try:
        work()
    except Exception as exc:
        _paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("channel_layer_is_away", error=repr(exc))


def _subscribed(groups: Sequence[str]) -> set[str]:
    layer = get_channel_layer()
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        return set()
    if isinstance(layer, RedisPubSubChannelLayer) and (client := _client()):
        counts: Any = client.pubsub_numsub(*map(channel_of, groups))
        return {group for group, (_, count) in zip(groups, counts, strict=True) if count}
    return set(groups)


def _over_layer(messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    layer = get_channel_layer()
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        return  # one process, and its sockets have been told
    if isinstance(layer, RedisPubSubChannelLayer) and (client := _client()):
        pipeline = client.pipeline(transaction=False)
        for group, message in messages:
            pipeline.publish(channel_of(group), layer.serialize(message))
        pipeline.execute()
        return
    _one_by_one(layer, messages)


@async_to_sync
async def _one_by_one(layer: Any, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Any other layer: right, but a connection and some milliseconds each time."""
    for group, message in messages:
        await layer.group_send(group, message)


def channel_of(group: str) -> str:
    """The Redis channel that the pub/sub layer uses for a group."""
    return f"{_layer_config().get('prefix', 'asgi')}__group__{group}"


def _layer_config() -> dict[str, Any]:
    config: dict[str, Any] = settings.CHANNEL_LAYERS["default"].get("CONFIG", {})
    return config


def _client() -> redis.Redis | None:
    """A pooled client for the layer's Redis; None where it is spread over several."""
    hosts = _layer_config().get("hosts", [])
    if len(hosts) != 1:
        return None
    host = hosts[0]
    address = host.get("address") if isinstance(host, dict) else host
    return _connect(address) if isinstance(address, str) else None


@cache
def _connect(address: str) -> redis.Redis:
    return redis.Redis.from_url(
        address,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
