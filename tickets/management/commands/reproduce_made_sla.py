from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from tickets.evaluation.made_sla import (
    HELD_OUT_FROM,
    MINUTE,
    MODERATE,
    RULE,
    Clock,
    Incident,
    Target,
    by_priority,
    clocks,
    close_calls,
    fit,
    read,
    score,
    split,
    windows,
)
from tickets.importing.source import NotAnExport

BEST = 8  # windows shown
SCORES = (
    f"{'held out':>8} {'right':>6} {'wrong':>5} {'share':>8}  {'95 % interval':<17} {'majority':>8}"
)


class Command(BaseCommand):
    help = (
        "Reproduce the made_sla flag of a ServiceNow incident export (CSV, or a zip with one CSV) "
        "with our business calendar: chosen on the older incidents, shown on the later ones."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the export: a .csv or a .zip")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--windows", action="store_true", help="also choose the daily window anew; slow"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            log = read(options["file"])
        except NotAnExport as exc:
            raise CommandError(str(exc)) from exc
        older, later = map(by_priority, split(log.incidents))
        figures = {
            "incidents": len(log.incidents),
            "left_out": log.left_out,
            "held_out_from": HELD_OUT_FROM.date().isoformat(),
            "rule": RULE.name,
            "priorities": priorities(older, later),
            "clocks": compared(older.get(MODERATE, []), later.get(MODERATE, [])),
        }
        if options["windows"]:
            figures["windows"] = best_windows(older.get(MODERATE, []))
        if options["json"]:
            self.stdout.write(orjson.dumps(figures).decode())
        else:
            self.stdout.writelines(f"{line}\n" for line in table(figures))


def priorities(
    older: dict[str, list[Incident]], later: dict[str, list[Incident]]
) -> list[dict[str, Any]]:
    """The rule for each priority that was held out, its target chosen on the older incidents."""
    return [
        {"priority": priority, **judged(RULE, older.get(priority, []), incidents)}
        for priority, incidents in later.items()
    ]


def compared(older: list[Incident], later: list[Incident]) -> list[dict[str, Any]]:
    return [{"clock": clock.name, **judged(clock, older, later)} for clock in clocks()]


def best_windows(older: list[Incident]) -> list[dict[str, Any]]:
    """The daily windows with the fewest wrong among the incidents that choose."""
    found: list[dict[str, Any]] = []
    for clock in windows():
        target = fit(clock, older)
        wrong = len(older) - score(clock, target.value, older).right
        found.append({"window": clock.name, **spelt(target), "wrong": wrong, "of": len(older)})
    return sorted(found, key=lambda each: each["wrong"])[:BEST]


def judged(clock: Clock, older: list[Incident], later: list[Incident]) -> dict[str, Any]:
    target = fit(clock, older)
    result = score(clock, target.value, later)
    close = score(clock, target.value, close_calls(clock, target.value, later))
    low, high = result.interval
    return {
        "chosen_on": len(older),
        **spelt(target),
        "held_out": result.total,
        "right": result.right,
        "wrong": result.total - result.right,
        "share": round(result.share, 5),
        "interval": [round(low, 5), round(high, 5)],
        "majority": round(result.majority, 5),
        "both_made": result.both_made,
        "both_missed": result.both_missed,
        "only_computed_made": result.only_computed_made,
        "only_flagged_made": result.only_flagged_made,
        "close_calls": {"held_out": close.total, "right": close.right},
    }


def spelt(target: Target) -> dict[str, str]:
    """The target and its gap in working hours and minutes."""
    end = "" if target.high is None else hours(target.high)
    return {"target": hours(target.value), "gap": f"{hours(target.low)}-{end}"}


def hours(time: timedelta) -> str:
    return "{}:{:02}".format(*divmod(time // MINUTE, 60))


def table(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{figures['incidents']} incidents, {figures['left_out']} left out"
    yield f"chosen on those opened before {figures['held_out_from']}, held out: those from then on"
    yield f"\n{figures['rule']}"
    yield f"{'priority':<14} {'target':>7} {'of the gap':<15} {SCORES}"
    for row in figures["priorities"]:
        yield f"{row['priority']:<14} {row['target']:>7} {row['gap']:<15} {scored(row)}"
    yield f"\n{MODERATE}, flag and computed alike or not"
    yield from matrix(figures["priorities"])
    yield f"\n{MODERATE} by other clocks\n{'target':>7} {SCORES}"
    for row in figures["clocks"]:
        yield f"{row['target']:>7} {scored(row)}  {row['clock']}"
    if found := figures.get("windows"):
        yield f"\n{MODERATE} by daily window, wrong of the {found[0]['of']} that choose"
        for row in found:
            yield f"{row['window']} {row['target']:>7} {row['wrong']:>6}"


def matrix(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["priority"] == MODERATE:
            yield f"{'':<15}{'flag made':>10}{'flag missed':>13}"
            yield f"{'computed made':<15}{row['both_made']:>10}{row['only_computed_made']:>13}"
            yield f"{'computed missed':<15}{row['only_flagged_made']:>10}{row['both_missed']:>13}"
            yield "closed within a working day of the deadline: {held_out}, right {right}".format(
                **row["close_calls"]
            )


def scored(row: dict[str, Any]) -> str:
    interval = " - ".join(f"{end:.2%}" for end in row["interval"])
    return (
        f"{row['held_out']:>8} {row['right']:>6} {row['wrong']:>5} {row['share']:>8.2%}  "
        f"{interval:<17} {row['majority']:>8.2%}"
    )
