import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

import orjson
from django.core.management.base import BaseCommand

from tickets.assignment.reconcile import find_drift, mend


class Command(BaseCommand):
    help = "Report agents whose load differs from the tickets in their hands; exit 1 if any does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="set the counters right")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = find_drift()
        if options["json"]:
            self.stdout.write(orjson.dumps({"drift": [asdict(d) for d in found]}).decode())
        else:
            for drift in found:
                self.stdout.write(
                    f"agent {drift.agent_id}: counter {drift.counted}, in work {drift.actual}"
                )
            self.stdout.write(f"{len(found)} agents differ")
        if options["apply"]:
            for drift in found:
                mend(drift.agent_id)
        elif found:
            sys.exit(1)
