"""Sweeps: small repeatable jobs that find their own work in the database.

No job queue: a table knows its pending rows. Every sweep may run at any time, in several
processes at once, and may be killed anywhere; the next run finds what is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Protocol

import structlog
from django.db import close_old_connections

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


_sweeps: dict[str, Sweep] = {}


def register(name: str, sweep: Sweep) -> None:
    """Called from an app's `ready()`; the worker runs what is registered, in that order."""
    _sweeps[name] = sweep


def registered() -> dict[str, Sweep]:
    return dict(_sweeps)


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


def take_turns(*, batch: int, stop: Callable[[], bool] = lambda: False) -> Turn:
    """Every registered sweep for at most its SHARE: what one of them has to do for an hour does
    not keep the mails of that hour waiting. One that fails is logged and stops no other."""
    turn = Turn({})
    for name, sweep in registered().items():
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


def run_forever(
    stop: Event, *, interval: float, batch: int, after_round: Callable[[], None]
) -> None:
    """Turns until `stop` is set, with `interval` seconds of rest where nothing was left to do.

    A desk where something happens all the time rests too: not what was done decides, but whether
    it was all. `after_round` is called after each turn that the database answered (a sign of
    life).
    """
    while not stop.is_set():
        try:
            close_old_connections()
            turn = take_turns(batch=batch, stop=stop.is_set)
            after_round()
            if turn.leaves_work:
                continue
        except Exception:
            # The database may be away for a while; the worker outlives that.
            log.exception("worker_round_failed")
        stop.wait(interval)
