"""Which part of a representation a request wants: RFC 9110, sections 13 and 14. Pure.

A representation here has a strong entity tag, a size, and no date of modification.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Opaque tags hold commas, so a list is not split at them.
ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# One range. Of several we send the whole, as the RFC allows: nobody resumes a download so.
ONE_RANGE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]*)-(?P<last>[0-9]*)[ \t]*", re.IGNORECASE)
# More digits than any size has, and fewer than Python refuses to read.
MAX_DIGITS = 20


@dataclass(frozen=True)
class Selection:
    """The answer's status, and the bytes `start` up to, not including, `stop` where it has any.

    200 the whole, 206 a part, 304 the caller has it, 412 the caller means another one, 416 the
    range lies outside.
    """

    status: int
    start: int = 0
    stop: int = 0


def select(*, method: str, headers: Mapping[str, str], etag: str, size: int) -> Selection:
    """What to answer to GET or HEAD; `etag` strong and with its quotes, `size` in bytes."""
    if "If-Match" in headers and not _matches(headers["If-Match"], etag, is_weak=False):
        return Selection(412)
    if "If-None-Match" in headers and _matches(headers["If-None-Match"], etag, is_weak=True):
        return Selection(304)
    # Section 14.2: of methods only GET has ranges.
    if method == "GET" and "Range" in headers and _holds(headers.get("If-Range"), etag):
        return _part(headers["Range"], size)
    return Selection(200, 0, size)


def _matches(header: str, etag: str, *, is_weak: bool) -> bool:
    """Whether a list of tags, or `*`, has this one, by weak or strong comparison."""
    if header.strip() == "*":
        return True
    tags = ENTITY_TAG.findall(header)
    return etag in tags or (is_weak and f"W/{etag}" in tags)


def _holds(if_range: str | None, etag: str) -> bool:
    """Whether the part fits what the caller has: a strong tag says so, a date (13.1.5) cannot."""
    return if_range is None or if_range.strip() == etag


def _part(header: str, size: int) -> Selection:
    """Section 14.1.2. What is not understood is ignored: the whole is sent."""
    whole = Selection(200, 0, size)
    found = ONE_RANGE.fullmatch(header.strip())
    if not found or (not found["first"] and not found["last"]):
        return whole
    if not found["first"]:
        length = _number(found["last"])
        if not length:
            return Selection(416)
        # 206 cannot say that it has nothing.
        return Selection(206, max(size - length, 0), size) if size else whole
    first = _number(found["first"])
    stop = _number(found["last"]) + 1 if found["last"] else size
    if found["last"] and stop <= first:
        return whole
    return Selection(206, first, min(stop, size)) if first < size else Selection(416)


def _number(digits: str) -> int:
    """Right as far as sizes go; beyond, too large is as good as right."""
    return int(digits.lstrip("0")[:MAX_DIGITS] or "0")
