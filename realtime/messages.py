"""What the desk's processes tell each other over the channel layer, typed.

Only hints and soft news: whatever matters is in the database, and is found there by who did not
get the message.
"""

from typing import Any, Literal

import msgspec

from realtime.protocol.frames import Person, PresenceState
from realtime.room import RoomKey

# Every process with sockets listens to this group, whatever rooms it has.
EVERYBODY = "desk"


class Happened(msgspec.Struct, tag="happened", frozen=True):
    """An event of a ticket's log, as the frame that one audience gets."""

    ticket: int
    audience: Literal["staff", "customer"]
    seq: int
    frame: bytes
    may_change_access: bool

    @property
    def group(self) -> str:
        return RoomKey(self.ticket, self.audience).group


class Typed(msgspec.Struct, tag="typed", frozen=True):
    """Somebody writes, or has stopped."""

    ticket: int
    person: Person
    internal: bool
    started: bool


class Seated(msgspec.Struct, tag="seated", frozen=True):
    """Who looks at the ticket has changed."""

    ticket: int


class Changed(msgspec.Struct, tag="changed", frozen=True):
    """Somebody's presence."""

    user: int
    state: PresenceState
    version: int


class Hint(msgspec.Struct, tag="hint", frozen=True):
    """A ticket changed: for the agents who see it by its team, and for the people named."""

    ticket: int
    team: int | None
    people: list[int]
    is_public: bool


class News(msgspec.Struct, tag="news", frozen=True):
    """A notification of a user."""

    user: int
    id: int
    kind: str
    ticket: int


class Check(msgspec.Struct, tag="check", frozen=True):
    """Look again whether these users' sockets may stay, and what they may see. Sessions that are
    named have ended for certain."""

    users: list[int]
    ended: list[str] = []


class Alive(msgspec.Struct, tag="alive", frozen=True):
    """A process to itself: does the layer carry messages?"""

    number: int


Message = Happened | Typed | Seated | Changed | Hint | News | Check | Alive


class Envelope(msgspec.Struct, frozen=True):
    """`origin` is the process that sent it: it has heard its own words already."""

    origin: str
    message: Message


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def pack(envelope: Envelope) -> dict[str, Any]:
    """As a message of Channels."""
    return {"type": "desk.message", "body": _encoder.encode(envelope)}


def unpack(message: dict[str, Any]) -> Envelope:
    """Raises msgspec.MsgspecError for what another version of the desk may have sent."""
    return _decoder.decode(message["body"])
