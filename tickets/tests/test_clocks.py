"""The clocks of service levels follow what happens to a ticket."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets import services, sweeps
from tickets.events import record
from tickets.lifecycle import Status
from tickets.models import (
    Alert,
    CalendarDate,
    EscalationRule,
    Kind,
    Priority,
    SlaClock,
    SlaPolicy,
    Ticket,
)
from tickets.services import setup
from tickets.sla import revision
from tickets.tests import promises
from tickets.tests.state import assert_consistent, kinds
from tickets.tests.test_races import at_once

# A Monday.
NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def opened(requester, at: datetime = NINE, **fields) -> Ticket:
    ticket = services.open_ticket(
        requester=requester, actor=requester, subject="VPN", at=at, **fields
    )
    return Ticket.objects.get(pk=ticket.pk)


def say(ticket: Ticket, author, at: datetime, **fields) -> None:
    services.post_message(ticket=ticket, author=author, body="text", at=at, **fields)


def move(ticket: Ticket, to: Status, actor, at: datetime, **fields) -> None:
    services.change_status(ticket=ticket, to=to, actor=actor, at=at, **fields)


def look(ticket: Ticket, at: datetime) -> None:
    """What the sweep does with the ticket."""
    services.escalate_due(ticket_id=ticket.pk, at=at)


def clock(ticket: Ticket, metric: str, cycle: int = 1) -> SlaClock:
    return SlaClock.objects.get(ticket=ticket, metric=metric, cycle=cycle)


def standing(ticket: Ticket) -> str:
    return Ticket.objects.get(pk=ticket.pk).sla_standing


def test_without_a_policy_there_are_no_clocks_and_nothing_breaks(alice, bob) -> None:
    ticket = opened(alice)
    say(ticket, bob, NINE + HOUR)
    move(ticket, Status.RESOLVED, bob, NINE + 2 * HOUR)
    look(ticket, NINE + 3 * HOUR)
    assert not SlaClock.objects.exists()
    assert standing(ticket) == "none"
    assert Ticket.objects.get().next_sla_at is None


def test_a_new_ticket_has_a_clock_for_each_promise_from_its_opening(alice) -> None:
    promises.policy(calendar=promises.calendar())
    ticket = opened(alice, NINE + 7 * HOUR + 30 * MINUTE)  # 16:30
    first, whole = clock(ticket, "first_response"), clock(ticket, "resolution")
    assert (first.state, first.due_at) == ("running", NINE + DAY + 30 * MINUTE)
    assert (whole.state, whole.due_at) == ("running", NINE + DAY + 7 * HOUR + 30 * MINUTE)
    assert not SlaClock.objects.filter(metric="next_response").exists()
    assert ticket.sla_policy is not None
    assert (ticket.sla_due_at, ticket.next_sla_at) == (first.due_at, first.warn_at)
    assert first.warn_at == NINE + DAY + 15 * MINUTE


def test_the_desks_first_public_answer_meets_the_first_response(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    say(ticket, bob, NINE + 10 * MINUTE, is_internal=True)
    say(ticket, alice, NINE + 20 * MINUTE)
    assert clock(ticket, "first_response").state == "running"
    say(ticket, bob, NINE + 30 * MINUTE)
    first = clock(ticket, "first_response")
    assert (first.state, first.met_at, first.elapsed_seconds) == ("met", NINE + 30 * MINUTE, 1800)
    assert not SlaClock.objects.filter(metric="next_response").exists()


def test_each_question_after_an_answer_starts_a_next_response(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    say(ticket, bob, NINE + 5 * MINUTE)
    say(ticket, alice, NINE + HOUR)
    say(ticket, alice, NINE + HOUR + 30 * MINUTE)
    asked = clock(ticket, "next_response")
    assert (asked.started_at, asked.due_at) == (NINE + HOUR, NINE + 3 * HOUR)
    say(ticket, bob, NINE + 2 * HOUR)
    say(ticket, alice, NINE + 4 * HOUR)
    assert clock(ticket, "next_response").state == "met"
    assert clock(ticket, "next_response", 2).due_at == NINE + 6 * HOUR


def test_an_answer_at_the_due_time_is_in_time_and_a_microsecond_later_it_is_not(alice, bob) -> None:
    promises.policy()
    punctual, late = opened(alice), opened(alice)
    say(punctual, bob, NINE + HOUR)
    say(late, bob, NINE + HOUR + timedelta(microseconds=1))
    assert clock(punctual, "first_response").state == "met"
    broken = clock(late, "first_response")
    assert (broken.state, broken.breached_at) == ("breached", NINE + HOUR)
    assert broken.met_at == NINE + HOUR + timedelta(microseconds=1)
    assert kinds(late).count(Kind.SLA_BREACHED) == 1
    assert standing(late) == "breached"


def test_a_paused_ticket_has_no_due_time_and_gets_its_time_back(alice, bob) -> None:
    promises.policy(calendar=promises.calendar())
    ticket = opened(alice)
    move(ticket, Status.PENDING, bob, NINE + HOUR, comment="Which one?")
    paused = clock(ticket, "resolution")
    assert (paused.state, paused.due_at, paused.warn_at) == ("paused", None, None)
    shown = Ticket.objects.get()
    assert (shown.sla_standing, shown.sla_due_at, shown.next_sla_at) == ("paused", None, None)
    say(ticket, alice, NINE + DAY + 2 * HOUR)  # a night and nine working hours later
    resumed = clock(ticket, "resolution")
    assert (resumed.state, resumed.due_at) == ("running", NINE + 2 * DAY + HOUR)


def test_a_status_that_the_policy_does_not_pause_in_pauses_nothing(alice, bob) -> None:
    promises.policy(pauses=["pending"])
    ticket = opened(alice)
    move(ticket, Status.ON_HOLD, bob, NINE + HOUR)
    assert clock(ticket, "resolution").due_at == NINE + 8 * HOUR


def test_going_from_one_pause_to_another_is_one_pause(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    move(ticket, Status.PENDING, bob, NINE + HOUR, comment="Which one?")
    move(ticket, Status.ON_HOLD, bob, NINE + 2 * HOUR)
    move(ticket, Status.OPEN, bob, NINE + 5 * HOUR)
    assert clock(ticket, "resolution").due_at == NINE + 12 * HOUR


def test_resolving_meets_what_is_left_and_the_ticket_is_met(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    move(ticket, Status.RESOLVED, bob, NINE + 30 * MINUTE, resolution="Rebooted.")
    assert {c.metric: c.state for c in ticket.clocks.all()} == {
        "first_response": "met",
        "resolution": "met",
    }
    assert (standing(ticket), Ticket.objects.get().next_sla_at) == ("met", None)


def test_cancelling_cancels_what_is_left(alice) -> None:
    promises.policy()
    ticket = opened(alice)
    move(ticket, Status.CANCELLED, alice, NINE + 30 * MINUTE)
    assert {c.state for c in ticket.clocks.all()} == {"cancelled"}
    assert standing(ticket) == "none"


def test_reopening_goes_on_where_the_resolution_stopped_the_clock(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    say(ticket, bob, NINE + 10 * MINUTE)
    move(ticket, Status.RESOLVED, bob, NINE + 3 * HOUR)
    say(ticket, alice, NINE + 2 * DAY)
    whole = clock(ticket, "resolution")
    assert (whole.state, whole.met_at) == ("running", None)
    assert whole.due_at == NINE + 2 * DAY + 5 * HOUR
    assert clock(ticket, "next_response").due_at == NINE + 2 * DAY + 2 * HOUR


def test_a_promise_broken_before_a_reopening_stays_broken_and_is_told_once(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    say(ticket, bob, NINE + 10 * MINUTE)
    move(ticket, Status.RESOLVED, bob, NINE + 9 * HOUR)
    say(ticket, alice, NINE + 10 * HOUR)
    look(ticket, NINE + 20 * HOUR)
    whole = clock(ticket, "resolution")
    assert (whole.state, whole.breached_at) == ("breached", NINE + 8 * HOUR)
    told = ticket.events.filter(kind=Kind.SLA_BREACHED).values_list("data__metric", flat=True)
    assert sorted(told) == ["next_response", "resolution"]


def test_a_new_priority_moves_the_due_times(alice, bob, sam) -> None:
    promises.policy(
        targets={
            Priority.NORMAL: (HOUR.seconds, None, 8 * HOUR.seconds),
            Priority.URGENT: (600, None, 2 * HOUR.seconds),
        }
    )
    ticket = opened(alice)
    services.change_priority(
        ticket=ticket, to=Priority.URGENT, actor=sam, at=NINE + timedelta(minutes=5)
    )
    assert clock(ticket, "first_response").due_at == NINE + 10 * MINUTE
    assert clock(ticket, "resolution").due_at == NINE + 2 * HOUR
    services.change_priority(
        ticket=ticket, to=Priority.LOW, actor=sam, at=NINE + timedelta(minutes=6)
    )
    assert {c.state for c in ticket.clocks.all()} == {"cancelled"}
    services.change_priority(
        ticket=ticket, to=Priority.NORMAL, actor=sam, at=NINE + timedelta(minutes=7)
    )
    assert clock(ticket, "first_response").due_at == NINE + HOUR


def test_a_pause_before_a_new_priority_still_counts(alice, bob, sam) -> None:
    promises.policy(
        targets={Priority.NORMAL: (None, None, 8 * 3600), Priority.HIGH: (None, None, 4 * 3600)}
    )
    ticket = opened(alice)
    move(ticket, Status.ON_HOLD, bob, NINE + HOUR)
    move(ticket, Status.OPEN, bob, NINE + 2 * HOUR)
    services.change_priority(ticket=ticket, to=Priority.HIGH, actor=sam, at=NINE + 3 * HOUR)
    assert clock(ticket, "resolution").due_at == NINE + 5 * HOUR


def test_the_first_policy_that_applies_is_the_tickets(alice, sam, team) -> None:
    promises.policy("Standard")
    gold = promises.policy("Gold", position=1, teams=[team], targets=promises.same(0.5, 1, 2))
    ticket = opened(alice)
    assert ticket.sla_policy is not None
    assert ticket.sla_policy.name == "Standard"
    services.update_ticket(ticket=ticket, actor=sam, at=NINE + MINUTE, fields={"team": team})
    ticket.refresh_from_db()
    assert ticket.sla_policy_id == gold.pk
    assert clock(ticket, "resolution").due_at == NINE + 2 * HOUR


def test_a_policy_for_a_requester_applies_to_nobody_else(alice, charlie) -> None:
    promises.policy("Gold", requesters=[alice])
    assert opened(alice).sla_policy is not None
    assert opened(charlie).sla_policy is None


def test_the_warning_comes_once_at_three_quarters_and_the_breach_once(alice) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    look(ticket, NINE + 5 * HOUR)
    assert Kind.SLA_WARNED not in kinds(ticket)
    for minutes in (0, 1, 30):
        look(ticket, NINE + 6 * HOUR + minutes * MINUTE)
    assert kinds(ticket).count(Kind.SLA_WARNED) == 1
    assert Ticket.objects.get().next_sla_at == NINE + 8 * HOUR
    for minutes in (0, 1, 30):
        look(ticket, NINE + 8 * HOUR + minutes * MINUTE)
    assert kinds(ticket).count(Kind.SLA_BREACHED) == 1
    assert Ticket.objects.get().next_sla_at is None
    steps = list(Alert.objects.values_list("occasion", "cycle", "step"))
    assert steps == [("resolution", 1, "warning"), ("resolution", 1, "breach")]
    assert_consistent(announced=False)


def test_after_a_long_sleep_only_the_breach_is_told(alice) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    look(ticket, NINE + 3 * DAY)
    assert Kind.SLA_WARNED not in kinds(ticket)
    whole = clock(ticket, "resolution")
    assert (whole.state, whole.breached_at) == ("breached", NINE + 8 * HOUR)


def test_what_time_alone_does_changes_no_version_and_says_nothing_to_the_customer(alice) -> None:
    promises.policy()
    ticket = opened(alice)
    look(ticket, NINE + 10 * HOUR)
    after = Ticket.objects.get()
    assert (after.version, after.last_public_seq) == (ticket.version, ticket.last_public_seq)
    assert after.public_updated_at == ticket.public_updated_at


def test_looking_where_nothing_is_due_changes_nothing(alice) -> None:
    promises.policy()
    ticket = opened(alice)
    before = Ticket.objects.filter(pk=ticket.pk).values().get()
    look(ticket, NINE + MINUTE)
    assert Ticket.objects.filter(pk=ticket.pk).values().get() == before


def test_a_clock_that_ran_out_in_the_meantime_is_broken_and_not_paused_away(alice, bob) -> None:
    promises.policy(targets=promises.same(None, None, 1))
    ticket = opened(alice)
    move(ticket, Status.ON_HOLD, bob, NINE + 2 * HOUR)
    whole = clock(ticket, "resolution")
    assert (whole.state, whole.breached_at, whole.due_at) == ("breached", NINE + HOUR, None)
    move(ticket, Status.OPEN, bob, NINE + 5 * HOUR)
    assert clock(ticket, "resolution").due_at == NINE + HOUR
    assert kinds(ticket).count(Kind.SLA_BREACHED) == 1


def test_a_new_calendar_is_taken_up_by_the_sweep(alice, bob) -> None:
    hours = promises.calendar()
    promises.policy(calendar=hours)
    ticket = opened(alice)
    ended = opened(alice)
    move(ended, Status.CANCELLED, alice, NINE + MINUTE)
    hours.week = {"monday": ["09:00-11:00"], "tuesday": ["09:00-17:00"]}
    hours.save()
    revision.bump()
    assert clock(ticket, "resolution").due_at == NINE + 8 * HOUR
    services.recompute(ticket_id=ticket.pk, at=NINE + HOUR)
    assert clock(ticket, "resolution").due_at == NINE + DAY + 6 * HOUR


def test_what_is_worked_out_anew_reads_the_log_once(alice) -> None:
    promises.policy()
    ticket = opened(alice)
    revision.bump()
    with CaptureQueriesContext(connection) as asked:
        assert services.recompute(ticket_id=ticket.pk, at=NINE + MINUTE)
    log = [query["sql"] for query in asked if 'FROM "tickets_ticketevent"' in query["sql"]]
    assert len(log) == 1


def test_a_clock_goes_back_for_nobody_whose_own_clock_is_slow(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    move(ticket, Status.ON_HOLD, bob, NINE + HOUR)
    move(ticket, Status.OPEN, bob, NINE - DAY)
    assert clock(ticket, "resolution").due_at == NINE + 8 * HOUR


def test_letting_time_pass_records_nothing_where_there_is_nothing(alice) -> None:
    ticket = opened(alice)
    assert record(ticket, actor=None, at=NINE + HOUR) == []


def test_a_policy_with_a_calendar_that_cannot_be_read_promises_nothing(alice) -> None:
    promises.policy(calendar=promises.calendar(time_zone="Europe/Atlantis"))
    assert opened(alice).sla_policy is None


def test_daylight_saving_moves_a_due_time_with_the_wall_clock(alice) -> None:
    promises.policy(
        calendar=promises.calendar(time_zone="Europe/Berlin"),
        targets=promises.same(None, None, 9),
    )
    # Friday 27 March 2026, 16:00 in Berlin; the clocks go forward on Sunday.
    ticket = opened(alice, datetime(2026, 3, 27, 15, 0, tzinfo=UTC))
    assert clock(ticket, "resolution").due_at == datetime(2026, 3, 30, 15, 0, tzinfo=UTC)


def test_merging_cancels_the_clocks_of_the_source_and_leaves_those_of_the_survivor(
    alice, sam
) -> None:
    promises.policy()
    source, survivor = opened(alice), opened(alice, NINE + MINUTE)
    services.merge(source=source, into=survivor, actor=sam, at=NINE + HOUR)
    assert {c.state for c in source.clocks.all()} == {"cancelled"}
    assert {c.state for c in survivor.clocks.all()} == {"running"}
    assert clock(survivor, "resolution").due_at == NINE + MINUTE + 8 * HOUR
    assert (standing(source), standing(survivor)) == ("none", "running")


def test_a_late_policy_asks_for_no_answer_that_was_given_before_it(alice, bob) -> None:
    ticket = opened(alice)
    say(ticket, bob, NINE + 5 * HOUR)
    promises.policy()
    services.recompute(ticket_id=ticket.pk, at=NINE + 6 * HOUR)
    assert [c.metric for c in ticket.clocks.all()] == ["resolution"]
    assert clock(ticket, "resolution").due_at == NINE + 8 * HOUR


def test_a_breach_of_a_calendar_that_was_changed_in_time_is_none(alice, bob) -> None:
    """Whoever comes by first, before the sweep has worked the clocks out anew."""
    hours = promises.calendar()
    promises.policy(calendar=hours)
    replied_to, looked_at = opened(alice), opened(alice)
    CalendarDate.objects.create(calendar=hours, date=NINE.date(), name="Holiday")
    revision.bump()
    say(replied_to, bob, NINE + 5 * HOUR)
    look(looked_at, NINE + 5 * HOUR)
    assert clock(replied_to, "first_response").state == "met"
    assert clock(looked_at, "first_response").due_at == NINE + DAY + HOUR
    assert not Alert.objects.exists()


def test_who_comes_back_from_a_resolution_without_an_answer_is_promised_the_next(
    alice, bob
) -> None:
    promises.policy()
    promises.rule(trigger=EscalationRule.Trigger.NO_FIRST_RESPONSE, after_seconds=60, level=1)
    ticket = opened(alice)
    move(ticket, Status.RESOLVED, bob, NINE + timedelta(seconds=30), resolution="Rebooted.")
    say(ticket, alice, NINE + DAY)
    assert clock(ticket, "first_response").state == "met"
    assert clock(ticket, "next_response").due_at == NINE + DAY + 2 * HOUR
    services.escalate_due(ticket_id=ticket.pk, at=NINE + DAY + MINUTE)
    assert Ticket.objects.get().escalation_level == 0


def test_what_was_met_at_the_due_time_is_not_broken_by_a_look_at_it(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    say(ticket, bob, NINE + HOUR)
    for _ in range(2):
        look(ticket, NINE + HOUR)
    assert clock(ticket, "first_response").state == "met"


def test_a_rule_waits_as_long_as_the_ticket_does(alice, bob) -> None:
    promises.rule(trigger=EscalationRule.Trigger.NO_FIRST_RESPONSE, after_seconds=3600, level=1)
    ticket = opened(alice)
    move(ticket, Status.ON_HOLD, bob, NINE + MINUTE)
    assert Ticket.objects.get().next_sla_at is None
    move(ticket, Status.OPEN, bob, NINE + DAY)
    assert Ticket.objects.get().next_sla_at == NINE + HOUR


@pytest.mark.postgres
def test_a_ticket_may_be_opened_while_its_policy_is_deleted(alice) -> None:
    """The opening has read the policy, and the deletion cannot see the opening."""
    promised, deleted = threading.Event(), threading.Event()
    policy = promises.policy()

    def open_slowly() -> Ticket:
        with transaction.atomic():
            ticket = services.open_ticket(
                requester=alice, actor=alice, subject="VPN", at=timezone.now()
            )
            promised.set()
            deleted.wait(20)
        return ticket

    def delete() -> None:
        promised.wait(20)
        try:
            setup.delete(policy)
        finally:
            deleted.set()

    ticket, _ = at_once(open_slowly, delete)
    assert isinstance(ticket, Ticket)
    assert not SlaPolicy.objects.exists()
    assert sweeps.recompute_clocks().handled == 1
    assert Ticket.objects.get().sla_policy is None
    assert {c.state for c in ticket.clocks.all()} == {"cancelled"}
