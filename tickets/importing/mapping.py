"""What the export calls things, and what we call them. Pure."""

import unicodedata

from servicedesk.api.text import FORBIDDEN
from tickets.lifecycle import Status
from tickets.models import Channel, Priority

MISSING = frozenset({"", "?"})
# The export's own word for "not known": such a row leaves the status as it was.
UNKNOWN_STATE = "-100"
# The names in the log that docs/import.md measures, and those of newer releases.
STATES = {
    "new": Status.NEW,
    "active": Status.OPEN,
    "in progress": Status.OPEN,
    "awaiting user info": Status.PENDING,
    "awaiting vendor": Status.ON_HOLD,
    "awaiting problem": Status.ON_HOLD,
    "awaiting evidence": Status.ON_HOLD,
    "on hold": Status.ON_HOLD,
    "resolved": Status.RESOLVED,
    "closed": Status.CLOSED,
    "canceled": Status.CANCELLED,
    "cancelled": Status.CANCELLED,
}
# Four steps onto five, by name; ours has "urgent" between high and critical.
PRIORITIES = {
    "1 - critical": Priority.CRITICAL,
    "2 - high": Priority.HIGH,
    "3 - moderate": Priority.NORMAL,
    "4 - low": Priority.LOW,
    "5 - planning": Priority.LOW,
}
CHANNELS = {
    "phone": Channel.PHONE,
    "ivr": Channel.PHONE,
    "email": Channel.EMAIL,
    "chat": Channel.CHAT,
    "virtual agent": Channel.CHAT,
    "self service": Channel.WEB,
    "self-service": Channel.WEB,
    "direct opening": Channel.WEB,
}
UNKNOWN_CALLER = "Unknown caller"


def known(text: str) -> str:
    """The value of a cell without surrounding spaces; empty where it is missing or invisible."""
    text = text.strip()
    if text in MISSING or not (text.isprintable() or line_of(text, 1)):
        return ""
    return text


def status_of(text: str) -> Status | None:
    """None where the export itself does not know. Raises ValueError for any other name."""
    if (name := text.strip()) == UNKNOWN_STATE:
        return None
    try:
        return STATES[name.lower()]
    except KeyError:
        raise ValueError(f"{shown(name)} is no known state") from None


def priority_of(text: str) -> Priority | None:
    """None where it is missing. Raises ValueError for an unknown name."""
    name = known(text)
    if not name:
        return None
    try:
        return PRIORITIES[name.lower()]
    except KeyError:
        raise ValueError(f"{shown(name)} is no known priority") from None


def channel_of(text: str) -> Channel:
    """An unknown way in counts as the web form: it decides nothing."""
    return CHANNELS.get(known(text).lower(), Channel.WEB)


def line_of(text: str, limit: int) -> str:
    """The text as one line of at most `limit` characters that passes our models' validators."""
    if text.isprintable():  # as nearly all is
        return " ".join(text.split())[:limit].rstrip()
    safe = "".join(
        " " if char in FORBIDDEN or unicodedata.category(char) == "Cc" else char for char in text
    )
    return " ".join(safe.split())[:limit].rstrip()


def shown(text: str) -> str:
    """The beginning of a cell, safe to print on a terminal and to put into JSON."""
    return ascii(text[:60])
