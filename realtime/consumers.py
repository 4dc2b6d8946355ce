"""The socket at `/ws/`: it signs in, says `hello`, and answers what it understands."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer

from realtime import access, protocol
from realtime.access import SignedIn
from realtime.protocol import BadFrame, Bye, Command, Frame
from servicedesk.api.renderers import iso

log = structlog.get_logger(__name__)
MAX_BAD_FRAMES = 10


class DeskConsumer(AsyncWebsocketConsumer):
    # Channels would open a receiving channel, and a Redis connection, for every socket.
    channel_layer_alias = None

    async def connect(self) -> None:
        self.conn = secrets.token_hex(8)
        self.signed_in: SignedIn | None = None
        self.bad_frames = 0
        self.has_said_bye = False
        self.tasks: list[asyncio.Task[None]] = []
        token = access.presented_token(self.scope)
        user = self.scope.get("user")
        has_cookie = token is None and bool(user and user.is_authenticated)
        if not access.may_shake_hands(self.scope, by_cookie=has_cookie):
            await self.close()  # before the handshake is accepted: 403
            return
        offered = self.scope.get("subprotocols", [])
        await self.accept(protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in offered else None)
        if token is not None:
            await self._welcome(await access.by_token(token))
        elif has_cookie:
            await self._welcome(SignedIn(user))
        else:
            self._later(protocol.SIGN_IN_SECONDS, self._sign_in_is_over)

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.has_said_bye:  # frames that were under way
            return
        try:
            await self._answer(protocol.decode(text_data))
            self.bad_frames = 0
        except BadFrame as bad:
            self.bad_frames += 1
            await self._send(bad.error)
            if self.bad_frames >= MAX_BAD_FRAMES:
                await self._bye(protocol.PROTOCOL_VIOLATION)
        except Exception:
            # An exception here would end the socket; the client did nothing to deserve that.
            log.exception("frame_failed", conn=self.conn)

    async def _answer(self, command: Command) -> None:
        if self.signed_in is None:
            if command.type != "auth":
                await self._bye(protocol.NOT_AUTHENTICATED)
                return
            token = protocol.decode_data(command, protocol.Auth).token
            await self._welcome(await access.by_token(token))
        elif not 1 <= len(command.id) <= 64:
            raise BadFrame("bad_frame", "A command has an id of 1 to 64 characters.")
        elif command.type == "ping":
            await self._send(protocol.Pong(re=command.id))
        else:
            await self._send(
                protocol.Error(re=command.id, code="unknown_type", message="Unknown command.")
            )

    async def _welcome(self, signed_in: SignedIn | None) -> None:
        if signed_in is None:
            await self._bye(protocol.NOT_AUTHENTICATED)
            return
        self.signed_in = signed_in
        user = signed_in.user
        await self._send(
            protocol.Hello(
                conn=self.conn,
                user=protocol.UserInfo(user.pk, user.role, user.display_name),
                heartbeat_ms=int(protocol.HEARTBEAT_SECONDS * 1000),
                limits=protocol.Limits(),
                token_expires_at=iso(signed_in.token_expires_at),
            )
        )
        self.tasks.append(asyncio.create_task(self._beat()))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(protocol.HEARTBEAT_SECONDS)
            await self._send(protocol.Heartbeat(heads={}))

    async def _sign_in_is_over(self) -> None:
        if self.signed_in is None:
            await self._bye(protocol.NOT_AUTHENTICATED)

    def _later(self, seconds: float, action: Callable[[], Any]) -> None:
        async def run() -> None:
            await asyncio.sleep(seconds)
            await action()

        self.tasks.append(asyncio.create_task(run()))

    async def _bye(self, bye: Bye) -> None:
        self.has_said_bye = True
        await self._send(bye)
        await self.close(bye.code)

    async def _send(self, frame: Frame) -> None:
        await self.send(text_data=protocol.encode(frame))
