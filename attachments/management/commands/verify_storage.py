import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from attachments.refusals import StorageUnavailable
from attachments.services.known import unknown
from attachments.services.verifying import Problem, Tally, verify
from attachments.storage import Stored
from servicedesk.sweep_command import positive

# What --json lists of each kind; it counts all.
LISTED = 1000


class Command(BaseCommand):
    help = (
        "Compare every file's row with its bytes. Exits with 1 where bytes are missing or altered; "
        "bytes that no row knows are listed, and no error: purge_attachments removes them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quick", action="store_true", help="sizes only, reads no content")
        parser.add_argument("--batch", type=positive, default=500, help="rows at a time; 500")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        started, tally = time.perf_counter(), Tally()
        self._is_json = options["json"]
        self._problems: list[Problem] = []
        self._unknown: list[str] = []
        try:
            for problem in verify(tally, is_quick=options["quick"], batch=options["batch"]):
                self._note_problem(problem)
            left = self._look_for_unknown()
        except StorageUnavailable as error:
            raise CommandError(f"{error.detail} Nothing is known of what was not seen.") from error
        self._report(tally, left, round(time.perf_counter() - started, 3))
        if tally.problems:
            raise CommandError(f"{tally.problems} contents or previews are missing or altered.")

    def _note_problem(self, problem: Problem) -> None:
        if self._is_json:
            self._problems += [problem] if len(self._problems) < LISTED else []
            return
        self.stdout.write(f"{problem.problem} {problem.of}  {problem.key}")
        for file in problem.files:
            where = f"SD-{file['ticket']}" if file["ticket"] else "a draft"
            self.stdout.write(f"  {file['id']}  {where}  {file['filename']}")

    def _look_for_unknown(self) -> dict[str, int]:
        """How much no row knows, apart from what may be an upload that goes on."""
        left = {"unknown": 0, "unknown_bytes": 0, "recent": 0}
        grace_began = timezone.now() - settings.LOOSE_BYTES_GRACE
        for each in unknown():
            if each.modified_at >= grace_began:
                left["recent"] += 1
                continue
            left["unknown"] += 1
            left["unknown_bytes"] += each.size
            self._note_unknown(each)
        return left

    def _note_unknown(self, each: Stored) -> None:
        if self._is_json:
            self._unknown += [each.key] if len(self._unknown) < LISTED else []
        else:
            self.stdout.write(f"unknown  {each.key}  {each.size} bytes")

    def _report(self, tally: Tally, left: dict[str, int], seconds: float) -> None:
        looked_at = tally.contents + tally.parts
        figures = {
            "handled": looked_at,
            "skipped": tally.vanished,
            "failed": tally.problems,
            "seconds": seconds,
            "contents": tally.contents,
            "parts": tally.parts,
            "bytes": tally.bytes,
            **left,
        }
        if self._is_json:
            problems = [asdict(problem) for problem in self._problems]
            lists = {"problems": problems, "unknown_keys": self._unknown}
            self.stdout.write(orjson.dumps({**figures, **lists}).decode())
        else:
            self.stdout.write("  ".join(f"{name} {value}" for name, value in figures.items()))
