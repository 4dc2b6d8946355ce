"""The console's start page."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import services as people
from agents.models import Availability, Team
from tickets.admin import start
from tickets.models import Ticket
from tickets.models.ticket import Priority, SlaStanding
from tickets.tests.test_admin import opened

START = "/admin/"


def numbers(shown):
    return [row.ticket.pk for row in shown.rows]


def unassigned(requester, subject="Help", **facts):
    ticket = opened(requester, subject, **facts)
    Ticket.objects.filter(pk=ticket.pk).update(assignee=None)
    return ticket


def due(ticket, minutes):
    """A promise that runs and is at risk already."""
    now = timezone.now()
    Ticket.objects.filter(pk=ticket.pk).update(
        sla_standing=SlaStanding.RUNNING,
        sla_warn_at=now - timedelta(minutes=1),
        sla_due_at=now + timedelta(minutes=minutes),
    )


def test_an_empty_desk_says_what_to_do(sam, console):
    page = console(sam).get(START).content.decode()

    for words in (
        "Nothing waits for you.",
        "Nobody waits for an agent.",
        "No promise is about to be broken.",
        "There are no teams yet.",
    ):
        assert words in page


def test_my_tickets_are_mine_and_open_the_most_urgent_first(alice, bob, dana, sam):
    later, sooner, others = (opened(alice, f"Number {n}") for n in range(3))
    Ticket.objects.filter(pk__in=(later.pk, sooner.pk)).update(assignee=bob)
    Ticket.objects.filter(pk=others.pk).update(assignee=dana)
    due(later, 90)
    due(sooner, 5)

    assert numbers(start.context_of(bob, timezone.now())["mine"]) == [sooner.pk, later.pk]


def test_nobody_sees_here_what_they_see_nowhere(alice, bob, sam):
    foreign = Team.objects.create(name="Payroll")
    secret = unassigned(alice, "The board's salaries", team=foreign)
    due(secret, 5)
    now = timezone.now()

    for caller, sees in ((bob, []), (sam, [secret.pk])):
        shown = start.context_of(caller, now)
        assert numbers(shown["unassigned"]) == sees
        assert numbers(shown["breaching"]) == sees
        assert [queue.team for queue in shown["queues"]] == [foreign] * len(sees)


def test_who_waits_longest_for_an_agent_is_first_but_for_what_is_more_urgent(alice, bob):
    old, new = unassigned(alice), unassigned(alice)
    urgent = unassigned(alice, priority=Priority.URGENT)

    shown = numbers(start.context_of(bob, timezone.now())["unassigned"])
    assert shown == [urgent.pk, old.pk, new.pk]


def test_a_queue_says_what_waits_and_who_could_take_it(alice, bob, dana, sam, team):
    team.agents.add(bob.agent, dana.agent)
    due(unassigned(alice, team=team), 5)
    unassigned(alice)

    of_team, of_none = start.context_of(sam, timezone.now())["queues"]
    assert (of_team.team, of_team.waiting, of_team.at_risk) == (team, 1, 1)
    assert (of_team.available, of_team.agents) == (1, 2)
    assert (of_none.team, of_none.waiting, of_none.at_risk) == (None, 1, 0)


def test_colleagues_are_those_of_ones_teams_who_is_available_first(bob, dana, sam, team):
    team.agents.add(bob.agent, dana.agent)

    def shown(caller):
        found = start.context_of(caller, timezone.now())["colleagues"]
        return [colleague.agent.user for colleague in found]

    assert shown(bob) == [bob, dana]
    people.update_agent(agent=dana.agent, at=timezone.now(), availability=Availability.AVAILABLE)
    people.update_agent(agent=bob.agent, at=timezone.now(), availability=Availability.AWAY)
    assert shown(sam) == [dana, bob, sam]


def test_more_than_is_shown_is_a_link_away(alice, bob, console):
    for number in range(start.ROWS_SHOWN + 1):
        unassigned(alice, f"Number {number}")

    page = console(bob).get(START).content.decode()
    assert f"{start.ROWS_SHOWN}+" in page
    assert 'href="/admin/tickets/ticket/?open=yes&amp;assignee=none"' in page


def test_a_ticket_can_be_taken_from_here(alice, bob, console):
    ticket = unassigned(alice)
    browser = console(bob)
    action = f"/admin/tickets/ticket/{ticket.pk}/claim/act/"
    assert f'action="{action}"' in browser.get(START).content.decode()

    answer = browser.post(action, {"version": ticket.version})

    assert answer["Location"] == f"/admin/tickets/ticket/{ticket.pk}/change/"
    ticket.refresh_from_db()
    assert ticket.assignee == bob


def test_every_link_of_the_page_leads_to_a_list_that_understands_it(alice, bob, team, console):
    team.agents.add(bob.agent)
    due(unassigned(alice, team=team), 5)
    found = console(bob).get(f"/admin/tickets/ticket/?sla=at_risk&team={team.pk}")
    assert found.context["cl"].result_count == 1
    unassigned(alice)
    found = console(bob).get("/admin/tickets/ticket/?open=yes&assignee=none&team=none")
    assert found.context["cl"].result_count == 1


@pytest.mark.parametrize("role", ["bob", "sam"])
def test_the_page_asks_as_much_of_a_full_desk_as_of_a_small_one(
    role, alice, bob, sam, team, console, request
):
    browser = console(request.getfixturevalue(role))

    def statements():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert browser.get(START).status_code == 200
        return len(captured)

    team.agents.add(bob.agent)
    due(unassigned(alice, team=team), 5)
    before = statements()
    for number in range(12):
        Team.objects.create(name=f"Team {number}").agents.add(bob.agent)
        due(unassigned(alice, team=team), number)
        Ticket.objects.filter(pk=opened(alice).pk).update(assignee=bob)

    assert statements() == before
