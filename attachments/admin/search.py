"""Finding files by what somebody types."""

import re
from collections.abc import Callable

from django.db.models import Q, QuerySet

from attachments.models import Attachment

# No index knows parts of names, so that many files are looked at, and no more of a million.
NAMES_SEARCHED = 20_000

EXACT: tuple[tuple[re.Pattern[str], Callable[[str], Q]], ...] = (
    (re.compile(r"(?:SD-|#)(\d{1,18})", re.IGNORECASE | re.ASCII), lambda id: Q(ticket=int(id))),
    (re.compile(r"([0-9a-f]{64})", re.IGNORECASE), lambda hash: Q(blob__sha256=hash.lower())),
)


def matching(files: QuerySet[Attachment], words: str) -> QuerySet[Attachment]:
    """The files of the ticket, or of the content, whose number or whole SHA-256 was typed; else
    those of the newest NAMES_SEARCHED that have all the words in their names."""
    words = words.strip()
    for pattern, condition in EXACT:
        if found := pattern.fullmatch(words):
            return files.filter(condition(found[1]))
    newest = files.order_by("-created_at", "-pk").values("pk")[:NAMES_SEARCHED]
    found_among = files.filter(pk__in=newest)
    for word in words.split():
        found_among = found_among.filter(filename__icontains=word)
    return found_among
