"""A client of the desk's socket inside the test's own process, every frame of it checked."""

import json
from contextlib import asynccontextmanager
from typing import Any

from channels.testing import WebsocketCommunicator
from django.utils import timezone

from agents import sessions
from agents.models import User
from realtime.database import in_database
from servicedesk.asgi import application
from servicedesk.tests.frames import CheckedSocket

HOST = (b"host", b"testserver")
# Seconds for what surely comes, also on a busy machine.
PATIENCE = 15
# Seconds in which what must not come would have come.
A_WHILE = 0.3


class Socket(WebsocketCommunicator):  # type: ignore[misc]
    """Commands get their ids by themselves; what is no answer is kept for who asks for it."""

    def __init__(self, *headers, path="/ws/", subprotocols=None):
        super().__init__(application, path, [HOST, *headers], subprotocols)
        self.checked = CheckedSocket()
        self.unread: list[dict[str, Any]] = []
        self.count = 0

    async def say(self, **frame):
        """A frame as it stands."""
        text = json.dumps(frame)
        self.checked.sends(text)
        await self.send_to(text_data=text)

    async def say_rubbish(self, text):
        self.checked.sends(text, is_rubbish=True)
        await self.send_to(text_data=text)

    async def hears(self):
        """The next frame, whatever it is."""
        if self.unread:
            return self.unread.pop(0)
        return await self._receive()

    async def _receive(self):
        return self.checked.hears(await self.receive_from(timeout=PATIENCE))

    async def ask(self, command, **data):
        """The answer to a command; other frames that come before it are kept."""
        self.count += 1
        re = f"c{self.count}"
        await self.say(type=command, id=re, data=data)
        while (frame := await self._receive()).get("re") != re:
            self.unread.append(frame)
        return frame

    async def done(self, command, **data):
        answer = await self.ask(command, **data)
        assert answer["type"] == "ok", answer
        return answer["data"]

    async def refused(self, command, **data):
        """The code of the error."""
        answer = await self.ask(command, **data)
        assert answer["type"] == "error", answer
        return answer["code"]

    async def join(self, ticket, **data):
        """Join and wait until the room is live; answers the events that came before."""
        await self.done("room.join", ticket=ticket.pk, **data)
        return await self.events_until_live()

    async def events_until_live(self):
        events = []
        while (frame := await self.hears())["type"] != "room.live":
            assert frame["type"] in {"event", "hb"}, frame
            if frame["type"] == "event":
                events.append(frame)
        return events

    async def event(self, kind):
        """The next event or signal of this kind; everything else before it is dropped."""
        while (frame := await self.hears()).get("event") != kind:
            pass
        return frame

    async def hears_nothing(self, kind=None):
        """Nothing for a while, or nothing of that kind."""
        while not await self.receive_nothing(A_WHILE):
            self.unread.append(await self._receive())
        heard = [each for each in self.unread if kind in (None, each.get("event"), each["type"])]
        return not heard

    async def is_closed_with(self, code):
        output = await self.receive_output(timeout=PATIENCE)
        return output["type"] == "websocket.close" and output.get("code") == code

    async def is_told_bye(self, code, reason):
        """The next frame is `bye`, and then the socket is closed."""
        bye = await self.hears()
        assert (bye["type"], bye["code"], bye["reason"]) == ("bye", code, reason), bye
        assert bye["reconnect"] is (code < 4500)
        return await self.is_closed_with(code)


@asynccontextmanager
async def opened(*headers, accepted=True, **kwargs):
    """A socket, left in good order."""
    socket = Socket(*headers, **kwargs)
    is_in, selected = await socket.connect(timeout=PATIENCE)
    socket.selected = selected
    try:
        assert is_in is accepted
        yield socket
    finally:
        await socket.disconnect(timeout=PATIENCE)


def token_of(user: User) -> str:
    return sessions.start(user=user, at=timezone.now()).access


def bearer(token):
    return (b"authorization", f"Bearer {token}".encode())


@asynccontextmanager
async def signed_in(user: User):
    """A socket of this user that has been greeted."""
    token = await in_database(token_of, user)
    async with opened(bearer(token)) as socket:
        assert (await socket.hears())["type"] == "hello"
        yield socket
