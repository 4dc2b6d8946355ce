"""The frames of `desk.v1`, typed: what is not one of these is not sent and not understood.

`commands` holds what clients send, `frames` what the server sends, `wire` how both become bytes.
"""

SUBPROTOCOL = "desk.v1"
BEARER = "bearer."

# What `hello` tells the client of its limits.
MAX_FRAME_BYTES = 64 * 1024
MAX_ROOMS = 100
HEARTBEAT_SECONDS = 25.0
# How far behind a client may be and still be caught up with over the socket.
MAX_REPLAY = 500
SIGN_IN_SECONDS = 5.0
