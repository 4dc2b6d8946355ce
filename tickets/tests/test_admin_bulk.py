"""The same action on many tickets, from the list by way of a page between."""

import re

import pytest
from django.utils import timezone

from tickets import services
from tickets.lifecycle import Status
from tickets.models import Priority, Ticket
from tickets.services.bulk import MAX_TICKETS
from tickets.tests.test_admin import LIST, opened

BETWEEN = re.compile(r'name="ticket" value="(\d+:\d+)"')


def begin(browser, name, *tickets, query=""):
    ids = [ticket.pk for ticket in tickets]
    return browser.post(f"{LIST}{query}", {"action": f"bulk_{name}", "_selected_action": ids})


def pairs(answer):
    return BETWEEN.findall(answer.content.decode())


def carry_out(browser, name, chosen, **fields):
    return browser.post(f"{LIST}bulk/{name}/", {"ticket": chosen, **fields})


def outcomes(answer):
    """By id: whether it was done."""
    page = answer.content.decode()
    found = re.findall(r">(Done|Refused)</span>\s*<a href=\"/admin/tickets/ticket/(\d+)/", page)
    return {int(pk): word == "Done" for word, pk in found}


@pytest.fixture
def three(alice):
    return [opened(alice, f"Number {number}") for number in range(3)]


def test_the_page_between_shows_what_was_ticked_and_changes_nothing(three, sam, console):
    answer = begin(console(sam), "priority", *three[:2])

    assert answer.status_code == 200
    assert sorted(pairs(answer)) == sorted(f"{each.pk}:{each.version}" for each in three[:2])
    assert set(Ticket.objects.values_list("priority", flat=True)) == {Priority.NORMAL}


@pytest.mark.parametrize(
    ("name", "fields", "becomes"),
    [
        ("priority", {"to": "4", "reason": "The boss"}, {"priority": Priority.URGENT}),
        ("move", {"to": "on_hold"}, {"status": Status.ON_HOLD}),
        ("assign", {"how": "agent", "agent": "dana"}, {"assignee__username": "dana"}),
        ("tag", {"add": "Vpn, floor 3"}, {"tags__name": "vpn"}),
    ],
)
def test_each_action_is_made_of_each_ticket(three, bob, dana, sam, console, name, fields, becomes):
    browser = console(sam)
    force = {"force": "on"} if name == "assign" else {}
    chosen = pairs(begin(browser, name, *three))

    answer = carry_out(browser, name, chosen, **fields, **force)

    assert outcomes(answer) == dict.fromkeys([each.pk for each in three], True)
    assert Ticket.objects.filter(**becomes).count() == 3


def test_a_refused_one_stops_none_of_the_others_and_says_why(three, sam, bob, console):
    done = three[1]
    services.change_status(
        ticket=done, to=Status.RESOLVED, actor=bob, at=timezone.now(), resolution="Yes."
    )
    browser = console(sam)
    answer = carry_out(browser, "move", pairs(begin(browser, "move", *three)), to="on_hold")

    assert outcomes(answer) == {three[0].pk: True, done.pk: False, three[2].pk: True}
    assert "2 of 3 done" in answer.content.decode()


def test_what_changed_since_it_was_shown_is_refused_and_may_be_tried_again(three, sam, console):
    browser = console(sam)
    chosen = pairs(begin(browser, "priority", *three))
    services.change_priority(
        ticket=three[0], to=Priority.LOW, reason="", actor=sam, at=timezone.now()
    )

    answer = carry_out(browser, "priority", chosen, to="4")

    assert outcomes(answer) == {three[0].pk: False, three[1].pk: True, three[2].pk: True}
    again = carry_out(browser, "priority", pairs(answer), again="yes")
    assert outcomes(carry_out(browser, "priority", pairs(again), to="4")) == {three[0].pk: True}
    assert set(Ticket.objects.values_list("priority", flat=True)) == {Priority.URGENT}


def test_a_form_that_is_sent_twice_does_it_once(three, sam, console):
    browser = console(sam)
    chosen = pairs(begin(browser, "priority", *three))
    carry_out(browser, "priority", chosen, to="4")
    versions = list(Ticket.objects.order_by("pk").values_list("version", flat=True))

    answer = carry_out(browser, "priority", chosen, to="4")

    assert set(outcomes(answer).values()) == {False}
    assert list(Ticket.objects.order_by("pk").values_list("version", flat=True)) == versions


def test_what_is_missing_is_asked_for_before_anything_is_done(three, sam, console):
    browser = console(sam)
    chosen = pairs(begin(browser, "tag", *three))

    answer = carry_out(browser, "tag", chosen)

    assert answer.status_code == 400
    assert "Name a tag" in answer.content.decode()
    assert pairs(answer) == chosen


def test_nobody_changes_what_they_do_not_see(alice, bob, sam, team, console):
    hidden, seen = opened(alice, team=team), opened(alice)
    Ticket.objects.update(assignee=None)
    browser = console(bob)
    chosen = [f"{each.pk}:{each.version}" for each in (hidden, seen)]

    assert pairs(begin(browser, "priority", hidden, seen)) == [chosen[1]]
    answer = carry_out(browser, "priority", chosen, to="4")

    assert outcomes(answer) == {seen.pk: True}
    hidden.refresh_from_db()
    assert hidden.priority == Priority.NORMAL


@pytest.mark.parametrize("odd", ["x", "1", "1:", ":1", "1:x", "\u0661:\u0661", "9" * 40 + ":1"])
def test_odd_names_of_tickets_are_refused(odd, sam, console):
    answer = carry_out(console(sam), "priority", [odd], to="4")

    assert (answer.status_code, answer["Location"]) == (302, LIST)


def test_too_many_are_refused(sam, console):
    many = [f"{number}:1" for number in range(1, MAX_TICKETS + 2)]

    answer = console(sam).post(f"{LIST}bulk/priority/", {"ticket": many, "to": "4"}, follow=True)

    assert "At most 200 tickets" in answer.content.decode()


def test_customers_and_unknown_actions_are_turned_away(three, alice, sam, console):
    assert carry_out(console(alice), "priority", ["1:1"], to="4").status_code in (302, 403)
    assert carry_out(console(sam), "delete", ["1:1"]).status_code == 404
    assert console(sam).get(f"{LIST}bulk/priority/").status_code == 302


def test_the_way_back_is_the_list_as_it_was_and_nowhere_else(three, sam, console):
    browser = console(sam)
    page = begin(browser, "priority", *three, query="?open=yes&o=-9").content.decode()
    assert f'href="{LIST}?open=yes&amp;o=-9"' in page
    chosen = [f"{each.pk}:{each.version}" for each in three]
    evil = carry_out(browser, "priority", chosen, to="4", back="//evil.example/?x=1")
    assert "evil.example" not in re.findall(
        r'href="(/admin/tickets/ticket/[^"]*)"', evil.content.decode()
    )
    assert 'href="//' not in evil.content.decode()
