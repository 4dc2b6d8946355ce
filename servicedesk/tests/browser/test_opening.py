"""A ticket is opened once, whatever becomes of the line."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.pages import PortalNew

pytestmark = pytest.mark.once


def opened_as(alice: Caller, subject: str) -> list[int]:
    found = alice.call("/tickets/?page_size=100")["results"]
    return [ticket["id"] for ticket in found if ticket["subject"] == subject]


def test_what_was_written_offline_is_opened_once_the_desk_is_back(person, caller):
    alice = person("alice")
    new = PortalNew(alice.page)
    new.fill("From the underground", "No bars here.")
    with alice.offline():
        new.button.click()
        expect(alice.page.get_by_text("offline").first).to_be_visible()
    ticket = new.opened()
    assert opened_as(caller("alice"), "From the underground") == [ticket]


def test_an_answer_that_is_lost_opens_no_second_ticket(person, caller):
    alice = person("alice")
    alice.watch.expect_outage()
    new = PortalNew(alice.page)
    new.fill("Did you get this?", "I press until something happens.")
    alice.page.route("**/api/tickets/", _lose_the_first_answer())
    new.button.click()
    expect(new.button).to_be_enabled()
    if "/new/" in alice.page.url:
        new.button.click()
    ticket = new.opened()
    assert opened_as(caller("alice"), "Did you get this?") == [ticket]


def _lose_the_first_answer() -> Callable[[Route], None]:
    lost: list[int] = []

    def handle(route: Route) -> None:
        if route.request.method != "POST" or lost:
            return route.continue_()
        lost.append(route.fetch().status)
        return route.abort("connectionreset")

    return handle


def test_a_draft_of_a_ticket_outlives_a_reload(person):
    alice = person("alice")
    PortalNew(alice.page).fill("Half a subject", "And half a story.")
    alice.page.reload()
    expect(alice.page.get_by_label("Subject")).to_have_value("Half a subject")
    expect(alice.page.locator("textarea[name=description]")).to_have_value("And half a story.")


def test_a_similar_ticket_is_shown_while_typing(person, caller):
    caller("alice").open("The coffee machine leaks", description="On the second floor.")
    alice = person("alice")
    alice.page.goto("/new/")
    alice.page.get_by_label("Subject").press_sequentially("coffee machine leaks again")
    expect(alice.page.get_by_role("link", name="The coffee machine leaks")).to_be_visible()
