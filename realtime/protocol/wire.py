"""Frames as bytes: decoding what comes in, and building once what goes to many sockets."""

import struct
from typing import Any

import msgspec

from realtime.protocol import MAX_FRAME_BYTES
from realtime.protocol.commands import COMMANDS, Command, Data
from realtime.protocol.frames import Error, ErrorCode, Frame, Signal

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Command)
_data_decoders = {kind: msgspec.json.Decoder(kind) for kind in set(COMMANDS.values())}
MAX_ID = 64
# The first byte of an unfragmented text message, and where its length needs more than 7 bits
# (RFC 6455, 5.2). The server's frames are not masked, so all sockets can have the same bytes.
_TEXT, _TWO_BYTES, _EIGHT_BYTES = 0x81, 126, 127


class BadFrame(Exception):
    """What came in is no command."""

    def __init__(self, code: ErrorCode, message: str, re: str | None = None) -> None:
        super().__init__(message)
        self.error = Error(re=re, code=code, message=message)


def decode(text: str | None) -> Command:
    """Raises BadFrame for a binary frame, too much text, what is not JSON, or no command."""
    if text is None:
        raise BadFrame("bad_frame", "Frames are text.")
    if len(text) > MAX_FRAME_BYTES or len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
        raise BadFrame("too_large", f"A frame has at most {MAX_FRAME_BYTES} bytes.")
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as exc:
        raise BadFrame("bad_frame", str(exc)) from exc
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise BadFrame("bad_json", "The frame is not JSON.") from exc


def has_good_id(command: Command) -> bool:
    return 1 <= len(command.id) <= MAX_ID


def decode_data(command: Command) -> Data:
    """The command's data as the struct of its type. Raises BadFrame."""
    if not has_good_id(command) and command.type != "auth":
        raise BadFrame("bad_frame", f"A command has an id of 1 to {MAX_ID} characters.")
    kind = COMMANDS.get(command.type)
    if kind is None:
        raise BadFrame("unknown_type", "Unknown command.", command.id)
    try:
        return _data_decoders[kind].decode(command.data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise BadFrame("bad_frame", str(exc), _re(command)) from exc


def _re(command: Command) -> str | None:
    return command.id if has_good_id(command) else None


class Prepared:
    """A frame, encoded once for all who get it: `wire` is its JSON behind a WebSocket header.

    A signal may be dropped on the way to who reads too slowly; nothing else may.
    """

    __slots__ = ("_begins", "is_signal", "wire")

    def __init__(self, json: bytes, *, is_signal: bool = False) -> None:
        header = _header(len(json))
        self._begins = len(header)
        self.wire = header + json
        self.is_signal = is_signal

    @property
    def json(self) -> bytes:
        return self.wire[self._begins :]


def prepare(frame: Frame) -> Prepared:
    return Prepared(_encoder.encode(frame), is_signal=isinstance(frame, Signal))


def signal(room: str | None, data: Any, event: str) -> Prepared:
    return prepare(Signal(room=room, event=event, data=data))  # type: ignore[arg-type]


def _header(length: int) -> bytes:
    if length < _TWO_BYTES:
        return bytes((_TEXT, length))
    if length < 1 << 16:
        return struct.pack("!BBH", _TEXT, _TWO_BYTES, length)
    return struct.pack("!BBQ", _TEXT, _EIGHT_BYTES, length)
