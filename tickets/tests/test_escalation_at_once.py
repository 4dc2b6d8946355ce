"""Several `escalate_tickets` at once, each a process of its own, one of them killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from servicedesk.tests.processes import ROOT
from tickets import services, sweeps
from tickets.models import Alert, EscalationRule, Kind, Notification, Priority, Ticket, TicketEvent
from tickets.tests import promises
from tickets.tests.crowds import overdue
from tickets.tests.state import assert_consistent
from tickets.tests.test_races import Meeting, at_once, everywhere

pytestmark = pytest.mark.postgres

# The whole form, 10,000, is `make chaos`.
TICKETS = int(os.environ.get("CHAOS_TICKETS", "240"))
SWEEPERS = 4


def sweeper(*arguments: str) -> subprocess.Popen[bytes]:
    """`manage.py escalate_tickets` on this test's database."""
    its = connection.settings_dict
    address = f"{its['HOST'] or '127.0.0.1'}:{its['PORT'] or 5432}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.testing",
        "DATABASE_URL": f"postgres://{its['USER']}:{its['PASSWORD']}@{address}/{its['NAME']}",
    }
    command = [sys.executable, "manage.py", "escalate_tickets", "--json", "--batch", "50"]
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )


@pytest.fixture
def due(alice, sam) -> list[Ticket]:
    """Tickets that are overdue, under a rule whose effects would show if they happened twice."""
    policy = promises.policy(targets=promises.same(None, None, 8))
    promises.rule(
        "Late",
        trigger=EscalationRule.Trigger.SLA_BREACHED,
        level=1,
        raises_priority=True,
        notifies=["supervisors"],
    )
    return overdue(TICKETS, requester=alice, policy=policy, at=timezone.now())


def assert_each_effect_once() -> None:
    happened = Counter(TicketEvent.objects.values_list("ticket", "kind"))
    assert set(happened.values()) == {1}
    kinds = Counter(kind for _, kind in happened)
    assert kinds == dict.fromkeys((Kind.OPENED, Kind.SLA_BREACHED, Kind.ESCALATED), TICKETS)
    assert Counter(Alert.objects.values_list("step", flat=True)).total() == 2 * TICKETS
    raised = set(Ticket.objects.values_list("escalation_level", "priority", "next_sla_at"))
    assert raised == {(1, Priority.HIGH, None)}


def assert_everybody_told_once() -> None:
    told = Notification.objects.filter(kind=Notification.Kind.ESCALATED)
    assert Counter(told.values_list("ticket", flat=True)) == dict.fromkeys(
        Ticket.objects.values_list("pk", flat=True), 1
    )


def test_four_at_once_do_each_thing_once_and_a_fifth_does_nothing(due) -> None:
    running = [sweeper() for _ in range(SWEEPERS)]
    reports = [json.loads(process.communicate(timeout=500)[0]) for process in running]
    assert sum(report["handled"] for report in reports) == TICKETS
    assert all(report["failed"] == 0 for report in reports)
    assert sum(report["handled"] > 0 for report in reports) > 1
    assert_each_effect_once()
    assert_everybody_told_once()
    assert_consistent()
    last = sweeper()
    assert json.loads(last.communicate(timeout=100)[0])["handled"] == 0
    assert_each_effect_once()


def test_one_that_is_killed_in_the_middle_leaves_nothing_undone_or_done_twice(
    due, monkeypatch
) -> None:
    running = [sweeper() for _ in range(SWEEPERS)]
    deadline = time.monotonic() + 300
    while Alert.objects.count() < TICKETS // 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim = running.pop()
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait(30) == -signal.SIGKILL
    assert Alert.objects.count() < 2 * TICKETS, "it was killed too late to be in the middle"
    for process in running:
        process.communicate(timeout=500)
        assert process.returncode == 0
    assert json.loads(sweeper().communicate(timeout=500)[0])["failed"] == 0
    assert_each_effect_once()
    # What the dead process had committed and not announced is made up for by its own sweep.
    monkeypatch.setattr("tickets.sweeps.announcing.GRACE", timedelta(0))
    while sweeps.announce_events().handled:
        pass
    assert_everybody_told_once()
    assert_consistent()


def test_who_is_asked_to_stop_finishes_the_batch_in_hand(due) -> None:
    running = sweeper("--loop", "--interval", "60")
    deadline = time.monotonic() + 60
    while not Alert.objects.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.terminate()
    report = json.loads(running.communicate(timeout=30)[0])
    assert running.returncode == 0
    # Whole tickets, whole batches, and no more of them than were begun.
    assert report["failed"] == 0
    assert report["handled"] % 50 == 0
    assert 0 < report["handled"] < TICKETS
    assert Alert.objects.count() == 2 * report["handled"]
    assert_consistent()


def test_without_the_lock_the_database_still_refuses_the_second(due, monkeypatch) -> None:
    """Two that look at the same moment: one does it, the other fails and changes nothing."""
    one = due[0]
    meeting = Meeting(2)

    def look_without_a_lock(pk: int) -> Ticket:
        ticket = Ticket.objects.select_related("requester").get(pk=pk)
        meeting.wait()
        return ticket

    everywhere(monkeypatch, "lock_free_ticket", look_without_a_lock)
    now = timezone.now()
    answers = at_once(*[lambda: services.escalate_due(ticket_id=one.pk, at=now)] * 2)
    assert sorted(type(answer).__name__ for answer in answers) == ["IntegrityError", "Ticket"]
    found = Counter(TicketEvent.objects.filter(ticket=one).values_list("kind", flat=True))
    assert found == {Kind.OPENED: 1, Kind.SLA_BREACHED: 1, Kind.ESCALATED: 1}
