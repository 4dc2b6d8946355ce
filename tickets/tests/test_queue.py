"""The sweep that retries what nobody could take, and the check of the load counters."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents.models import AgentProfile, Availability, Skill
from agents.services import set_availability, update_agent
from tickets import services, sweeps
from tickets.assignment.reconcile import find_drift
from tickets.models import Kind, Priority, Ticket, TicketEvent


def opened(requester, **fields):
    return services.open_ticket(
        requester=requester, actor=requester, subject="Help", at=timezone.now(), **fields
    )


def go(user, availability):
    set_availability(user=user, availability=availability, at=timezone.now())


def test_a_ticket_that_nobody_could_take_is_assigned_once_somebody_can(alice, dana):
    ticket = opened(alice)
    assert sweeps.assign_tickets().handled == 0
    go(dana, Availability.AVAILABLE)
    assert sweeps.assign_tickets().handled == 1
    ticket.refresh_from_db()
    assert ticket.assignee == dana
    assert sweeps.assign_tickets().handled == 0


def test_the_most_urgent_and_then_the_oldest_are_offered_first(alice, dana):
    tickets = [opened(alice), opened(alice), opened(alice, priority=Priority.CRITICAL)]
    update_agent(
        agent=dana.agent, at=timezone.now(), capacity=2, availability=Availability.AVAILABLE
    )
    sweeps.assign_tickets(batch=1)
    held = [Ticket.objects.get(pk=ticket.pk).assignee_id for ticket in tickets]
    assert held == [dana.pk, None, dana.pk]


def test_a_long_queue_of_what_nobody_knows_does_not_hold_up_the_rest(
    alice, dana, vpn, django_assert_max_num_queries
):
    for _ in range(30):
        opened(alice, priority=Priority.CRITICAL, required_skills=[vpn])
    easy = opened(alice)
    go(dana, Availability.AVAILABLE)
    # One look for the thirty that need the same, one assignment.
    with django_assert_max_num_queries(60):
        result = sweeps.assign_tickets(batch=10)
    assert (result.handled, result.skipped) == (1, 30)
    easy.refresh_from_db()
    assert easy.assignee == dana


def test_a_ticket_taken_back_from_its_only_candidate_does_not_block_its_like(alice, bob, sam):
    ticket = opened(alice)
    services.assign(ticket=ticket, to=None, actor=sam, at=timezone.now())
    go(bob, Availability.OFFLINE)
    other = opened(alice)
    go(bob, Availability.AVAILABLE)
    assert sweeps.assign_tickets().handled == 1
    other.refresh_from_db()
    ticket.refresh_from_db()
    assert (other.assignee, ticket.assignee) == (bob, None)


def test_the_sweep_never_takes_a_ticket_from_whoever_claimed_it_meanwhile(alice, dana, bob):
    go(bob, Availability.OFFLINE)
    ticket = opened(alice)
    go(dana, Availability.AVAILABLE)
    services.claim(ticket=ticket, agent=dana, at=timezone.now())
    go(bob, Availability.AVAILABLE)
    assert services.assign_waiting(ticket=ticket, at=timezone.now()) is False
    ticket.refresh_from_db()
    assert ticket.assignee == dana


def test_leaving_hands_back_only_what_the_customer_has_not_heard_of(alice, bob, dana):
    unstarted, started = opened(alice), opened(alice)
    services.post_message(ticket=started, author=bob, body="On it", at=timezone.now())
    go(dana, Availability.AVAILABLE)
    set_availability(user=bob, availability=Availability.AWAY, reassign=True, at=timezone.now())
    unstarted.refresh_from_db()
    started.refresh_from_db()
    assert (unstarted.assignee, started.assignee) == (dana, bob)
    assert find_drift() == []


@pytest.mark.parametrize("availability", [Availability.AVAILABLE, Availability.AWAY])
def test_nothing_is_handed_back_unless_one_leaves_and_asks_for_it(alice, bob, availability):
    ticket = opened(alice)
    set_availability(
        user=bob,
        availability=availability,
        reassign=availability == Availability.AVAILABLE,
        at=timezone.now(),
    )
    ticket.refresh_from_db()
    assert ticket.assignee == bob
    assert TicketEvent.objects.filter(ticket=ticket, kind=Kind.ASSIGNED).count() == 1


def test_drift_is_reported_and_mended_on_request(alice, bob):
    opened(alice)
    AgentProfile.objects.filter(pk=bob.pk).update(open_load=7)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reconcile_load", "--json", stdout=out)
    assert ended.value.code == 1
    assert json.loads(out.getvalue())["drift"] == [{"agent_id": bob.pk, "counted": 7, "actual": 1}]
    call_command("reconcile_load", "--apply", stdout=StringIO())
    assert find_drift() == []
    call_command("reconcile_load", stdout=StringIO())


def test_a_category_gives_its_tickets_a_team_and_skills(alice, bob, team, vpn):
    Skill.objects.create(name="hardware")
    category = services.create_category(name="Remote", team=team, required_skills=[vpn])
    ticket = opened(alice, category=category)
    assert ticket.team == team
    assert list(ticket.required_skills.all()) == [vpn]
    assert ticket.assignee is None


def test_one_ticket_that_fails_does_not_hold_up_the_queue(alice, dana, monkeypatch, caplog):
    bad, good = opened(alice, priority=Priority.CRITICAL), opened(alice)
    real = services.assign_waiting

    def failing(*, ticket, **kwargs):
        if ticket.pk == bad.pk:
            raise RuntimeError("broken")
        return real(ticket=ticket, **kwargs)

    monkeypatch.setattr(services, "assign_waiting", failing)
    go(dana, Availability.AVAILABLE)
    result = sweeps.assign_tickets()
    assert (result.handled, result.failed) == (1, 1)
    good.refresh_from_db()
    assert good.assignee == dana
    assert "assign_failed" in caplog.text


def test_the_queue_is_not_even_read_while_nobody_has_room(alice, dana, django_assert_num_queries):
    opened(alice)
    with django_assert_num_queries(1):
        assert sweeps.assign_tickets().skipped == 0


def test_a_log_never_runs_backwards_though_a_clock_was_taken_before_the_lock(alice, bob):
    ticket = opened(alice)
    late, early = timezone.now() + timedelta(minutes=5), timezone.now()
    services.post_message(ticket=ticket, author=bob, body="Later", at=late)
    services.post_message(ticket=ticket, author=alice, body="Earlier", at=early)
    times = list(TicketEvent.objects.filter(ticket=ticket).values_list("at", flat=True))
    assert times == sorted(times)
    ticket.refresh_from_db()
    assert ticket.updated_at == ticket.public_updated_at == late
