"""What goes wrong in a browser while nobody looks: a test that leaves any of it behind fails."""

import re
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Response, WebSocket

from servicedesk.tests.frames import BrokenFrame, CheckedSocket

# Hostile texts say `window.__xss = 1`; whoever runs one is found at once, on whatever page.
HOOKS = """
  addEventListener("securitypolicyviolation", (event) =>
    report(`CSP refused ${event.blockedURI} by ${event.violatedDirective} at `
      + `${event.sourceFile}:${event.lineNumber} ${event.sample}`));
  Object.defineProperty(window, "__xss", {
    set: (value) => report(`hostile text was run: ${value} at ${location}`) });
"""
# What a browser reports of requests while the desk is away.
OUTAGE = re.compile(
    r"net::ERR_|WebSocket (connection|is closed)|error: .*50[234]|answered 50[234]|NetworkError"
)


class Watch:
    """Of one browser context. `expect` tells it what a test brings about on purpose."""

    def __init__(self, context: BrowserContext) -> None:
        self._expected: list[re.Pattern[str]] = []
        self._problems: list[str] = []
        self._sockets: list[_Frames] = []
        context.expose_binding("report", lambda _, text: self._problems.append(str(text)))
        context.add_init_script(HOOKS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._problems.append(f"uncaught: {error.error}"))
        context.on("response", self._response)
        context.on("page", self._page)

    def expect(self, pattern: str | re.Pattern[str]) -> None:
        self._expected.append(re.compile(pattern))

    def expect_outage(self) -> None:
        self.expect(OUTAGE)

    def expect_status(self, *statuses: int) -> None:
        """Refusals that a page asks for and deals with; a browser reports each in its console."""
        for status in statuses:
            self.expect(rf"the server responded with a status of {status} ")

    @property
    def has_sockets(self) -> bool:
        return any(socket.texts for socket in self._sockets)

    @property
    def problems(self) -> list[str]:
        """Everything that nobody expected."""
        broken = [fault for socket in self._sockets if (fault := socket.fault())]
        return [
            problem
            for problem in (*self._problems, *broken)
            if not any(pattern.search(problem) for pattern in self._expected)
        ]

    def _page(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._sockets.append(_Frames(socket)))
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where = message.location.get("url", "")
            self._problems.append(f"console error: {message.text} at {where}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self._problems.append(f"answered {response.status}: {response.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self._problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


class _Frames:
    """Of one socket, to be held against the contract when the test is over."""

    def __init__(self, socket: WebSocket) -> None:
        self.texts: list[tuple[bool, str]] = []
        socket.on("framesent", lambda payload: self._keep(True, payload))
        socket.on("framereceived", lambda payload: self._keep(False, payload))

    def _keep(self, is_sent: bool, payload: Any) -> None:
        self.texts.append((is_sent, str(payload)))

    def fault(self) -> str:
        checked = CheckedSocket()
        try:
            for is_sent, text in self.texts:
                if is_sent:
                    checked.sends(text)
                else:
                    checked.hears(text)
        except BrokenFrame as broken:
            return f"broken frame: {broken}"
        return ""
