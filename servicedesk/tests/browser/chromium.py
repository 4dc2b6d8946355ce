"""Debian's Chromium, and how one signs in with it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

PROGRAM = shutil.which("chromium")
PASSWORD = "a-password-for-the-demo"
CUSTOMERS = {"alice", "charlie"}
DESKTOP, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=PROGRAM,
            # A container's root has no user namespaces for the sandbox, and little /dev/shm.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield running
        running.close()


def home_of(username: str) -> str:
    """Where somebody begins: in the portal or in the console."""
    return "/" if username in CUSTOMERS else "/admin/"


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """On the page that asks for it."""
    page.get_by_label("Username or e-mail").fill(username)
    page.get_by_label("Password", exact=False).fill(password)
    page.get_by_role("button", name="Log in").or_(
        page.get_by_role("button", name="Sign in")
    ).first.click()
    page.wait_for_url(lambda url: "/login/" not in url and "/sign-in/" not in url)
