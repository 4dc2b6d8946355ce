"""The tabs of the ticket list, and the filters that they stand on."""

import pytest
from django.utils import timezone
from django.utils.html import escape

from tickets import services
from tickets.admin.tabs import BUILT_IN, tabs_for
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.tests.test_admin import LIST, opened, shown

TABS = {tab.label: tab.query for tab in BUILT_IN}


def test_a_tab_is_current_where_the_list_shows_just_that(bob):
    def current(params):
        return [tab.label for tab, is_current in tabs_for(params, bob) if is_current]

    assert current({}) == ["All"]
    assert current({"open": "yes", "o": "-9", "p": "2"}) == ["All open"]
    assert current({"open": "yes", "q": "printer"}) == []


def test_every_tab_leads_to_a_list_that_shows_it_as_current(bob, console):
    for label, query in TABS.items():
        answer = console(bob).get(LIST + query)

        assert answer.status_code == 200
        assert f'aria-current="page">{escape(label)}</a>' in answer.content.decode()


def test_an_ended_ticket_is_in_no_open_tab(alice, bob, sam, console):
    going_on, ended = opened(alice), opened(alice, "Solved already")
    services.change_status(ticket=ended, to=Status.CANCELLED, actor=alice, at=timezone.now())

    assert shown(console(sam).get(LIST + TABS["All open"])) == [going_on.pk]
    assert shown(console(sam).get(LIST + "?open=no")) == [ended.pk]
    assert shown(console(sam).get(LIST + "?open=perhaps")) == []


def test_my_teams_unassigned_are_of_my_teams_and_with_nobody(alice, bob, sam, team, console):
    team.agents.add(bob.agent)
    ticket = opened(alice, team=team)
    Ticket.objects.filter(pk=ticket.pk).update(assignee=None)
    opened(alice, "Of no team")

    assert shown(console(bob).get(LIST + TABS["My teams' unassigned"])) == [ticket.pk]
    assert shown(console(sam).get(LIST + TABS["My teams' unassigned"])) == []


@pytest.mark.parametrize("label", TABS)
def test_a_customer_sees_no_tab(label, charlie, console):
    assert console(charlie).get(LIST + TABS[label]).status_code in (302, 403)
