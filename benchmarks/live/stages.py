"""What only the desk is asked: how soon, how many, how heavy, and how fast after a restart."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.live.crowd import frame
from benchmarks.live.desk import Desk
from benchmarks.live.fan_out import (
    Bench,
    connect,
    fresh,
    join,
    let_in,
    marks,
    warm_up,
)
from benchmarks.live.processes import Serving

PATIENCE = 60
PING, PONG = frame(b'{"type":"ping","id":"2"}'), b'"pong"'
# Before memory is read: what has to be there however many come.
FIRST = 20


class Latency(NamedTuple):
    """From a commit until the last socket has the message, in milliseconds."""

    p50: float
    p99: float


class Step(NamedTuple):
    """So many sockets did something at once."""

    per_second: float
    cpu_ms: float


class Restart(NamedTuple):
    connects: Step
    joins: Step
    kb_per_socket: float
    held: int


def latency(bench: Bench, desk: Desk, sockets: int, messages: int) -> Latency:
    found = []
    _, subject = desk.subjects()
    with fresh(bench, subject) as (server, _):
        let_in(bench.crowd, server, subject, range(sockets))
        warm_up(bench.crowd, desk.post, sockets)
        for _ in range(messages):
            mark = next(marks)
            bench.crowd.expect(mark, sockets)
            committed = desk.post(mark)
            heard = bench.crowd.heard(PATIENCE)
            if heard.complete_at is None:
                raise RuntimeError(f"{heard.frames} of {sockets} sockets heard of a message")
            found.append((heard.complete_at - committed) * 1000)
    return Latency(statistics.median(found), statistics.quantiles(found, n=100)[98])


def restart(bench: Bench, desk: Desk, sockets: int) -> Restart:
    """A fresh server, to which everybody comes back at once; all are there if all answer."""
    subject = desk.subject("restart", "", desk.join_any, desk.post)
    everybody = range(FIRST, FIRST + sockets)
    with fresh(bench, subject) as (server, _):
        let_in(bench.crowd, server, subject, range(FIRST))
        time.sleep(1)
        before = server.resident_bytes()
        connects = _timed(server, sockets, lambda: connect(bench.crowd, server, subject, everybody))
        joins = _timed(server, sockets, lambda: join(bench.crowd, subject, everybody))
        bench.crowd.expect(PONG, sockets)
        bench.crowd.say([PING] * sockets)
        held = bench.crowd.heard(PATIENCE).frames
        grown = server.resident_bytes() - before
    return Restart(connects, joins, grown / sockets / 1000, held)


def _timed(server: Serving, sockets: int, act: Callable[[], None]) -> Step:
    cpu, started = server.cpu_seconds(), time.monotonic()
    act()
    seconds, cpu = time.monotonic() - started, server.cpu_seconds() - cpu
    return Step(sockets / seconds, cpu / sockets * 1000)
