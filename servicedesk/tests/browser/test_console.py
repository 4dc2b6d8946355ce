"""What agents do in the console, beside the conversation."""

import pytest
from playwright.sync_api import FilePayload, Page, expect

from servicedesk.tests.browser.pages import ConsoleTicket

pytestmark = pytest.mark.once


def fold(page: Page, name: str) -> None:
    page.locator("summary", has_text=name).first.click()


def test_whom_the_desk_recommends_gets_the_ticket_by_one_press(person, caller):
    ticket = caller("alice").open("Who could do this?")
    # From the queue the desk itself would give it away meanwhile.
    me = caller("sam").call("/auth/me")["id"]
    caller("sam").call(f"/tickets/{ticket}/assign", {"assignee": me, "force": True}, "PUT")
    sam = person("sam")
    shown = ConsoleTicket(sam.page)
    shown.show(ticket)
    fold(sam.page, "Recommended")
    first = sam.page.locator(".desk-recommended .desk-candidate").first
    expect(first.locator("meter").first).to_be_visible()
    name = first.locator("strong").inner_text()
    first.get_by_role("button", name=f"Assign to {name}").click()
    expect(sam.page.locator(".desk-head")).to_contain_text(f"with {name}")
    assert caller("alice").read(ticket)["assignee"]["name"] == name
    assert shown.is_still_this


def test_somebody_takes_part_and_does_not_any_more(person, caller):
    ticket = caller("alice").open("Charlie knows more")
    bob = person("bob")
    shown = ConsoleTicket(bob.page)
    shown.show(ticket)
    shown.box.fill("A draft that stays")
    fold(bob.page, "Participants")
    bob.page.get_by_label("Username or e-mail").fill("charlie")
    bob.page.get_by_role("button", name="Add", exact=True).click()
    expect(bob.page.locator(".desk-participants")).to_contain_text("Charlie Cole")
    assert caller("charlie").read(ticket)["id"] == ticket
    bob.page.get_by_role("button", name="Remove Charlie Cole").click()
    expect(bob.page.locator(".desk-participants")).to_have_count(0)
    expect(shown.box).to_have_value("A draft that stays")
    assert shown.is_still_this


def test_two_who_edit_different_fields_do_not_disturb_each_other(person, caller):
    alice, sam = caller("alice"), caller("sam")
    ticket = alice.open("The subject")
    dana = person("dana")
    ConsoleTicket(dana.page).show(ticket)
    fold(dana.page, "Edit")
    form = dana.page.locator("form#edit")
    form.get_by_label("Subject").fill("A better subject")
    sam.call(f"/tickets/{ticket}/", {"tags": ["urgent"]}, "PATCH")
    expect(dana.page.locator(".desk-facts")).to_contain_text("urgent")
    form.get_by_role("button", name="Save").click()
    expect(dana.page.locator("h1")).to_contain_text("A better subject")
    found = alice.read(ticket)
    assert (found["subject"], found["tags"]) == ("A better subject", ["urgent"])


def test_a_canned_reply_is_found_filled_in_and_put_where_one_writes(person, caller):
    body = "Hello {{requester.first_name}}, about {{ticket.number}}: try again."
    caller("sam").call("/canned-replies/", {"title": "Try again", "body": body})
    ticket = caller("alice").open("It fails")
    bob = person("bob")
    shown = ConsoleTicket(bob.page)
    shown.show(ticket)
    bob.page.keyboard.press("c")
    bob.page.get_by_role("dialog").get_by_label("Search").fill("try ag")
    bob.page.get_by_role("button", name="Try again").click()
    expect(shown.box).to_have_value(f"Hello Alice, about SD-{ticket}: try again.")
    expect(shown.box).to_be_focused()


def test_colleagues_see_each_other_and_what_each_does(person, caller):
    ticket = caller("alice").open("Both of us?")
    bob, dana = person("bob"), person("dana")
    of_bob, of_dana = ConsoleTicket(bob.page), ConsoleTicket(dana.page)
    of_bob.show(ticket)
    of_dana.show(ticket)
    expect(of_bob.viewers).to_contain_text("Dana Diaz is looking at this too.")
    of_dana.box.press_sequentially("I think")
    expect(of_bob.viewers).to_contain_text("Dana Diaz is replying.")
    of_dana.resolve("A new cable.")
    expect(of_bob.status).to_have_text("Resolved")
    assert of_bob.is_still_this


def test_the_start_page_follows_the_desk(person, caller):
    sam, dana = caller("sam"), person("dana")
    dana.page.goto("/admin/")
    # Nobody knows that, so nobody is given it.
    sam.call("/skills/", {"name": "cuneiform"})
    ticket = caller("alice").open("A clay tablet", required_skills=["cuneiform"])
    row = dana.page.locator("[data-part=unassigned] li", has_text="A clay tablet")
    expect(row).to_be_visible()
    row.get_by_role("button", name=f"Take SD-{ticket}").click()
    dana.page.wait_for_url(f"**/ticket/{ticket}/change/")
    assert caller("alice").read(ticket)["assignee"]["name"] == "Dana Diaz"


def test_a_box_that_looks_choices_up_works_after_its_part_was_drawn_anew(person, caller):
    sam = caller("sam")
    sam.call("/categories/", {"name": "Espresso machines"})
    ticket = caller("alice").open("No coffee")
    dana = person("dana")
    ConsoleTicket(dana.page).show(ticket)
    sam.call(f"/tickets/{ticket}/", {"tags": ["kitchen"]}, "PATCH")
    expect(dana.page.locator(".desk-facts")).to_contain_text("kitchen")
    fold(dana.page, "Edit")
    dana.page.locator("#edit .select2-selection").first.click()
    dana.page.locator(".select2-search__field").last.fill("Espr")
    dana.page.get_by_role("option", name="Espresso machines").click()
    dana.page.locator("#edit").get_by_role("button", name="Save").click()
    expect(dana.page.locator(".desk-facts")).to_contain_text("Espresso machines")


def test_a_file_that_is_refused_says_why_and_the_others_go_out(person, caller):
    ticket = caller("alice").open("Which settings?")
    bob = person("bob")
    bob.watch.expect_status(400)
    shown = ConsoleTicket(bob.page)
    shown.show(ticket)
    shown.drop("settings.txt", b"proxy = none")
    virus = FilePayload(name="run.exe", mimeType="text/plain", buffer=b"MZ" + bytes(200))
    shown.composer.locator("input[type=file]").set_input_files(virus)
    refused = bob.page.locator(".desk-upload.is-refused", has_text="run.exe")
    expect(refused.locator(".desk-upload-reason")).not_to_be_empty()
    refused.get_by_role("button", name="Remove").click()
    shown.write("These.")
    expect(shown.message("These.")).to_contain_text("settings.txt")
    (message,) = caller("alice").messages(ticket)
    assert [file["filename"] for file in message["attachments"]] == ["settings.txt"]
