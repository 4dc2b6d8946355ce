"""Daphne, hardened: bounded memory whatever the peer does, and an end that loses nothing.

Daphne itself reads a body of any size before the application runs, takes no notice of a peer that
does not read, and drops requests in hand when it is told to end.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import daphne.server  # first: it chooses the reactor
import structlog
from daphne.endpoints import build_endpoint_description_strings
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from servicedesk import health
from servicedesk.server.bodies import RequestQueue
from servicedesk.server.http import Channel
from servicedesk.server.sockets import CLOSE_SECONDS, DirectTransport, InputQueue, Socket

SIGNALS = (signal.SIGTERM, signal.SIGINT)
HOOK_SECONDS = 8
# What was cancelled gets so long to clean up.
CANCEL_SECONDS = 2
LOOK_EVERY_SECONDS = 0.05

Hook = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Server(daphne.server.Server):  # type: ignore[misc]
    """One process's server. `ready` is called when it listens.

    Asked to end by a signal it drains: `notice` seconds it still takes new connections, and within
    `grace` seconds more every request in hand is answered. A second signal ends it at once.
    """

    def __init__(
        self,
        application: Any,
        *,
        host: str,
        port: int,
        grace: float = 30,
        notice: float = 0,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            signal_handlers=False,
            ready_callable=partial(self._begin, ready),
            ping_interval=20,
            ping_timeout=30,
            websocket_handshake_timeout=5,
            websocket_timeout=-1,
            server_name=None,
            verbosity=0,
        )
        self.grace, self.notice = grace, notice
        self.is_draining = False
        # Why nothing could be listened to, or that something was still running at the end.
        self.failure = ""
        self.was_cut_off = False
        self.channels: set[Channel] = set()
        self._ports: list[Any] = []
        self._hooks: list[Hook] = []

    def before_exit(self, hook: Hook) -> None:
        """Await `hook()` when draining begins, while all sockets are still open; at most 8 s."""
        self._hooks.append(hook)

    def leave(self) -> None:
        """To be called last. Python would wait, however long, for the threads of an application
        that was cut off; then the process ends here."""
        if self.was_cut_off:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    # --- Beginning ---

    def _begin(self, ready: Callable[[], None]) -> None:
        """Everything is set up and no connection was accepted yet."""
        self.http_factory.protocol = Channel
        self.ws_factory.protocol = Socket
        # What is too large is told so (1009) instead of cut off, and a slow peer may still say
        # goodbye.
        self.ws_factory.setProtocolOptions(
            failByDrop=False, closeHandshakeTimeout=CLOSE_SECONDS, allowNullOrigin=True
        )
        globalLogPublisher.addObserver(_log_failure)  # type: ignore[arg-type]
        for number in SIGNALS:
            asyncio.get_event_loop().add_signal_handler(number, self._on_signal)
        ready()

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def listen_error(self, failure: Failure) -> None:
        self.failure = failure.getErrorMessage()
        super().listen_error(failure)

    # --- Between the connections and the application ---

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> asyncio.Queue[Any]:
        queue: InputQueue | RequestQueue
        if isinstance(protocol, Socket):
            scope["extensions"] = {"desk.transport": DirectTransport(protocol)}
            queue = InputQueue(protocol)
            receive = queue.get
        else:
            queue = RequestQueue(protocol)
            receive = queue.receive
        scope["asgi"] = {"version": "3.0"}
        run = self.application(scope, receive, partial(self.handle_reply, protocol))
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(run)
        return queue

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            # None where the peer has gone, and absent where the answer was complete already.
            channel: Channel | None = getattr(protocol, "channel", None)
            if channel:
                await channel.until_writable()
        await super().handle_reply(protocol, message)

    def protocol_disconnected(self, protocol: Any) -> None:
        """May be told twice, the second time after the connection was forgotten."""
        if protocol in self.connections:
            super().protocol_disconnected(protocol)

    # --- The end ---

    def _on_signal(self) -> None:
        for number in SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        self._drained = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        log.info("draining", channels=len(self.channels), running=len(self._running()))
        deadline = asyncio.get_running_loop().time() + self.notice + self.grace
        self.is_draining = True
        health.draining.set()
        for channel in self.channels:
            channel.answer_last()
        await asyncio.gather(self._stop_listening(), *map(_call, self._hooks))
        for protocol in list(self.connections):
            if isinstance(protocol, Socket):
                protocol.go_away()
        for channel in list(self.channels):
            channel.close_if_idle()
        await self._until_quiet(deadline)
        self.stop()

    async def _stop_listening(self) -> None:
        await asyncio.sleep(self.notice)
        for port in self._ports:
            port.stopListening()

    async def _until_quiet(self, deadline: float) -> None:
        """Until every answer has arrived and every application has cleaned up."""
        clock = asyncio.get_running_loop().time
        while (self.channels or self._running()) and clock() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _running(self) -> "list[asyncio.Task[None]]":
        tasks = (details.get("application_instance") for details in self.connections.values())
        return [task for task in tasks if task and not task.done()]

    def kill_all_applications(self) -> "Deferred[None]":
        """The last thing before the reactor ends. Daphne's own stumbles over a connection that
        has no application, and waits without limit."""
        return Deferred.fromFuture(asyncio.ensure_future(self._cancel()))

    async def _cancel(self) -> None:
        running = self._running()
        if running:
            self.was_cut_off = True
            log.warning("applications_cut_off", count=len(running))
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=CANCEL_SECONDS)


async def _call(hook: Hook) -> None:
    try:
        await asyncio.wait_for(hook(), HOOK_SECONDS)
    except Exception:
        log.exception("before_exit_failed")


def _log_failure(event: LogEvent) -> None:
    """Daphne sends Twisted's log nowhere, and with it every exception of a protocol."""
    failure = event.get("log_failure")
    if failure is not None:
        found = (failure.type, failure.value, failure.getTracebackObject())
        log.error("protocol_failed", exc_info=found)
