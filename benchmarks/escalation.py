"""Does the escalation sweep's time grow with tickets that are not due?

Measures one round that finds nothing and one that finds DUE overdue tickets, with 10,000 and with
1,000,000 tickets that are not due, in the same run and on the same database, each beside the
change of one ticket at that size; and shows the plan of the query that looks for them.

    .venv/bin/python -m benchmarks.escalation [--small N] [--large N] [--due N]
"""

import statistics
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

import orjson

from benchmarks.scratch import scratch_database

# Open tickets, announced and worked out, whose next moment lies in the next days.
FILL = """
INSERT INTO tickets_ticket (
    subject, description, status, priority, channel, requester_id, escalation_level, reopen_count,
    resolution, created_at, updated_at, public_updated_at, queued_at, waiting_since, sla_standing,
    sla_due_at, sla_warn_at, next_sla_at, sla_revision, version, epoch, last_seq, last_public_seq,
    announced_seq
)
SELECT 'Ticket ' || n, '', 'new', 2, 'web', %(requester)s, 0, 0, '', at, at, at, at, at, 'running',
    at + interval '3 days', at + interval '2 days', at + interval '2 days', %(revision)s, 1,
    'benchmrk', 0, 0, 0
FROM (
    SELECT n, now() - n %% 86400 * interval '1 second' AS at FROM generate_series(1, %(count)s) AS n
) AS rows
"""
EMPTY_ROUNDS = 30
BASELINE_CHANGES = 200


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="tickets that are not due")
    parser.add_argument("--large", type=int, default=1_000_000, help="the same, later")
    parser.add_argument("--due", type=int, default=1_000, help="tickets that are due, each time")
    options = parser.parse_args()
    with scratch_database():
        report = measure(options.small, options.large, options.due)
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


def measure(small: int, large: int, due: int) -> dict[str, Any]:
    """The figures at both sizes, and how they compare; times in milliseconds."""
    from agents.models import Role, User
    from tickets.models import EscalationRule
    from tickets.tests import promises

    requester = User.objects.create_user("asker", role=Role.CUSTOMER)
    policy = promises.policy(targets=promises.same(None, None, 8))
    promises.rule("Late", trigger=EscalationRule.Trigger.SLA_BREACHED, level=1)
    sizes: dict[int, dict[str, Any]] = {}
    filled = 0
    for size in (small, large):
        fill(size - filled, requester)
        filled = size
        # Once without counting: caches and statistics as they are in a desk that runs.
        round_of(due // 10, requester, policy)
        unit = baseline()
        empty = statistics.median(empty_rounds())
        per_ticket = round_of(due, requester, policy) * 1000 / due
        sizes[size] = {
            "baseline_ms": round(unit, 3),
            "empty_round_ms": round(empty, 3),
            "empty_round_to_baseline": round(empty / unit, 3),
            "per_due_ticket_ms": round(per_ticket, 3),
            "per_due_ticket_to_baseline": round(per_ticket / unit, 3),
            "plan": plan(),
        }
    first, last = sizes[small], sizes[large]
    names = ("empty_round_to_baseline", "per_due_ticket_to_baseline")
    return {
        "due": due,
        "sizes": {str(size): figures for size, figures in sizes.items()},
        "ratios": {name: round(last[name] / first[name], 2) for name in names},
    }


def fill(count: int, requester: Any) -> None:
    from django.db import connection

    from tickets.database import unhurried
    from tickets.sla import revision

    values = {"count": count, "requester": requester.pk, "revision": revision.current()}
    with unhurried("default"), connection.cursor() as cursor:
        cursor.execute(FILL, values)
        cursor.execute("VACUUM ANALYZE tickets_ticket")


def baseline() -> float:
    """Milliseconds of a transaction that locks one ticket and changes it, the median of many: what
    else the machine does at this moment, it does to both."""
    from django.db import transaction
    from django.db.models import F

    from tickets.locks import lock_ticket
    from tickets.models import Ticket

    found = []
    for pk in Ticket.objects.order_by("-pk").values_list("pk", flat=True)[:BASELINE_CHANGES]:
        started = time.perf_counter()
        with transaction.atomic():
            lock_ticket(pk)
            Ticket.objects.filter(pk=pk).update(version=F("version") + 1)
        found.append((time.perf_counter() - started) * 1000)
    return statistics.median(found)


def empty_rounds() -> list[float]:
    """How long rounds take that find nothing, in milliseconds."""
    from tickets import sweeps

    found = []
    for _ in range(EMPTY_ROUNDS):
        started = time.perf_counter()
        assert sweeps.escalate_tickets().handled == 0
        found.append((time.perf_counter() - started) * 1000)
    return found


def round_of(count: int, requester: Any, policy: Any) -> float:
    """Seconds that the sweep takes for so many overdue tickets."""
    from django.utils import timezone

    from servicedesk.sweeps import drain
    from tickets import sweeps
    from tickets.tests.crowds import overdue

    overdue(count, requester=requester, policy=policy, at=timezone.now() - timedelta(seconds=1))
    started = time.perf_counter()
    result = drain(sweeps.escalate_tickets, batch=500)
    seconds = time.perf_counter() - started
    assert (result.handled, result.failed) == (count, 0)
    return seconds


def plan() -> list[str]:
    """How PostgreSQL looks for what is due."""
    from django.utils import timezone

    from tickets.models import Ticket

    due = Ticket.objects.filter(next_sla_at__lte=timezone.now()).order_by("next_sla_at", "pk")
    return due.values_list("pk", flat=True)[:100_000].explain().splitlines()


if __name__ == "__main__":
    main()
