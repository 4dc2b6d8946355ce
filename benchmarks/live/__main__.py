"""What does a live delivery cost, beside other ways to do it?

Measures server CPU (user and system) for each delivery of a 400 byte message to a room of 200 and
of 1,000 sockets, of the desk and of baselines, round by round in the same run; and of the desk the
time from a commit to the last of 300 sockets, memory, and how fast 2,000 sockets come back after a
restart. Needs Linux. Says which targets were reached, and never fails on time.

    .venv/bin/python -m benchmarks.live [--quick] [--rounds N] [--deliveries N]
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable

from benchmarks.live import report
from benchmarks.live.crowd import Crowd
from benchmarks.live.desk import Desk
from benchmarks.live.fan_out import Bench, measure
from benchmarks.live.processes import leave_a_core
from benchmarks.live.stages import latency, restart
from benchmarks.live.subjects import BASELINES
from benchmarks.scratch import scratch_database
from servicedesk.tests.services import own_redis

LISTENERS = 300


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round with small rooms")
    parser.add_argument("--rounds", type=int, help="of which the medians are taken")
    parser.add_argument("--deliveries", type=int, help="in each room and round; slow ones a fifth")
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("Only Linux has epoll and /proc, with which this measures.")
        return
    rounds = options.rounds or (1 if options.quick else 3)
    deliveries = options.deliveries or (20_000 if options.quick else 100_000)
    sizes = (100, 300) if options.quick else (200, 1_000)
    sockets = 500 if options.quick else 2_000

    cores = leave_a_core()
    crowd = Crowd()
    with own_redis() as redis:
        os.environ["REDIS_URL"] = redis.url
        with scratch_database():
            bench, desk = Bench(crowd, redis.url, cores), Desk()
            found = fan_out(bench, desk, sizes, rounds, deliveries)
            show(report.fan_out_table(found))
            desk.sign_in()
            back = restart(bench, desk, sockets)
            show(report.restart_table(back))
            soon = latency(bench, desk, LISTENERS, 100 if options.quick else 500)
    show(report.targets(found, soon, back, sockets=sockets))
    crowd.end()


def fan_out(
    bench: Bench, desk: Desk, sizes: tuple[int, ...], rounds: int, deliveries: int
) -> report.FanOut:
    """Every subject in every round; what else the machine does at a time, it does to all."""
    subjects = (*BASELINES, *desk.subjects())
    found = report.FanOut(subjects, sizes)
    for number in range(rounds):
        desk.sign_in()
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            wanted = deliveries // 5 if subject.is_slow else deliveries
            found.add(subject, measure(bench, subject, sizes, wanted))
            print(f"  round {number + 1}: {subject.label}", flush=True)
    return found


def show(lines: Iterable[str]) -> None:
    print("", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
