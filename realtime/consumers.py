"""The socket at `/ws/`: it signs in, decodes what comes, and lets the hub do it."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from realtime import access, commands, protocol
from realtime.access import SignedIn, TokenRefused
from realtime.connection import Connection
from realtime.database import in_database
from realtime.hub import Hub, get_hub
from realtime.limits import MAX_SOCKETS_A_USER, FrameBudget, RateAbuse
from realtime.outbound import Outbound, outbound_for
from realtime.protocol import frames
from realtime.protocol.commands import Auth
from realtime.protocol.frames import Bye
from realtime.protocol.wire import BadFrame, decode, decode_data, has_good_id, prepare

log = structlog.get_logger(__name__)
MAX_BAD_FRAMES = 10


class DeskConsumer(AsyncWebsocketConsumer):
    # Channels would open a receiving channel, and a Redis connection, for every socket.
    channel_layer_alias = None

    hub: Hub
    outbound: Outbound
    budget: FrameBudget
    connection: Connection | None = None
    sign_in_timer: asyncio.TimerHandle | None = None
    bad_frames = 0
    is_over = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.hub = await get_hub()
        self.budget = FrameBudget(self.hub.now())
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.is_over = True
            if self.sign_in_timer:
                self.sign_in_timer.cancel()
            if self.connection:
                await self.hub.remove(self.connection)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without Channels' hop to a thread, for connections to the database that are not ours."""
        await getattr(self, message["type"].replace(".", "_"))(message)

    # --- Signing in --------------------------------------------------------------------

    async def connect(self) -> None:
        token = access.presented_token(self.scope)
        key = None if token else access.presented_cookie(self.scope)
        if not access.may_shake_hands(self.scope, by_cookie=key is not None):
            await self.close()  # before the handshake is accepted: 403
            return
        offered = self.scope.get("subprotocols", [])
        await self.accept(protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None)
        self.outbound = outbound_for(self.scope, self.base_send, self._too_slow)
        if token is not None:
            await self._sign_in(access.by_token, token)
        elif key is not None:
            await self._sign_in(access.by_cookie, key)
        if self.connection is None and not self.is_over:
            loop = asyncio.get_running_loop()
            self.sign_in_timer = loop.call_later(protocol.SIGN_IN_SECONDS, self._nobody_came)

    async def _sign_in(self, by: Callable[[str], SignedIn | None], presented: str) -> None:
        """Whoever presents a cookie of nobody may still bring a token."""
        try:
            if signed_in := await in_database(by, presented):
                await self._welcome(signed_in)
        except TokenRefused:
            self._end(frames.NOT_AUTHENTICATED)
        except Exception:
            log.exception("sign_in_failed")
            self._end(frames.SERVER_ERROR)

    async def _welcome(self, signed_in: SignedIn) -> None:
        name = secrets.token_hex(8)
        self.connection = Connection(name, signed_in, self.outbound, self._end)
        self.connection.greet()
        if await self.hub.add(self.connection) > MAX_SOCKETS_A_USER:
            self.connection.end(frames.TOO_MANY_CONNECTIONS)

    def _nobody_came(self) -> None:
        if self.connection is None:
            self._end(frames.NOT_AUTHENTICATED)

    # --- What comes in -----------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.is_over:  # frames that were under way
            return
        try:
            wait = self.budget.take(self.hub.now())
            command = decode(text_data)
            if wait:
                re = command.id if has_good_id(command) else None
                refusal = frames.Error(re, "rate_limited", "Slow down.", wait)
                self.outbound.send(prepare(refusal))
            elif self.connection is None:
                await self._introduce(command)
            else:
                data = decode_data(command)
                self.bad_frames = 0
                await commands.answer(self.hub, self.connection, command.type, data, command.id)
        except BadFrame as bad:
            self._refuse(bad)
        except RateAbuse:
            self._end(frames.RATE_ABUSE)

    async def _introduce(self, command: Any) -> None:
        """Nothing comes before `auth`."""
        if command.type != "auth":
            self._end(frames.NOT_AUTHENTICATED)
            return
        data = decode_data(command)
        assert isinstance(data, Auth)
        await self._sign_in(access.by_token, data.token)

    def _refuse(self, bad: BadFrame) -> None:
        # A command that only newer desks know is no sign of a broken client.
        self.bad_frames += bad.error.code != "unknown_type"
        self.outbound.send(prepare(bad.error))
        if self.bad_frames >= MAX_BAD_FRAMES:
            self._end(frames.PROTOCOL_VIOLATION)

    # --- The end -----------------------------------------------------------------------

    def _too_slow(self) -> None:
        if self.connection:
            self.connection.end(frames.TOO_SLOW)

    def _end(self, bye: Bye) -> None:
        if not self.is_over:
            self.is_over = self.outbound.is_over = True
            self.hub.begin(self._close(bye))

    async def _close(self, bye: Bye) -> None:
        has_gone = await self.outbound.finish(prepare(bye))
        await self.close(bye.code)
        if not has_gone:
            self.outbound.abort()
