"""The reference client in a real browser, on a page of the desk, by the session cookie."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.people import Person
from servicedesk.tests.processes import ROOT

pytestmark = pytest.mark.once

JAVASCRIPT = {"Content-Type": "text/javascript"}
# What a front end would do, with what it hears kept for the test to look at.
OPEN_ROOM = """async ({ ticket, cursor }) => {
  const { DeskClient } = await import("/static/realtime/desk-client.js");
  window.desk = new DeskClient({ storage: localStorage }).connect();
  window.states = [];
  desk.on("state", ({ state }) => states.push(state));
  window.room = desk.room(ticket, cursor);
  window.events = [];
  room.on("event", (event) => events.push(event));
}"""


@pytest.fixture
def alice(caller: Callable[[str], Caller]) -> Caller:
    return caller("alice")


@pytest.fixture
def sam(person: Callable[..., Person]) -> Person:
    """At a page of the console that has no live part of its own."""
    sam = person("sam")
    sam.page.goto("/admin/password_change/")
    return sam


def open_room(page: Page, ticket: int) -> int:
    """Read the ticket over HTTP, and join its room from there; answers the cursor."""
    stream = page.evaluate(
        "async (ticket) => (await (await fetch(`/api/tickets/${ticket}/`)).json()).stream", ticket
    )
    cursor = {"lastSeq": stream["seq"], "epoch": stream["epoch"]}
    page.evaluate(OPEN_ROOM, {"ticket": ticket, "cursor": cursor})
    page.wait_for_function("() => room.isLive")
    seq: int = stream["seq"]
    return seq


def messages(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "events.filter((e) => e.event === 'message.created').map((e) => e.data.message.body)"
    )
    return found


def test_the_quick_start_of_the_documentation_runs(sam, alice):
    page = sam.page
    ticket = alice.open("The printer hums")
    blocks = re.findall(r"```js\n(.*?)```", (ROOT / "docs/live.md").read_text(), re.DOTALL)
    script = blocks[0].replace("/42/", f"/{ticket}/")
    # As a file of the desk's own origin: its pages run no other.
    page.route("**/quick-start.js", lambda route: route.fulfill(body=script, headers=JAVASCRIPT))
    page.add_script_tag(type="module", url="/quick-start.js")
    page.wait_for_function("() => document.title === 'live'")
    page.wait_for_function("() => document.body.innerText.includes('Sam Stone: Have you tried')")
    alice.post(ticket, "Twice.")
    page.wait_for_function("() => document.body.innerText.includes('Alice Adams: Twice.')")
    assert alice.bodies(ticket) == ["Have you tried turning it off and on again?", "Twice."]
    assert sam.watch.has_sockets


def test_a_page_of_the_desk_resumes_without_a_gap_or_a_double(sam, alice):
    page = sam.page
    ticket = alice.open("VPN is down")
    seq = open_room(page, ticket)
    alice.post(ticket, "heard at once")
    page.wait_for_function("() => events.length === 1")

    with sam.offline():
        page.wait_for_function("() => desk.state === 'offline'")
        alice.post(ticket, "said meanwhile")
        state = page.evaluate("window.message = room.send('written offline'), message.state")
        assert state == "pending"
        page.wait_for_function("() => states.join().endsWith('offline,connecting,offline')")
        assert page.evaluate("events.length") == 1

    page.evaluate("message.done")
    page.wait_for_function("() => room.seq >= message.answer.seq")
    alice.post(ticket, "and goes on")
    page.wait_for_function("seq => room.seq > seq", arg=page.evaluate("message.answer.seq"))

    said = ["heard at once", "said meanwhile", "written offline", "and goes on"]
    assert messages(page) == said
    assert alice.bodies(ticket) == said
    seqs = page.evaluate("events.map((event) => event.seq)")
    assert seqs == list(range(seq + 1, seq + 1 + len(seqs)))


def test_what_was_written_offline_outlives_the_page(sam, alice):
    page = sam.page
    ticket = alice.open("No network in the lift")
    open_room(page, ticket)
    with sam.offline():
        page.wait_for_function("() => desk.state === 'offline'")
        page.evaluate("desk.close(), room.send('before the reload'), null")
    page.reload()
    assert alice.bodies(ticket) == []
    open_room(page, ticket)
    page.wait_for_function("() => desk.state === 'live' && desk.outgoing.length === 0")
    assert alice.bodies(ticket) == ["before the reload"]
