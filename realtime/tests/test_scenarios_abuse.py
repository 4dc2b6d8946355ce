"""What a peer may do to a real desk: it is answered or closed, costs a bounded amount of memory,
and nobody else notices."""

import asyncio
import json
import select
import socket
from contextlib import asynccontextmanager, closing, suppress

import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from agents.models import User
from realtime.database import in_database
from realtime.limits import MAX_SOCKETS_A_USER
from realtime.protocol import MAX_FRAME_BYTES
from realtime.tests.cluster import IS_CHAOS, Cluster, token_of
from realtime.tests.live import PATIENCE
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Ticket

pytestmark = pytest.mark.postgres

MIB = 1024 * 1024


@pytest.fixture
def ticket(alice: User, sam: User) -> Ticket:
    """Alice's, of no team, in nobody's hands."""
    return services.open_ticket(
        requester=alice, subject="The printer", actor=alice, at=timezone.now()
    )


@asynccontextmanager
async def untouched(cluster: Cluster, user: User):
    """Another socket of the same process, which is answered as ever."""
    async with await cluster.desks[0].client(user) as other:
        yield other
        assert (await other.ask("ping"))["type"] == "pong"


# --- What is said ----------------------------------------------------------------------


async def test_bad_frames_are_answered_and_the_socket_lives(
    cluster: Cluster, alice: User, sam: User
):
    padding = '{"type":"ping","id":"1","data":"%s"}'
    async with untouched(cluster, sam), await cluster.desks[0].client(alice) as client:
        for rubbish, code in (
            ("{", "bad_json"),
            ("[]", "bad_frame"),
            (padding % ("x" * MAX_FRAME_BYTES), "too_large"),
            (padding % ("x" * (MIB - 100)), "too_large"),
        ):
            await client.send_rubbish(rubbish)
            assert (await client.next("error"))["code"] == code
        await client.socket.send(b'{"type":"ping","id":"1"}')
        assert (await client.next("error"))["code"] == "bad_frame"
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_frame_of_more_than_a_megabyte_ends_the_connection(
    cluster: Cluster, alice: User, sam: User
):
    async with untouched(cluster, sam):
        client = await cluster.desks[0].client(alice)
        with suppress(ConnectionClosed):
            await client.socket.send("x" * (MIB + 1))
        assert await client.closed() == 1009


async def test_a_thousand_frames_a_second_end_the_connection(
    cluster: Cluster, alice: User, sam: User
):
    async with untouched(cluster, sam) as other:
        client = await cluster.desks[0].client(alice)
        with suppress(ConnectionClosed):
            for _ in range(100):
                for _ in range(100):
                    await client.send("ping")
                await asyncio.sleep(0.1)
        assert await client.closed() == 4429
        assert client.bye
        assert client.bye["retry_after_ms"] > 0
        assert (await other.ask("ping"))["type"] == "pong"


def upgrade(key: bytes = b"dGhlIHNhbXBsZSBub25jZQ==", *lines: bytes) -> bytes:
    head = [b"GET /ws/ HTTP/1.1", b"Host: 127.0.0.1", b"Upgrade: websocket"]
    head += [b"Connection: Upgrade", b"Sec-WebSocket-Key: " + key, b"Sec-WebSocket-Version: 13"]
    return b"\r\n".join([*head, *lines, b"", b""])


def raw(cluster: Cluster, said: bytes = b"") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", cluster.desks[0].port), timeout=PATIENCE)
    peer.sendall(said)
    return peer


def everything_from(peer: socket.socket) -> bytes:
    heard = b""
    try:
        while piece := peer.recv(65536):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


async def test_half_a_handshake_and_noise_after_a_whole_one_harm_nobody(
    cluster: Cluster, sam: User
):
    async with untouched(cluster, sam):
        halves = [raw(cluster, upgrade()[:length]) for length in (3, 20, 100)]
        with closing(raw(cluster, upgrade())) as noisy:
            assert noisy.recv(65536).startswith(b"HTTP/1.1 101 ")
            # A reserved opcode, not masked.
            noisy.sendall(b"\xff" * 1000)
            await asyncio.to_thread(everything_from, noisy)
        with closing(raw(cluster, upgrade())) as vanishes:
            assert vanishes.recv(65536).startswith(b"HTTP/1.1 101 ")
        with closing(raw(cluster, upgrade(key=b"short"))) as wrong:
            assert b" 400 " in (await asyncio.to_thread(everything_from, wrong))[:20]
        for half in halves:
            half.close()


async def test_what_one_may_not_see_looks_like_what_does_not_exist(
    cluster: Cluster, ticket: Ticket, charlie: User, bob: User
):
    async with await cluster.desks[0].client(charlie) as client:
        answers = [
            await client.ask(command, **data)
            for number in (ticket.pk, ticket.pk + 1_000_000)
            for command, data in (
                ("room.join", {"ticket": number}),
                ("room.join", {"ticket": number, "last_seq": 0}),
                ("message.send", {"ticket": number, "body": "Hello", "client_msg_id": "a"}),
                ("typing.start", {"room": f"ticket:{number}"}),
            )
        ]
        texts = [json.dumps({**answer, "re": None}) for answer in answers]
        assert texts[:4] == texts[4:]
        assert [answer["code"] for answer in answers[:4]] == [*["not_found"] * 3, "not_joined"]


async def test_a_user_has_twenty_sockets_over_all_processes(
    cluster: Cluster, alice: User, sam: User
):
    async with untouched(cluster, sam):
        clients = [
            await cluster.desks[number % 2].client(alice) for number in range(MAX_SOCKETS_A_USER)
        ]
        for client in clients:
            assert (await client.ask("ping"))["type"] == "pong"
        for desk in cluster.desks:
            surplus = await desk.client(alice)
            assert await surplus.closed() == 4529
        for client in clients:
            assert (await client.ask("ping"))["type"] == "pong"
            await client.close()


# --- What is not read ------------------------------------------------------------------


def masked(frame: dict[str, object]) -> bytes:
    """A short text frame as a client sends it; masked with zeros, which change nothing."""
    text = json.dumps(frame).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


def deaf(cluster: Cluster, token: str, ticket: int) -> socket.socket:
    """A peer that has joined a room and reads nothing."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.settimeout(PATIENCE)
    peer.connect(("127.0.0.1", cluster.desks[0].port))
    peer.sendall(upgrade(b"dGhlIHNhbXBsZSBub25jZQ==", b"Authorization: Bearer " + token.encode()))
    heard = b""
    while b'"hello"' not in heard:
        heard += peer.recv(4096)
    peer.sendall(masked({"type": "room.join", "id": "c1", "data": {"ticket": ticket}}))
    while b'"room.live"' not in heard:
        heard += peer.recv(4096)
    return peer


def was_dropped(peer: socket.socket, seconds: float) -> bool:
    """Whether the connection ends in this time; nothing is read for that."""
    poll = select.poll()
    poll.register(peer, select.POLLHUP | select.POLLERR)
    return bool(poll.poll(seconds * 1000))


def write_much(ticket: Ticket, author: User, times: int) -> None:
    for _ in range(times):
        body = INTERNAL_CANARY + "x" * 40_000
        services.post_message(
            ticket=ticket, author=author, body=body, is_internal=True, at=timezone.now()
        )


async def test_who_does_not_read_costs_little_memory_and_is_dropped_within_seconds(
    cluster: Cluster, ticket: Ticket, bob: User, sam: User
):
    desk = cluster.desks[0]
    token = await in_database(token_of, bob)
    async with untouched(cluster, sam) as reader:
        await reader.join(ticket.pk)
        with closing(await asyncio.to_thread(deaf, cluster, token, ticket.pk)) as peer:
            before, peak = desk.memory, 0.0
            # More than the kernel and the desk together keep for one connection.
            for _ in range(10):
                await in_database(write_much, ticket, sam, 10)
                peak = max(peak, desk.memory)
            assert await asyncio.to_thread(was_dropped, peer, 6 if IS_CHAOS else PATIENCE)
        await reader.until(lambda: len(reader.events(ticket.pk)) == 100)
        assert peak - before < 40
