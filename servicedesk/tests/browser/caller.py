"""Somebody at the API."""

import json
import urllib.error
import urllib.request
from typing import Any

from servicedesk.tests.browser.chromium import PASSWORD

BOUNDARY = "between-the-parts"


class Caller:
    def __init__(self, address: str, username: str) -> None:
        self._address = address
        self._headers: dict[str, str] = {}
        pair = self.call("/auth/token", {"username": username, "password": PASSWORD})
        self._headers["Authorization"] = f"Bearer {pair['access']}"

    def call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """The answer's JSON; None where there is none."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(path, data, "application/json", method)

    def upload(self, filename: str, content: bytes) -> str:
        """A draft's id."""
        lines = [
            f"--{BOUNDARY}",
            f'Content-Disposition: form-data; name="file"; filename="{filename}"',
            "",
            content.decode(),
            f"--{BOUNDARY}--",
            "",
        ]
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        id_: str = self._send("/files/upload", "\r\n".join(lines).encode(), kind)["files"][0]["id"]
        return id_

    def _send(self, path: str, data: bytes | None, kind: str, method: str | None = None) -> Any:
        headers = {**self._headers, "Content-Type": kind}
        request = urllib.request.Request(f"{self._address}/api{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
        except urllib.error.HTTPError as refusal:
            raise AssertionError(f"{path}: {refusal.read().decode()}") from refusal
        return json.loads(text) if text else None

    def open(self, subject: str, **fields: Any) -> int:
        ticket: int = self.call("/tickets/", {"subject": subject, **fields})["id"]
        return ticket

    def read(self, ticket: int) -> Any:
        return self.call(f"/tickets/{ticket}/")

    def post(self, ticket: int, body: str, **fields: Any) -> None:
        self.call(f"/tickets/{ticket}/messages", {"body": body, **fields})

    def messages(self, ticket: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call(f"/tickets/{ticket}/messages")["results"]
        return found

    def bodies(self, ticket: int) -> list[str]:
        return [message["body"] for message in self.messages(ticket)]
