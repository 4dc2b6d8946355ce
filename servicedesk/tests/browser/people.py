"""Somebody at a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from servicedesk.tests.browser.chromium import DESKTOP
from servicedesk.tests.browser.line import Line
from servicedesk.tests.browser.watching import Watch

PATIENCE_MS = 15_000


@dataclass
class Person:
    """A browser of their own, on a line of their own."""

    username: str
    context: BrowserContext
    page: Page
    line: Line
    watch: Watch

    @contextmanager
    def offline(self) -> Iterator[None]:
        self.watch.expect_outage()
        self.context.set_offline(True)
        self.line.cut()
        try:
            yield
        finally:
            self.line.mend()
            self.context.set_offline(False)

    def close(self) -> None:
        # A round trip, after which whatever the pages had to report is here.
        for page in self.context.pages:
            page.evaluate("0")
        self.context.close()
        self.line.close()


def at_a_browser(browser: Browser, username: str, port: int, **options: Any) -> Person:
    line = Line(port)
    context = browser.new_context(
        base_url=line.address, **{"viewport": DESKTOP, "reduced_motion": "reduce", **options}
    )
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(context)
    return Person(username, context, context.new_page(), line, watch)
