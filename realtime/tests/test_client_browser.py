"""The reference client in a real browser, on a page of the desk, by the session cookie."""

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket, sync_playwright

from servicedesk.tests.frames import CheckedSocket
from servicedesk.tests.processes import ROOT, desk

pytestmark = pytest.mark.once

PASSWORD = "a-password-for-the-demo"
PATIENCE_MS = 30_000

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


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with desk(tmp_path_factory.mktemp("desk"), PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Debian's chromium is not installed; with CI set that fails the run")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            # A container's root has no user namespaces for the sandbox, and little /dev/shm.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield running
        running.close()


class Alice:
    """The customer, over HTTP."""

    def __init__(self, address: str) -> None:
        self.address = address
        signing_in = {"username": "alice", "password": PASSWORD}
        self.token = ""
        self.token = self.call("/auth/token", signing_in)["access"]

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if body else None
        request = urllib.request.Request(f"{self.address}/api{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def post(self, ticket: int, body: str) -> None:
        self.call(f"/tickets/{ticket}/messages", {"body": body})

    def bodies(self, ticket: int) -> list[str]:
        return [message["body"] for message in self.call(f"/tickets/{ticket}/messages")["results"]]


@pytest.fixture(scope="module")
def alice(address: str) -> Alice:
    return Alice(address)


class Recorded:
    """The frames of one socket, to be held against the contract when the test is over."""

    def __init__(self, socket: WebSocket) -> None:
        self.frames: list[tuple[bool, str]] = []
        socket.on("framesent", lambda payload: self.frames.append((True, str(payload))))
        socket.on("framereceived", lambda payload: self.frames.append((False, str(payload))))

    def check(self) -> None:
        checked = CheckedSocket()
        for is_sent, text in self.frames:
            if is_sent:
                checked.sends(text)
            else:
                checked.hears(text)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Sam's console."""
    context = browser.new_context(base_url=address)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    sockets: list[Recorded] = []
    page.on("websocket", lambda socket: sockets.append(Recorded(socket)))
    page.goto("/admin/login/")
    page.fill("input[name=username]", "sam")
    page.fill("input[name=password]", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_url("**/admin/**")
    yield page
    context.close()
    assert any(socket.frames for socket in sockets)
    for socket in sockets:
        socket.check()


def open_room(page: Page, ticket: int) -> int:
    """Read the ticket over HTTP, and join its room from there; answers the cursor."""
    stream = page.evaluate(
        "async (ticket) => (await (await fetch(`/api/tickets/${ticket}/`)).json()).stream", ticket
    )
    cursor = {"lastSeq": stream["seq"], "epoch": stream["epoch"]}
    page.evaluate(OPEN_ROOM, {"ticket": ticket, "cursor": cursor})
    page.wait_for_function("room.isLive")
    seq: int = stream["seq"]
    return seq


def messages(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "events.filter((e) => e.event === 'message.created').map((e) => e.data.message.body)"
    )
    return found


def test_the_quick_start_of_the_documentation_runs(page: Page, alice: Alice):
    ticket = alice.call("/tickets/", {"subject": "The printer hums"})["id"]
    blocks = re.findall(r"```js\n(.*?)```", (ROOT / "docs/live.md").read_text(), re.DOTALL)
    page.add_script_tag(type="module", content=blocks[0].replace("/42/", f"/{ticket}/"))
    page.wait_for_function("document.title === 'live'")
    page.wait_for_function("document.body.innerText.includes('Sam Stone: Have you tried')")
    alice.post(ticket, "Twice.")
    page.wait_for_function("document.body.innerText.includes('Alice Adams: Twice.')")
    assert alice.bodies(ticket) == ["Have you tried turning it off and on again?", "Twice."]


def test_a_page_of_the_desk_resumes_without_a_gap_or_a_double(page: Page, alice: Alice):
    ticket = alice.call("/tickets/", {"subject": "VPN is down"})["id"]
    seq = open_room(page, ticket)
    alice.post(ticket, "heard at once")
    page.wait_for_function("events.length === 1")

    page.context.set_offline(True)
    page.wait_for_function("desk.state === 'offline'")
    alice.post(ticket, "said meanwhile")
    state = page.evaluate("window.message = room.send('written offline'), message.state")
    assert state == "pending"
    page.wait_for_function("states.join().endsWith('offline,connecting,offline')")
    assert page.evaluate("events.length") == 1

    page.context.set_offline(False)
    page.evaluate("message.done")
    page.wait_for_function("room.seq >= message.answer.seq")
    alice.post(ticket, "and goes on")
    page.wait_for_function("seq => room.seq > seq", arg=page.evaluate("message.answer.seq"))

    said = ["heard at once", "said meanwhile", "written offline", "and goes on"]
    assert messages(page) == said
    assert alice.bodies(ticket) == said
    seqs = page.evaluate("events.map((event) => event.seq)")
    assert seqs == list(range(seq + 1, seq + 1 + len(seqs)))


def test_what_was_written_offline_outlives_the_page(page: Page, alice: Alice):
    ticket = alice.call("/tickets/", {"subject": "No network in the lift"})["id"]
    open_room(page, ticket)
    page.context.set_offline(True)
    page.wait_for_function("desk.state === 'offline'")
    page.evaluate("desk.close(), room.send('before the reload'), null")
    page.context.set_offline(False)
    page.reload()
    assert alice.bodies(ticket) == []
    open_room(page, ticket)
    page.wait_for_function("desk.state === 'live' && desk.outgoing.length === 0")
    assert alice.bodies(ticket) == ["before the reload"]
