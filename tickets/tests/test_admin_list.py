"""The ticket list: its tabs, saved views, and filters."""

import html
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from tickets import services
from tickets.admin.tabs import BUILT_IN, tabs_for
from tickets.lifecycle import Status
from tickets.models import Priority, SavedView, Ticket
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


# --- Saved views ----------------------------------------------------------------------


def kept(browser, **fields):
    return browser.post(f"{LIST}views/save/", fields, follow=True)


def test_what_the_list_shows_is_saved_and_is_a_tab_from_then_on(alice, bob, sam, console):
    urgent, _ = opened(alice, priority=Priority.URGENT), opened(alice)
    browser = console(sam)
    page = browser.get(f"{LIST}?open=yes&priority__exact=4").content.decode()
    (query,) = re.findall(r'name="query" value="([^"]*)"', page)

    answer = kept(browser, name="Urgent ones", query=html.unescape(query), back="open=yes")

    view = SavedView.objects.get()
    assert answer.redirect_chain[-1][0] == f"{LIST}?view={view.pk}"
    assert shown(answer) == [urgent.pk]
    assert 'aria-current="page" class="is-saved">Urgent ones</a>' in answer.content.decode()
    assert "Urgent ones" not in console(bob).get(LIST).content.decode()


def test_a_shared_view_is_everybodys_and_the_supervisors_to_delete(bob, sam, console):
    kept(console(sam), name="For all", query="status=open", shared="on")
    view = SavedView.objects.get()
    assert "For all" in console(bob).get(LIST).content.decode()
    forget = f"{LIST}views/{view.pk}/delete/"
    assert forget not in console(bob).get(f"{LIST}?view={view.pk}").content.decode()

    console(bob).post(forget)
    assert SavedView.objects.exists()
    console(sam).post(forget)
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "", "query": "status=open"}, "blank"),
        ({"name": "x", "query": "nonsense=1"}, "There is no such filter"),
        ({"name": "x", "query": "status=open", "shared": "on"}, "Only supervisors"),
    ],
)
def test_a_view_that_cannot_be_is_refused_with_a_word(bob, console, fields, said):
    assert said in kept(console(bob), **fields).content.decode()
    assert not SavedView.objects.exists()


def test_another_persons_view_is_not_there(bob, dana, console):
    kept(console(bob), name="Mine", query="status=open")
    view = SavedView.objects.get()

    assert console(dana).post(f"{LIST}views/{view.pk}/delete/").status_code == 404


# --- Filters and emptiness ------------------------------------------------------------


def test_what_is_set_can_be_taken_off(alice, sam, console):
    page = console(sam).get(f"{LIST}?open=yes&status__exact=new&q=vpn").content.decode()

    for chip, without in (
        ("State: <strong>Open</strong>", "?q=vpn&amp;status__exact=new"),
        ("Status: <strong>New</strong>", "?open=yes&amp;q=vpn"),
        ("Search: <strong>vpn</strong>", "?open=yes&amp;status__exact=new"),
    ):
        assert re.search(rf'href="{re.escape(without)}"[^>]*><span>{re.escape(chip)}', page), chip


def test_an_empty_list_says_what_that_means(sam, console):
    browser = console(sam)
    assert "There are no tickets yet." in browser.get(LIST).content.decode()
    assert "No ticket matches." in browser.get(f"{LIST}?q=nothing").content.decode()
    for tab in BUILT_IN:
        assert escape(tab.empty) in browser.get(LIST + tab.query).content.decode()


@pytest.mark.parametrize("query", ["", *TABS.values(), "?q=printer"])
def test_the_list_asks_as_much_for_many_as_for_few(alice, bob, sam, team, console, query):
    team.agents.add(bob.agent)

    def statements():
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(LIST + query).status_code == 200
        return len(captured)

    browser = console(bob)
    opened(alice, "A printer", team=team)
    before = statements()
    for number in range(30):
        opened(alice, f"Printer {number}", team=team)
    for number in range(3):
        kept(browser, name=f"View {number}", query="status=open")
    assert statements() == before
