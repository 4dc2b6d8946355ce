"""Without a mouse."""

import pytest
from playwright.sync_api import Locator, Page, expect

from servicedesk.tests.browser.pages import ConsoleTicket, PortalNew

pytestmark = pytest.mark.once

MOST_STEPS = 80


def go_to(page: Page, wanted: Locator) -> None:
    """By the tabulator alone, as far as that takes."""
    wanted.wait_for()
    for _ in range(MOST_STEPS):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} is not reached by the keyboard")


def test_an_agent_replies_without_the_mouse(person, caller):
    ticket = caller("alice").open("The mouse is broken")
    dana = person("dana")
    shown = ConsoleTicket(dana.page)
    shown.show(ticket)
    keys = dana.page.keyboard
    keys.press("r")
    expect(shown.box).to_be_focused()
    keys.type("Try the keyboard.")
    keys.press("Control+Enter")
    expect(shown.message("Try the keyboard.")).to_be_visible()
    assert caller("alice").bodies(ticket) == ["Try the keyboard."]

    dana.page.reload()
    go_to(dana.page, shown.box)
    keys.type("And Tab.")
    go_to(dana.page, shown.composer.get_by_role("button", name="Send reply"))
    keys.press("Enter")
    expect(shown.message("And Tab.")).to_be_visible()


def test_the_shortcuts_are_shown_and_not_taken_for_text(person, caller):
    ticket = caller("alice").open("What does r do?")
    dana = person("dana")
    shown = ConsoleTicket(dana.page)
    shown.show(ticket)
    dana.page.keyboard.press("?")
    expect(dana.page.get_by_role("dialog")).to_contain_text("Reply")
    dana.page.keyboard.press("Escape")
    expect(dana.page.get_by_role("dialog")).to_have_count(0)
    shown.box.press_sequentially("r?")
    expect(dana.page.get_by_role("dialog")).to_have_count(0)
    expect(shown.box).to_have_value("r?")


def test_a_customer_opens_a_ticket_without_the_mouse(person, caller):
    alice = person("alice")
    alice.page.goto("/")
    keys = alice.page.keyboard
    go_to(alice.page, alice.page.locator("a[href='/new/']").first)
    keys.press("Enter")
    alice.page.wait_for_url("**/new/")
    go_to(alice.page, alice.page.get_by_label("Subject"))
    keys.type("My mouse is broken too")
    go_to(alice.page, alice.page.locator("textarea[name=description]"))
    keys.type("It only goes left.")
    go_to(alice.page, PortalNew(alice.page).button)
    keys.press("Enter")
    ticket = PortalNew(alice.page).opened()
    assert caller("alice").read(ticket)["description"] == "It only goes left."
