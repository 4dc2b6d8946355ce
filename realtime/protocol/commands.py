"""What a client may say. Unknown members are refused, so that a typo is not silently ignored."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from realtime.protocol import MAX_ROOMS

# Larger ones are no ids of ours, and no numbers that JavaScript keeps apart.
Id = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**53 - 1)]
FileId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\s\S])")]
MAX_ATTACHED = 20
DESK = "desk"
# Not `$`, which in Python also fits before a last line's end.
RoomName = Annotated[str, Meta(pattern=r"^(desk|ticket:[1-9][0-9]{0,14})(?![\s\S])")]
MAX_WATCHED = 500


class Command(msgspec.Struct, forbid_unknown_fields=True):
    """The envelope. `data` is decoded by the type's own struct."""

    type: str
    id: str = msgspec.field(default="")
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Data(msgspec.Struct, forbid_unknown_fields=True):
    """The base of every command's `data`."""


class Auth(Data):
    """The first frame of who presented no token yet. `auth.refresh` has the same shape."""

    token: str


class Join(Data):
    """A ticket's room, from `last_seq` on if given; or the agents' `desk`."""

    ticket: Id | UnsetType = UNSET
    last_seq: Seq | UnsetType = UNSET
    epoch: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    room: Literal["desk"] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.ticket is UNSET) == (self.room is UNSET):
            raise ValueError("Name either a ticket or the room `desk`")

    @property
    def name(self) -> str:
        return DESK if self.ticket is UNSET else f"ticket:{self.ticket}"


class JoinMany(Data):
    rooms: Annotated[list[Join], Meta(min_length=1, max_length=MAX_ROOMS)]


class Leave(Data):
    room: RoomName


class SendMessage(Data):
    """`client_msg_id` makes sending twice saying once; `attachments` are ids of own drafts."""

    ticket: Id
    client_msg_id: Annotated[str, Meta(min_length=1, max_length=64)]
    body: str
    internal: bool = False
    attachments: Annotated[list[FileId], Meta(max_length=MAX_ATTACHED)] = []


class Typing(Data):
    room: RoomName
    internal: bool = False


class SetPresence(Data):
    state: Literal["online", "away"]


class WatchPresence(Data):
    """Whom to hear of from now on; those of an earlier command are forgotten."""

    users: Annotated[list[Id], Meta(max_length=MAX_WATCHED)]


class Ping(Data):
    pass


COMMANDS: dict[str, type[Data]] = {
    "auth": Auth,
    "auth.refresh": Auth,
    "room.join": Join,
    "rooms.join": JoinMany,
    "room.leave": Leave,
    "message.send": SendMessage,
    "typing.start": Typing,
    "typing.stop": Typing,
    "presence.set": SetPresence,
    "presence.subscribe": WatchPresence,
    "ping": Ping,
}
