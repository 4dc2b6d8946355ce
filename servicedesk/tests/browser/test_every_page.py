"""Every page, full of hostile text: nothing of it runs, nobody is kept out, nothing sticks out."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from servicedesk.tests.browser.accessibility import barriers
from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.chromium import DESKTOP, PHONE
from servicedesk.tests.browser.hostile import Hostile, everywhere
from servicedesk.tests.browser.pages import settle

pytestmark = pytest.mark.once

# Path, and what of the hostile ticket is to be read there; `{ticket}` is its number.
PORTAL = {
    "/": ["subject"],
    "/new/": [],
    "/tickets/{ticket}/": ["subject", "said", "filename"],
}
CONSOLE = {
    "/admin/": [],
    "/admin/tickets/ticket/": ["subject", "view"],
    "/admin/tickets/ticket/?q=noted": ["subject"],
    "/admin/tickets/ticket/?q=nothing-has-this-word": [],
    "/admin/tickets/ticket/{ticket}/change/": [
        "subject",
        "said",
        "noted",
        "filename",
        "name",
        "category",
        "tag",
    ],
    "/admin/tickets/category/": ["category"],
    "/admin/tickets/cannedreply/": ["canned"],
    "/admin/attachments/attachment/": ["filename"],
    "/admin/agents/user/": ["name"],
    "/admin/agents/agentprofile/": [],
    "/admin/agents/team/": [],
    "/admin/agents/skill/": [],
    "/admin/tickets/calendar/": [],
    "/admin/tickets/slapolicy/": [],
    "/admin/tickets/escalationrule/": [],
    "/admin/password_change/": [],
}
DOORS = ("/sign-in/", "/admin/login/")


@pytest.fixture(scope="module")
def hostile(caller: Callable[[str], Caller]) -> Hostile:
    return everywhere(caller("alice"), caller("sam"))


def check(page: Page, path: str, texts: list[str], hostile: Hostile) -> None:
    page.set_viewport_size(DESKTOP)
    answer = page.goto(path.format(ticket=hostile.ticket))
    assert answer
    assert answer.ok, f"{path} answered {answer.status}"
    for text in texts:
        # Whatever box it stands in: that it is text is what counts.
        shown = page.get_by_text(getattr(hostile, text)).filter(visible=True)
        expect(shown.first, f"{text} on {path}").to_be_visible()
    faults = barriers(page)
    page.set_viewport_size(PHONE)
    settle(page)
    if sticking_out := page.evaluate("document.documentElement.scrollWidth - innerWidth"):
        faults.append(f"{sticking_out} px wider than a phone")
    assert not faults, f"{path}\n" + "\n".join(faults)


@pytest.mark.parametrize("path", PORTAL)
def test_the_portal(person, hostile, path):
    alice = person("alice")
    check(alice.page, path, PORTAL[path], hostile)


@pytest.mark.parametrize("path", CONSOLE)
def test_the_console(person, hostile, path):
    sam = person("sam")
    check(sam.page, path, CONSOLE[path], hostile)


@pytest.mark.parametrize("path", DOORS)
def test_the_doors(anybody, hostile, path):
    check(anybody("nobody").page, path, [], hostile)
