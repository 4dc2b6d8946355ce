"""What time alone does to a ticket, and the escalation rules."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError
from django.utils import timezone

from agents.models import Availability
from agents.services import update_agent
from tickets import services, sweeps
from tickets.events import announce
from tickets.lifecycle import Status
from tickets.models import (
    Alert,
    AssignmentDecision,
    EscalationRule,
    Kind,
    Notification,
    Priority,
    Ticket,
)
from tickets.sla import revision
from tickets.tests import promises
from tickets.tests.state import assert_consistent, kinds, snapshot

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Trigger = EscalationRule.Trigger


def opened(requester, at: datetime = NINE, **fields) -> Ticket:
    ticket = services.open_ticket(
        requester=requester, actor=requester, subject="VPN", at=at, **fields
    )
    return Ticket.objects.get(pk=ticket.pk)


def sweep(at: datetime) -> int:
    """The sweep at this moment; answers how many tickets it handled."""
    with time_machine.travel(at, tick=False):
        result = sweeps.escalate_tickets()
    assert not result.failed
    return result.handled


def escalations(ticket: Ticket) -> list[dict[str, Any]]:
    events = ticket.events.filter(kind=Kind.ESCALATED).order_by("seq")
    return list(events.values_list("data", flat=True))


def told(kind: str) -> set[str]:
    found = Notification.objects.filter(kind=kind)
    return set(found.values_list("user__username", flat=True))


def available(user, **fields) -> None:
    update_agent(agent=user.agent, at=NINE, availability=Availability.AVAILABLE, **fields)


# --- Warnings and breaches ------------------------------------------------------------


def test_the_sweep_warns_and_notes_breaches_once_however_often_it_comes(alice, bob) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    assert [sweep(NINE + hour * HOUR) for hour in (5, 6, 6, 7, 8, 8, 30)] == [0, 1, 0, 0, 1, 0, 0]
    assert kinds(ticket)[-2:] == [Kind.SLA_WARNED, Kind.SLA_BREACHED]
    assert told("sla_warned") == told("sla_breached") == {"bob"}
    assert_consistent()


def test_the_lead_hears_of_a_breach_and_the_customer_hears_nothing(alice, bob, dana, team) -> None:
    team.lead = dana
    team.save()
    available(bob, teams=[team])
    promises.policy(targets=promises.same(None, None, 8))
    opened(alice, team=team)
    sweep(NINE + 9 * HOUR)
    assert told("sla_breached") == {"bob", "dana"}


def test_what_has_ended_is_not_looked_at(alice, bob) -> None:
    promises.policy()
    promises.rule(trigger=Trigger.REOPENED, reopen_count=1, level=1)
    ticket = opened(alice)
    services.change_status(ticket=ticket, to=Status.CANCELLED, actor=alice, at=NINE)
    before = snapshot(ticket)
    assert sweep(NINE + 100 * HOUR) == 0
    assert snapshot(ticket) == before


def test_one_that_fails_holds_up_nobody(alice, monkeypatch) -> None:
    promises.policy()
    failing, fine = opened(alice), opened(alice, NINE + MINUTE)
    due = services.escalate_due

    def fails_for_one(*, ticket_id, at):
        if ticket_id == failing.pk:
            raise RuntimeError("broken")
        return due(ticket_id=ticket_id, at=at)

    monkeypatch.setattr(services, "escalate_due", fails_for_one)
    with time_machine.travel(NINE + 9 * HOUR, tick=False):
        result = sweeps.escalate_tickets(batch=1)
    assert (result.handled, result.failed) == (1, 1)
    assert Kind.SLA_BREACHED in kinds(fine)
    assert Kind.SLA_BREACHED not in kinds(failing)


# --- Rules ----------------------------------------------------------------------------


def test_a_breach_raises_level_and_priority_and_tells_whom_the_rule_names(alice, bob, sam) -> None:
    promises.policy(targets=promises.same(1, None, None))
    promises.rule(
        "Late answers",
        trigger=Trigger.SLA_BREACHED,
        level=2,
        raises_priority=True,
        notifies=["supervisors"],
    )
    ticket = opened(alice)
    sweep(NINE + 2 * HOUR)
    assert sweep(NINE + 3 * HOUR) == 0
    ticket.refresh_from_db()
    assert (ticket.escalation_level, ticket.priority) == (2, Priority.HIGH)
    (data,) = escalations(ticket)
    assert (data["level"], data["reason"], data["notifies"]) == (2, "Late answers", ["supervisors"])
    assert told("escalated") == {"sam"}


def test_steps_follow_each_other_by_working_time(alice) -> None:
    promises.policy(targets=promises.same(None, None, 8), calendar=promises.calendar())
    breached = Trigger.SLA_BREACHED
    promises.rule("At once", trigger=breached, metric="resolution", level=1)
    promises.rule("Next", trigger=breached, metric="resolution", level=2, after_seconds=3600)
    ticket = opened(alice)  # due at 17:00, and an hour of work later is 10:00
    levels = []
    for hours in (7.9, 8, 10, 24, 25):
        sweep(NINE + hours * HOUR)
        levels.append(Ticket.objects.get(pk=ticket.pk).escalation_level)
    assert levels == [0, 1, 1, 1, 2]


def test_a_rule_for_one_metric_leaves_the_others_alone(alice) -> None:
    promises.policy()
    promises.rule(trigger=Trigger.SLA_BREACHED, metric="resolution", level=1)
    ticket = opened(alice)
    sweep(NINE + 2 * HOUR)
    assert escalations(ticket) == []


def test_a_warning_may_escalate_too(alice) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    promises.rule(trigger=Trigger.SLA_WARNING, level=1)
    ticket = opened(alice)
    sweep(NINE + 6 * HOUR)
    assert Ticket.objects.get(pk=ticket.pk).escalation_level == 1


def test_no_first_response_waits_for_nobody_who_was_answered(alice, bob) -> None:
    promises.rule(trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=3600, level=1)
    forgotten, answered = opened(alice), opened(alice)
    services.post_message(ticket=answered, author=bob, body="Hello", at=NINE + MINUTE)
    sweep(NINE + 59 * MINUTE)
    assert escalations(forgotten) == []
    sweep(NINE + HOUR)
    assert [d["level"] for d in escalations(forgotten)] == [1]
    assert escalations(answered) == []


def test_each_stay_in_the_queue_counts_anew(alice, bob, sam) -> None:
    promises.rule(trigger=Trigger.UNASSIGNED, after_seconds=1800, notifies=["supervisors"])
    update_agent(agent=bob.agent, at=NINE, availability=Availability.OFFLINE)
    ticket = opened(alice)
    sweep(NINE + 30 * MINUTE)
    sweep(NINE + 50 * MINUTE)
    assert len(escalations(ticket)) == 1
    services.assign(ticket=ticket, to=bob, actor=sam, at=NINE + HOUR, force=True)
    services.assign(ticket=ticket, to=None, actor=sam, at=NINE + 2 * HOUR)
    sweep(NINE + 2 * HOUR + 29 * MINUTE)
    assert len(escalations(ticket)) == 1
    sweep(NINE + 2 * HOUR + 30 * MINUTE)
    assert len(escalations(ticket)) == 2
    # Nothing that the customer could see has changed.
    assert not ticket.events.filter(kind=Kind.ESCALATED, public_seq__isnull=False).exists()


def test_the_nth_reopening_escalates_once(alice, bob) -> None:
    promises.rule(trigger=Trigger.REOPENED, reopen_count=2, level=1)
    ticket, at = opened(alice), NINE
    seen = []
    for _ in range(4):
        at += HOUR
        services.change_status(
            ticket=ticket, to=Status.RESOLVED, actor=bob, at=at, resolution="Done."
        )
        services.post_message(ticket=ticket, author=alice, body="No.", at=at + MINUTE)
        sweep(at + 2 * MINUTE)
        seen.append(len(escalations(ticket)))
    assert seen == [0, 1, 1, 1]


def test_a_rule_is_about_its_teams_and_priorities_only(alice, team) -> None:
    promises.rule(
        "Network", trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=60, level=1, teams=[team]
    )
    promises.rule(
        "Urgent",
        trigger=Trigger.NO_FIRST_RESPONSE,
        after_seconds=60,
        level=2,
        min_priority=Priority.URGENT,
    )
    other, own = opened(alice), opened(alice, team=team)
    urgent = opened(alice, priority=Priority.CRITICAL)
    sweep(NINE + HOUR)
    levels = [Ticket.objects.get(pk=t.pk).escalation_level for t in (other, own, urgent)]
    assert levels == [0, 1, 2]


def test_a_level_is_never_lowered_by_a_rule(alice, sam) -> None:
    promises.rule(trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=60, level=1)
    ticket = opened(alice)
    services.escalate(ticket=ticket, reason="VIP", level=3, actor=sam, at=NINE)
    sweep(NINE + HOUR)
    assert Ticket.objects.get(pk=ticket.pk).escalation_level == 3


def test_an_inactive_rule_does_nothing_and_a_new_one_takes_up_what_is_open(alice) -> None:
    rule = promises.rule(
        trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=60, level=1, is_active=False
    )
    ticket = opened(alice)
    sweep(NINE + HOUR)
    assert escalations(ticket) == []
    EscalationRule.objects.filter(pk=rule.pk).update(is_active=True)
    revision.bump()
    with time_machine.travel(NINE + HOUR, tick=False):
        assert sweeps.recompute_clocks().handled == 1
        assert sweeps.recompute_clocks().handled == 0
    sweep(NINE + HOUR)
    assert len(escalations(ticket)) == 1


# --- The path -------------------------------------------------------------------------


@pytest.fixture
def desk(bob, dana, sam, team):
    """Bob works, dana leads, sam supervises; all are there."""
    team.lead = dana
    team.save()
    available(bob, teams=[team])
    return team


def test_the_path_goes_from_the_agent_to_the_lead_to_a_supervisor(
    alice, bob, dana, sam, desk
) -> None:
    ticket = opened(alice, team=desk)
    assert ticket.assignee == bob
    available(dana, teams=[desk])
    available(sam)
    holders = []
    for level in (1, 2, 3):
        services.escalate(ticket=ticket, reason="Late", actor=sam, at=NINE + level * MINUTE)
        ticket.refresh_from_db()
        holders.append(ticket.assignee)
    assert holders == [dana, sam, sam]
    methods = AssignmentDecision.objects.order_by("id").values_list("method", flat=True)
    assert list(methods) == ["auto", "escalation", "escalation"]
    assert_consistent()


def test_a_lead_who_is_away_or_full_is_passed_over(alice, bob, dana, sam, desk) -> None:
    ticket = opened(alice, team=desk)
    available(dana, capacity=0)
    available(sam)
    services.escalate(ticket=ticket, reason="Late", actor=sam, at=NINE)
    ticket.refresh_from_db()
    assert ticket.assignee == sam


def test_where_nobody_is_there_the_ticket_stays(alice, bob, sam, desk) -> None:
    ticket = opened(alice, team=desk)
    services.escalate(ticket=ticket, reason="Late", actor=sam, at=NINE)
    ticket.refresh_from_db()
    assert (ticket.assignee, ticket.escalation_level) == (bob, 1)
    assert_consistent()


def test_a_rule_hands_the_ticket_up(alice, bob, dana, desk) -> None:
    promises.rule(trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=60, reassigns=True)
    ticket = opened(alice, team=desk)
    available(dana, teams=[desk])
    sweep(NINE + HOUR)
    sweep(NINE + 2 * HOUR)
    ticket.refresh_from_db()
    assert ticket.assignee == dana
    assert AssignmentDecision.objects.filter(method="escalation").count() == 1
    assert_consistent()


# --- The ledger -----------------------------------------------------------------------


def test_an_event_that_is_heard_twice_tells_everybody_once(alice, bob) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    sweep(NINE + 8 * HOUR)
    before = Notification.objects.count()
    announce(list(ticket.events.filter(kind=Kind.SLA_BREACHED).select_related("ticket")))
    assert Notification.objects.count() == before


def test_the_database_refuses_the_same_alert_twice(alice) -> None:
    ticket = opened(alice)
    same = {"ticket": ticket, "occasion": "resolution", "cycle": 1, "step": "breach"}
    Alert.objects.create(**same, at=NINE)
    with pytest.raises(IntegrityError):
        Alert.objects.create(**same, at=NINE)


# --- The command ----------------------------------------------------------------------


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("escalate_tickets", *arguments, "--json", stdout=out)
    report: dict[str, Any] = orjson.loads(out.getvalue())
    return report


def test_the_command_reports_what_it_did_and_the_second_run_does_nothing(alice) -> None:
    promises.policy()
    for _ in range(3):
        opened(alice, timezone.now() - 100 * HOUR)
    first, second = run("--batch", "2"), run()
    assert (first["handled"], first["skipped"], first["failed"]) == (3, 0, 0)
    assert second["handled"] == 0
    assert first["seconds"] >= 0


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(alice, bob, dana, desk) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    promises.rule("Late", trigger=Trigger.SLA_BREACHED, level=1, reassigns=True)
    ticket = opened(alice, timezone.now() - 9 * HOUR, team=desk)
    available(dana, teams=[desk])
    before = snapshot(ticket)
    report = run("--dry-run")
    assert snapshot(ticket) == before
    assert Alert.objects.count() == 0
    assert [effect["event"] for effect in report["effects"]] == [
        Kind.SLA_BREACHED,
        Kind.ESCALATED,
        Kind.ASSIGNED,
    ]
    assert {effect["ticket"] for effect in report["effects"]} == {ticket.pk}
    assert run()["handled"] == 1
