"""Draws docs/images anew: `python -m servicedesk.tests.screenshots [words of the wanted names]`.

From a demo desk whose clock stands at one Wednesday morning, so that what changes in a picture is
what changed on the page.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Literal

import time_machine
from django.core.management import execute_from_command_line
from PIL import Image
from playwright.sync_api import Browser, Page

from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.chromium import DESKTOP, PASSWORD, PHONE, chromium, home_of, sign_in
from servicedesk.tests.processes import ROOT, demo_desk

IMAGES = ROOT / "docs/images"
NOW = datetime(2026, 3, 4, 10, 12, tzinfo=UTC)
# By the browsers' clock: a little after the demo was loaded.
SEEN_AT = NOW + timedelta(minutes=2)
MANAGE = "manage.py"
# `manage.py`, in a process that takes NOW for the time at which it starts.
PROGRAM = (sys.executable, "-m", "servicedesk.tests.screenshots", MANAGE)
ColorScheme = Literal["light", "dark"]
SCHEMES: tuple[ColorScheme, ...] = ("light", "dark")
# The demo's ticket about the VPN, which has files, a note and a clock that runs.
TICKET = 1


def _nothing(page: Page) -> None: ...


@dataclass(frozen=True)
class Shot:
    """One page, as one person sees it; `prepare` brings it to the state that is to be seen."""

    name: str
    path: str
    username: str = ""
    prepare: Callable[[Page], None] = _nothing


def _choose_some(page: Page) -> None:
    """The intermediate page of an action on several tickets."""
    boxes = page.locator("input[name=_selected_action]")
    for index in range(min(3, boxes.count())):
        boxes.nth(index).check()
    page.get_by_label("Action:").select_option(label="Change the status…")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("button", name="Change", exact=True).wait_for()


def _begin_a_ticket(page: Page) -> None:
    page.get_by_label("Subject").fill("VPN drops when I join a call")
    page.locator("textarea[name=description]").fill("It worked yesterday.")


SHOTS = (
    Shot("sign-in", "/admin/login/"),
    Shot("start", "/admin/", "dana"),
    Shot("list", "/admin/tickets/ticket/", "dana"),
    Shot("bulk", "/admin/tickets/ticket/", "sam", _choose_some),
    Shot("ticket", f"/admin/tickets/ticket/{TICKET}/change/", "bob"),
    Shot("canned-replies", "/admin/tickets/cannedreply/", "sam"),
    Shot("portal-sign-in", "/sign-in/"),
    Shot("portal-list", "/", "alice"),
    Shot("portal-new", "/new/", "alice", _begin_a_ticket),
    Shot("portal-ticket", f"/tickets/{TICKET}/", "alice"),
)


def main(words: Sequence[str]) -> None:
    shots = [shot for shot in SHOTS if not words or any(word in shot.name for word in words)]
    with (
        tempfile.TemporaryDirectory(prefix="desk-screenshots-") as home,
        demo_desk(Path(home), PASSWORD, program=PROGRAM) as desk,
        chromium() as browser,
    ):
        _keep_busy(desk.address)
        for shot in shots:
            for scheme in SCHEMES:
                _draw(browser, desk.address, shot, scheme)


def _keep_busy(address: str) -> None:
    """More than the demo has, so that lists and counts have something to say."""
    alice, charlie = Caller(address, "alice"), Caller(address, "charlie")
    bob = Caller(address, "bob")
    charlie.open("Second monitor stays black", priority="high")
    charlie.open("Meeting room 4 has no sound", description="Since the update on Monday.")
    alice.open("Access to the archive of 2019", priority="low")
    charlie.open("No signal on my desk phone", priority="urgent")
    alice.open("Shared calendar shows the wrong time zone")
    # Nobody has room for more, so that something waits.
    sam = Caller(address, "sam")
    for agent in sam.call("/agents/")["results"]:
        sam.call(f"/agents/{agent['id']}/", {"capacity": agent["open_tickets"]}, "PATCH")
    alice.open("Projector in the lobby flickers", priority="high")
    charlie.open("Please install the new drawing program")
    charlie.open("Password of the guest Wi-Fi", priority="low")
    alice.post(TICKET, "It also happens on my phone's hotspot.\n\nDoes the log help?")
    bob.post(TICKET, "It does: the certificate of the gateway ran out at 9:58. **Ten minutes.**")


def _draw(browser: Browser, address: str, shot: Shot, scheme: ColorScheme) -> None:
    """Signed in once, at both widths."""
    context = browser.new_context(
        base_url=address, viewport=DESKTOP, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.clock.set_fixed_time(SEEN_AT)
    if shot.username:
        page.goto(home_of(shot.username))
        sign_in(page, shot.username)
    for viewport in (DESKTOP, PHONE):
        page.set_viewport_size(viewport)
        page.goto(shot.path)
        page.wait_for_load_state("networkidle")
        shot.prepare(page)
        page.evaluate("document.fonts.ready.then(() => document.activeElement?.blur())")
        name = f"{shot.name}-{scheme}-{viewport['width']}.webp"
        (IMAGES / name).write_bytes(_small(page.screenshot()))
        print(name, flush=True)
    context.close()


def _small(png: bytes) -> bytes:
    """The same picture in a third of the bytes."""
    content = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(content, "WEBP", lossless=True, quality=90)
    return content.getvalue()


if __name__ == "__main__":
    if sys.argv[1:2] == [MANAGE]:
        with time_machine.travel(NOW, tick=True):
            execute_from_command_line(sys.argv[1:])
    else:
        main(sys.argv[1:])
