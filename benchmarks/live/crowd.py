"""Thousands of sockets in a process of their own, as cheap as Python allows.

The clients must not be what is measured: no WebSocket library, raw sockets and epoll. They take
frames apart only as far as it takes to answer pings and to count those that carry a mark.
"""

import multiprocessing
import resource
import select
import socket
import struct
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

HOST = "127.0.0.1"
# Handshakes under way at once: below the backlog that every compared server listens with.
WINDOW = 40
HANDSHAKE_SECONDS = 60
READ_BYTES = 256 * 1024
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
# Engine.IO has a ping of its own, a text frame.
ENGINE_PING, ENGINE_PONG = b"2", b"3"


class Heard(NamedTuple):
    """How many marked frames came in, and when the last one that was expected did (seconds of
    time.monotonic); None where not all came."""

    frames: int
    complete_at: float | None


class CrowdLost(Exception):
    """A server closed sockets that it should have kept."""


class Crowd:
    """The sockets, seen from the process that measures: each call is done when it returns.

    `expect` a mark first, then let something happen, then `heard`.
    """

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other_end = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(other_end,), daemon=True)
        self._process.start()

    def open(self, port: int, requests: Sequence[bytes], opening: bytes = b"") -> None:
        """Shake hands once for each request, and send each server `opening` afterwards."""
        self._call("open", port, list(requests), opening)

    def say(self, frames: Sequence[bytes]) -> None:
        """A frame from each of the sockets that were opened last, in that order."""
        self._call("say", list(frames))

    def expect(self, mark: bytes, count: int) -> None:
        """Count the frames that contain `mark` from now on, and note when there are `count`."""
        self._call("expect", mark, count)

    def heard(self, seconds: float) -> Heard:
        """Wait until everything expected has come, or so long. Raises CrowdLost."""
        found: Heard = self._call("heard", seconds)
        return found

    def sample(self) -> bytes:
        """The last marked frame's payload, to see what was counted."""
        payload: bytes = self._call("sample")
        return payload

    def leave(self) -> None:
        """Close every socket."""
        self._call("leave")

    def end(self) -> None:
        self._pipe.close()
        self._process.join()

    def _call(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def upgrade(path: str, *headers: str) -> bytes:
    """The request that asks for a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {HOST}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame. Masked, as it must be, with zeros, which leave the payload as it is."""
    if len(payload) < 126:
        length = bytes((0x80 | len(payload),))
    else:
        length = b"\xfe" + struct.pack("!H", len(payload))
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


def _run(pipe: Connection) -> None:
    """The other process: obey, and read the sockets meanwhile, so that nothing piles up."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sockets = _Sockets()
    sockets.epoll.register(pipe, select.EPOLLIN)
    while True:
        while not pipe.poll():
            sockets.read(60)
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(getattr(sockets, name)(*arguments))
        except (CrowdLost, OSError) as problem:
            pipe.send(problem)


class _Peer:
    __slots__ = ("is_open", "rest", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.rest = b""
        self.is_open = False


class _Sockets:
    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.peers: dict[int, _Peer] = {}
        self.lost = 0
        self.mark, self.expected, self.count = b"\0", 0, 0
        self.complete_at: float | None = None
        self.last = b""

    # --- What the other process asks for ----------------------------------------------

    def open(self, port: int, requests: list[bytes], opening: bytes) -> None:
        give_up = time.monotonic() + HANDSHAKE_SECONDS
        waiting, pending = requests[::-1], list[_Peer]()
        while waiting or pending:
            while waiting and len(pending) < WINDOW:
                pending.append(self._connect(port, waiting.pop()))
            self.read(0.01)
            for peer in [peer for peer in pending if peer.is_open]:
                pending.remove(peer)
                if opening:
                    peer.socket.sendall(opening)
            if self.lost or time.monotonic() > give_up:
                raise CrowdLost(f"{self.lost} handshakes refused, {len(pending)} unanswered")

    def say(self, frames: list[bytes]) -> None:
        speakers = list(self.peers.values())[-len(frames) :]
        for peer, data in zip(speakers, frames, strict=True):
            peer.socket.sendall(data)

    def expect(self, mark: bytes, count: int) -> None:
        self.mark, self.expected, self.count, self.complete_at = mark, count, 0, None

    def heard(self, seconds: float) -> Heard:
        give_up = time.monotonic() + seconds
        while self.complete_at is None and not self.lost and time.monotonic() < give_up:
            self.read(0.05)
        if self.lost:
            raise CrowdLost(f"{self.lost} sockets were closed by the server")
        return Heard(self.count, self.complete_at)

    def sample(self) -> bytes:
        return self.last

    def leave(self) -> None:
        for peer in list(self.peers.values()):
            self._lose(peer)
        self.lost = 0

    # --- Reading ----------------------------------------------------------------------

    def read(self, seconds: float) -> None:
        for descriptor, _ in self.epoll.poll(seconds):
            peer = self.peers.get(descriptor)
            if peer is None:  # the pipe
                continue
            try:
                data = peer.socket.recv(READ_BYTES)
            except ConnectionError:
                data = b""
            if data:
                self._take(peer, data)
            else:
                self._lose(peer)

    def _connect(self, port: int, request: bytes) -> _Peer:
        peer = _Peer(socket.create_connection((HOST, port), HANDSHAKE_SECONDS))
        peer.socket.sendall(request)
        self.peers[peer.socket.fileno()] = peer
        self.epoll.register(peer.socket, select.EPOLLIN)
        return peer

    def _lose(self, peer: _Peer) -> None:
        self.lost += 1
        self.epoll.unregister(peer.socket)
        del self.peers[peer.socket.fileno()]
        peer.socket.close()

    def _take(self, peer: _Peer, data: bytes) -> None:
        data = peer.rest + data
        if not peer.is_open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                peer.rest = head
                return
            if b" 101 " not in head[:20]:
                self._lose(peer)
                return
            peer.is_open = True
        frames, peer.rest = _split(data)
        for opcode, payload in frames:
            if opcode == TEXT:
                self._hear(peer, payload)
            elif opcode == PING:
                peer.socket.sendall(frame(payload, PONG))
            elif opcode == CLOSE:
                self._lose(peer)
                return

    def _hear(self, peer: _Peer, payload: bytes) -> None:
        if self.mark in payload:
            self.count += 1
            if self.count == self.expected:
                self.complete_at, self.last = time.monotonic(), payload
        elif payload == ENGINE_PING:
            peer.socket.sendall(frame(ENGINE_PONG))


def _split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames' opcodes and payloads, and what is left. A server does not mask."""
    found = []
    at, total = 0, len(data)
    while total - at >= 2:
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        elif length == 127:
            length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        end = start + length
        if start > total or end > total:
            break
        found.append((data[at] & 0xF, data[start:end]))
        at = end
    return found, data[at:]
