"""ETag and If-Match (RFC 9110, section 13.1.1): nobody overwrites what they have not seen."""

import re

from rest_framework.request import Request

from servicedesk.errors import DomainError, FieldError

ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')


class VersionConflict(DomainError):
    code = "version_conflict"
    status = 412
    title = "The ticket has changed since you read it"


def etag(version: int) -> str:
    return f'"{version}"'


def expected_versions(request: Request) -> frozenset[int] | None:
    """The versions that If-Match accepts; None where anything will do (absent, or `*`).

    A weak tag never matches, as the RFC says of If-Match.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    tags = [ENTITY_TAG.fullmatch(part) for part in header.split(",")]
    if not all(tags):
        raise FieldError("If-Match", 'If-Match holds entity tags, as in "7", or *.')
    strong = [tag[2] for tag in tags if tag and not tag[1]]
    return frozenset(int(text) for text in strong if text.isdigit() and len(text) < 10)
