"""Nothing but `send()` in a loop: what the kernel takes, below which nobody gets."""

import os
import socket
import sys
import threading

import redis

from benchmarks.live.servers import ROOM, server_frame

# The answer to the one key that the crowd sends.
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
room: list[socket.socket] = []


def let_in(listener: socket.socket) -> None:
    while True:
        visitor = listener.accept()[0]
        if visitor.recv(4096):  # nothing from whoever only tried the port
            visitor.sendall(ACCEPT)
            room.append(visitor)


def main(port: int) -> None:
    subscription = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub()  # type: ignore[no-untyped-call]
    subscription.subscribe(ROOM)
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    threading.Thread(target=let_in, args=(listener,), daemon=True).start()
    for message in subscription.listen():
        if message["type"] == "message":
            frame = server_frame(message["data"])
            for member in room:
                member.send(frame)


if __name__ == "__main__":
    main(int(sys.argv[1]))
