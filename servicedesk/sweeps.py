"""Sweeps: small repeatable jobs that find their own work in the database.

No job queue: a table knows its pending rows. Every sweep may run at any time, in several
processes at once, and may be killed anywhere; the next run finds what is left.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Protocol

import structlog
from django.db import close_old_connections

log = structlog.get_logger(__name__)


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


def run_round(*, batch: int, stop: Callable[[], bool] = lambda: False) -> dict[str, SweepResult]:
    """Every registered sweep once. One that fails is logged and does not stop the others."""
    results = {}
    for name, sweep in registered().items():
        if stop():
            break
        started = time.perf_counter()
        try:
            results[name] = result = drain(sweep, batch=batch, stop=stop)
        except Exception:
            log.exception("sweep_failed", sweep=name)
            results[name] = SweepResult(failed=1)
            continue
        if result.handled or result.failed:
            seconds = round(time.perf_counter() - started, 3)
            log.info("sweep", sweep=name, handled=result.handled, failed=result.failed, s=seconds)
    return results


def run_forever(
    stop: Event, *, interval: float, batch: int, after_round: Callable[[], None]
) -> None:
    """Rounds with `interval` seconds between them until `stop` is set.

    `after_round` is called after each round that the database answered (a sign of life).
    """
    while not stop.is_set():
        try:
            close_old_connections()
            run_round(batch=batch, stop=stop.is_set)
            after_round()
        except Exception:
            # The database may be away for a while; the worker outlives that.
            log.exception("worker_round_failed")
        stop.wait(interval)
