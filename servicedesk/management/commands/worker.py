from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from servicedesk.models import Heartbeat
from servicedesk.sweep_command import stop_on_signals
from servicedesk.sweeps import run_forever, run_round


class Command(BaseCommand):
    help = "Run every sweep in a loop. SIGTERM finishes the batch in hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then stop")
        parser.add_argument("--interval", type=float, default=5, help="seconds between rounds")
        parser.add_argument("--batch", type=int, default=500, help="rows at a time")
        parser.add_argument("--json", action="store_true", help="with --once: print the results")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = stop_on_signals()
        if not options["once"]:
            run_forever(
                stop,
                interval=options["interval"],
                batch=options["batch"],
                after_round=lambda: Heartbeat.beat("worker"),
            )
            return
        results = run_round(batch=options["batch"], stop=stop.is_set)
        Heartbeat.beat("worker")
        if options["json"]:
            figures = {
                name: {"handled": r.handled, "skipped": r.skipped, "failed": r.failed}
                for name, r in results.items()
            }
            self.stdout.write(orjson.dumps(figures).decode())
