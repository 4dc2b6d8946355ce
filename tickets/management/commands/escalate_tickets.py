import time
from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import CommandError

from servicedesk.sweep_command import SweepCommand
from tickets import sweeps


class Command(SweepCommand):
    help = "Warn, note breaches and apply the escalation rules where that is due."
    sweep = staticmethod(sweeps.escalate_tickets)

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="change nothing, say what would be done"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["dry_run"]:
            super().handle(*args, **options)
            return
        if options["loop"]:
            raise CommandError("--dry-run looks once; it does not go with --loop.")
        started = time.perf_counter()
        effects, failed = sweeps.preview_escalations(limit=options["batch"])
        if options["json"]:
            seconds = round(time.perf_counter() - started, 3)
            report = {"handled": 0, "skipped": 0, "failed": failed, "seconds": seconds}
            self.stdout.write(orjson.dumps({**report, "effects": effects}).decode())
            return
        for effect in effects:
            said = "  ".join(f"{name} {value}" for name, value in effect["data"].items())
            self.stdout.write(f"SD-{effect['ticket']}  {effect['event']}  {said}")
        self.stdout.write(f"{len(effects)} effects, {failed} failed; nothing was changed.")
