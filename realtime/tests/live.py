"""A client for tests of real servers: it collects and checks everything, and counts along.

Every frame sent and received is held against the AsyncAPI document, and the canary against what a
customer hears (servicedesk.tests.frames). In every joined room `seq` must rise by exactly one, and
`room.live` and `hb` must agree with what arrived. What is wrong is raised by whatever the test
calls next, or when the client is closed.

    async with await LiveClient.connect(address, token=token) as bob:
        await bob.join(42)
        id_ = await bob.send("ping")
        assert (await bob.answer(id_))["type"] == "pong"
        event = await bob.next("message.created")
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed

from realtime.protocol import BEARER, SUBPROTOCOL
from servicedesk.tests.frames import CheckedSocket

# Seconds for what surely comes, also on a busy machine.
PATIENCE = 30

Frame = dict[str, Any]


@dataclass
class Cursor:
    """Where a client is in a room's stream; `seqs` are all that it ever got."""

    epoch: str = ""
    seq: int = 0
    is_joined: bool = False
    is_live: bool = False
    seqs: list[int] = field(default_factory=list)


class LiveClient:
    """One socket of a real server. Make it with `connect`."""

    def __init__(self, socket: ClientConnection, cursors: dict[str, Cursor]) -> None:
        self.socket = socket
        # Everything received, in order; answers included.
        self.frames: list[Frame] = []
        self.cursors = cursors
        self.hello: Frame = {}
        self._checked = CheckedSocket()
        self._sent: dict[str, tuple[str, Frame]] = {}
        self._answers: dict[str, Frame] = {}
        self._unread: list[Frame] = []
        self._news = asyncio.Condition()
        self._fault: BaseException | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def connect(
        cls,
        address: str,
        token: str | None = None,
        cookie: str | None = None,
        origin: str | None = None,
        *,
        after: "LiveClient | None" = None,
        is_greeted: bool = True,
    ) -> Self:
        """Open a socket at a server such as http://127.0.0.1:8000, and wait for its `hello`.

        `cookie` is a whole Cookie header. `after` is an earlier client, whose cursors this one
        goes on with. Without being greeted (`is_greeted` false), `auth` is for the test to send.
        """
        offered = [SUBPROTOCOL, *([f"{BEARER}{token}"] if token else [])]
        socket = await open_socket(
            f"{address.replace('http', 'ws', 1)}/ws/",
            subprotocols=offered,  # type: ignore[arg-type]
            origin=origin,  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie} if cookie else {},
            open_timeout=PATIENCE,
            max_size=None,
            max_queue=None,
            proxy=None,
        )
        client = cls(socket, _left_at(after))
        if is_greeted:
            await client.greeted()
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.close()
        if kind is None:
            self._raise_fault()

    async def close(self) -> None:
        """Leave as a browser does; what was wrong until now stays to be raised."""
        await self.socket.close()
        with suppress(asyncio.CancelledError):
            await self._reader

    def abort(self) -> None:
        """Drop the connection without a word, as a train in a tunnel does."""
        self.socket.transport.abort()

    # --- Saying ------------------------------------------------------------------------

    async def send(self, type: str, **data: Any) -> str:
        """Send a command; answers its id."""
        id_ = f"c{len(self._sent) + 1}"
        frame = {"type": type, "id": id_, "data": data}
        text = json.dumps(frame)
        self._checked.sends(text)
        self._sent[id_] = (type, data)
        await self.socket.send(text)
        return id_

    async def send_rubbish(self, text: str) -> None:
        """Send what is no proper command."""
        self._checked.sends(text, is_rubbish=True)
        await self.socket.send(text)

    async def ask(self, type: str, **data: Any) -> Frame:
        """Send a command and wait for its answer."""
        return await self.answer(await self.send(type, **data))

    async def done(self, type: str, **data: Any) -> Any:
        """Send a command that succeeds; answers the `data` of its `ok`."""
        answer = await self.ask(type, **data)
        assert answer["type"] == "ok", answer
        return answer["data"]

    async def join(self, ticket: int) -> Frame:
        """Join a ticket, from this client's cursor on if it has one, and wait until it is live."""
        room = f"ticket:{ticket}"
        cursor = self.cursors.get(room)
        resume = {"last_seq": cursor.seq, "epoch": cursor.epoch} if cursor else {}
        answer: Frame = await self.done("room.join", ticket=ticket, **resume)
        await self.until(lambda: self.cursors[room].is_live)
        return answer

    # --- Hearing -----------------------------------------------------------------------

    async def greeted(self) -> Frame:
        await self.until(lambda: bool(self.hello))
        return self.hello

    async def answer(self, id_: str) -> Frame:
        """The ok, error or pong to the command of this id."""
        await self.until(lambda: id_ in self._answers)
        return self._answers[id_]

    async def next(self, kind: str | None = None) -> Frame:
        """The next frame that answers nothing; with `kind`, the next of this type or event, and
        what came before it is skipped."""
        found: list[Frame] = []

        def take() -> bool:
            while self._unread and not found:
                frame = self._unread.pop(0)
                if kind in (None, frame["type"], frame.get("event")):
                    found.append(frame)
            return bool(found)

        await self.until(take)
        return found[0]

    async def until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something holds, looking after every frame."""
        try:
            async with asyncio.timeout(seconds), self._news:
                while not holds():
                    self._raise_fault()
                    if self._reader.done():
                        raise AssertionError(f"The socket was closed. {self._story()}")
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"Nothing came for {seconds} s. {self._story()}") from None
        self._raise_fault()

    async def reaches(self, ticket: int, seq: int) -> None:
        """Wait until everything up to `seq` has arrived."""
        await self.until(lambda: self.cursors[f"ticket:{ticket}"].seq >= seq)

    async def closed(self) -> int:
        """Wait for the end of the connection; answers its close code (1006: there was none)."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
            await self._reader
        self._raise_fault()
        assert self.socket.close_code is not None
        return self.socket.close_code

    @property
    def bye(self) -> Frame | None:
        return next((frame for frame in self.frames if frame["type"] == "bye"), None)

    def events(self, ticket: int) -> list[Frame]:
        """The events of a ticket that came over this socket."""
        room = f"ticket:{ticket}"
        return [f for f in self.frames if f["type"] == "event" and f["room"] == room]

    def _story(self) -> str:
        last = "\n".join(json.dumps(frame)[:300] for frame in self.frames[-8:])
        return f"Close code {self.socket.close_code}, last frames:\n{last}"

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    # --- What arrives ------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                assert isinstance(text, str), "a binary frame"
                async with self._news:
                    self._take(self._checked.hears(text))
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        except Exception as exc:
            self._fault = exc
            self.abort()
        async with self._news:
            for cursor in self.cursors.values():
                cursor.is_joined = cursor.is_live = False
            self._news.notify_all()

    def _take(self, frame: Frame) -> None:
        assert self.bye is None, f"after bye: {frame}"
        assert self.hello or frame["type"] in ("hello", "bye", "error"), f"before hello: {frame}"
        self.frames.append(frame)
        if frame.get("re") is not None:
            self._take_answer(frame)
            return
        self._unread.append(frame)
        match frame["type"]:
            case "hello":
                assert not self.hello, "a second hello"
                self.hello = frame
            case "event":
                self._take_event(frame)
            case "room.live":
                self._take_live(frame)
            case "room.left":
                self._left(frame["room"])
            case "hb":
                for room, head in frame["heads"].items():
                    cursor = self._cursor(room)
                    assert cursor.seq >= head, f"{room} is at {cursor.seq}, the head is {head}"

    def _take_answer(self, frame: Frame) -> None:
        id_ = frame["re"]
        assert id_ in self._sent, f"an answer to nothing: {frame}"
        assert id_ not in self._answers, f"a second answer: {frame}"
        self._answers[id_] = frame
        if frame["type"] != "ok":
            return
        kind, data = self._sent[id_]
        if kind == "room.join":
            self._joined(data, frame["data"])
        elif kind == "rooms.join":
            results = frame["data"]["results"]
            for asked, result in zip(data["rooms"], results, strict=True):
                if result["ok"]:
                    self._joined(asked, result)
        elif kind == "room.leave":
            self._left(data["room"])

    def _joined(self, asked: Frame, joined: Frame) -> None:
        if joined["room"] == "desk":
            return
        cursor = self.cursors.setdefault(joined["room"], Cursor())
        cursor.epoch = joined["epoch"]
        cursor.seq = asked["last_seq"] if "last_seq" in asked else joined["head"]
        cursor.is_joined, cursor.is_live = True, False
        replay = joined["head"] - cursor.seq
        assert joined["replay"] == replay, f"{joined['replay']} events follow, not {replay}"

    def _left(self, room: str) -> None:
        if cursor := self.cursors.get(room):
            cursor.is_joined = cursor.is_live = False

    def _take_event(self, frame: Frame) -> None:
        cursor = self._cursor(frame["room"])
        expected = cursor.seq + 1
        assert frame["seq"] == expected, f"{frame['room']}: {frame['seq']} came, not {expected}"
        cursor.seq = frame["seq"]
        cursor.seqs.append(frame["seq"])

    def _take_live(self, frame: Frame) -> None:
        cursor = self._cursor(frame["room"])
        assert frame["seq"] == cursor.seq, f"live from {frame['seq']}, but at {cursor.seq}"
        cursor.is_live = True

    def _cursor(self, room: str) -> Cursor:
        cursor = self.cursors.get(room)
        if cursor is None or not cursor.is_joined:
            raise AssertionError(f"{room} is not joined")
        return cursor


def _left_at(client: LiveClient | None) -> dict[str, Cursor]:
    return {} if client is None else client.cursors
