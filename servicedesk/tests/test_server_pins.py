"""What the server relies on inside of Daphne, Twisted and autobahn that nobody promised to keep.

Each has one sentence. When an upgrade breaks it, read `servicedesk/server` again there.
"""

import asyncio
import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import daphne.server
import pytest
from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.protocol import WebSocketProtocol as AnyProtocol
from autobahn.websocket.protocol import WebSocketServerProtocol
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import address
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as TwistedRequest

from servicedesk.server import Server
from servicedesk.server.http import Channel
from servicedesk.server.sockets import InputQueue, Socket
from servicedesk.tests.processes import ROOT

pytestmark = pytest.mark.once

DAPHNE = daphne.server.Server
RELIED_ON = [
    (DAPHNE, "application_checker", "it cancels what does not end, each second"),
    (DAPHNE, "create_application", "both protocols get their input queue from it"),
    (DAPHNE, "handle_reply", "every message of an application goes through it"),
    (DAPHNE, "kill_all_applications", "it is called before the reactor ends"),
    (DAPHNE, "listen_error", "it is told why a port cannot be opened"),
    (DAPHNE, "listen_success", "it is told of every port that was opened"),
    (DAPHNE, "protocol_disconnected", "both protocols tell it of their end"),
    (DAPHNE, "stop", "it ends the reactor, or keeps it from beginning"),
    (WebRequest, "basic_error", "Daphne's own answers all come from it"),
    (WebRequest, "handle_exception", "a failing application leads to basic_error"),
    (WebRequest, "process", "it is called with the complete request"),
    (WebSocketProtocol, "onClose", "it is called once, also after a handshake that failed"),
    (WebSocketServerProtocol, "STATE_CONNECTING", "a socket says in `state` whether it is open"),
    (WebSocketServerProtocol, "STATE_OPEN", "a socket says in `state` whether it is open"),
    (WebSocketServerProtocol, "consumeData", "it handles all frames that were read"),
    (WebSocketServerProtocol, "dropConnection", "it ends a connection without a handshake"),
    (WebSocketServerProtocol, "failHandshake", "it answers a handshake by an HTTP status"),
    (WebSocketServerProtocol, "onFrameBegin", "it is called for each frame of any kind"),
    (WebSocketServerProtocol, "processData", "it handles one frame and answers false at the end"),
    (WebSocketServerProtocol, "sendClose", "it begins the closing handshake"),
    (HTTPChannel, "allHeadersReceived", "it is called when a request's headers are complete"),
    (HTTPChannel, "checkPersistence", "it decides whether another request may follow"),
    (HTTPChannel, "persistent", "false, the connection closes after the request in hand"),
    (HTTPChannel, "pauseProducing", "the transport calls it when its buffer is full"),
    (HTTPChannel, "resetTimeout", "it is called for every piece that arrives"),
    (HTTPChannel, "resumeProducing", "the transport calls it when its buffer is empty"),
    (HTTPChannel, "setTimeout", "the clock of a connection"),
    (HTTPChannel, "writeHeaders", "it writes the head of an answer"),
    (TwistedRequest, "gotLength", "it is called when a request's headers are complete"),
    (TwistedRequest, "handleContentChunk", "it is called for every piece of a body"),
    (Connection, "abortConnection", "it resets a connection at once"),
    (Connection, "loseWriteConnection", "it ends our side when all is sent"),
    (asyncio.Queue, "_get", "asyncio's documentation in code: subclasses may override it"),
    (asyncio.Queue, "_put", "asyncio's documentation in code: subclasses may override it"),
]


@pytest.mark.parametrize(
    ("owner", "name", "why"), RELIED_ON, ids=[f"{row[0].__name__}.{row[1]}" for row in RELIED_ON]
)
def test_what_we_call_or_override_is_still_there(owner, name, why):
    assert hasattr(owner, name), f"{owner.__qualname__}.{name} is gone. We relied on: {why}."


def test_a_transport_says_what_it_has_not_sent_yet():
    """`DirectTransport.write` goes past it where that is nothing."""
    reactor: Any = SimpleNamespace(addWriter=lambda _: None)
    transport: Any = FileDescriptor(reactor=reactor)
    transport.connected = True
    assert not transport.dataBuffer
    assert not transport._tempDataBuffer
    transport.write(b"kept")
    assert transport._tempDataBuffer == [b"kept"]
    transport.writeSomeData = lambda data: 1
    transport.doWrite()
    assert transport.dataBuffer == b"kept"
    assert not transport._tempDataBuffer


def test_autobahn_formats_its_configuration_by_the_function_that_we_replace():
    assert "pformat(configAttrLog)" in inspect.getsource(AnyProtocol._connectionMade)


def test_daphne_is_pinned_to_the_version_that_was_read():
    assert f"daphne=={version('daphne')} " in (ROOT / "requirements" / "base.txt").read_text()
    assert version("daphne").startswith("4.2."), "Read servicedesk/server beside the new Daphne."


def test_twisted_knows_method_and_path_when_it_tells_the_length():
    seen: dict[str, object] = {}

    class Asking(TwistedRequest):
        def gotLength(self, length):  # noqa: N802
            seen.update(command=self.channel._command, path=self.channel._path, length=length)
            super().gotLength(length)

    channel = HTTPChannel()
    channel.requestFactory = Asking
    channel.makeConnection(StringTransport())
    channel.dataReceived(b"POST /a?b HTTP/1.1\r\nContent-Length: 7\r\n\r\n")
    channel.setTimeout(None)
    expected = {"command": b"POST", "path": b"/a?b", "length": 7}
    assert seen == expected, "HTTPChannel._command and ._path are no longer set before gotLength."


def test_twisted_takes_the_wish_not_to_parse_forms():
    parameters = inspect.signature(TwistedRequest).parameters
    assert "parsePOSTFormSubmission" in parameters, "Forms would be parsed by Twisted again."


def test_twisted_builds_what_the_factory_names_as_its_protocol():
    factory = HTTPFactory(server=None)
    factory.protocol = Channel
    assert type(factory.buildProtocol(None)) is Channel, "HTTPFactory.protocol is no longer asked."
    assert factory.timeOut, "HTTPFactory.timeOut is how long a connection may rest."


def test_daphne_builds_what_the_factory_names_as_its_socket():
    factory = WebSocketFactory(server_class=None)
    factory.protocol = Socket
    here = address.IPv4Address("TCP", "127.0.0.1", 1)
    assert type(factory.buildProtocol(here)) is Socket, "WebSocketFactory.protocol is ignored."


def test_autobahn_compresses_nothing_unless_told_to():
    accept = WebSocketServerFactory().perMessageCompressionAccept
    assert accept([]) is None, "A frame that is built once would not suit every socket."


def test_daphne_remembers_whether_an_answer_has_begun():
    source = inspect.getsource(WebRequest)
    assert "self._response_started = True" in source, "WebRequest._response_started is gone."


def test_daphne_reads_a_body_from_content_after_the_application_was_made():
    source = inspect.getsource(WebRequest.process)
    places = [source.find(step) for step in ("self.server.create_application", "buffer_size\n")]
    assert -1 < places[0] < places[1], "RequestQueue puts an empty body in place there."
    assert "chunk = self.content.read(buffer_size)" in source, (
        "RequestQueue keeps Daphne from reading bodies by taking Request.content."
    )
    assert '{"type": "http.disconnect"}' in inspect.getsource(WebRequest.send_disconnect), (
        "RequestQueue closes a body by this message."
    )


def test_daphne_takes_the_transport_from_a_request_that_becomes_a_socket():
    source = inspect.getsource(WebRequest.process)
    assert "self.transport = self.transport, None" in source, (
        "Request.process cannot tell by `transport is None` that the request became a socket."
    )


def test_daphne_sets_the_server_of_a_socket_when_the_handshake_is_good():
    source = inspect.getsource(WebSocketProtocol.onConnect)
    assert "self.server = " in source, "Socket.onClose cannot tell by `server` whether it was."


def test_daphne_keeps_its_applications_by_the_name_that_we_use():
    source = inspect.getsource(DAPHNE)
    assert 'self.connections[protocol]["application_instance"]' in source, (
        "Server.connections is no longer where the tasks are found."
    )


def test_daphne_is_ready_when_the_factories_stand_and_nothing_was_accepted():
    source = inspect.getsource(DAPHNE.run)
    order = ["self.http_factory =", "self.ws_factory =", ".listen(", "self.ready_callable()"]
    places = [source.find(step) for step in [*order, "reactor.run("]]
    assert -1 not in places, "Server.run has changed; Server._begin relies on its order."
    assert places == sorted(places), "Server._begin must run after the factories, before the loop."


def test_a_full_queue_pauses_its_socket_once_and_an_empty_one_lets_it_go_on():
    class Peer:
        calls: list[str] = []

        def pause_reading(self):
            self.calls.append("pause")

        def resume_reading(self):
            self.calls.append("resume")

    queue = InputQueue(Peer())  # type: ignore[arg-type]
    for number in range(64):
        queue.put_nowait({"type": str(number)})
    assert Peer.calls == ["pause"], "asyncio.Queue no longer puts through _put."
    for _ in range(48):
        queue.get_nowait()
    assert Peer.calls == ["pause", "resume"], "asyncio.Queue no longer gets through _get."


def test_what_was_agreed_on_for_sockets_is_what_the_server_is_made_with():
    server = Server(None, host="127.0.0.1", port=0)
    assert server.websocket_timeout == -1  # an idle socket is never closed
    assert (server.ping_interval, server.ping_timeout) == (20, 30)
    assert server.websocket_handshake_timeout == 5
    assert server.websocket_max_frame_size == server.websocket_max_message_size == 1024 * 1024
