"""What the server says."""

from typing import Any, Literal

import msgspec

from realtime.protocol import MAX_FRAME_BYTES, MAX_ROOMS

ErrorCode = Literal[
    "bad_json",
    "bad_frame",
    "unknown_type",
    "too_large",
    "not_authenticated",
    "token_expired",
    "not_found",
    "not_joined",
    "room_limit",
    "rate_limited",
    "validation_failed",
    "idempotency_conflict",
    "resync_required",
    "unavailable",
    "internal",
]
EventKind = Literal[
    "ticket.opened",
    "ticket.updated",
    "ticket.status_changed",
    "ticket.priority_changed",
    "ticket.assigned",
    "ticket.escalated",
    "ticket.merged",
    "ticket.rated",
    "message.created",
    "participants.changed",
    "file.attached",
    "file.scanned",
    "file.previewed",
    "file.removed",
    "sla.warned",
    "sla.breached",
]
PersonKind = Literal["customer", "agent", "supervisor"]
PresenceState = Literal["online", "away", "offline"]


class UserInfo(msgspec.Struct):
    id: int
    role: str
    name: str


class Person(msgspec.Struct, frozen=True):
    """Somebody in a room, or who did something."""

    id: int
    name: str
    kind: PersonKind


class Limits(msgspec.Struct):
    frame_bytes: int = MAX_FRAME_BYTES
    rooms: int = MAX_ROOMS


# --- System frames: their members stand at the top level -------------------------------


class Hello(msgspec.Struct, tag="hello"):
    """The first frame after sign-in; nothing comes before it."""

    conn: str
    user: UserInfo
    heartbeat_ms: int
    limits: Limits
    token_expires_at: str | None


class Heartbeat(msgspec.Struct, tag="hb"):
    """Of each joined room the last seq: whoever has less has missed something."""

    heads: dict[str, int]


class Pong(msgspec.Struct, tag="pong"):
    re: str


class RoomLive(msgspec.Struct, tag="room.live"):
    """Everything up to `seq` has been sent; what follows is live."""

    room: str
    seq: int


class RoomLeft(msgspec.Struct, tag="room.left"):
    """Nothing more comes from this room. After `resync_required` read the ticket and join anew."""

    room: str
    reason: Literal["access_revoked", "resync_required"]


class AuthExpiring(msgspec.Struct, tag="auth.expiring"):
    token_expires_at: str


class Degraded(msgspec.Struct, tag="degraded"):
    """While `active`, events of other servers come a little later and signals may be missing."""

    active: bool


class Bye(msgspec.Struct, tag="bye", frozen=True):
    """Always the last frame. Codes below 4500 ask the client to come back."""

    code: int
    reason: str
    reconnect: bool
    retry_after_ms: int = 0


SERVER_ERROR = Bye(4400, "server_error", reconnect=True, retry_after_ms=1000)
TOKEN_EXPIRED = Bye(4401, "token_expired", reconnect=True)
TOO_SLOW = Bye(4408, "too_slow", reconnect=True)
DRAINING = Bye(4412, "draining", reconnect=True)
RATE_ABUSE = Bye(4429, "rate_abuse", reconnect=True, retry_after_ms=10_000)
NOT_AUTHENTICATED = Bye(4501, "not_authenticated", reconnect=False)
ACCOUNT_DISABLED = Bye(4503, "account_disabled", reconnect=False)
PROTOCOL_VIOLATION = Bye(4507, "protocol_violation", reconnect=False)
SIGNED_OUT = Bye(4510, "signed_out", reconnect=False)
TOO_MANY_CONNECTIONS = Bye(4529, "too_many_connections", reconnect=False)


# --- Answers ---------------------------------------------------------------------------


class Ok(msgspec.Struct, tag="ok"):
    re: str
    data: Any


class Error(msgspec.Struct, tag="error", omit_defaults=True):
    re: str | None
    code: ErrorCode
    message: str
    retry_after_ms: int | None = None
    details: dict[str, Any] | None = None


class TypingStarted(msgspec.Struct):
    """Who writes, and whether it is going to be an internal note."""

    user: Person
    internal: bool


class Joined(msgspec.Struct):
    """The events after the cursor follow, `replay` of them, and then `room.live`."""

    room: str
    epoch: str
    head: int
    replay: int
    members: list[Person]
    typing: list[TypingStarted]


class JoinedDesk(msgspec.Struct):
    room: str


class JoinResult(msgspec.Struct, omit_defaults=True):
    """One of several: what `room.join` would have answered, or why not."""

    room: str
    ok: bool
    epoch: str | None = None
    head: int | None = None
    replay: int | None = None
    members: list[Person] | None = None
    typing: list[TypingStarted] | None = None
    code: ErrorCode | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


class JoinedMany(msgspec.Struct):
    results: list[JoinResult]


class Left(msgspec.Struct):
    room: str


class Sent(msgspec.Struct, omit_defaults=True):
    """`message` as over HTTP, `seq` its place in the log of the ticket that it went to.

    `ticket` where that is another one than it was sent to: a follow-up, or what it was merged into.
    """

    message: dict[str, Any]
    seq: int
    ticket: int | None = None


class Nothing(msgspec.Struct):
    pass


class PresenceSet(msgspec.Struct):
    state: Literal["online", "away"]


class UserPresence(msgspec.Struct):
    """The higher `version` is the newer one."""

    user: int
    state: PresenceState
    version: int


class PresenceStates(msgspec.Struct):
    users: list[UserPresence]


class Refreshed(msgspec.Struct):
    token_expires_at: str


ANSWERS: dict[str, type[msgspec.Struct]] = {
    "auth.refresh": Refreshed,
    "room.join": Joined,
    "rooms.join": JoinedMany,
    "room.leave": Left,
    "message.send": Sent,
    "typing.start": Nothing,
    "typing.stop": Nothing,
    "presence.set": PresenceSet,
    "presence.subscribe": PresenceStates,
}


# --- Events and signals ----------------------------------------------------------------


class Event(msgspec.Struct, tag="event"):
    """One entry of a ticket's log; within a room `seq` rises by exactly one."""

    room: str
    seq: int
    event: EventKind
    at: str
    actor: Person | None
    data: dict[str, Any]


class TypingStopped(msgspec.Struct):
    user: Person


class Members(msgspec.Struct):
    """Who has the ticket open, at most 100 of them."""

    members: list[Person]


class Touched(msgspec.Struct):
    """Something happened to a ticket of yours: read it over HTTP."""

    ticket: int


class Notified(msgspec.Struct):
    id: int
    kind: str
    ticket: int


SIGNALS: dict[str, type[msgspec.Struct]] = {
    "typing.started": TypingStarted,
    "typing.stopped": TypingStopped,
    "presence.changed": UserPresence,
    "room.members": Members,
    "ticket.touched": Touched,
    "notification.created": Notified,
}


class Signal(msgspec.Struct, tag="signal"):
    """Soft news: best effort, never repeated. `room` is null where it is for the user."""

    room: str | None
    event: Literal[
        "typing.started",
        "typing.stopped",
        "presence.changed",
        "room.members",
        "ticket.touched",
        "notification.created",
    ]
    data: Any


Frame = (
    Hello
    | Heartbeat
    | Pong
    | RoomLive
    | RoomLeft
    | AuthExpiring
    | Degraded
    | Bye
    | Ok
    | Error
    | Event
    | Signal
)
