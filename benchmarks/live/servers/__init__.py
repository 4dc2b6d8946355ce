"""What the desk's socket is compared with: one room, as each design would hold it."""

import struct

ROOM = "room"


def server_frame(payload: bytes) -> bytes:
    """A text frame as a server sends it, of a payload between 126 and 65,535 bytes."""
    return b"\x81\x7e" + struct.pack("!H", len(payload)) + payload
