"""The servers that are compared: how each is started, entered, and told a message."""

# Installed for this benchmark only.
# mypy: disable-error-code="import-not-found, import-untyped"

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.live.crowd import frame, upgrade
from benchmarks.live.servers import ROOM

# Tells the room a message with this mark, from outside of the server.
Publish = Callable[[bytes], object]
MESSAGE_BYTES = 400
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"


@dataclass(frozen=True)
class Subject:
    """One way to bring a message to a room full of sockets.

    `arguments` are Python's, with `{port}`; `request(n)` upgrades the n-th socket, which then sends
    `opening` and has been let in when it hears `greeting`. Where a socket has to ask for the room,
    `join(n)` does, and `joined` is the answer. An empty mark is not waited for.
    """

    name: str
    label: str
    arguments: Sequence[str]
    publisher: Callable[[str], AbstractContextManager[Publish]]
    environment: dict[str, str] = field(default_factory=dict)
    request: Callable[[int], bytes] = lambda _: upgrade("/")
    opening: bytes = b""
    greeting: bytes = b""
    join: Callable[[int], bytes] | None = None
    joined: bytes = b""
    is_slow: bool = False


def text(mark: bytes, size: int = MESSAGE_BYTES) -> str:
    """A message of `size` bytes that carries the mark."""
    return mark.decode().ljust(size, ".")


@contextmanager
def by_redis(url: str) -> Iterator[Publish]:
    from redis import Redis

    with Redis.from_url(url) as client:
        yield lambda mark: client.publish(ROOM, text(mark))


@contextmanager
def by_flask_queue(url: str) -> Iterator[Publish]:
    from socketio import RedisManager

    queue = RedisManager(url, channel="flask-socketio", write_only=True)
    yield lambda mark: queue.emit("message", text(mark), room=ROOM, namespace="/")


def by_layer(backend: str) -> Callable[[str], AbstractContextManager[Publish]]:
    """A publisher of `group_send`, on a loop of its own."""

    @contextmanager
    def publisher(url: str) -> Iterator[Publish]:
        from django.utils.module_loading import import_string

        layer: Any = import_string(backend)(hosts=[{"address": url, "socket_timeout": 15}])

        async def send(mark: bytes) -> None:
            await layer.group_send(ROOM, {"type": "room.message", "text": text(mark)})

        with asyncio.Runner() as runner:  # closing its loop closes the layer's connections
            yield lambda mark: runner.run(send(mark))

    return publisher


def _daphne(application: str) -> Sequence[str]:
    target = f"benchmarks.live.servers.channels_rooms:{application}"
    return ("-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", "{port}", target)


BASELINES = (
    Subject(
        "floor",
        "nothing but `send()` per socket",
        ("-m", "benchmarks.live.servers.floor", "{port}"),
        by_redis,
    ),
    Subject(
        "websockets",
        "`websockets.broadcast`",
        ("-m", "benchmarks.live.servers.broadcast", "{port}"),
        by_redis,
    ),
    Subject(
        "flask_socketio",
        "Flask-SocketIO, gevent, Redis queue",
        ("-m", "benchmarks.live.servers.flask_rooms", "{port}"),
        by_flask_queue,
        request=lambda _: upgrade("/socket.io/?EIO=4&transport=websocket"),
        opening=frame(b"40"),
        greeting=b"40{",
    ),
    Subject(
        "channels_own_dispatch",
        "Channels, pub/sub layer, `dispatch` overridden",
        _daphne("own_dispatch"),
        by_layer(PUBSUB),
        {"BENCH_LAYER": PUBSUB},
        is_slow=True,
    ),
    Subject(
        "channels_stock",
        "Channels, pub/sub layer, stock",
        _daphne("stock"),
        by_layer(PUBSUB),
        {"BENCH_LAYER": PUBSUB},
        is_slow=True,
    ),
    Subject(
        "channels_core",
        "Channels, core layer, stock",
        _daphne("stock"),
        by_layer(CORE),
        {"BENCH_LAYER": CORE},
        is_slow=True,
    ),
)
