"""Holds every frame that a test sends or receives against the published AsyncAPI document.

`check_sent` and `check_received` raise BrokenFrame where a frame is not as documented. Objects are
closed in the document, so an undocumented member is found as much as a missing one. A customer's
socket is held to what customers may get: tests write INTERNAL_CANARY into every internal note, and
a frame in which a customer receives it fails, whatever else it says.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from realtime import asyncapi
from realtime.protocol import MAX_FRAME_BYTES

INTERNAL_CANARY = "canary-5e0d8a7c-for-the-desk-only"
CUSTOMER = "customer"
_INTERNAL = re.compile(r'"internal"\s*:\s*true')


class BrokenFrame(AssertionError):
    """A frame and the document disagree."""


def check_sent(text: str, *, is_rubbish: bool = False) -> None:
    """A client's frame. Rubbish, which tests send on purpose, must not be a proper command."""
    try:
        _check_command(text)
    except BrokenFrame:
        if not is_rubbish:
            raise
    else:
        if is_rubbish:
            raise BrokenFrame(f"This is a proper command, and no rubbish: {text[:300]}")


def check_received(text: str, *, role: str | None = None, command: str | None = None) -> None:
    """A server's frame: as documented and, for a customer's socket (`role`), fit for customers.

    `command` is the type of the command that an `ok` answers; without it any answer is good.
    """
    if role == CUSTOMER:
        _check_is_public(text)
    name = _name_of(_parsed(text), command)
    if role == CUSTOMER and _messages().get(name, {}).get("x-for-customers") is False:
        raise BrokenFrame(f"A customer received {name}: {text[:1000]}")
    _check(text, name, role)


def command_of(text: str) -> tuple[str, str]:
    """The id and the type of a command that is well formed."""
    frame = json.loads(text)
    return frame.get("id", ""), frame["type"]


class CheckedSocket:
    """For test clients: remembers what was asked, so that each answer is checked for what it is.

    Call `sends` with every text that is sent, `hears` with every text that is received.
    """

    def __init__(self) -> None:
        self.role: str | None = None
        self._asked: dict[str, str] = {}

    def sends(self, text: str, *, is_rubbish: bool = False) -> None:
        check_sent(text, is_rubbish=is_rubbish)
        if not is_rubbish:
            id_, kind = command_of(text)
            self._asked[id_] = kind

    def hears(self, text: str) -> dict[str, Any]:
        """The frame, checked. From `hello` on, the socket has the role of its user."""
        frame = _parsed(text)
        command = self._asked.get(frame.get("re") or "")
        check_received(text, role=self.role, command=command)
        if frame["type"] == "hello":
            self.role = frame["user"]["role"]
        return frame


# --- Against the document -------------------------------------------------------------


def _check_command(text: str) -> None:
    if len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
        raise BrokenFrame(f"A frame has at most {MAX_FRAME_BYTES} bytes.")
    _check(text, f"command.{_parsed(text).get('type')}", None)


def _check_is_public(text: str) -> None:
    if INTERNAL_CANARY in text:
        raise BrokenFrame(f"A customer received an internal note: {text[:1000]}")
    if _INTERNAL.search(text):
        raise BrokenFrame(f"A customer received something internal: {text[:1000]}")


def _check(text: str, name: str, role: str | None) -> None:
    validator = _validators().get((name, role)) or _validators().get((name, None))
    if validator is None:
        raise BrokenFrame(f"There is no message {name!r}: {text[:1000]}")
    if faults := [_sentence(error) for error in validator.iter_errors(_parsed(text))]:
        story = "\n".join([*faults, text[:1000]])
        raise BrokenFrame(f"{name} is not as documented:\n{story}")


def _sentence(error: ValidationError) -> str:
    return f"at /{'/'.join(map(str, error.instance_path))}: {error.message[-400:]}"


def _name_of(frame: Mapping[str, Any], command: str | None) -> str:
    """The name of the frame's message in the document."""
    kind = frame.get("type")
    if kind in ("event", "signal"):
        return f"{kind}.{frame.get('event')}"
    if kind == "ok":
        return f"ok.{command}" if command else "ok"
    return str(kind)


def _parsed(text: str) -> dict[str, Any]:
    try:
        frame = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise BrokenFrame(f"This is not JSON: {text[:300]!r}") from exc
    if not isinstance(frame, dict):
        raise BrokenFrame(f"A frame is an object: {text[:300]}")
    return frame


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _messages() -> dict[str, Any]:
    messages: dict[str, Any] = asyncapi.document()["components"]["messages"]
    return messages


@cache
def _validators() -> dict[tuple[str, str | None], Draft202012Validator]:
    """By message and role; where customers get what everybody gets, there is one for all."""
    found: dict[tuple[str, str | None], Draft202012Validator] = {}
    for name, message in _messages().items():
        found[name, None] = _compiled(message["payload"])
        if isinstance(public := message.get("x-for-customers"), dict):
            found[name, CUSTOMER] = _compiled(public)
    answers = [message["payload"] for name, message in _messages().items() if name[:3] == "ok."]
    found["ok", None] = _compiled({"anyOf": answers})
    return found


def _compiled(schema: dict[str, Any]) -> Draft202012Validator:
    # The document's references begin at its root: "#/components/schemas/…".
    components = {"schemas": asyncapi.document()["components"]["schemas"]}
    return Draft202012Validator({**schema, "components": components}, validate_formats=True)
