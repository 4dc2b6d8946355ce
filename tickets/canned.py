"""Canned replies: the placeholders that a text may hold, and the text with their values.

A scanner and no template engine: a name out of one list stands for a value and for nothing else,
and a value is never looked into again.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError

OPENING, CLOSING = "{{", "}}"
# By name: what it stands for, in words for whoever writes a reply.
PLACEHOLDERS = {
    "requester.name": "who asked",
    "requester.first_name": "their first name",
    "ticket.number": "such as SD-42",
    "ticket.title": "the ticket's subject",
    "agent.name": "who is answering",
    "team.name": "the ticket's team, if it has one",
}
# So much of an unknown name is repeated to whoever typed it.
NAMED = 40

# What Markdown reads as more than a character: anywhere (the dots, slashes and @ of what would
# become a link), and at the start of a line.
_INLINE = re.compile(r"[\\`*_\[\]<>~|&@]|\.(?=\w)|(?<=/)/")
_AT_START = re.compile(r"\A(?:[#+=-]|\d+[.)])")


@dataclass(frozen=True)
class Placeholder:
    """A name between braces, and where its braces begin."""

    name: str
    at: int


def refuse_unknown_placeholders(body: str) -> None:
    """A validator: names the first placeholder that there is not, and where it stands."""
    for piece in _pieces(body):
        if isinstance(piece, Placeholder) and piece.name not in PLACEHOLDERS:
            written = f"{OPENING}{piece.name[:NAMED]}{CLOSING}"
            known = ", ".join(PLACEHOLDERS)
            raise ValidationError(
                f"There is no placeholder {written} ({_place(body, piece.at)}). Known: {known}.",
                "unknown_placeholder",
            )


def fill(body: str, values: Mapping[str, str]) -> str:
    """The text with each placeholder replaced by its value, which Markdown shows as it is."""
    return "".join(
        escaped(values[piece.name]) if isinstance(piece, Placeholder) else piece
        for piece in _pieces(body)
    )


def escaped(value: str) -> str:
    """One line of Markdown that reads as this text and as nothing more.

    Only what would mean something is escaped: people edit the text before they send it.
    """
    line = _INLINE.sub(r"\\\g<0>", " ".join(value.split()))
    return _AT_START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", line)


def _pieces(body: str) -> Iterator[str | Placeholder]:
    """The text in order, as plain parts and placeholders. Raises ValidationError."""
    end = 0
    while (start := body.find(OPENING, end)) >= 0:
        yield body[end:start]
        close = body.find(CLOSING, start)
        if close < 0:
            raise ValidationError(
                f"{OPENING} is never closed ({_place(body, start)}).", "unclosed_placeholder"
            )
        yield Placeholder(body[start + len(OPENING) : close].strip(), start)
        end = close + len(CLOSING)
    yield body[end:]


def _place(body: str, at: int) -> str:
    line, character = body.count("\n", 0, at) + 1, at - body.rfind("\n", 0, at)
    return f"line {line}, character {character}"
