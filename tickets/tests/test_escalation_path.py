"""Several rules on one ticket, who gets it, and who is told."""

import importlib
from datetime import timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
import time_machine
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import create_team, create_user, update_agent, update_team
from servicedesk.sweeps import drain
from tickets import services, sweeps
from tickets.lifecycle import Status
from tickets.models import EscalationRule, Kind, Priority, Ticket
from tickets.tests import promises
from tickets.tests.state import assert_consistent, kinds
from tickets.tests.test_escalation import (
    HOUR,
    MINUTE,
    NINE,
    available,
    escalations,
    opened,
    sweep,
    told,
)

# The package has a function of this name in front of the module.
escalating = importlib.import_module("tickets.services.escalate")
Trigger = EscalationRule.Trigger


def waits(name: str, minutes: int, **does: Any) -> EscalationRule:
    """A rule about tickets that nobody has."""
    return promises.rule(name, trigger=Trigger.UNASSIGNED, after_seconds=60 * minutes, **does)


def unanswered(name: str, minutes: int = 1, **does: Any) -> EscalationRule:
    return promises.rule(
        name, trigger=Trigger.NO_FIRST_RESPONSE, after_seconds=60 * minutes, **does
    )


def names(ticket: Ticket) -> list[str]:
    """The rules that have acted, in order."""
    return [data["reason"] for data in escalations(ticket)]


def supervisor(username: str, **fields: Any) -> User:
    user = create_user(username=username, role=Role.SUPERVISOR, **fields)
    available(user)
    return user


# --- Several rules --------------------------------------------------------------------


def test_what_one_rule_settles_is_no_occasion_for_the_next(alice, sam) -> None:
    waits("Find somebody", 30, reassigns=True)
    waits("Alarm", 60, level=3)
    ticket = opened(alice)
    available(sam)
    sweep(NINE + 2 * HOUR)
    ticket.refresh_from_db()
    assert (ticket.assignee, ticket.escalation_level) == (sam, 0)
    assert names(ticket) == ["Find somebody"]


def test_one_round_hands_a_ticket_over_once_and_the_next_does_the_rest(
    alice, bob, dana, sam, team
) -> None:
    unanswered("First", reassigns=True)
    unanswered("Second", 2, reassigns=True, level=2)
    team.lead = dana
    team.save()
    available(bob, teams=[team])
    ticket = opened(alice, team=team)
    available(dana, teams=[team])
    available(sam)
    now = NINE + HOUR
    services.escalate_due(ticket_id=ticket.pk, at=now)
    ticket.refresh_from_db()
    assert (ticket.assignee, ticket.escalation_level, names(ticket)) == (dana, 0, ["First"])
    assert ticket.next_sla_at is not None
    assert ticket.next_sla_at <= now
    services.escalate_due(ticket_id=ticket.pk, at=now)
    ticket.refresh_from_db()
    assert (ticket.assignee, ticket.escalation_level) == (sam, 2)
    assert names(ticket) == ["First", "Second"]
    assert services.escalate_due(ticket_id=ticket.pk, at=now) is None
    assert_consistent()


@pytest.fixture
def broken(monkeypatch) -> list[bool]:
    """Handing over fails, after the rule has noted and recorded itself, until this is emptied."""
    broken = [True]
    whole = escalating.pass_up

    def pass_up(*args: Any, **kwargs: Any) -> bool:
        if broken:
            raise RuntimeError("broken")
        return bool(whole(*args, **kwargs))

    monkeypatch.setattr(escalating, "pass_up", pass_up)
    return broken


def test_a_rule_that_fails_takes_nothing_else_down_and_is_tried_again(alice, bob, broken) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    unanswered("Broken", reassigns=True, level=3)
    unanswered("Whole", 2, level=1)
    ticket, other = opened(alice), opened(alice, NINE + MINUTE)
    services.post_message(ticket=other, author=bob, body="Hello", at=NINE + MINUTE)
    with time_machine.travel(NINE + 9 * HOUR, tick=False):
        # Batches of one: the next ones do not try it again.
        result = drain(sweeps.escalate_tickets, batch=1)
    assert (result.handled, result.skipped, result.failed) == (1, 0, 1)
    assert kinds(ticket)[-2:] == [Kind.SLA_BREACHED, Kind.ESCALATED]
    ticket.refresh_from_db()
    assert (names(ticket), ticket.escalation_level) == (["Whole"], 1)
    assert Kind.SLA_BREACHED in kinds(other)
    assert_consistent()
    broken.clear()
    assert sweep(NINE + 9 * HOUR + 2 * MINUTE) == 1
    ticket.refresh_from_db()
    assert (names(ticket), ticket.escalation_level) == (["Whole", "Broken"], 3)
    assert sweep(NINE + 10 * HOUR) == 0


def test_at_the_highest_priority_the_customer_hears_nothing(alice) -> None:
    unanswered("Up", raises_priority=True)
    top, other = opened(alice, priority=Priority.CRITICAL), opened(alice)
    sweep(NINE + HOUR)
    public = [t.events.get(kind=Kind.ESCALATED).public_data for t in (top, other)]
    assert public == [None, {"level": 0, "from_priority": "normal", "to_priority": "high"}]


# --- Who gets it ----------------------------------------------------------------------


def test_superusers_are_on_the_path_and_are_told(alice, bob) -> None:
    root = create_user(username="root", role=Role.AGENT, is_superuser=True)
    unanswered("Late", reassigns=True, notifies=["supervisors"])
    ticket = opened(alice)
    available(root)
    sweep(NINE + HOUR)
    ticket.refresh_from_db()
    assert ticket.assignee == root
    assert told("escalated") == {"root"}
    assert set(User.objects.supervisors()) == {root}


def test_of_the_team_first_then_the_least_utilised_with_room(alice, bob, team) -> None:
    own, busy, idle = (supervisor(name) for name in ("own", "busy", "idle"))
    update_agent(agent=own.agent, at=NINE, teams=[team], capacity=1)
    loads = {own: (1, 1), busy: (2, 4), idle: (3, 100)}
    holders = []
    for own_load in (1, 0):
        for who, (load, capacity) in {**loads, own: (own_load, 1)}.items():
            type(who.agent).objects.filter(pk=who.pk).update(open_load=load, capacity=capacity)
        ticket = Ticket.objects.create(
            requester=alice, subject="VPN", team=team, status=Status.OPEN, assignee=bob
        )
        services.escalate(ticket=ticket, reason="Late", actor=busy, at=NINE)
        ticket.refresh_from_db()
        holders.append(ticket.assignee)
    assert holders == [idle, own]


def test_who_has_no_room_costs_no_query(alice, bob, sam) -> None:
    def queries(full: int) -> int:
        for number in range(full):
            update_agent(agent=supervisor(f"boss{number}").agent, at=NINE, capacity=0)
        ticket = opened(alice)
        with CaptureQueriesContext(connection) as captured:
            services.escalate(ticket=ticket, reason="Late", actor=sam, at=NINE)
        ticket.refresh_from_db()
        assert ticket.assignee == bob
        return len([q for q in captured if "SELECT" in q["sql"] and "capacity" in q["sql"]])

    assert (queries(0), queries(20)) == (1, 1)


def test_a_lead_is_a_member_as_long_as_they_lead(alice, bob, dana) -> None:
    team = create_team(name="Network", lead=dana)
    assert list(dana.agent.teams.all()) == [team]
    other = create_team(name="Printers")
    update_team(team=other, lead=dana)
    assert set(dana.agent.teams.all()) == {team, other}
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice, team=team)
    assert Ticket.objects.visible_to(dana).filter(pk=ticket.pk).exists()
    update_agent(agent=dana.agent, at=NINE, teams=[other])
    leads = dict(Team.objects.values_list("name", "lead__username"))
    assert leads == {"Network": None, "Printers": "dana"}


# --- Who is told ----------------------------------------------------------------------


def test_where_nobody_has_a_ticket_the_lead_is_warned_and_else_the_supervisors(
    alice, dana, sam, team
) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    opened(alice, team=team)
    sweep(NINE + 6 * HOUR)
    assert told("sla_warned") == {"sam"}
    update_team(team=team, lead=dana)
    opened(alice, NINE + 5 * HOUR, team=team)
    sweep(NINE + 12 * HOUR)
    assert told("sla_warned") == {"sam", "dana"}
    assert told("sla_breached") == {"dana"}


def test_a_breach_without_assignee_and_lead_is_told_to_the_supervisors(alice, sam) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    opened(alice)
    sweep(NINE + 9 * HOUR)
    assert told("sla_breached") == {"sam"}


def subjects_to(address: str) -> dict[str, str]:
    """Subject and text of the mails about escalations that have been sent now."""
    with time_machine.travel(NINE + 30 * HOUR, tick=False):
        sweeps.send_notifications()
    found = [sent for sent in mail.outbox if sent.to == [address]]
    return {str(sent.subject).split("] ")[1]: str(sent.body) for sent in found}


def test_a_mail_says_what_the_rule_did_then_whatever_has_happened_since(alice, sam) -> None:
    unanswered("Have a look", notifies=["supervisors"])
    unanswered("Late", 2, level=1, notifies=["supervisors"])
    ticket = opened(alice)
    sweep(NINE + HOUR)
    services.escalate(ticket=ticket, reason="VIP", level=3, actor=sam, at=NINE + 2 * HOUR)
    sent = subjects_to("sam@desk.example")
    assert set(sent) == {"Have a look: VPN", "Escalated to level 1: VPN"}
    look, late = sent["Have a look: VPN"], sent["Escalated to level 1: VPN"]
    assert 'The escalation rule "Have a look" asks you to look at this ticket.' in look
    assert "level" not in look
    assert 'The escalation rule "Late" has escalated this ticket to level 1.' in late


# --- The dry run ----------------------------------------------------------------------


def preview() -> dict[str, Any]:
    out = StringIO()
    call_command("escalate_tickets", "--dry-run", "--json", stdout=out)
    report: dict[str, Any] = orjson.loads(out.getvalue())
    return report


def test_a_dry_run_goes_on_where_one_ticket_fails(alice, bob, broken) -> None:
    unanswered("Broken", reassigns=True, min_priority=Priority.CRITICAL)
    unanswered("Whole", level=1)
    long_ago = timezone.now() - timedelta(hours=9)
    failing = opened(alice, long_ago, priority=Priority.CRITICAL)
    fine = opened(alice, long_ago)
    report = preview()
    assert report["failed"] == 1
    assert report["seconds"] >= 0
    assert {effect["ticket"] for effect in report["effects"]} == {fine.pk}
    assert escalations(failing) == []


def test_a_dry_run_does_not_loop(db) -> None:
    with pytest.raises(CommandError, match="loop"):
        call_command("escalate_tickets", "--dry-run", "--loop")
