"""A session that ends, access that is lost, a page that is stale, a browser without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, expect

from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.chromium import PASSWORD, sign_in
from servicedesk.tests.browser.pages import ConsoleTicket, PortalTicket, TicketPage
from servicedesk.tests.browser.people import Person

pytestmark = pytest.mark.once

OTHER_PASSWORD = "another-password-for-the-demo"


def somebody_new(sam: Caller, username: str, role: str) -> int:
    """An account of one's own, to be signed out of."""
    fields = {"username": username, "name": username.title(), "role": role, "password": PASSWORD}
    account = sam.call("/users/", {**fields, "email": f"{username}@desk.example"})
    id_: int = account["id"]
    return id_


@pytest.mark.parametrize(
    ("username", "role", "kind"),
    [("erin", "agent", ConsoleTicket), ("fred", "customer", PortalTicket)],
)
def test_a_session_that_ends_keeps_what_was_written(anybody, caller, username, role, kind):
    sam = caller("sam")
    account = somebody_new(sam, username, role)
    ticket = caller("alice").open("Nobody signs out in time")
    sam.call(f"/tickets/{ticket}/participants", {"user": account})
    writer: Person = anybody(username)
    writer.watch.expect_status(401)
    writer.page.goto("/" if role == "customer" else "/admin/")
    sign_in(writer.page, username)
    shown: TicketPage = kind(writer.page)
    shown.show(ticket)
    shown.box.fill("Half a sentence")
    sam.call(f"/users/{account}", {"password": OTHER_PASSWORD}, "PATCH")
    notice = writer.page.get_by_text("You are signed out. What you have written is kept.")
    expect(notice).to_be_visible()
    expect(shown.box).to_have_value("Half a sentence")
    writer.page.get_by_role("link", name="Sign in").click()
    sign_in(writer.page, username, OTHER_PASSWORD)
    expect(shown.box).to_have_value("Half a sentence")
    shown.box.press("End")
    shown.box.press_sequentially(", and the rest.")
    shown.box.press("Control+Enter")
    expect(shown.message("Half a sentence, and the rest.")).to_be_visible()
    assert sam.bodies(ticket) == ["Half a sentence, and the rest."]


def test_a_customer_who_loses_access_is_told(person, caller):
    ticket = caller("alice").open("With charlie's help", description="For your eyes only.")
    charlie = person("charlie")
    charlie.watch.expect_status(404)
    me = caller("charlie").call("/auth/me")["id"]
    caller("sam").call(f"/tickets/{ticket}/participants", {"user": me})
    PortalTicket(charlie.page).show(ticket)
    expect(charlie.page.get_by_text("For your eyes only.")).to_be_visible()
    caller("sam").call(f"/tickets/{ticket}/participants/{me}", method="DELETE")
    assert_taken_away(charlie)


def test_an_agent_who_loses_access_is_told(person, caller):
    sam = caller("sam")
    team = sam.call("/teams/", {"name": "Payroll"})["id"]
    ticket = caller("alice").open("My salary", description="For your eyes only.")
    bob = next(agent for agent in sam.call("/agents/")["results"] if agent["name"] == "Bob Brown")
    sam.call(f"/tickets/{ticket}/assign", {"assignee": bob["id"], "force": True}, "PUT")
    dana = person("dana")
    dana.watch.expect_status(404)
    ConsoleTicket(dana.page).show(ticket)
    expect(dana.page.get_by_text("For your eyes only.")).to_be_visible()
    sam.call(f"/tickets/{ticket}/", {"team": team}, "PATCH")
    assert_taken_away(dana)


def assert_taken_away(person: Person) -> None:
    """Off the screen, with a word of why and a way back."""
    expect(person.page.get_by_text("For your eyes only.")).to_have_count(0)
    expect(person.page.locator("main, #content-main, #content").first).to_contain_text("access")
    expect(person.page.get_by_role("link", name="tickets").first).to_be_visible()


def test_a_stale_page_is_given_the_choice(person, caller):
    alice, sam = caller("alice"), caller("sam")
    ticket = alice.open("The first subject")
    dana = person("dana")
    dana.watch.expect_status(409, 412)
    ConsoleTicket(dana.page).show(ticket)
    form = dana.page.locator("form#edit")
    dana.page.locator("summary", has_text="Edit").click()
    form.get_by_label("Subject").fill("What dana calls it")
    sam.call(f"/tickets/{ticket}/", {"subject": "What sam calls it"}, "PATCH")
    form.get_by_role("button", name="Save").click()
    for text in ("The first subject", "What sam calls it"):
        expect(form.get_by_text(text).first).to_be_visible()
    assert alice.read(ticket)["subject"] == "What sam calls it"
    # Nothing covers the other choice.
    form.get_by_role("link", name="Keep theirs").click(trial=True)
    form.get_by_role("button", name="Save mine").click()
    expect(dana.page.locator("h1")).to_contain_text("What dana calls it")
    assert alice.read(ticket)["subject"] == "What dana calls it"


def test_a_draft_outlives_a_reload(person, caller):
    ticket = caller("alice").open("Reloading")
    dana = person("dana")
    shown = ConsoleTicket(dana.page)
    shown.show(ticket)
    shown.box.fill("Nearly finished")
    dana.page.reload()
    expect(shown.box).to_have_value("Nearly finished")


def test_the_draft_of_a_note_comes_back_as_a_note(person, caller):
    ticket = caller("alice").open("Not for alice")
    dana = person("dana")
    shown = ConsoleTicket(dana.page)
    shown.show(ticket)
    shown.composer.get_by_label("Internal note").check(force=True)
    shown.box.fill("She has asked twice.")
    dana.page.goto("/admin/")
    shown.show(ticket)
    expect(shown.box).to_have_value("She has asked twice.")
    shown.composer.get_by_role("button", name="Save note").click()
    expect(shown.message("She has asked twice.")).to_be_visible()
    assert [message["internal"] for message in caller("sam").messages(ticket)] == [True]


def test_a_reply_with_a_file_goes_out_without_scripts(
    person, caller: Callable[[str], Caller]
) -> None:
    ticket = caller("alice").open("Scripts are forbidden here")
    dana = person("dana", java_script_enabled=False)
    shown = ConsoleTicket(dana.page)
    dana.page.goto(shown.path(ticket))
    shown.box.fill("Read the attached.")
    manual = FilePayload(name="manual.txt", mimeType="text/plain", buffer=b"Turn it off and on.")
    shown.composer.locator("input[type=file]").set_input_files(manual)
    shown.composer.get_by_role("button", name="Send reply").click()
    expect(shown.message("Read the attached.")).to_contain_text("manual.txt")
    message = caller("alice").messages(ticket)[-1]
    assert message["body"] == "Read the attached."
    assert [file["filename"] for file in message["attachments"]] == ["manual.txt"]


def test_whoever_sends_hears_first_what_came_meanwhile(person, caller):
    alice = caller("alice")
    ticket = alice.open("It solves itself")
    dana = person("dana")
    shown = ConsoleTicket(dana.page)
    shown.show(ticket)
    shown.box.press_sequentially("Have you tried")
    for text in ("Never mind.", "It works again."):
        alice.post(ticket, text)
        expect(shown.message(text)).to_be_visible()
    shown.box.press("Control+Enter")
    expect(dana.page.get_by_text("2 new replies")).to_be_visible()
    assert alice.bodies(ticket) == ["Never mind.", "It works again."]
    dana.page.get_by_role("button", name="Send anyway").click()
    expect(shown.message("Have you tried")).to_be_visible()
