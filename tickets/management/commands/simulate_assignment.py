import time
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from servicedesk.sweep_command import positive
from tickets.evaluation.simulation import figure, source, study, table, workload
from tickets.evaluation.simulation.assumptions import Assumptions
from tickets.evaluation.simulation.study import LOADS, REPEATS, Compared
from tickets.evaluation.simulation.workload import MEASURED_WEEKS, TooShort, Workload
from tickets.importing.source import NotAnExport


class Command(BaseCommand):
    help = (
        "Simulate this desk's assignment on a ServiceNow incident export (CSV, or a zip with one "
        "CSV) against round robin, least loaded, skill only and random; see docs/simulation.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the export: a .csv or a .zip")
        parser.add_argument(
            "--load", type=share, help="only this share of the agents' time in work, up to 1; quick"
        )
        parser.add_argument(
            "--weeks", type=positive, default=MEASURED_WEEKS, help="measured; default %(default)s"
        )
        parser.add_argument("--seed", type=int, default=1, help="of all chance; default 1")
        parser.add_argument(
            "--repeats", type=positive, default=REPEATS, help="draws; default %(default)s"
        )
        parser.add_argument("--figure", type=Path, help="write the comparison there as an SVG")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.perf_counter()
        refuse_folder(options["figure"])
        given = Assumptions(seed=options["seed"])
        log, work = prepared(options["file"], options["weeks"])
        loads = [options["load"]] if options["load"] else LOADS
        repeats = options["repeats"]
        results = study.by_load(work, given, loads, repeats, self.tell)
        others = [] if options["load"] else study.sensitivity(work, given, repeats, self.tell)
        self.tell("")
        if options["figure"]:
            write(options["figure"], figure.draw(results))
        figures = {
            **counts(log, work),
            "repeats": repeats,
            "given": asdict(given),
            "loads": [compared.figures() for compared in results],
            "sensitivity": [{"assumption": name, **one.figures()} for name, one in others],
            "seconds": round(time.perf_counter() - started, 3),
        }
        if options["json"]:
            self.stdout.write(orjson.dumps(figures).decode())
        else:
            self.show(figures, results, others)

    def tell(self, step: str) -> None:
        """Where a run is, on one line, where somebody watches."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{step}", style_func=str, ending="")
            self.stderr.flush()

    def show(
        self,
        figures: dict[str, Any],
        results: list[Compared],
        others: list[tuple[str, Compared]],
    ) -> None:
        for name in ("handled", "skipped", "failed", "agents", "teams", "weeks", "from", "seconds"):
            self.stdout.write(f"{name:<9} {figures[name]}")
        self.stdout.write("")
        self.stdout.writelines(f"{line}\n" for line in table.main_table(results))
        if others:
            self.stdout.write(f"\nAt load {study.MEDIUM:g}\n\n")
            self.stdout.writelines(f"{line}\n" for line in table.sensitivity_table(others))


def prepared(path: Path, weeks: int) -> tuple[source.Log, Workload]:
    """Raises CommandError for what is no export, or too short a one."""
    try:
        log = source.read(path)
        return log, workload.prepare(log.incidents, weeks)
    except (NotAnExport, TooShort) as exc:
        raise CommandError(str(exc)) from exc


def counts(log: source.Log, work: Workload) -> dict[str, Any]:
    return {
        "handled": len(work.jobs),
        "skipped": work.left_out,
        "failed": log.broken,
        "agents": len(work.agents),
        "teams": len(work.members),
        "weeks": work.weeks,
        "from": work.begins.date().isoformat(),
    }


def refuse_folder(path: Path | None) -> None:
    """Raises CommandError now rather than after minutes, where this can be no file."""
    if path and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise CommandError(f"{path} cannot be written: it is no place for a file.")


def write(path: Path, text: str) -> None:
    """Raises CommandError where the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror}.") from exc


def share(text: str) -> float:
    """A number above 0 and up to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise ArgumentTypeError("a number above 0 and up to 1, please")
    return value
