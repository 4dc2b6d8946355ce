import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from servicedesk.sweep_command import positive
from tickets.importing.progress import ProgressBar
from tickets.importing.running import Result, import_file
from tickets.importing.source import NotAnExport
from tickets.importing.verifying import verify_file

ROWS = ("refused_moves", "broken", "wrong")  # the lists of a report
SHOWN = 10  # of each list on the terminal; --json has more


class Command(BaseCommand):
    help = (
        "Import a ServiceNow incident export (CSV, or a zip with one CSV) with its history. "
        "Twice is the same as once; an interrupted run is continued by running it again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the export: a .csv or a .zip")
        parser.add_argument("--limit", type=positive, help="only the first incidents of the file")
        parser.add_argument("--timezone", default="UTC", help="of the file's times; default UTC")
        parser.add_argument("--batch", type=positive, default=500, help="incidents a transaction")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--verify",
            action="store_true",
            help="import nothing: count the file again, compare, and fail if anything differs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        zone = zone_of(options["timezone"])
        progress = ProgressBar(self.stderr, limit=options["limit"])
        run = self.compare if options["verify"] else self.bring_in
        with errors_told(progress):
            run(zone, progress, options)

    def bring_in(self, zone: ZoneInfo, progress: ProgressBar, options: dict[str, Any]) -> None:
        started, result = time.perf_counter(), Result()
        is_whole = False
        try:
            import_file(
                options["file"],
                result=result,
                zone=zone,
                limit=options["limit"],
                batch=options["batch"],
                progress=progress,
            )
            is_whole = True
        finally:
            progress.clear()
            # Also of a run that failed half-way: what it counts is in the database.
            if is_whole or result.incidents:
                self.report(result.figures(), started, options["json"])

    def compare(self, zone: ZoneInfo, progress: ProgressBar, options: dict[str, Any]) -> None:
        """Raises CommandError where the database is not what the file says."""
        started = time.perf_counter()
        compared = verify_file(
            options["file"], zone=zone, limit=options["limit"], progress=progress
        )
        progress.clear()
        self.report(compared.figures(), started, options["json"])
        if not compared.agrees:
            raise CommandError("The database differs from the file.")

    def report(self, figures: dict[str, Any], started: float, as_json: bool) -> None:
        figures["seconds"] = round(time.perf_counter() - started, 3)
        if as_json:
            self.stdout.write(orjson.dumps(figures).decode())
            return
        self.table(figures)
        for name in ROWS:
            for row in figures.get(name, [])[:SHOWN]:
                told = "  ".join(f"{key} {value}" for key, value in row.items())
                self.stdout.write(f"{name:<14} {told}")

    def table(self, figures: dict[str, Any]) -> None:
        for name, value in figures.items():
            if not isinstance(value, list | dict):
                self.stdout.write(f"{name:<14} {value}")


def zone_of(name: str) -> ZoneInfo:
    """Raises CommandError for what is no time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise CommandError(f"{name!r} is no time zone; try Europe/Lisbon or UTC.") from exc


@contextmanager
def errors_told(progress: ProgressBar) -> Iterator[None]:
    """What can go wrong, as one sentence instead of a traceback."""
    try:
        yield
    except NotAnExport as exc:
        progress.clear()
        raise CommandError(str(exc)) from exc
    except OperationalError as exc:
        progress.clear()
        raise CommandError(f"The database failed: {exc}. Run it again to go on.") from exc
    except KeyboardInterrupt as exc:
        progress.clear()
        raise CommandError("Interrupted. Run it again to go on.", returncode=130) from exc
