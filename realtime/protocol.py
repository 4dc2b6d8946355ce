"""The frames of `desk.v1`, typed: what is not one of these is not sent and not understood."""

from typing import Any, Literal

import msgspec

SUBPROTOCOL = "desk.v1"
BEARER = "bearer."
MAX_FRAME_BYTES = 64 * 1024
# Part of the contract's `hello`; there are no rooms to join yet, so nothing counts them.
MAX_ROOMS = 100
HEARTBEAT_SECONDS = 25.0
SIGN_IN_SECONDS = 5.0

ErrorCode = Literal["bad_json", "bad_frame", "unknown_type", "too_large", "not_authenticated"]


class Auth(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class Command(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends. `data` is decoded by the type's own struct."""

    type: str
    id: str = msgspec.field(default="")
    data: msgspec.Raw = msgspec.Raw(b"{}")


class UserInfo(msgspec.Struct):
    id: int
    role: str
    name: str


class Limits(msgspec.Struct):
    frame_bytes: int = MAX_FRAME_BYTES
    rooms: int = MAX_ROOMS


class Hello(msgspec.Struct, tag="hello"):
    conn: str
    user: UserInfo
    heartbeat_ms: int
    limits: Limits
    token_expires_at: str | None


class Heartbeat(msgspec.Struct, tag="hb"):
    """`heads` is required by the contract: of each joined room the last seq. No socket is in a
    room yet, so it is always empty."""

    heads: dict[str, int]


class Pong(msgspec.Struct, tag="pong"):
    re: str


class Error(msgspec.Struct, tag="error", omit_defaults=True):
    re: str | None
    code: ErrorCode
    message: str


class Bye(msgspec.Struct, tag="bye"):
    """Always the last frame. Codes below 4500 ask the client to come back."""

    code: int
    reason: str
    reconnect: bool
    retry_after_ms: int = 0


Frame = Hello | Heartbeat | Pong | Error | Bye
NOT_AUTHENTICATED = Bye(4501, "not_authenticated", reconnect=False)
PROTOCOL_VIOLATION = Bye(4507, "protocol_violation", reconnect=False)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Command)


class BadFrame(Exception):
    """What came in is no command."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.error = Error(re=None, code=code, message=message)


def encode(frame: Frame) -> str:
    return _encoder.encode(frame).decode()


def decode(text: str | None) -> Command:
    """Raises BadFrame for a binary frame, too much text, what is not JSON, or no command."""
    if text is None:
        raise BadFrame("bad_frame", "Frames are text.")
    if len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
        raise BadFrame("too_large", f"A frame has at most {MAX_FRAME_BYTES} bytes.")
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as exc:
        raise BadFrame("bad_frame", str(exc)) from exc
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise BadFrame("bad_json", "The frame is not JSON.") from exc


def decode_data(command: Command, kind: type[Any]) -> Any:
    """The command's data as its own struct. Raises BadFrame."""
    try:
        return msgspec.json.decode(command.data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise BadFrame("bad_frame", str(exc)) from exc
