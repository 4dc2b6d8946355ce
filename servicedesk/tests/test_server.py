"""The server as a process: what a peer may do to it, and how it ends."""

import signal
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException, IncompleteRead
from io import BytesIO
from itertools import repeat
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.http import StreamingHttpResponse
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from servicedesk import health
from servicedesk.asgi import DeskHandler
from servicedesk.server.bodies import PIECE, RequestQueue
from servicedesk.server.http import body_limit
from servicedesk.tests.processes import free_port
from servicedesk.tests.served import PATIENCE, process

pytestmark = pytest.mark.once

MIB = 1024 * 1024
# The server looks no closer.
SOMEBODY = {"Authorization": "Bearer x"}


@contextmanager
def small_server(folder, *arguments):
    port = free_port()
    command = ["-m", "servicedesk.tests.small_server", str(port), *map(str, arguments)]
    with process(folder, command, port, LOG_LEVEL="INFO") as served:
        served.says("ready")
        yield served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One small server for all that does not end it."""
    with small_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def memory(served):
    """How many MiB more than before its memory has peaked since."""
    before = float(served.get("/forget"))
    return lambda: float(served.get("/peak")) - before


# --- Bodies -----------------------------------------------------------------------------


def send_until_answered(connection, pieces):
    """As curl does: listen while sending. Answers what came back, and the bytes sent before."""
    sent, answer = 0, b""
    connection.setblocking(False)
    for piece in pieces:
        view = memoryview(piece)
        while view and not answer:
            try:
                count = connection.send(view)
                sent, view = sent + count, view[count:]
            except BlockingIOError:
                time.sleep(0.001)
            try:
                answer = connection.recv(65536)
            except BlockingIOError:
                continue
        if answer:
            break
    return answer.decode(), sent


def head(*lines):
    return "\r\n".join(["POST /length HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def assert_is_413(answer):
    assert answer.startswith("HTTP/1.1 413 ")
    headers, _, body = answer.partition("\r\n\r\n")
    assert "Content-Type: application/problem+json" in headers
    assert "Connection: close" in headers
    assert "X-Request-Id: " in headers
    assert '"code":"too_large"' in body


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_while_it_is_sent(served, memory, is_chunked):
    zeros = bytes(MIB)
    header = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {100 * MIB}"
    piece = b"100000\r\n" + zeros + b"\r\n" if is_chunked else zeros
    with served.raw() as connection:
        answer, sent = send_until_answered(connection, [head(header), *repeat(piece, 100)])
    assert_is_413(answer)
    assert sent < 30 * MIB
    assert memory() < 15


def test_who_sends_all_100_mb_first_still_gets_the_answer_and_memory_stays_flat(served, memory):
    with served.connection() as connection:
        connection.putrequest("POST", "/length")
        connection.putheader("Content-Length", str(100 * MIB))
        connection.endheaders()
        for piece in repeat(bytes(MIB), 100):
            connection.send(piece)
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (413, "close")
    assert memory() < 15


def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(served):
    for is_chunked in (False, True):
        for size, status in ((MIB, 200), (MIB + 1, 413)):
            with served.connection() as connection:
                body = iter([bytes(size)]) if is_chunked else bytes(size)
                connection.request("POST", "/length", body, encode_chunked=is_chunked)
                response = connection.getresponse()
                assert response.status == status
                if status == 200:
                    assert response.read() == b"%d" % size


def test_whoever_asks_first_is_not_told_to_send_too_much(served):
    for size, answer in ((5, b"HTTP/1.1 100 Continue"), (2 * MIB, b"HTTP/1.1 413 ")):
        with served.raw() as connection:
            connection.sendall(head("Expect: 100-continue", f"Content-Length: {size}"))
            first = connection.recv(65536)
            assert first.startswith(answer)
            assert first.count(b"HTTP/1.1") == 1


def test_the_refusal_has_the_id_that_was_asked_for_and_is_readable_by_front_ends(served):
    with served.connection() as connection:
        headers = {"X-Request-ID": "mine-1", "Origin": settings.ALLOWED_ORIGINS[0]}
        connection.request("POST", "/api/tickets", bytes(2 * MIB), headers)
        response = connection.getresponse()
    assert response.status == 413
    assert response.getheader("X-Request-ID") == "mine-1"
    assert response.getheader("Access-Control-Allow-Origin") == headers["Origin"]


def test_the_first_prefix_that_fits_gives_the_limit(settings):
    assert body_limit("/anything") == settings.JSON_BODY_MAX_BYTES
    settings.BODY_LIMITS = {"/api/attachments": 7, "/api": 5, "": 3}
    paths = ("/api/attachments/1", "/api/tickets", "/")
    assert [body_limit(path) for path in paths] == [7, 5, 3]


def test_an_upload_is_not_taken_apart_and_waits_on_the_disk(served, memory):
    size = 40 * MIB
    with served.connection() as connection:
        part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        body = part + bytes(size) + b"\r\n--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b", **SOMEBODY}
        connection.request("POST", "/upload", body, headers)
        assert connection.getresponse().read() == b"%d" % len(body)
    assert memory() < 15


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_a_body_arrives_whole_in_pieces_of_any_number(served, size):
    with served.connection() as connection:
        connection.request("POST", "/length", bytes(size))
        assert connection.getresponse().read() == b"%d" % size


def waiting(body):
    """What Daphne makes of the queue of a request with this body."""
    queue = RequestQueue(SimpleNamespace(content=body))
    queue.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    return queue


async def test_a_body_is_closed_when_it_has_been_read():
    body = BytesIO(bytes(PIECE + 1))
    queue = waiting(body)
    told = [await queue.receive() for _ in range(2)]
    assert [(len(each["body"]), each["more_body"]) for each in told] == [(PIECE, True), (1, False)]
    assert body.closed
    queue.put_nowait({"type": "http.disconnect"})
    assert await queue.receive() == {"type": "http.disconnect"}


async def test_a_body_is_closed_when_its_sender_goes_and_the_application_hears_of_it():
    body = BytesIO(bytes(2 * PIECE))
    queue = waiting(body)
    assert (await queue.receive())["more_body"]
    queue.put_nowait({"type": "http.disconnect"})
    assert body.closed
    assert await queue.receive() == {"type": "http.disconnect"}


def test_who_leaves_what_it_sent_unread_still_gets_an_answer(served):
    with served.connection() as connection:
        connection.request("POST", "/peak", bytes(3 * PIECE))
        assert float(connection.getresponse().read())
        connection.request("POST", "/length", bytes(3 * PIECE))
        assert connection.getresponse().read() == b"%d" % (3 * PIECE)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_of_nobody_is_refused_while_it_is_sent(served, is_chunked):
    for size, headers, status in (
        (2 * MIB, {}, 401),
        (2 * MIB, {"Cookie": "theme=dark; sessionids=x"}, 401),
        (2 * MIB, SOMEBODY, 200),
        (2 * MIB, {"Cookie": "theme=dark; sessionid=x"}, 200),
        (MIB, {}, 200),
        (65 * MIB, {}, 401 if is_chunked else 413),
    ):
        with served.connection() as connection:
            body = repeat(bytes(MIB), size // MIB) if is_chunked else bytes(size)
            connection.request("POST", "/upload", body, headers, encode_chunked=is_chunked)
            response = connection.getresponse()
            assert (response.status, headers) == (status, headers)
            if status == 401:
                assert response.getheader("WWW-Authenticate") == 'Bearer realm="desk"'
                assert b'"code":"not_authenticated"' in response.read()


# --- Slow and broken peers --------------------------------------------------------------


def test_an_answer_waits_for_a_slow_reader_and_does_not_pile_up(served, memory):
    before = int(served.get("/sent"))
    with served.raw() as connection:
        connection.sendall(b"GET /stream?mib=200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Until it does not move any more: what the kernel holds is read by nobody.
        sent, was = before, -1
        while sent != was:
            time.sleep(0.5)
            sent, was = int(served.get("/sent")), sent
        assert sent - before < 50
        assert memory() < 20
        read = 0
        while read < 200 * MIB:
            read += len(connection.recv(MIB))
    assert memory() < 20


def test_an_answer_that_waits_is_given_up_when_the_reader_leaves(served):
    with served.raw() as connection:
        connection.sendall(b"GET /stream?mib=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(1)
    served.says("streamed")


def test_a_reader_that_reads_nothing_for_long_is_cut_off(tmp_path):
    """Here after 1 s."""
    with small_server(tmp_path, 30, 0, 1) as served, served.raw() as connection:
        connection.sendall(b"GET /stream?mib=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        served.says("streamed")
        with pytest.raises(ConnectionError):
            list(iter(partial(connection.recv, MIB), b""))


def test_headers_that_drip_are_dropped_after_a_while(served):
    """Here after 1 s, so that nobody has to wait; each byte alone is no sign of life."""
    with served.raw() as connection:
        connection.sendall(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n")
        connection.settimeout(0.1)
        deadline, answer = time.monotonic() + PATIENCE, None
        while answer is None:
            assert time.monotonic() < deadline
            try:
                connection.send(b"x")
                answer = connection.recv(1)
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert answer == b""


def test_a_connection_may_rest_between_two_requests_longer_than_headers_may_take(served):
    with served.connection() as connection:
        for pause in (2, 0):
            connection.request("GET", "/peak")
            assert connection.getresponse().read()
            time.sleep(pause)


def test_a_handshake_that_nobody_accepts_is_dropped(served):
    with pytest.raises(InvalidMessage):
        served.socket("/never")


def test_a_wrong_handshake_is_answered_and_leaves_no_error(served):
    with served.raw() as connection:
        lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: short"]
        connection.sendall(
            "\r\n".join(["GET /ws HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 4")
        while connection.recv(4096):
            pass
    assert served.get("/length") == "0"
    assert "has no attribute" not in served.log.read_text()


def test_an_application_that_fails_is_answered_for_and_the_server_goes_on(served):
    # Cut off, so that half an answer is not taken for a whole one.
    with served.connection() as connection:
        connection.request("GET", "/fails_late")
        with pytest.raises((OSError, IncompleteRead)):
            connection.getresponse().read()
    with served.connection() as connection:
        connection.request("GET", "/fails")
        response = connection.getresponse()
        assert (response.status, b"internal_error" in response.read()) == (500, True)


async def test_an_answer_that_fails_in_the_middle_is_closed_all_the_same(db):
    async def half():
        yield b"half"
        raise OSError

    async def send(message):
        pass

    response = StreamingHttpResponse(half())
    with pytest.raises(OSError):  # noqa: PT011
        await DeskHandler().send_response(response, send)
    assert response.closed


def test_an_exception_inside_a_protocol_is_logged(served):
    served.get("/protocol_failure")
    served.says("inside a protocol")


# --- Sockets ----------------------------------------------------------------------------


def test_a_flood_waits_in_the_peer_and_not_in_the_queue(served, memory):
    # Few and large ones: of small ones so many at once would end the connection.
    count = 450
    with served.socket("/flood") as client, ThreadPoolExecutor(1) as pool:

        def flood():
            for _ in range(count):
                client.send("x" * 100_000)
            client.send("end")

        flooding = pool.submit(flood)
        time.sleep(1)
        assert not flooding.done()
        assert memory() < 15
        served.get("/go")
        received, most = map(int, client.recv(timeout=PATIENCE).split())
        flooding.result(PATIENCE)
    assert received == count
    assert most <= 64


def too_large(client):
    client.send("x" * (MIB + 1))
    client.recv(timeout=PATIENCE)


def test_a_frame_of_one_mib_arrives_and_a_larger_one_closes_the_socket_with_1009(served):
    with served.socket("/echo", max_size=None) as client:
        client.send("x" * MIB)
        assert len(client.recv(timeout=PATIENCE)) == MIB
        with pytest.raises(ConnectionClosed) as closed:
            too_large(client)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1009


def test_nothing_is_compressed_though_the_client_offers_it(served):
    with served.socket("/echo", compression="deflate") as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        client.send("a" * 1000)
        assert client.recv(timeout=PATIENCE) == "a" * 1000


def test_frames_are_written_directly_and_the_writer_is_told_of_a_slow_reader(served):
    with served.socket("/direct", max_queue=1) as client:
        client.send("write")
        assert client.recv(timeout=PATIENCE) == "hi"
        client.send("turns")
        assert client.recv(timeout=PATIENCE) == "turns"
        client.send("fill")
        served.says("filled")
        client.send("turns")
        for _ in range(30):
            assert len(client.recv(timeout=PATIENCE)) == MIB
        assert client.recv(timeout=PATIENCE) == "turns pause"
        client.send("turns")
        assert client.recv(timeout=PATIENCE) == "turns pause resume"


def test_an_aborted_socket_is_gone_at_once_and_takes_nothing_more(served):
    with served.socket("/direct") as client:
        client.send("abort")
        served.says("shut")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
        assert closed.value.rcvd is None
    served.says("cleaned up after 1006")


def test_who_says_goodbye_and_reads_nothing_is_dropped_after_a_while(served):
    with served.raw() as connection:
        lines = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Host: localhost", "Sec-WebSocket-Key: " + "x" * 22 + "=="]
        connection.sendall("\r\n".join(["GET /direct HTTP/1.1", *lines, "", ""]).encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")
        seen = served.log.read_text().count("cleaned up")
        for frame in (b"\x81\x84\0\0\0\0fill", b"\x88\x80\0\0\0\0"):
            connection.sendall(frame)
        served.says("cleaned up", times=seen + 1)


# --- The end ----------------------------------------------------------------------------


def test_asked_to_end_it_finishes_what_it_has_begun(tmp_path):
    with small_server(tmp_path) as served, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(served.get, "/slow?s=2")
        with served.socket("/echo") as client, served.connection() as idle:
            client.send("x")
            assert client.recv(timeout=PATIENCE) == "x"
            idle.request("GET", "/length")
            assert idle.getresponse().read() == b"0"
            time.sleep(0.5)
            young = pool.submit(served.socket, "/never")
            time.sleep(0.1)
            served.told()
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 4412
        with pytest.raises(InvalidStatus) as refused:
            young.result(PATIENCE)
        assert refused.value.response.status_code == 503
        assert slow.result(PATIENCE) == "slowly"
        assert served.ends_with() == 0
        log = served.log.read_text()
        # A hook that fails does not keep the other one from being awaited.
        assert log.index("a hook that fails") < log.index("farewell") < log.index("done")
        assert log.index("farewell") < log.index("cleaned up after 4412")
        assert "KeyError" not in log


def test_while_it_is_noticed_requests_are_still_answered_and_sockets_refused(tmp_path):
    with small_server(tmp_path, 30, 600) as served:
        served.told()
        with served.connection() as connection:
            connection.request("GET", "/length")
            response = connection.getresponse()
            assert (response.status, response.getheader("Connection")) == (200, "close")
        with pytest.raises(InvalidStatus) as refused:
            served.socket("/echo")
        assert refused.value.response.status_code == 503
        assert b'"code":"unavailable"' in refused.value.response.body


def test_an_answer_still_under_way_arrives_whole(tmp_path):
    with small_server(tmp_path) as served, served.raw() as connection:
        connection.sendall(b"GET /stream?mib=50 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read = len(connection.recv(65536))
        served.told()
        while piece := connection.recv(MIB):
            read += len(piece)
        assert read > 50 * MIB
        assert served.ends_with() == 0


def test_after_its_grace_it_waits_no_longer(tmp_path):
    with small_server(tmp_path, 1) as served, ThreadPoolExecutor(1) as pool:
        endless = pool.submit(served.get, "/blocked")
        with served.socket("/echo"):
            time.sleep(0.5)
            served.told(signal.SIGINT)
            served.says("cut off")
        with pytest.raises((OSError, HTTPException)):
            endless.result(PATIENCE)
        assert served.ends_with() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_a_second_time_it_ends_at_once(tmp_path, number):
    with small_server(tmp_path) as served, ThreadPoolExecutor(1) as pool:
        endless = pool.submit(served.get, "/slow?s=600")
        time.sleep(0.5)
        served.told()
        served.process.send_signal(number)
        assert served.ends_with() == -number
        with pytest.raises((OSError, HTTPException)):
            endless.result(PATIENCE)


def test_a_process_that_drains_is_alive_but_not_ready(db):
    health.draining.set()
    try:
        response = Client().get("/health/ready")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "ok",
            "migrations": "ok",
            "channel_layer": "ok",
            "draining": "failed",
        }
        assert Client().get("/health/live").status_code == 200
    finally:
        health.draining.clear()


def status_of(address):
    try:
        return urllib.request.urlopen(address, timeout=PATIENCE).status
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_manage_serve_says_not_ready_finishes_and_ends_with_success(tmp_path):
    """Without any table, since nothing here needs one; with the worker, which does and outlives
    that."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["manage.py", "serve", "--port", str(port), "--worker", "--notice", "4"]
    environment = {
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.development",
        "DESK_HOME": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'desk.sqlite3'}",
        "REDIS_URL": "",
        "LOG_LEVEL": "INFO",
    }
    with process(tmp_path, command, port, **environment) as served:
        served.says("The desk is open on")
        with served.raw() as connection:
            connection.sendall(
                b"POST /api/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{"
            )
            assert status_of(f"{address}/health/live") == 200
            served.told()
            status, body = status_of(f"{address}/health/ready")
            assert (status, b'"draining": "failed"' in body) == (503, True)
            assert status_of(f"{address}/health/live") == 200
            connection.sendall(b"}")
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 404 ")
            assert b"Connection: close" in answer
        assert served.ends_with() == 0


def test_manage_serve_says_why_it_cannot_listen(tmp_path, served):
    command = ["manage.py", "serve", "--port", str(served.port)]
    environment = {"DESK_HOME": str(tmp_path), "REDIS_URL": ""}
    with process(tmp_path, command, served.port, **environment) as second:
        assert second.ends_with() == 1
        assert "Couldn't listen on" in second.log.read_text()
        assert "is open" not in second.log.read_text()
