"""What each command does. A handler answers with a struct, or raises Refused; those that go on
after their answer send it themselves and answer None."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from django.db import Error as DbError
from django.http import Http404
from django.utils import timezone
from msgspec import Struct
from msgspec.structs import asdict
from rest_framework.exceptions import APIException

from agents.models import User
from realtime import access, joining
from realtime.access import SignedIn, TokenRefused
from realtime.connection import Connection
from realtime.database import in_database, writing
from realtime.hub import Hub
from realtime.joining import NOT_FOUND, Refused
from realtime.log import audience_of
from realtime.presence import PresenceUnavailable
from realtime.protocol import commands as said
from realtime.protocol.frames import (
    SIGNED_OUT,
    Bye,
    Error,
    JoinedMany,
    JoinResult,
    Left,
    Nothing,
    Ok,
    Person,
    Pong,
    PresenceSet,
    PresenceStates,
    Refreshed,
    Sent,
)
from realtime.room import Audience
from servicedesk.api.errors import problem_of
from servicedesk.api.renderers import iso
from servicedesk.errors import DomainError, FieldError
from tickets import services
from tickets.api import inputs
from tickets.api.events import shown_messages
from tickets.models import Ticket

log = structlog.get_logger(__name__)
Answer = Struct | None
UNAVAILABLE = Refused("unavailable", "The desk cannot do this now; try again.", None, 1000)
INTERNAL = Refused("internal", "Something went wrong here; it has been logged.")
# Refusals of the domain that have a code of their own on the socket; others are
# `validation_failed`, with theirs in the details.
OWN_CODES = {"idempotency_conflict", "not_found"}
ONLY_AGENTS_NOTE = "Only agents write internal notes."


async def answer(hub: Hub, connection: Connection, name: str, data: Any, re: str) -> None:
    """Do a command and send its answer. Raises nothing: no mistake of ours closes a socket."""
    try:
        done = await _HANDLERS[name](hub, connection, data, re)
    except Refused as refused:
        _refuse(connection, re, refused)
    except (DbError, PresenceUnavailable) as exc:
        log.warning("command_unavailable", command=name, error=repr(exc))
        _refuse(connection, re, UNAVAILABLE)
    except Exception:
        log.exception("command_failed", command=name, conn=connection.name)
        _refuse(connection, re, INTERNAL)
    else:
        if done is not None:
            connection.say(Ok(re, done))


def _refuse(connection: Connection, re: str, refused: Refused) -> None:
    wait, details = refused.retry_after_ms, refused.details
    connection.say(Error(re, refused.code, refused.message, wait, details))


async def ping(hub: Hub, connection: Connection, data: said.Ping, re: str) -> Answer:
    connection.say(Pong(re))
    return None


async def already_signed_in(hub: Hub, connection: Connection, data: said.Auth, re: str) -> Answer:
    raise Refused("bad_frame", "You are signed in; `auth.refresh` brings another token.")


async def refresh(hub: Hub, connection: Connection, data: said.Auth, re: str) -> Answer:
    try:
        signed_in = await in_database(access.by_token, data.token)
    except TokenRefused as exc:
        code: Any = "token_expired" if exc.has_expired else "not_authenticated"
        raise Refused(code, str(exc)) from exc
    if signed_in.user.pk != connection.user_id:
        raise Refused("not_authenticated", "The token is somebody else's.")
    if audience_of(signed_in.user) != connection.audience:
        connection.end(SIGNED_OUT)
        raise Refused("not_authenticated", "You have another role now; connect again.")
    connection.sign_in(signed_in)
    hub.guard.greet(connection)
    return Refreshed(iso(signed_in.token_expires_at) or "")


# --- Rooms -----------------------------------------------------------------------------


async def join(hub: Hub, connection: Connection, data: said.Join, re: str) -> Answer:
    if data.name == said.DESK:
        return await joining.join_desk(hub, connection)
    (outcome,) = outcomes = await joining.arrive(hub, connection, [data])
    (members,) = await joining.take_seats(hub, connection, outcomes)
    if isinstance(outcome, Refused):
        raise outcome
    connection.say(Ok(re, joining.describe(hub, connection, outcome, members)))
    await joining.go_live(hub, connection, outcome)
    return None


async def join_many(hub: Hub, connection: Connection, data: said.JoinMany, re: str) -> Answer:
    tickets = [each for each in data.rooms if each.name != said.DESK]
    if len(tickets) < len(data.rooms) and connection.audience == "staff":
        await joining.join_desk(hub, connection)
    outcomes = await joining.arrive(hub, connection, tickets)
    seats = await joining.take_seats(hub, connection, outcomes)
    rest = iter(zip(outcomes, seats, strict=True))
    results = [
        _desk_result(hub, connection)
        if each.name == said.DESK
        else _result(hub, connection, each.name, *next(rest))
        for each in data.rooms
    ]
    connection.say(Ok(re, JoinedMany(results)))
    for outcome in outcomes:
        if isinstance(outcome, joining.Arrival):
            await joining.go_live(hub, connection, outcome)
    return None


def _result(
    hub: Hub,
    connection: Connection,
    name: str,
    outcome: joining.Arrival | Refused,
    members: list[Person],
) -> JoinResult:
    try:
        if isinstance(outcome, Refused):
            raise outcome
        joined = joining.describe(hub, connection, outcome, members)
    except Refused as refused:
        return _refused_result(name, refused)
    return JoinResult(ok=True, **asdict(joined))


def _desk_result(hub: Hub, connection: Connection) -> JoinResult:
    if connection in hub.sockets.desk:
        return JoinResult(said.DESK, ok=True)
    return _refused_result(said.DESK, NOT_FOUND)


def _refused_result(name: str, refused: Refused) -> JoinResult:
    code, message, details = refused.code, refused.message, refused.details
    return JoinResult(name, ok=False, code=code, message=message, details=details)


async def leave(hub: Hub, connection: Connection, data: said.Leave, re: str) -> Answer:
    if data.room == said.DESK:
        hub.sockets.desk.discard(connection)
    else:
        await hub.leave_room(connection, _joined(connection, data.room))
    return Left(data.room)


def _joined(connection: Connection, room: str) -> int:
    """The ticket of a room that the connection is in. Raises Refused."""
    ticket = int(room.partition(":")[2] or 0)
    if ticket not in connection.rooms:
        raise Refused("not_joined", "Join the room first.")
    return ticket


# --- Messages --------------------------------------------------------------------------


async def send(hub: Hub, connection: Connection, data: said.SendMessage, re: str) -> Answer:
    if wait := hub.budget.take(connection.user_id, hub.now()):
        raise Refused("rate_limited", "Too many messages at once.", None, wait)
    sent = await writing(_post, connection.signed_in, connection.audience, data)
    if isinstance(sent, Bye):
        connection.end(sent)
        raise Refused("not_authenticated", "You are signed in no longer.")
    hub.attendance.stop_typing(connection, [data.ticket])
    return sent


def _post(signed_in: SignedIn, audience: Audience, data: said.SendMessage) -> Sent | Bye:
    """By the same checks and the same service as over HTTP."""
    (author,) = access.look_again([signed_in])
    if not isinstance(author, User):
        return author
    ticket = Ticket.objects.visible_to(author).filter(pk=data.ticket).first()
    if ticket is None:
        raise NOT_FOUND
    try:
        posted = _add(ticket, author, data)
    except (DomainError, APIException, Http404) as exc:
        raise _refusal(exc) from exc
    (shown,) = shown_messages([posted.message], is_staff=audience == "staff")
    where = None if posted.follow_up is None else posted.follow_up.pk
    return Sent(shown, shown["seq"], where)


def _add(ticket: Ticket, author: User, data: said.SendMessage) -> services.Posted:
    if data.internal and not author.is_desk_staff:
        raise FieldError("internal", ONLY_AGENTS_NOTE)
    fields = {
        "body": data.body,
        "internal": data.internal,
        "client_msg_id": data.client_msg_id,
        "attachments": data.attachments,
    }
    body = inputs.NewMessageSerializer(data=fields)
    body.is_valid(raise_exception=True)
    return services.post_message(
        ticket=ticket,
        author=author,
        body=body.validated_data["body"],
        is_internal=data.internal,
        client_msg_id=body.validated_data["client_msg_id"],
        attachments=body.validated_data["attachments"],
        at=timezone.now(),
    )


def _refusal(exc: Exception) -> Refused:
    """As over HTTP, by the codes of the socket."""
    problem = problem_of(exc)
    assert problem is not None
    code: Any = problem.code if problem.code in OWN_CODES else "validation_failed"
    details = {"code": problem.code, "errors": problem.errors, **problem.extra}
    return Refused(code, problem.detail or problem.title, details)


# --- Typing and presence ---------------------------------------------------------------


async def start_typing(hub: Hub, connection: Connection, data: said.Typing, re: str) -> Answer:
    ticket = _joined(connection, data.room)
    if data.internal and connection.audience != "staff":
        raise Refused("validation_failed", ONLY_AGENTS_NOTE)
    hub.attendance.start_typing(connection, ticket, internal=data.internal)
    return Nothing()


async def stop_typing(hub: Hub, connection: Connection, data: said.Typing, re: str) -> Answer:
    hub.attendance.stop_typing(connection, [_joined(connection, data.room)])
    return Nothing()


async def set_presence(hub: Hub, connection: Connection, data: said.SetPresence, re: str) -> Answer:
    connection.presence = data.state
    await hub.attendance.arrive(connection)
    return PresenceSet(data.state)


async def watch(hub: Hub, connection: Connection, data: said.WatchPresence, re: str) -> Answer:
    if connection.audience != "staff":
        raise NOT_FOUND
    users = frozenset(data.users)
    # Before the states are read: a change in between is heard, and newer by its version.
    hub.sockets.watch(connection, users)
    return PresenceStates(await hub.attendance.states(sorted(users)))


Handler = Callable[[Hub, Connection, Any, str], Awaitable[Answer]]
_HANDLERS: dict[str, Handler] = {
    "ping": ping,
    "auth": already_signed_in,
    "auth.refresh": refresh,
    "room.join": join,
    "rooms.join": join_many,
    "room.leave": leave,
    "message.send": send,
    "typing.start": start_typing,
    "typing.stop": stop_typing,
    "presence.set": set_presence,
    "presence.subscribe": watch,
}
