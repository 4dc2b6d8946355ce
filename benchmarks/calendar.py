"""How long does it take to work out a due time?

Microseconds for one call of the shipped calendar, beside the cheapest thing that could be done
instead: adding a duration by the wall clock.

    .venv/bin/python -m benchmarks.calendar
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from tickets.sla.hours import parse

CALLS = 20_000
ROUNDS = 5
DAY = ["09:00-12:30", "13:15-17:45"]
WEEK = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), DAY)


def main() -> None:
    calendar = parse("Europe/Berlin", WEEK, {date(2026, 12, 25): [], date(2026, 12, 24): DAY[:1]})
    starts = [
        datetime(2026, 1, 1, tzinfo=UTC) + number * timedelta(minutes=37) for number in range(CALLS)
    ]
    target, later = timedelta(hours=16), timedelta(days=3)
    report: dict[str, Any] = {
        "due_time_us": timed(lambda at: calendar.add(at, target), starts),
        "working_time_us": timed(lambda at: calendar.working(at, at + later), starts),
        "wall_clock_sum_us": timed(lambda at: at + later, starts),
    }
    report["due_time_to_sum"] = round(report["due_time_us"] / report["wall_clock_sum_us"], 1)
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


def timed(call: Callable[[datetime], object], starts: list[datetime]) -> float:
    """Microseconds of one call, the median of ROUNDS."""
    found = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for at in starts:
            call(at)
        found.append((time.perf_counter() - started) / len(starts) * 1e6)
    return round(statistics.median(found), 3)


if __name__ == "__main__":
    main()
