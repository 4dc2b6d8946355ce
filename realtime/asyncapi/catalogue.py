"""What is said over the socket apart from a ticket's events: each frame with a summary and an
example, made of the protocol's own types."""

from dataclasses import dataclass

import msgspec

from realtime.asyncapi.events import ALICE, AT, BOB, MESSAGE
from realtime.asyncapi.shapes import TICKET_ROOM, Schema, closed, ref
from realtime.protocol import MAX_FRAME_BYTES, commands, frames

EPOCH = "9f3c21ab"
ROOM = "ticket:42"
_TOKEN = "eyJhbGciOi…"  # noqa: S105
BOB_IN_ROOM = frames.Person(BOB["id"], BOB["name"], "agent")
ALICE_IN_ROOM = frames.Person(ALICE["id"], ALICE["name"], "customer")


@dataclass(frozen=True)
class Command:
    """What a client asks for, and the structs of what it is answered."""

    summary: str
    example: commands.Data
    answers: tuple[msgspec.Struct, ...] = ()
    # Frames that answer it, where those are no `ok`.
    instead: tuple[str, ...] = ()
    is_for_customers: bool = True


_TYPING = frames.TypingStarted(ALICE_IN_ROOM, internal=False)
_JOINED = frames.Joined(ROOM, EPOCH, 118, 1, [ALICE_IN_ROOM, BOB_IN_ROOM], [_TYPING])
COMMANDS: dict[str, Command] = {
    "auth": Command(
        "Sign in, where the handshake brought no token; the first frame, within five seconds.",
        commands.Auth(_TOKEN),
        instead=("hello", "bye"),
    ),
    "auth.refresh": Command(
        "Stay, with a newer access token of the same user.",
        commands.Auth(_TOKEN),
        (frames.Refreshed(AT),),
    ),
    "room.join": Command(
        "Follow a ticket, from `last_seq` on where it is given; agents also the room `desk`.",
        commands.Join(ticket=42, last_seq=117, epoch=EPOCH),
        (_JOINED, frames.JoinedDesk("desk")),
    ),
    "rooms.join": Command(
        "Follow several, as after a reconnect; each is answered for itself, in order.",
        commands.JoinMany([commands.Join(ticket=42, last_seq=118), commands.Join(ticket=43)]),
        (
            frames.JoinedMany(
                [
                    frames.JoinResult(ROOM, True, EPOCH, 118, 0, [], []),
                    frames.JoinResult(
                        "ticket:43", False, code="not_found", message="There is no such ticket."
                    ),
                ]
            ),
        ),
    ),
    "room.leave": Command(
        "Hear no more of it.", commands.Leave(room=ROOM), (frames.Left(room=ROOM),)
    ),
    "message.send": Command(
        "Reply, or note. Sent again with the same `client_msg_id`, it is answered the same.",
        commands.SendMessage(42, "0b7c6f6e-6a0e-4a8e-9d6c-0d9b1f3c5a77", MESSAGE["body"]),
        (frames.Sent(MESSAGE, 118), frames.Sent(MESSAGE, 118, 51)),
    ),
    "typing.start": Command(
        "Writing; say it again every few seconds while it lasts.",
        commands.Typing(room=ROOM),
        (frames.Nothing(),),
    ),
    "typing.stop": Command(
        "Not writing any more.", commands.Typing(room=ROOM), (frames.Nothing(),)
    ),
    "presence.set": Command(
        "Be shown as online or away.",
        commands.SetPresence(state="away"),
        (frames.PresenceSet(state="away"),),
    ),
    "presence.subscribe": Command(
        "Hear who comes and goes, of these users from now on. For agents and supervisors.",
        commands.WatchPresence(users=[3, 4]),
        (frames.PresenceStates([frames.UserPresence(3, "online", 1772443800000)]),),
        is_for_customers=False,
    ),
    "ping": Command("Is anybody there?", commands.Ping(), instead=("pong",)),
}

ERRORS = (
    frames.Error("c7", "not_found", "There is no such room for you."),
    frames.Error("c7", "rate_limited", "Too many messages at once.", retry_after_ms=400),
    frames.Error(
        "c7",
        "validation_failed",
        "body: This field may not be blank.",
        details={
            "code": "validation_failed",
            "errors": [{"pointer": "/body", "code": "blank", "detail": "It may not be blank."}],
        },
    ),
    frames.Error(
        "c7",
        "resync_required",
        "The log cannot be continued from there.",
        details={"snapshot": "/api/tickets/42/", "head": 118},
    ),
    frames.Error(None, "too_large", f"A frame has at most {MAX_FRAME_BYTES} bytes."),
)

SYSTEM: dict[str, tuple[str, msgspec.Struct]] = {
    "hello": (
        "The first frame after signing in.",
        frames.Hello(
            "5f0c9f6b2c7e4d11",
            frames.UserInfo(3, "agent", BOB["name"]),
            25_000,
            frames.Limits(),
            "2026-03-02T09:45:00Z",
        ),
    ),
    "hb": (
        "Where the joined rooms are; whoever has less has missed something and joins anew.",
        frames.Heartbeat({ROOM: 118}),
    ),
    "pong": ("The answer to `ping`.", frames.Pong("c9")),
    "room.live": ("Everything up to `seq` has been sent.", frames.RoomLive(ROOM, 118)),
    "room.left": ("The room was left for you.", frames.RoomLeft(ROOM, "access_revoked")),
    "auth.expiring": (
        "The token ends in a minute: send `auth.refresh`.",
        frames.AuthExpiring(AT),
    ),
    "degraded": (
        "While active, news take a little longer and signals may be missing.",
        frames.Degraded(active=True),
    ),
    "bye": ("The last frame; the socket closes with this code.", frames.DRAINING),
}

# By kind: the summary, the room's schema, an example, and the schema for customers.
_TYPING_FOR_CUSTOMERS = closed({"user": ref("Actor"), "internal": {"const": False}})
_NULL: Schema = {"type": "null"}
SIGNALS: dict[str, tuple[str, Schema, frames.Signal, Schema | bool]] = {
    "typing.started": (
        "Somebody writes.",
        TICKET_ROOM,
        frames.Signal(ROOM, "typing.started", _TYPING),
        _TYPING_FOR_CUSTOMERS,
    ),
    "typing.stopped": (
        "Somebody does not write any more.",
        TICKET_ROOM,
        frames.Signal(ROOM, "typing.stopped", frames.TypingStopped(ALICE_IN_ROOM)),
        True,
    ),
    "presence.changed": (
        "Somebody watched came, went, or stepped away.",
        _NULL,
        frames.Signal(None, "presence.changed", frames.UserPresence(3, "away", 1772443860000)),
        False,
    ),
    "room.members": (
        "Who has the ticket open now.",
        TICKET_ROOM,
        frames.Signal(ROOM, "room.members", frames.Members([BOB_IN_ROOM, ALICE_IN_ROOM])),
        True,
    ),
    "ticket.touched": (
        "A ticket of yours changed: read it over HTTP. In the room `desk`, or for a customer.",
        {"enum": ["desk", None]},
        frames.Signal("desk", "ticket.touched", frames.Touched(42)),
        True,
    ),
    "notification.created": (
        "You were notified.",
        _NULL,
        frames.Signal(None, "notification.created", frames.Notified(9, "replied", 42)),
        True,
    ),
}
