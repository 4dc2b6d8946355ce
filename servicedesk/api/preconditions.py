"""ETag and If-Match (RFC 9110, section 13.1.1): nobody overwrites what they have not seen."""

import re

from rest_framework.request import Request

from servicedesk.errors import DomainError, FieldError

ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# Commas part the tags, and may stand inside of one.
ENTITY_TAGS = re.compile(rf"[\s,]*{ENTITY_TAG.pattern}(\s*,[\s,]*{ENTITY_TAG.pattern})*[\s,]*")

VERSION = re.compile("[1-9][0-9]{0,8}")
MAX_HEADER = 1000


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
    if len(header) > MAX_HEADER or not ENTITY_TAGS.fullmatch(header):
        raise FieldError("If-Match", 'If-Match holds entity tags, as in "7", or *.')
    strong = [opaque for weak, opaque in ENTITY_TAG.findall(header) if not weak]
    return frozenset(int(text) for text in strong if VERSION.fullmatch(text))
