"""Looking in the database who somebody is now, and what they may see: for many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.models import User
from realtime import log
from realtime.access import SignedIn, look_again
from realtime.protocol.frames import Bye
from realtime.room import Standing


@dataclass(frozen=True)
class Look:
    """A question: does this session still stand, and which of the tickets does its user see?"""

    signed_in: SignedIn
    tickets: Sequence[int]


@dataclass(frozen=True)
class Looked:
    """The user as they are now and the logs of what they see, or why their socket must close."""

    standing: User | Bye
    seen: dict[int, Standing] = field(default_factory=dict)


def look_at(looks: Sequence[Look]) -> list[Looked]:
    """Synchronous. Two queries for all of them, and one for each that names tickets."""
    standings = look_again([look.signed_in for look in looks])
    return [_look(standing, look) for standing, look in zip(standings, looks, strict=True)]


def _look(standing: User | Bye, look: Look) -> Looked:
    if isinstance(standing, Bye) or not look.tickets:
        return Looked(standing)
    return Looked(standing, log.look(standing, look.tickets))
