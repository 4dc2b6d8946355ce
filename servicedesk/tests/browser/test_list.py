"""The list of tickets while it changes, and many of them at once."""

import pytest
from playwright.sync_api import Locator, Page, expect

from servicedesk.tests.browser.chromium import PHONE
from servicedesk.tests.browser.pages import REMEMBER

pytestmark = pytest.mark.once

LIST = "/admin/tickets/ticket/"


def row(page: Page, subject: str) -> Locator:
    return page.locator("#result_list tbody tr", has_text=subject)


def subjects(page: Page) -> list[str]:
    return page.locator("#result_list .field-subject").all_inner_texts()


def test_what_changes_is_marked_where_it_stands(person, caller):
    alice, sam = caller("alice"), caller("sam")
    first, second = (alice.open(f"Kaleidoscope {word}") for word in ("one", "two"))
    dana = person("dana")
    dana.page.goto(f"{LIST}?q=kaleidoscope")
    dana.page.evaluate(REMEMBER)
    expect(row(dana.page, "Kaleidoscope one")).to_be_visible()
    before = subjects(dana.page)
    row(dana.page, "Kaleidoscope one").locator(".action-select").check()

    sam.call(f"/tickets/{first}/priority", {"priority": "critical"}, "PUT")
    changed = row(dana.page, "Kaleidoscope one")
    expect(changed.locator(".field-priority_label")).to_have_text("Critical")
    expect(changed).to_have_class("selected is-changed")
    expect(changed.locator(".action-select")).to_be_checked()
    assert subjects(dana.page) == before
    expect(dana.page.get_by_text("The order has changed.")).to_be_visible()

    third = alice.open("Kaleidoscope three")
    sam.call(f"/tickets/{second}/", {"subject": "Something else"}, "PATCH")
    expect(dana.page.get_by_text("1 more ticket is here.")).to_be_visible()
    expect(row(dana.page, "Kaleidoscope two")).to_have_class("is-gone")
    assert subjects(dana.page) == before
    assert dana.page.evaluate("window.isStillThis")
    dana.page.locator("#news").get_by_role("button", name="Show").click()
    expect(row(dana.page, f"SD-{third}")).to_be_visible()
    expect(row(dana.page, "Kaleidoscope two")).to_have_count(0)


def test_who_is_there_stands_beside_the_assignee_after_a_change_too(person, caller):
    alice, sam = caller("alice"), caller("sam")
    me, ticket = caller("dana").call("/auth/me")["id"], alice.open("Stethoscope")
    sam.call(f"/tickets/{ticket}/assign", {"assignee": me, "force": True}, "PUT")
    dana = person("dana")
    dana.page.goto(f"{LIST}?q=stethoscope")
    dot = row(dana.page, "Stethoscope").get_by_role("img", name="online")
    expect(dot).to_be_visible()

    sam.call(f"/tickets/{ticket}/priority", {"priority": "critical"}, "PUT")
    expect(row(dana.page, "Stethoscope")).to_have_class("is-changed")
    expect(dot).to_be_visible()


def test_a_filter_applies_itself_and_the_address_says_just_that(person, caller):
    caller("alice").open("A telescope", priority="urgent")
    sam = person("sam")
    sam.page.goto(f"{LIST}?q=telescope")
    sam.page.get_by_text("Filters", exact=True).click()
    sam.page.get_by_label("Priority", exact=True).select_option(label="Urgent")
    sam.page.wait_for_url("**/ticket/?q=telescope&priority__exact=4")
    expect(row(sam.page, "A telescope")).to_be_visible()
    sam.page.get_by_label("Priority", exact=True).select_option(label="Low")
    expect(sam.page.get_by_text("No ticket matches.")).to_be_visible()
    sam.page.get_by_role("link", name="Priority: Low").click()
    expect(row(sam.page, "A telescope")).to_be_visible()

    sam.page.get_by_text("Save this view").click()
    sam.page.get_by_placeholder("Name").fill("Telescopes")
    sam.page.get_by_role("button", name="Save").click()
    expect(sam.page.locator(".desk-tabs [aria-current]")).to_have_text("Telescopes")
    expect(row(sam.page, "A telescope")).to_be_visible()


def test_many_at_once_and_what_became_of_each(person, caller):
    alice, sam = caller("alice"), caller("sam")
    good, stale = (alice.open(f"Microscope {word}") for word in ("one", "two"))
    dana = person("dana")
    dana.page.goto(f"{LIST}?q=microscope")
    dana.page.locator("#action-toggle").check()
    dana.page.get_by_role("combobox", name="Action:").select_option(label="Set the priority…")
    dana.page.get_by_role("button", name="Go").click()
    expect(dana.page.get_by_text("2 tickets")).to_be_visible()
    sam.call(f"/tickets/{stale}/", {"tags": ["later"]}, "PATCH")
    dana.page.get_by_label("Priority").select_option(label="High")
    dana.page.get_by_role("button", name="Set").click()
    expect(dana.page.get_by_text("1 of 2 done")).to_be_visible()
    expect(dana.page.locator("li", has_text="Microscope two")).to_contain_text("Refused")
    dana.page.get_by_role("button", name="Try the refused again").click()
    dana.page.get_by_label("Priority").select_option(label="High")
    dana.page.get_by_role("button", name="Set").click()
    expect(dana.page.get_by_text("1 of 1 done")).to_be_visible()
    assert {alice.read(each)["priority"] for each in (good, stale)} == {"high"}


def test_rows_are_reached_opened_and_ticked_by_keys(person, caller):
    caller("alice").open("A periscope")
    dana = person("dana")
    dana.page.goto(f"{LIST}?q=periscope")
    expect(row(dana.page, "A periscope")).to_be_visible()
    keys = dana.page.keyboard
    keys.press("j")
    keys.press("x")
    expect(dana.page.locator(".action-select").first).to_be_checked()
    keys.press("Enter")
    expect(dana.page.locator("h1")).to_contain_text("A periscope")


def test_unfolded_filters_fit_on_a_phone(person):
    dana = person("dana", viewport=PHONE)
    dana.page.goto(f"{LIST}?priority__exact=4&status__exact=new")
    expect(dana.page.get_by_label("Category", exact=True)).to_be_visible()
    assert dana.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
