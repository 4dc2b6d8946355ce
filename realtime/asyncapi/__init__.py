"""The socket's contract for machines: an AsyncAPI 3.0 document, made from the frame types."""

import json
from functools import cache
from threading import Lock
from typing import Any

import yaml
from django.conf import settings

from realtime.asyncapi.catalogue import COMMANDS, SYSTEM
from realtime.asyncapi.messages import schemas_and_messages
from realtime.asyncapi.shapes import BYES, from_http, merged
from realtime.protocol import BEARER, MAX_FRAME_BYTES, MAX_REPLAY, MAX_ROOMS, SUBPROTOCOL

ADDRESS = "/ws/"
DESCRIPTION = f"""\
Live tickets over one WebSocket. Frames are JSON text of at most {MAX_FRAME_BYTES} bytes. A client
sends commands, each with an `id` that its answer names as `re`; the server also sends events,
signals and frames about the connection itself.

Events are durable: within a room, `seq` rises by exactly one. Join with the last `seq` and the
`epoch` that you have, and exactly what you missed follows, then `room.live`. More than {MAX_REPLAY}
events behind, or with another epoch, the answer is `resync_required`: read the ticket at
`details.snapshot` and join with the `stream` that it carries. Signals are best effort.

Sign in by one of: the subprotocols `{SUBPROTOCOL}` and `{BEARER}<access token>`, an Authorization
header, the session cookie with a listed Origin, or the first frame `auth`. A token never stands
in the address. The server says `bye` before it closes.
"""
ERROR_CODES = {
    "bad_json": "The frame is not JSON.",
    "bad_frame": "It is no command, or its data are not what the command takes.",
    "unknown_type": "There is no such command.",
    "too_large": f"The frame has more than {MAX_FRAME_BYTES} bytes.",
    "not_authenticated": "The token is not valid, or is another user's.",
    "token_expired": "The token has expired.",
    "not_found": "There is no such ticket, or not for you.",
    "not_joined": "The room was not joined on this socket.",
    "room_limit": f"A socket has at most {MAX_ROOMS} rooms.",
    "rate_limited": "Too much at once; try again after `retry_after_ms`.",
    "validation_failed": "The service refused it; `details` say why.",
    "idempotency_conflict": "The `client_msg_id` was used for another message.",
    "resync_required": "Read the ticket at `details.snapshot`, then join with its stream.",
    "unavailable": "Busy or away; try again.",
    "internal": "A defect of ours.",
}
CLOSE_CODES = {
    4400: "The server met a defect of its own.",
    4401: "The token expired without a refresh: get a new one, and come back.",
    4408: "The client read too slowly. Nothing is lost: join with the last seq.",
    4412: "The server is about to stop; another one is there.",
    4429: "Too many frames for too long.",
    4501: "No token, or none that is valid.",
    4503: "The account is disabled.",
    4507: "Too many frames in a row that were no commands.",
    4510: "Signed out, or the role changed.",
    4529: "The user has too many sockets open.",
}


@cache
def document() -> dict[str, Any]:
    """The document as plain data: no two parts of it are the same object."""
    shapes, messages = schemas_and_messages()
    made = {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"{settings.SPECTACULAR_SETTINGS['TITLE']}, live",
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "desk": {
                "host": "{host}",
                "protocol": "wss",
                "protocolVersion": "13",
                "description": "Plain `ws` on a developer's machine.",
                "variables": {"host": {"default": "desk.example"}},
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in SECURITY],
            }
        },
        "channels": {"desk": _channel(list(messages))},
        "operations": _operations(list(messages)),
        "components": {
            "schemas": merged(shapes, from_http()),
            "messages": messages,
            "securitySchemes": SECURITY,
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(made, default=str))
    return plain


class _Dumper(yaml.SafeDumper):
    """Several lines as they stand, so that a change of one is a change of one."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text.strip() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)
_lock = Lock()


def as_yaml() -> str:
    """The document as it is published; made once a process, by one thread."""
    with _lock:
        return _as_yaml()


@cache
def _as_yaml() -> str:
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    text: str = yaml.dump(document(), Dumper=_Dumper, **options)
    return text


SECURITY: dict[str, Any] = {
    "subprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f"`{SUBPROTOCOL}, {BEARER}<access token>`; `{SUBPROTOCOL}` is selected.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An Origin, where there is one, must be listed.",
    },
    "cookie": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "The session of the console; the Origin must be there and listed.",
    },
}


def _channel(messages: list[str]) -> dict[str, Any]:
    return {
        "address": ADDRESS,
        "title": SUBPROTOCOL,
        "description": "The one socket. A foreign Origin is refused with 403 at the handshake.",
        "servers": [{"$ref": "#/servers/desk"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "headers": _HEADERS, "bindingVersion": "0.1.0"}},
        "x-error-codes": ERROR_CODES,
        "x-close-codes": [
            {
                "code": bye.code,
                "reason": bye.reason,
                "reconnect": bye.reconnect,
                "retry_after_ms": bye.retry_after_ms,
                "description": CLOSE_CODES[bye.code],
            }
            for bye in BYES
        ],
    }


_HEADERS = {
    "type": "object",
    "properties": {
        "Sec-WebSocket-Protocol": {"type": "string", "examples": [f"{SUBPROTOCOL}, {BEARER}eyJ…"]},
        "Origin": {"type": "string", "examples": ["https://desk.example"]},
    },
}


def _operations(messages: list[str]) -> dict[str, Any]:
    """One for each command, and three for what comes without being asked."""
    events = [name for name in messages if name.startswith("event.")]
    signals = [name for name in messages if name.startswith("signal.")]
    connection = [name for name in SYSTEM if name != "pong"]
    return {
        **{kind: _asked(kind) for kind in COMMANDS},
        "events": _said("What happens in the joined rooms.", events),
        "signals": _said("What is worth knowing now, and is never repeated.", signals),
        "connection": _said("About the connection and its rooms.", connection),
    }


def _asked(kind: str) -> dict[str, Any]:
    command = COMMANDS[kind]
    answers = [*command.instead, *([f"ok.{kind}"] if command.answers else []), "error"]
    return {
        "action": "receive",
        "channel": _DESK,
        "summary": command.summary,
        "messages": _refs([f"command.{kind}"]),
        "reply": {"channel": _DESK, "messages": _refs(answers)},
    }


def _said(summary: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": _DESK,
        "summary": summary,
        "messages": _refs(messages),
    }


_DESK = {"$ref": "#/channels/desk"}


def _refs(messages: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/desk/messages/{name}"} for name in messages]
