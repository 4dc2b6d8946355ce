"""What the child answered, which may be the answer of whoever wrote the file.

Images are told by their first bytes, and never decoded out here. JSON is read, held against what
it has to be, and written anew.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from attachments.previews import limits
from attachments.previews.refusing import SENTENCES
from tickets.rendering import sanitise

HEADER_MAX = 1000
IMAGE_NAMES = tuple(str(side) for side in sorted(limits.THUMBNAILS, reverse=True))
LARGEST_SIZE = 2**63


class DrawingFailed(Exception):
    """The file has no preview and never will; the text is a sentence for staff."""


@dataclass(frozen=True)
class Part:
    """`name` is the side of a thumbnail in pixels, or "json"."""

    name: str
    content_type: str
    data: bytes


class _Lie(Exception):
    """The answer is none."""


def read(answer: BinaryIO, size: int, kind: str) -> list[Part]:
    """The parts in an answer of `size` bytes; raises DrawingFailed."""
    try:
        return _parts(answer, size, kind)
    except (_Lie, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise DrawingFailed("The program that drew the file answered nonsense.") from exc


def _parts(answer: BinaryIO, size: int, kind: str) -> list[Part]:
    _require(size <= limits.ANSWER)
    line = answer.readline(HEADER_MAX)
    header = orjson.loads(line)
    if "refused" in header:
        raise DrawingFailed(SENTENCES[header["refused"]])
    sizes = header["parts"]
    is_image = kind in ("image", "pdf")
    names = IMAGE_NAMES if is_image else ("json",)
    _require(tuple(sizes) == names)
    _require(all(type(each) is int and each > 0 for each in sizes.values()))
    _require(len(line) + sum(sizes.values()) == size)
    return [
        _image(name, answer.read(sizes[name]))
        if is_image
        else Part(name, "application/json", rewritten(answer.read(sizes[name]), kind))
        for name in names
    ]


def _image(name: str, data: bytes) -> Part:
    """RIFF, its size, WEBP, and then one of the three ways to begin."""
    _require(data[:4] == b"RIFF" and data[8:16] in (b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X"))
    _require(len(data) == struct.unpack("<I", data[4:8])[0] + 8)
    return Part(name, "image/webp", data)


def rewritten(data: bytes, kind: str) -> bytes:
    """The JSON of a preview with the members that it has to have, and no others."""
    found = orjson.loads(data)
    _require(found["kind"] == kind and type(found["truncated"]) is bool)
    name, check = _CHECKS[kind]
    content = check(found[name])
    return orjson.dumps({"kind": kind, name: content, "truncated": found["truncated"]})


def _text(found: Any) -> str:
    return _string(found, limits.TEXT_CHARS)


def _html(found: Any) -> str:
    # Done in there already, by the same rules; this one cannot have been tampered with.
    return sanitise(_string(found, limits.HTML_CHARS))


def _rows(found: Any) -> list[list[str]]:
    return [
        [_string(cell, limits.CELL_CHARS) for cell in _list(row, limits.COLUMNS)]
        for row in _list(found, limits.ROWS)
    ]


def _entries(found: Any) -> list[dict[str, str | int]]:
    return [
        {"name": _string(each["name"], limits.ENTRY_CHARS), "size": _size(each["size"])}
        for each in _list(found, limits.ENTRIES)
    ]


_CHECKS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "text": ("text", _text),
    "html": ("html", _html),
    "table": ("rows", _rows),
    "listing": ("entries", _entries),
}


def _string(found: Any, most: int) -> str:
    _require(type(found) is str and len(found) <= most)
    return str(found)


def _list(found: Any, most: int) -> list[Any]:
    _require(type(found) is list and len(found) <= most)
    return list(found)


def _size(found: Any) -> int:
    _require(type(found) is int and 0 <= found < LARGEST_SIZE)
    return int(found)


def _require(is_so: bool) -> None:
    if not is_so:
        raise _Lie
