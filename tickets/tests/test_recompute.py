"""Working clocks out anew, and how a sweep reads what waits for it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from servicedesk.sweeps import SweepResult, drain
from tickets import services
from tickets.locks import lock_ticket
from tickets.models import SlaClock, Ticket
from tickets.sla import revision
from tickets.sweeps import recompute_clocks
from tickets.sweeps.rows import ids_of
from tickets.tests import promises
from tickets.tests.state import assert_consistent
from tickets.tests.test_races import Meeting, at_once, both_ways, everywhere

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def stale(alice) -> list[Ticket]:
    """Tickets whose resolution is promised within eight hours by now, and was within four."""
    policy = promises.policy(targets=promises.same(None, None, 4))
    tickets = [
        services.open_ticket(requester=alice, actor=alice, subject="x", at=NINE) for _ in range(12)
    ]
    policy.targets.update(resolution=8 * 3600)
    revision.bump()
    return tickets


def due() -> set[datetime | None]:
    return set(SlaClock.objects.values_list("due_at", flat=True))


def test_a_changed_promise_is_taken_up_once(stale) -> None:
    assert services.recompute(ticket_id=stale[0].pk, at=NINE + HOUR) is True
    assert services.recompute(ticket_id=stale[0].pk, at=NINE + HOUR) is False
    assert drain(recompute_clocks, batch=5) == SweepResult(handled=11)
    assert due() == {NINE + 8 * HOUR}
    assert recompute_clocks() == SweepResult()


def test_a_ticket_that_fails_does_not_hold_up_the_others(stale, monkeypatch) -> None:
    recompute, bad = services.recompute, {ticket.pk for ticket in stale[:7]}

    def broken(*, ticket_id: int, at: datetime) -> bool:
        if ticket_id in bad:
            raise RuntimeError("broken")
        return recompute(ticket_id=ticket_id, at=at)

    monkeypatch.setattr(services, "recompute", broken)
    # Those that fail fill more than one slice of what is read at a time.
    assert recompute_clocks(batch=2) == SweepResult(handled=2, failed=7)
    assert drain(recompute_clocks, batch=2).handled == 3
    assert Ticket.objects.filter(sla_revision__lt=revision.current()).count() == 7


def test_a_batch_reads_no_more_than_it_needs(stale) -> None:
    with CaptureQueriesContext(connection) as queries:
        recompute_clocks(batch=2)
    first = next(query["sql"] for query in queries if "sla_revision" in query["sql"])
    assert "LIMIT 4" in first
    assert "description" not in first


def test_what_sweeps_go_through_is_read_in_its_order_whatever_the_slice(alice) -> None:
    """Also where the order has both ways, and many rows have the same key."""
    hours = [0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 4]
    rows = Ticket.objects.bulk_create(
        Ticket(
            subject="x",
            requester=alice,
            priority=1 + (number * 7) % 3,
            created_at=NINE + hour * HOUR,
        )
        for number, hour in enumerate(hours)
    )
    wanted = [
        row.pk for row in sorted(rows, key=lambda row: (-row.priority, row.created_at, row.pk))
    ]
    for size in (1, 2, 3, 6, 7, 50):
        assert list(ids_of(Ticket.objects.all(), ("-priority", "created_at", "pk"), size)) == wanted


def test_no_call_goes_on_for_ever(alice, monkeypatch) -> None:
    monkeypatch.setattr("tickets.sweeps.rows.LONGEST_ROUND", 6)
    Ticket.objects.bulk_create(Ticket(subject="x", requester=alice) for _ in range(20))
    assert len(list(ids_of(Ticket.objects.all(), ("updated_at", "pk"), 1))) == 6


# --- Many at once ---------------------------------------------------------------------


@pytest.mark.postgres
@both_ways
def test_two_workers_share_the_work_and_do_nothing_twice(stale, protected, monkeypatch) -> None:
    if not protected:
        meeting = Meeting(2)

        def look(pk: int) -> Ticket:
            ticket = Ticket.objects.select_related("requester").get(pk=pk)
            meeting.wait()
            return ticket

        everywhere(monkeypatch, "lock_free_ticket", look)
        calls = [lambda: services.recompute(ticket_id=stale[0].pk, at=NINE + HOUR)] * 2
        assert at_once(*calls) == [True, True]
        return
    results = at_once(*[lambda: drain(recompute_clocks, batch=2)] * 3)
    assert sum(result.handled for result in results) == len(stale)
    assert sum(result.failed for result in results) == 0
    assert due() == {NINE + 8 * HOUR}
    assert_consistent()


@pytest.mark.postgres
def test_what_somebody_has_in_hand_is_left_to_them(stale) -> None:
    held, meeting = stale[0], Meeting(2)

    def hold() -> None:
        with transaction.atomic():
            lock_ticket(held.pk)
            meeting.wait()
            meeting.wait()

    def sweep() -> SweepResult:
        meeting.wait()
        result = recompute_clocks()
        meeting.wait()
        return result

    _, result = at_once(hold, sweep)
    assert result == SweepResult(handled=len(stale) - 1, skipped=1)
