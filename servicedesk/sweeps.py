"""Sweeps: small repeatable jobs that find their own work in the database.

No job queue: a table knows its pending rows. Every sweep may run at any time, in several
processes at once, and may be killed anywhere; the next run finds what is left.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Protocol

import structlog
from django.db import close_old_connections, connections

log = structlog.get_logger(__name__)

# Seconds after which a sweep begins no other batch before the other sweeps had their turn.
SHARE = 2.0


@dataclass
class SweepResult:
    """Counts of rows: done, left alone on purpose, and failed (each logged)."""

    handled: int = 0
    skipped: int = 0
    failed: int = 0

    def add(self, other: "SweepResult") -> None:
        self.handled += other.handled
        self.skipped += other.skipped
        self.failed += other.failed


class Sweep(Protocol):
    """One batch of a job. Answers how many rows it handled; 0 means nothing is left."""

    def __call__(self, *, batch: int) -> SweepResult: ...


# Each lane has a thread of its own in a worker: a scan or a preview that takes a minute keeps no
# escalation waiting.
DESK, FILES, SCANS = LANES = ("desk", "files", "scans")

# By name: the sweep and its lane.
_sweeps: dict[str, tuple[Sweep, str]] = {}


def register(name: str, sweep: Sweep, *, lane: str = DESK) -> None:
    """Called from an app's `ready()`; the worker runs what is registered, in that order."""
    _sweeps[name] = sweep, lane


def registered(lanes: Collection[str] = LANES) -> dict[str, Sweep]:
    return {name: sweep for name, (sweep, lane) in _sweeps.items() if lane in lanes}


def drain(sweep: Sweep, *, batch: int, stop: Callable[[], bool] = lambda: False) -> SweepResult:
    """Batches until one finds nothing to do, or `stop` says so; the batch in hand is finished."""
    total = SweepResult()
    while not stop():
        result = sweep(batch=batch)
        total.add(result)
        if not result.handled:
            break
    return total


@dataclass
class Turn:
    """What one turn of every sweep did, by name, and whether there was more than fits in it."""

    results: dict[str, SweepResult]
    leaves_work: bool = False


def take_turns(
    *, batch: int, stop: Callable[[], bool] = lambda: False, lanes: Collection[str] = LANES
) -> Turn:
    """Every sweep of these lanes for at most its SHARE: what one of them has to do for an hour does
    not keep the mails of that hour waiting. One that fails is logged and stops no other."""
    turn = Turn({})
    for name, sweep in registered(lanes).items():
        if stop():
            break
        started = time.monotonic()
        is_over = partial(_is_past, started + SHARE)
        try:
            result = drain(sweep, batch=batch, stop=_either(stop, is_over))
        except Exception:
            log.exception("sweep_failed", sweep=name)
            turn.results[name] = SweepResult(failed=1)
            continue
        turn.results[name] = result
        turn.leaves_work |= bool(result.handled) and is_over()
        if result.handled or result.failed:
            seconds = round(time.monotonic() - started, 3)
            log.info("sweep", sweep=name, handled=result.handled, failed=result.failed, s=seconds)
    return turn


def _is_past(moment: float) -> bool:
    return time.monotonic() >= moment


def _either(one: Callable[[], bool], other: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: one() or other()


def run_round(
    *,
    batch: int,
    stop: Callable[[], bool] = lambda: False,
    after_turn: Callable[[], None] = lambda: None,
) -> dict[str, SweepResult]:
    """Turns until one finds nothing to do, or `stop` says so. Answers the totals of each sweep.

    `after_turn` is called after each (a sign of life).
    """
    totals: dict[str, SweepResult] = {}
    while not stop():
        turn = take_turns(batch=batch, stop=stop)
        for name, result in turn.results.items():
            totals.setdefault(name, SweepResult()).add(result)
        after_turn()
        if not any(result.handled for result in turn.results.values()):
            break
    return totals


def run_lanes(stop: Event, *, interval: float, batch: int, after_round: Callable[[], None]) -> None:
    """Every lane until `stop` is set: the desk's in this thread, with `after_round` as its sign of
    life, each other in one of its own. All have finished the batch in hand when this returns."""
    aside = [
        Thread(target=_run_aside, args=(stop, interval, batch, lane), name=f"sweeps-{lane}")
        for lane in LANES
        if lane != DESK
    ]
    for thread in aside:
        thread.start()
    try:
        run_forever(stop, interval=interval, batch=batch, after_round=after_round, lanes=[DESK])
    finally:
        stop.set()
        for thread in aside:
            thread.join()


def _run_aside(stop: Event, interval: float, batch: int, lane: str) -> None:
    try:
        run_forever(stop, interval=interval, batch=batch, lanes=[lane])
    finally:
        connections.close_all()


def run_forever(
    stop: Event,
    *,
    interval: float,
    batch: int,
    after_round: Callable[[], None] = lambda: None,
    lanes: Collection[str] = LANES,
) -> None:
    """Turns until `stop` is set, with `interval` seconds of rest where nothing was left to do.

    A desk where something happens all the time rests too: not what was done decides, but whether
    it was all. `after_round` is called after each turn that the database answered (a sign of
    life).
    """
    while not stop.is_set():
        try:
            close_old_connections()
            turn = take_turns(batch=batch, stop=stop.is_set, lanes=lanes)
            after_round()
            if turn.leaves_work:
                continue
        except Exception:
            # The database may be away for a while; the worker outlives that.
            log.exception("worker_round_failed")
        stop.wait(interval)
