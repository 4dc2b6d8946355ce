from argparse import ArgumentParser
from functools import partial
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from servicedesk.models import Heartbeat
from servicedesk.sweep_command import add_pace, stop_on_signals
from servicedesk.sweeps import run_lanes, run_round


class Command(BaseCommand):
    help = "Run every sweep in a loop. SIGTERM finishes the batch in hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="do all there is to do, then stop")
        add_pace(parser, interval=5)
        parser.add_argument("--json", action="store_true", help="with --once: print the results")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_on_signals()
        batch, beat = options["batch"], partial(Heartbeat.beat, "worker")
        if not options["once"]:
            run_lanes(stop, interval=options["interval"], batch=batch, after_round=beat)
            return
        results = run_round(batch=batch, stop=stop.is_set, after_turn=beat)
        if options["json"]:
            figures = {
                name: {"handled": r.handled, "skipped": r.skipped, "failed": r.failed}
                for name, r in results.items()
            }
            self.stdout.write(orjson.dumps(figures).decode())
