"""The command line of one sweep; each `manage.py <sweep>` is three lines on top of this."""

import signal
import time
from argparse import ArgumentParser, ArgumentTypeError
from threading import Event
from typing import Any, ClassVar

import orjson
from django.core.management.base import BaseCommand

from servicedesk.sweeps import Sweep, SweepResult, drain


class SweepCommand(BaseCommand):
    sweep: ClassVar[Sweep]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--loop", action="store_true", help="run until stopped")
        add_pace(parser, interval=30)
        parser.add_argument("--json", action="store_true", help="print one JSON object a run")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_on_signals()
        while True:
            started = time.perf_counter()
            result = drain(self.sweep, batch=options["batch"], stop=stop.is_set)
            self.report(result, time.perf_counter() - started, options["json"])
            if not options["loop"] or stop.wait(options["interval"]):
                break

    def report(self, result: SweepResult, seconds: float, as_json: bool) -> None:
        figures = {
            "handled": result.handled,
            "skipped": result.skipped,
            "failed": result.failed,
            "seconds": round(seconds, 3),
        }
        if as_json:
            self.stdout.write(orjson.dumps(figures).decode())
        else:
            self.stdout.write("  ".join(f"{name} {value}" for name, value in figures.items()))


def add_pace(parser: ArgumentParser, *, interval: float) -> None:
    """How often to look, and for how much at a time."""
    parser.add_argument(
        "--interval", type=float, default=interval, help=f"seconds between runs; {interval:g}"
    )
    parser.add_argument("--batch", type=positive, default=500, help="rows at a time; 500")


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError("a whole number above 0, please")
    return int(text)


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set, so that the batch in hand is finished."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
