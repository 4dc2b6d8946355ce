"""What nobody comes back to is closed, once and on time."""

import importlib
import json
from copy import copy
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from agents.models import User
from servicedesk import sweeps as worker
from servicedesk.sweeps import SweepResult, drain
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Kind, Notification, Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.sweeps import close_resolved_tickets
from tickets.tests.state import assert_consistent, kinds, snapshot
from tickets.tests.test_races import Meeting, at_once, everywhere

closing = importlib.import_module("tickets.services.close")
AFTER = timedelta(days=5)
both_ways = pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)


@pytest.fixture
def at() -> datetime:
    return timezone.now() - timedelta(days=30)


def resolved(requester: User, agent: User, at: datetime, subject: str = "x") -> Ticket:
    ticket = services.open_ticket(requester=requester, subject=subject, actor=requester, at=at)
    return services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=agent, at=at, resolution="Restarted it."
    )


def sweep_at(at: datetime, batch: int = 100) -> SweepResult:
    with time_machine.travel(at, tick=False):
        return close_resolved_tickets(batch=batch)


def statuses(*tickets: Ticket) -> list[str]:
    return [Ticket.objects.get(pk=ticket.pk).status for ticket in tickets]


# --- When, and what of it is seen -----------------------------------------------------


@pytest.mark.parametrize(
    ("after", "status"),
    [
        (timedelta(0), "resolved"),
        (AFTER - timedelta(microseconds=1), "resolved"),
        (AFTER, "closed"),
        (AFTER + timedelta(days=400), "closed"),
    ],
)
def test_a_resolved_ticket_is_closed_after_five_days(alice, bob, at, after, status) -> None:
    ticket = resolved(alice, bob, at)

    assert sweep_at(at + after) == SweepResult(handled=int(status == "closed"))

    assert statuses(ticket) == [status]
    assert_consistent()


def test_the_time_is_a_setting(alice, bob, at, settings) -> None:
    settings.AUTO_CLOSE_AFTER = timedelta(hours=1)
    ticket = resolved(alice, bob, at)
    # The sweep and the service ask the same setting.
    assert services.close_resolved(ticket_id=ticket.pk, at=at + timedelta(minutes=59)) is False
    assert sweep_at(at + timedelta(hours=1)).handled == 1


def test_the_desk_closes_at_the_moment_of_the_sweep(alice, bob, at) -> None:
    ticket = resolved(alice, bob, at)
    moment = at + timedelta(days=9)
    version = ticket.version

    sweep_at(moment)

    ticket.refresh_from_db()
    last = ticket.events.order_by("seq").last()
    assert last is not None
    assert (ticket.resolved_at, ticket.closed_at, ticket.version) == (at, moment, version + 1)
    assert (last.kind, last.actor, last.at) == (Kind.STATUS_CHANGED, None, moment)
    assert last.data == last.public_data == {"from": "resolved", "to": "closed"}
    assert ticket.resolution == "Restarted it."


def test_nobody_is_told_that_a_ticket_was_closed_by_itself(alice, bob, sam, at) -> None:
    resolved(alice, bob, at)
    Notification.objects.all().delete()

    sweep_at(at + AFTER)

    assert not Notification.objects.exists()


def test_only_resolved_tickets_are_closed(alice, bob, sam, at) -> None:
    tickets = []
    for to in (None, Status.PENDING, Status.ON_HOLD, Status.CANCELLED):
        ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=at)
        if to is not None:
            services.change_status(ticket=ticket, to=to, actor=bob, at=at, comment="x")
        tickets.append(ticket)
    closed = resolved(alice, bob, at)
    services.change_status(ticket=closed, to=Status.CLOSED, actor=alice, at=at)
    tickets.append(closed)
    before = snapshot(*tickets)

    assert sweep_at(at + timedelta(days=100)) == SweepResult()
    assert not any(services.close_resolved(ticket_id=t.pk, at=timezone.now()) for t in tickets)

    assert snapshot(*tickets) == before


def test_the_days_count_from_the_last_resolution(alice, bob, at) -> None:
    ticket = resolved(alice, bob, at)
    again = at + timedelta(days=4)
    services.post_message(ticket=ticket, author=alice, body="It is back.", at=again)
    assert sweep_at(at + AFTER) == SweepResult()
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=bob, at=again, resolution="New cable."
    )

    assert sweep_at(again + AFTER - timedelta(seconds=1)) == SweepResult()
    assert sweep_at(again + AFTER) == SweepResult(handled=1)


def test_the_customer_may_still_reopen_what_closed_by_itself(alice, bob, at) -> None:
    ticket = resolved(alice, bob, at)
    sweep_at(at + AFTER)

    services.post_message(ticket=ticket, author=alice, body="No.", at=at + timedelta(days=19))

    ticket.refresh_from_db()
    assert (ticket.status, ticket.reopen_count, ticket.closed_at) == ("open", 1, None)
    assert_consistent()


# --- Many, twice, and what fails ------------------------------------------------------


def test_twice_is_the_same_as_once(alice, bob, at) -> None:
    tickets = [resolved(alice, bob, at) for _ in range(3)]

    assert sweep_at(at + AFTER) == SweepResult(handled=3)
    before = snapshot(*tickets)
    assert sweep_at(at + AFTER * 2) == SweepResult()

    assert snapshot(*tickets) == before


def test_the_longest_resolved_are_closed_first_and_a_batch_at_a_time(alice, bob, at) -> None:
    tickets = [resolved(alice, bob, at + timedelta(hours=hour)) for hour in (2, 0, 1)]

    assert sweep_at(at + timedelta(days=10), batch=2) == SweepResult(handled=2)
    assert statuses(*tickets) == ["resolved", "closed", "closed"]
    assert drain(close_resolved_tickets, batch=2).handled == 1


def test_a_ticket_that_fails_does_not_hold_up_the_others(
    alice, bob, at, monkeypatch, caplog
) -> None:
    bad, *good = [resolved(alice, bob, at + timedelta(hours=hour)) for hour in range(4)]
    apply = closing.move_by_itself

    def broken(ticket, *args, **kwargs):
        if ticket.pk == bad.pk:
            raise RuntimeError("broken")
        return apply(ticket, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(closing, "move_by_itself", broken)
        # The one that fails stands first in every batch.
        assert drain(close_resolved_tickets, batch=1) == SweepResult(handled=3, failed=4)
    assert statuses(bad, *good) == ["resolved", "closed", "closed", "closed"]
    assert "close_failed" in caplog.text

    assert close_resolved_tickets() == SweepResult(handled=1)


def test_the_command_tells_what_it_did(alice, bob, at) -> None:
    resolved(alice, bob, at)
    reports = []
    for _ in range(2):
        out = StringIO()
        call_command("close_resolved_tickets", "--json", "--batch", "1", stdout=out)
        reports.append(json.loads(out.getvalue()))
    assert [report["handled"] for report in reports] == [1, 0]
    assert set(reports[0]) == {"handled", "skipped", "failed", "seconds"}


def test_the_worker_closes_what_is_due(alice, bob, at) -> None:
    ticket = resolved(alice, bob, at)
    assert worker.run_round(batch=10)["close_resolved_tickets"].handled == 1
    assert statuses(ticket) == ["closed"]


def test_what_is_not_due_costs_one_short_look(
    alice, bob, at, django_assert_num_queries, django_assert_max_num_queries
) -> None:
    for _ in range(20):
        resolved(alice, bob, at)
    with time_machine.travel(at + timedelta(days=1)), django_assert_num_queries(1):
        close_resolved_tickets()
    with (
        time_machine.travel(at + AFTER),
        django_assert_max_num_queries(2 + 20 * 12),
    ):
        assert close_resolved_tickets().handled == 20


def test_the_due_tickets_are_found_by_an_index(alice) -> None:
    long_ago = timezone.now() - 2 * AFTER
    ended = {"requester": alice, "subject": "x", "resolved_at": long_ago}
    closed = Ticket(status=Status.CLOSED, closed_at=long_ago, **ended)
    resolved = Ticket(status=Status.RESOLVED, **ended)
    Ticket.objects.bulk_create([copy(closed) for _ in range(3000)], batch_size=1000)
    Ticket.objects.bulk_create([copy(resolved) for _ in range(1000)], batch_size=1000)
    due = Ticket.objects.filter(status=Status.RESOLVED, resolved_at__lte=timezone.now() - AFTER)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tickets_ticket")
    plan = due.order_by("resolved_at", "pk").values_list("pk")[:10].explain()
    # SQLite does not know what a parameter will be, and so whether a partial index holds it.
    assert ("tickets_resolved" if connection.vendor == "postgresql" else "SEARCH") in plan


# --- Many at once ---------------------------------------------------------------------


def without_lock(monkeypatch, parties: int) -> None:
    """Take the lock of the sweep and of replies away, and let all look before anybody writes."""
    meeting, read = Meeting(parties), closing.lock_free_ticket

    def look(pk: int, expected: Any = None) -> Ticket | None:
        ticket: Ticket | None = read(pk)
        meeting.wait()
        return ticket

    monkeypatch.setattr(TicketQuerySet, "select_for_update", lambda rows, **options: rows.all())
    everywhere(monkeypatch, "lock_free_ticket", look)
    everywhere(monkeypatch, "lock_ticket", look)


@pytest.mark.postgres
@both_ways
def test_sweepers_that_run_at_once_close_each_ticket_once(
    alice, bob, at, protected, monkeypatch, caplog
) -> None:
    tickets = [resolved(alice, bob, at) for _ in range(20 if protected else 1)]
    if not protected:
        without_lock(monkeypatch, parties=4)

    results = at_once(*[close_resolved_tickets] * 4)

    if not protected:
        # Only the log's unique numbers are left to tell the others that they came too late.
        assert sum(result.failed for result in results) > 0
        assert "close_failed" in caplog.text
        return
    assert sum(result.handled for result in results) == len(tickets)
    assert sum(result.failed for result in results) == 0
    for ticket in tickets:
        assert kinds(ticket).count(Kind.STATUS_CHANGED) == 3
    assert_consistent()


@pytest.mark.postgres
@both_ways
def test_a_reply_at_that_very_moment_keeps_the_ticket_open(
    alice, bob, at, protected, monkeypatch
) -> None:
    """Whoever comes first: a reply opens what has just been closed, and is never shut in."""
    rounds = 15 if protected else 1
    tickets = [resolved(alice, bob, at) for _ in range(rounds)]
    if not protected:
        without_lock(monkeypatch, parties=2)

    def reply(ticket: Ticket):
        services.post_message(ticket=ticket, author=alice, body="No!", at=timezone.now())

    answers = []
    for ticket in tickets:
        answers += at_once(
            partial(reply, ticket),
            partial(services.close_resolved, ticket_id=ticket.pk, at=timezone.now()),
        )

    failures = [answer for answer in answers if isinstance(answer, Exception)]
    assert bool(failures) is not protected
    if protected:
        assert set(statuses(*tickets)) == {"open"}
        assert_consistent()


@pytest.mark.postgres
def test_a_ticket_that_somebody_has_in_hand_is_passed_over(alice, bob, at) -> None:
    busy, free = (resolved(alice, bob, at) for _ in range(2))
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=busy.pk)
        (result,) = at_once(close_resolved_tickets)
    assert result == SweepResult(handled=1, skipped=1)
    assert statuses(busy, free) == ["resolved", "closed"]
    assert close_resolved_tickets() == SweepResult(handled=1)
