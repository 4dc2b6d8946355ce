"""The pages, in the words of who uses them."""

import base64
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

# A page that was loaded anew has forgotten this.
REMEMBER = "window.isStillThis = true"
HOLD = """([name, type, content]) => {
  const held = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  held.items.add(new File([bytes], name, { type }));
  return held;
}"""
WRITING = {"png": "image/png", "txt": "text/plain"}
# Another width or theme counts from the next frame on. What moves arrives at once, and what moves
# for ever stops.
SETTLE = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  document.getAnimations().forEach((one) => {
    if (Number.isFinite(one.effect.getComputedTiming().endTime)) one.finish();
    else one.cancel();
  });
}"""


def settle(page: Page) -> None:
    """Let the page come to what it was told to look like."""
    page.evaluate(SETTLE)


@dataclass
class TicketPage:
    """What the two pages of a ticket have in common: a conversation, and a place to write."""

    page: Page

    def show(self, ticket: int) -> None:
        self.page.goto(self.path(ticket))
        self.page.evaluate(REMEMBER)

    def path(self, ticket: int) -> str:
        raise NotImplementedError

    @property
    def is_still_this(self) -> bool:
        """Nobody has loaded it anew since it was shown."""
        return bool(self.page.evaluate("window.isStillThis === true"))

    @property
    def composer(self) -> Locator:
        return self.page.locator("form:has(textarea[name=body])")

    @property
    def box(self) -> Locator:
        return self.composer.locator("textarea[name=body]")

    @property
    def viewers(self) -> Locator:
        return self.page.locator(".desk-viewers")

    @property
    def messages(self) -> Locator:
        """What the desk has, without what is still on its way."""
        return self.page.locator("[data-message]")

    def message(self, text: str) -> Locator:
        return self.messages.filter(has_text=text)

    def bodies(self) -> list[str]:
        return [text.strip() for text in self.messages.locator(".desk-body").all_inner_texts()]

    def write(self, text: str) -> None:
        self.box.fill(text)
        self.box.press("Control+Enter")

    def drop(self, filename: str, content: bytes) -> None:
        """Onto the composer, as if from another window."""
        kind = WRITING[filename.rpartition(".")[2]]
        file = [filename, kind, base64.b64encode(content).decode()]
        held = self.page.evaluate_handle(HOLD, file)
        for event in ("dragenter", "dragover", "drop"):
            self.composer.dispatch_event(event, {"dataTransfer": held})
        expect(self.page.locator(".desk-upload.is-ready", has_text=filename)).to_be_visible()

    def thumbnail(self, text: str) -> Locator:
        """The picture in the message that says so."""
        return self.message(text).locator("img")


class PortalTicket(TicketPage):
    def path(self, ticket: int) -> str:
        return f"/tickets/{ticket}/"

    def rate(self, score: int, comment: str) -> None:
        form = self.page.locator("form:has(input[name=score])")
        form.locator(f"input[name=score][value='{score}']").check(force=True)
        form.locator("textarea").fill(comment)
        form.locator("[type=submit]").click()

    def reopen(self) -> None:
        self.page.get_by_role("button", name=re.compile("reopen", re.IGNORECASE)).click()


class ConsoleTicket(TicketPage):
    def path(self, ticket: int) -> str:
        return f"/admin/tickets/ticket/{ticket}/change/"

    @property
    def status(self) -> Locator:
        return self.page.locator(".desk-head .desk-pill").first

    def write(self, text: str) -> None:
        """Also where the other side has written in this very moment, which the page asks about."""
        super().write(text)
        anyway = self.page.get_by_role("button", name="Send anyway")
        if anyway.is_visible():
            anyway.click()

    def note(self, text: str) -> None:
        self.composer.get_by_label("Internal note").check(force=True)
        self.write(text)
        self.composer.get_by_label("Reply to the customer").check(force=True)

    def resolve(self, resolution: str) -> None:
        form = self.page.locator("form#move")
        box = form.get_by_label(re.compile("How it was resolved"))
        if not box.is_visible():
            form.locator("summary").click()
        box.fill(resolution)
        form.get_by_role("button", name="Resolve").click()


@dataclass
class PortalNew:
    page: Page

    def open(self, subject: str, description: str, category: str) -> int:
        """The number of the ticket, whose page this leads to. It is urgent, so that it stands above
        what other tests have left."""
        self.fill(subject, description)
        self.page.locator("select[name=priority]").select_option("urgent")
        self.page.locator("select[name=category]").select_option(label=category)
        self.button.click()
        return self.opened()

    @property
    def button(self) -> Locator:
        return self.page.locator("main form:has([name=subject]) [type=submit]")

    def fill(self, subject: str, description: str) -> None:
        self.page.goto("/new/")
        self.page.get_by_label("Subject").fill(subject)
        self.page.locator("textarea[name=description]").fill(description)

    def opened(self) -> int:
        self.page.wait_for_url("**/tickets/*/")
        return int(urlsplit(self.page.url).path.strip("/").rpartition("/")[2])
