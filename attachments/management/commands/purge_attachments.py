import time
from argparse import ArgumentParser
from typing import Any

import orjson
from django.core.management.base import CommandError
from django.utils import timezone

from attachments import storage, sweeps
from attachments.refusals import StorageUnavailable
from attachments.services import purging
from attachments.services.known import left_behind
from servicedesk.sweep_command import SweepCommand
from servicedesk.sweeps import SweepResult

# As much may be left behind by accident. Where it is more, and most of what there is, this is
# rather not the database that these files belong to.
SUSPICIOUS = 100


class Command(SweepCommand):
    help = (
        "Drop old drafts, bytes that no file has any more, and the use of days that are over. "
        "Looks first for bytes that no row knows, which a restored database leaves: always in a "
        "folder unless with --loop, in a bucket with --unknown, since that lists all of it."
    )
    sweep = staticmethod(sweeps.purge_attachments)
    _removed = 0

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--unknown",
            action="store_true",
            help="look once through all of the storage for bytes that no row knows",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="change nothing, say how much would be dropped"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"] and options["loop"]:
            raise CommandError("--dry-run looks once; it does not go with --loop.")
        looks_through = options["unknown"] or (storage.is_folder() and not options["loop"])
        try:
            if options["dry_run"]:
                self._say(looks_through, options["json"])
                return
            if looks_through:
                self._remove_left_behind(is_asked=options["unknown"])
        except StorageUnavailable as error:
            raise CommandError(error.detail) from error
        super().handle(*args, **options)

    def report(self, result: SweepResult, seconds: float, as_json: bool) -> None:
        result.handled += self._removed
        self._removed = 0
        super().report(result, seconds, as_json)

    def _remove_left_behind(self, *, is_asked: bool) -> None:
        now = timezone.now()
        if not is_asked:
            count, everything = _count(left_behind(now)), _count(storage.keys())
            if count > SUSPICIOUS and 2 * count > everything:
                raise CommandError(
                    f"No row knows {count} of the {everything} files in the folder. Is this the "
                    "database they belong to? If so, run it with --unknown."
                )
        self._removed = purging.remove_left_behind(now)

    def _say(self, looks_through: bool, as_json: bool) -> None:
        started, now = time.perf_counter(), timezone.now()
        figures = {
            "drafts": purging.old_drafts(now).count(),
            "loose": purging.loose(now).count(),
            "unknown": _count(left_behind(now)) if looks_through else None,
        }
        seconds = round(time.perf_counter() - started, 3)
        if as_json:
            report = {"handled": 0, "skipped": 0, "failed": 0, "seconds": seconds, **figures}
            self.stdout.write(orjson.dumps(report).decode())
            return
        said = "  ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
        self.stdout.write(f"{said}; nothing was changed.")


def _count(things: Any) -> int:
    return sum(1 for _ in things)
