"""One ticket from its opening to its reopening, in two browsers, whatever happens on the way."""

import os
import signal
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import expect

from servicedesk.tests.browser.accessibility import barriers
from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.pages import ConsoleTicket, PortalNew, PortalTicket
from servicedesk.tests.browser.people import Person
from servicedesk.tests.frames import INTERNAL_CANARY
from servicedesk.tests.processes import Desk

pytestmark = pytest.mark.once

AWAY_MS = 10_000
LOADED = "image => image.complete && image.naturalWidth > 0"


@pytest.fixture
def only_bob(caller: Callable[[str], Caller]) -> Iterator[None]:
    """Takes tickets for the moment, so that it is certain who gets the next."""
    dana, sam = caller("dana"), caller("sam")
    bob = next(agent for agent in sam.call("/agents/")["results"] if agent["name"] == "Bob Brown")
    sam.call(f"/agents/{bob['id']}/", {"capacity": 50}, "PATCH")
    dana.call("/agents/me/availability", {"availability": "away"}, "PUT")
    yield
    dana.call("/agents/me/availability", {"availability": "available"}, "PUT")


def screenshot() -> bytes:
    content = BytesIO()
    # Never the same twice: the desk tells doubles by their content.
    Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)).save(content, "PNG")
    return content.getvalue()


# --- What may come between ------------------------------------------------------------


def nothing(alice: Person, bob: Person, desk: Desk, meanwhile: Callable[[], None]) -> None:
    meanwhile()


def network_cut(alice: Person, bob: Person, desk: Desk, meanwhile: Callable[[], None]) -> None:
    with alice.offline(), bob.offline():
        alice.page.wait_for_timeout(AWAY_MS / 2)
        meanwhile()
        for person in (alice, bob):
            expect(person.page.get_by_text("You are offline.")).to_be_visible()
        alice.page.wait_for_timeout(AWAY_MS / 2)


def restarted(alice: Person, bob: Person, desk: Desk, meanwhile: Callable[[], None]) -> None:
    _away(alice, bob, desk, signal.SIGTERM, meanwhile)


def killed(alice: Person, bob: Person, desk: Desk, meanwhile: Callable[[], None]) -> None:
    _away(alice, bob, desk, signal.SIGKILL, meanwhile)


def _away(
    alice: Person, bob: Person, desk: Desk, end: signal.Signals, meanwhile: Callable[[], None]
) -> None:
    alice.watch.expect_outage()
    bob.watch.expect_outage()
    desk.end(end)
    try:
        meanwhile()
    finally:
        desk.start()


# --- The story ------------------------------------------------------------------------


@pytest.mark.usefixtures("only_bob")
@pytest.mark.parametrize("interlude", [nothing, network_cut, restarted, killed])
def test_a_ticket_lives_in_two_browsers(person, caller, desk, interlude):
    alice, bob = person("alice"), person("bob")
    subject = f"No VPN, and then: {interlude.__name__}"
    asked, answered = PortalTicket(alice.page), ConsoleTicket(bob.page)

    bob.page.goto("/admin/")
    ticket = PortalNew(alice.page).open(subject, "Since noon.", "VPN and remote access")
    expect(bob.page.get_by_text(subject).first).to_be_visible()
    assert caller("alice").read(ticket)["assignee"]["name"] == "Bob Brown"

    asked.show(ticket)
    answered.show(ticket)
    asked.box.press_sequentially("Is anybody")
    expect(answered.viewers).to_contain_text("Alice Adams is writing")
    answered.box.press_sequentially("Yes")
    expect(asked.page.locator("body")).to_contain_text("Bob Brown is writing")
    asked.write("Is anybody there?")
    expect(answered.message("Is anybody there?")).to_be_visible()
    answered.box.clear()
    answered.write("Yes. What does it **say**?")
    expect(asked.message("What does it say?").locator("strong", has_text="say")).to_be_visible()
    answered.note(INTERNAL_CANARY)
    expect(answered.message(INTERNAL_CANARY)).to_be_visible()

    asked.drop("error.png", screenshot())
    asked.write("This.")
    for shown in (answered, asked):
        expect(shown.thumbnail("This.")).to_be_visible()
        picture = shown.thumbnail("This.").element_handle()
        shown.page.wait_for_function(LOADED, arg=picture)

    def meanwhile() -> None:
        asked.write("I have tried again.")
        answered.write("I have asked the network team.")

    interlude(alice, bob, desk, meanwhile)
    expect(answered.message("I have tried again.")).to_be_visible()
    expect(asked.message("I have asked the network team.")).to_be_visible()

    answered.resolve("The certificate was renewed.")
    expect(answered.status).to_have_text("Resolved")
    expect(asked.page.locator("body")).to_contain_text("The certificate was renewed.")
    asked.rate(4, "Quick.")
    expect(answered.page.locator("body")).to_contain_text("4 of 5")
    asked.reopen()
    expect(answered.status).to_have_text("Open")
    asked.write("It is gone again.")
    expect(answered.message("It is gone again.")).to_be_visible()

    _nothing_missing_nothing_twice(asked, answered, caller("bob").bodies(ticket))
    found = caller("alice").read(ticket)
    assert (found["status"], found["reopen_count"]) == ("open", 1)
    assert barriers(alice.page) + barriers(bob.page) == []


def _nothing_missing_nothing_twice(
    asked: PortalTicket, answered: ConsoleTicket, stored: list[str]
) -> None:
    said = [text.replace("**", "") for text in stored]
    assert sorted(said) == sorted(
        [
            "Is anybody there?",
            "Yes. What does it say?",
            INTERNAL_CANARY,
            "This.",
            "I have tried again.",
            "I have asked the network team.",
            "It is gone again.",
        ]
    )
    assert answered.is_still_this
    assert asked.is_still_this
    assert answered.bodies() == said
    assert asked.bodies() == [text for text in said if text != INTERNAL_CANARY]
