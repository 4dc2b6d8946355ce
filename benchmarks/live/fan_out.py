"""What one delivery costs a server: rooms of two sizes, messages of 400 bytes.

One message at a time, as people write them: the next is published when everybody has the last.
In bursts some servers would do better, since they wake once for many messages.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis

from benchmarks.live.crowd import Crowd, Heard
from benchmarks.live.processes import Serving, serving
from benchmarks.live.subjects import Publish, Subject

PATIENCE = 60
# What joining has set off ends first: others are told who is in the room.
SETTLE_SECONDS = 1
marks = (f"#{number}#".encode() for number in itertools.count(1))


class Sample(NamedTuple):
    """Of one round with one room: CPU of a delivery, and how many of them never came."""

    cpu_us: float
    lost: int


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    crowd: Crowd
    redis_url: str
    cores: set[int]


@contextmanager
def fresh(bench: Bench, subject: Subject) -> Iterator[tuple[Serving, Publish]]:
    """A new server of this kind, and how it is told a message. Its sockets end with it."""
    # What a killed server left in its layer's groups.
    with Redis.from_url(bench.redis_url) as client:
        client.flushall()
    environment = {"REDIS_URL": bench.redis_url, **subject.environment}
    with (
        serving(subject.arguments, environment, bench.cores) as server,
        subject.publisher(bench.redis_url) as publish,
    ):
        try:
            yield server, publish
        finally:
            bench.crowd.leave()


def measure(
    bench: Bench, subject: Subject, sizes: Sequence[int], deliveries: int
) -> dict[int, Sample]:
    """What about so many deliveries to a room of each size take, on a fresh server."""
    found: dict[int, Sample] = {}
    inside = 0
    with fresh(bench, subject) as (server, publish):
        for size in sizes:
            let_in(bench.crowd, server, subject, range(inside, size))
            inside = size
            warm_up(bench.crowd, publish, size)
            time.sleep(SETTLE_SECONDS)
            found[size] = _messages(bench.crowd, server, publish, size, deliveries)
    return found


def let_in(crowd: Crowd, server: Serving, subject: Subject, numbers: range) -> None:
    """These sockets connect and join, one step after the other."""
    connect(crowd, server, subject, numbers)
    join(crowd, subject, numbers)


def connect(crowd: Crowd, server: Serving, subject: Subject, numbers: range) -> None:
    crowd.expect(subject.greeting or b"\0", len(numbers))
    crowd.open(server.port, [subject.request(number) for number in numbers], subject.opening)
    if subject.greeting:
        _all_heard(crowd.heard(PATIENCE), len(numbers), "greeted")


def join(crowd: Crowd, subject: Subject, numbers: range) -> None:
    if subject.join:
        crowd.expect(subject.joined, len(numbers))
        crowd.say([subject.join(number) for number in numbers])
        _all_heard(crowd.heard(PATIENCE), len(numbers), "let into the room")


def _all_heard(heard: Heard, expected: int, what: str) -> None:
    if heard.frames != expected:
        raise RuntimeError(f"{heard.frames} of {expected} sockets were {what}")


def warm_up(crowd: Crowd, publish: Publish, sockets: int) -> None:
    """Publish until everybody hears it: some servers subscribe only after the first has come."""
    for _ in range(PATIENCE):
        mark = next(marks)
        crowd.expect(mark, sockets)
        publish(mark)
        if crowd.heard(1).complete_at:
            return
    raise RuntimeError("what is published does not reach the room")


def _messages(
    crowd: Crowd, server: Serving, publish: Publish, sockets: int, deliveries: int
) -> Sample:
    messages = round(deliveries / sockets)
    came = 0
    before = server.cpu_seconds()
    for _ in range(messages):
        mark = next(marks)
        crowd.expect(mark, sockets)
        publish(mark)
        came += crowd.heard(PATIENCE).frames
    cpu = server.cpu_seconds() - before
    return Sample(cpu / came * 1e6, messages * sockets - came)
