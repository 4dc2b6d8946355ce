"""What somebody may try who means harm, or whose code is careless: it shows them nothing that is
not theirs, costs others nothing, and leaves nothing behind.
"""

import asyncio
import json
import socket
import struct
import time
from contextlib import closing, suppress
from typing import Any

import jwt
import pytest
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import update_agent
from realtime import guard, joining
from realtime.database import THREADS, in_database, writing
from realtime.hub import get_hub
from realtime.limits import FRAMES_AT_ONCE
from realtime.messages import Check
from realtime.protocol.commands import Join
from realtime.room import ACCESS_REVOKED, RoomKey
from realtime.tests.cluster import Cluster, token_of
from realtime.tests.live import PATIENCE
from realtime.tests.sockets import A_WHILE, Socket, opened, signed_in
from realtime.tests.test_scenarios_abuse import everything_from, masked, raw, upgrade, write_much
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Message, Ticket

MIB = 1024 * 1024
# With the while in which nothing comes, longer than hints are gathered for.
A_MOMENT = 0.4
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def opened_by(requester: User) -> Ticket:
    """Of no team, in nobody's hands."""
    return services.open_ticket(
        requester=requester, subject="The printer", actor=requester, at=timezone.now()
    )


@pytest.fixture
def ticket(alice: User, sam: User) -> Ticket:
    return opened_by(alice)


def reply(ticket: Ticket, author: User, body: str = "Hello", *, internal: bool = False) -> None:
    services.post_message(
        ticket=ticket, author=author, body=body, is_internal=internal, at=timezone.now()
    )


async def heard(peer: Socket) -> list[dict[str, Any]]:
    """Everything that came until nothing more comes."""
    await asyncio.sleep(A_MOMENT)
    await peer.hears_nothing()
    frames, peer.unread = peer.unread, []
    return frames


async def texts_of(peer: Socket) -> str:
    """The same where the connection may end meanwhile."""
    texts = []
    await asyncio.sleep(A_MOMENT)
    while not await peer.receive_nothing(A_WHILE):
        texts.append((await peer.receive_output()).get("text", ""))
    return "\n".join(texts)


# --- Seeing what is not one's own ------------------------------------------------------


async def test_a_note_leaves_no_trace_with_a_customer(ticket, alice, bob, sam):
    room = f"ticket:{ticket.pk}"
    async with signed_in(alice) as customer, signed_in(sam) as staff:
        await staff.join(ticket)
        await customer.join(ticket)
        await heard(customer)
        before = await customer.done("room.join", ticket=ticket.pk)
        await heard(customer)

        await staff.done("typing.start", room=room, internal=True)
        sent = {"body": INTERNAL_CANARY, "internal": True, "client_msg_id": "a"}
        await staff.done("message.send", ticket=ticket.pk, **sent)
        await staff.done("typing.start", room=room, internal=True)
        await staff.done("typing.stop", room=room)
        assert await heard(customer) == []

        again = await customer.done("room.join", ticket=ticket.pk, last_seq=1)
        assert {**again, "members": []} == {**before, "members": []}
        assert await customer.events_until_live() == []
        many = await customer.done("rooms.join", rooms=[{"ticket": ticket.pk, "last_seq": 1}])
        (result,) = many["results"]
        assert {**result, "members": []} == {**before, "members": [], "ok": True}
        code = await customer.refused("room.join", ticket=ticket.pk, last_seq=2)
        assert code == "resync_required"


def demoted(user: User) -> str:
    """A change of which the message to the sockets was lost; the token of a sign-in after it."""
    changed = User.objects.get(pk=user.pk)
    changed.role, changed.security_stamp = Role.CUSTOMER, "another"
    changed.save()
    return token_of(changed)


async def test_a_customers_token_does_not_keep_an_agents_socket_open(ticket, bob, sam):
    async with signed_in(bob) as peer:
        await peer.join(ticket)
        token = await in_database(demoted, bob)
        await peer.say(type="auth.refresh", id="r", data={"token": token})
        await texts_of(peer)
        await (await get_hub()).guard.round()
        await in_database(reply, ticket, sam, "A secret", internal=True)
        assert "A secret" not in await texts_of(peer)


def of_a_team(requester: User, agent: User) -> Ticket:
    """A ticket that the agent sees by their team only."""
    team = Team.objects.create(name="Second line")
    update_agent(agent=agent.agent, at=timezone.now(), teams=[team])
    ticket = opened_by(requester)
    Ticket.objects.filter(pk=ticket.pk).update(assignee=None, team=team)
    return ticket


def taken_out_of_all_teams(agent: User, ticket: Ticket, author: User) -> None:
    update_agent(agent=agent.agent, at=timezone.now(), teams=[])
    reply(ticket, author, "A secret", internal=True)


@pytest.mark.once
async def test_who_left_the_team_hears_nothing_more_though_the_desk_is_busy(alice, bob, sam):
    ticket = await in_database(of_a_team, alice, bob)
    async with signed_in(bob) as peer:
        await peer.join(ticket)
        busy = [asyncio.create_task(in_database(time.sleep, 1)) for _ in range(THREADS)]
        await asyncio.sleep(0.1)
        await writing(taken_out_of_all_teams, bob, ticket, sam)
        await asyncio.gather(*busy)
        assert "A secret" not in await texts_of(peer)


async def test_a_second_change_during_the_look_at_the_first_is_waited_for(
    alice, bob, sam, monkeypatch
):
    ticket = await in_database(of_a_team, alice, bob)
    first_was_read, may_answer = asyncio.Event(), asyncio.Event()

    async def held_up(call, looks):
        found = await in_database(call, looks)
        if not first_was_read.is_set():
            first_was_read.set()
            await may_answer.wait()
        return found

    async with signed_in(bob) as peer:
        await peer.join(ticket)
        monkeypatch.setattr(guard, "in_database", held_up)
        (await get_hub()).hear(Check([bob.pk], []))
        await first_was_read.wait()
        await writing(taken_out_of_all_teams, bob, ticket, sam)
        await asyncio.sleep(A_MOMENT)
        may_answer.set()
        assert "message.created" not in [frame.get("event") for frame in await heard(peer)]


def claims(user: User, **others: Any) -> dict[str, Any]:
    good = jwt.decode(token_of(user), options={"verify_signature": False})
    return {**good, **others}


@pytest.mark.once
@pytest.mark.parametrize(
    "forged",
    [
        lambda user: jwt.encode(claims(user), "", algorithm="none"),
        lambda user: jwt.encode(claims(user), "x" * 64, algorithm="HS256"),
        lambda user: token_of(user).rpartition(".")[0] + ".",
        lambda user: token_of(user) + "x",
        lambda user: "\x00",
        lambda user: "a.b.c",
        lambda user: "." * 5000,
        lambda user: "",
    ],
    ids=["no algorithm", "other key", "no signature", "longer", "nul", "noise", "dots", "empty"],
)
async def test_a_forged_token_signs_nobody_in(alice, forged):
    token = await in_database(forged, alice)
    async with opened() as peer:
        await peer.say(type="auth", data={"token": token})
        assert await peer.is_told_bye(4501, "not_authenticated")


# --- Gaps and doubles ------------------------------------------------------------------


def seqs_in(peer: Socket) -> list[int]:
    """Of the events that came beside answers."""
    frames, peer.unread = peer.unread, []
    return [frame["seq"] for frame in frames if frame["type"] == "event"]


async def test_joining_and_leaving_in_a_burst_makes_no_gap_and_no_double(ticket, alice, sam):
    room = f"ticket:{ticket.pk}"

    def burst() -> None:
        for number in range(30):
            reply(ticket, sam, f"{number}", internal=number % 3 == 0)

    async with signed_in(alice) as peer:
        replying = asyncio.create_task(writing(burst))
        seqs = [1]
        for _ in range(int(FRAMES_AT_ONCE) // 2 - 2):
            await peer.done("room.join", ticket=ticket.pk, last_seq=seqs[-1])
            await peer.done("room.leave", room=room)
            seqs += seqs_in(peer)
        await replying
        await peer.done("room.join", ticket=ticket.pk, last_seq=seqs[-1])
        await peer.ask("ping")
        seqs += seqs_in(peer)
        # Twenty replies, and that the first of them opened the ticket.
        assert seqs == list(range(1, 23))


@pytest.mark.once
async def test_a_ticket_that_is_joined_twice_at_once_is_heard_once(ticket, alice, sam):
    await in_database(reply, ticket, sam)
    async with signed_in(alice) as peer:
        wanted = [{"ticket": ticket.pk, "last_seq": 1}, {"ticket": ticket.pk, "last_seq": 0}]
        done = await peer.done("rooms.join", rooms=wanted)
        assert [each["ok"] for each in done["results"]] == [True, True]
        assert [event["seq"] for event in await peer.events_until_live()] == [2, 3]
        await in_database(reply, ticket, sam)
        assert [f["seq"] for f in await heard(peer) if f["type"] == "event"] == [4]


@pytest.mark.once
@pytest.mark.parametrize(
    "data",
    [
        {"last_seq": 2},
        {"last_seq": 2**53 - 1},
        {"last_seq": 1, "epoch": ""},
        {"last_seq": 1, "epoch": "\x00"},
        {"epoch": "another"},
    ],
)
async def test_an_odd_cursor_asks_for_a_snapshot(ticket, alice, data):
    async with signed_in(alice) as peer:
        assert await peer.refused("room.join", ticket=ticket.pk, **data) == "resync_required"
        assert await peer.join(ticket, last_seq=0)


async def test_one_name_of_a_message_is_anothers_and_another_tickets_own(
    ticket, alice, charlie, sam
):
    theirs = await in_database(opened_by, charlie)
    name = {"client_msg_id": "the same"}
    async with signed_in(alice) as one, signed_in(charlie) as two, signed_in(sam) as staff:
        sent = [
            await one.done("message.send", ticket=ticket.pk, body="One", **name),
            await two.done("message.send", ticket=theirs.pk, body="Two", **name),
            await staff.done("message.send", ticket=ticket.pk, body="Three", internal=True, **name),
            await staff.done("message.send", ticket=theirs.pk, body="Four", **name),
        ]
        assert len({each["message"]["id"] for each in sent}) == 4
        assert await one.refused("message.send", ticket=theirs.pk, body="One", **name) == (
            "not_found"
        )
        said = {"ticket": ticket.pk, "body": "Three", **name}
        assert await one.refused("message.send", **said) == "idempotency_conflict"
        assert await staff.refused("message.send", **said) == "idempotency_conflict"
    assert await in_database(Message.objects.count) == 4


BESIDES = {"signal", "hb"}


@pytest.mark.once
async def test_joining_anew_while_access_is_looked_at_again_makes_no_gap(ticket, bob, sam):
    await in_database(reply, ticket, sam)
    async with signed_in(bob) as peer:
        await peer.join(ticket)
        busy = [asyncio.create_task(in_database(time.sleep, 1)) for _ in range(THREADS)]
        await asyncio.sleep(0.1)
        # It takes nothing away, but makes the desk ask.
        await writing(update_agent, agent=bob.agent, at=timezone.now(), teams=[])
        await asyncio.sleep(0.1)
        await peer.say(type="room.join", id="r", data={"ticket": ticket.pk, "last_seq": 0})
        await asyncio.gather(*busy)
        answer, *rest = [each for each in await heard(peer) if each["type"] not in BESIDES]
        assert answer["type"] == "ok", answer
        assert [each["type"] for each in rest] == ["event", "event", "event", "room.live"]


# --- Rubbish ---------------------------------------------------------------------------

JOIN = '{"type":"room.join","id":"1","data":%s}'
SEND = JOIN.replace("room.join", "message.send")
LEAVE = JOIN.replace("room.join", "room.leave")


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"type":"ping","id":"\\ud800"}', "bad_json"),
        ('{"type":"ping","id":"1","data":{"\\u0000":1}}', "bad_frame"),
        (JOIN % ('{"ticket":' + "9" * 5000 + "}"), "bad_frame"),
        (JOIN % '{"ticket":1e999}', "bad_frame"),
        (JOIN % '{"ticket":true}', "bad_frame"),
        (JOIN % '{"ticket":9007199254740991}', "not_found"),
        (JOIN % ("[" * 20_000 + "]" * 20_000), "bad_json"),
        (JOIN % "null", "bad_frame"),
        ('{"type":"ping","id":"1","type":"room.join","data":{}}', "bad_frame"),
        (SEND % '{"ticket":1,"client_msg_id":"","body":"x"}', "bad_frame"),
    ],
    ids=range(10),
)
async def test_rubbish_is_answered_and_the_socket_lives(alice, text, code):
    async with signed_in(alice) as peer:
        await peer.send_to(text_data=text)
        assert (await peer.hears())["code"] == code
        assert (await peer.ask("ping"))["type"] == "pong"


@pytest.mark.once
async def test_an_id_that_is_too_long_is_not_sent_back(alice):
    async with signed_in(alice) as peer:
        text = json.dumps({"type": "ping", "id": "x" * 60_000, "data": {}})
        for _ in range(int(FRAMES_AT_ONCE) // 8):
            for _ in range(8):
                await peer.ask("ping")
        for _ in range(5):
            await peer.send_to(text_data=text)
            assert len(await peer.receive_from(timeout=PATIENCE)) < 1000


@pytest.mark.once
async def test_the_name_of_a_room_ends_where_it_ends(ticket, alice):
    async with signed_in(alice) as peer:
        await peer.join(ticket)
        await peer.send_to(text_data=LEAVE % json.dumps({"room": f"ticket:{ticket.pk}\n"}))
        assert (await peer.hears())["type"] == "error"


# --- What is left behind ---------------------------------------------------------------


@pytest.mark.once
async def test_what_a_room_keeps_is_bounded_in_bytes(ticket, alice, sam):
    def write() -> None:
        for _ in range(20):
            reply(ticket, alice, "<" * 50_000)

    async with signed_in(sam) as peer:
        await peer.join(ticket)
        await in_database(write)
        await heard(peer)
        room = (await get_hub()).rooms.get(RoomKey(ticket.pk, "staff"))
        assert room is not None
        kept = sum(len(entry.frame.wire) for entry in room._kept)
        assert kept < 2 * MIB


@pytest.mark.once
async def test_starting_and_stopping_to_type_is_no_flood(ticket, alice, sam):
    room = f"ticket:{ticket.pk}"
    async with signed_in(alice) as peer, signed_in(sam) as other:
        await peer.join(ticket)
        await other.join(ticket)
        began = time.monotonic()
        for _ in range(12):
            await peer.done("typing.start", room=room)
            await peer.done("typing.stop", room=room)
        allowed = 1 + (time.monotonic() - began) / 3
        said = [each for each in await heard(other) if each.get("event") == "typing.started"]
        assert len(said) <= allowed


@pytest.mark.once
async def test_whose_second_join_is_refused_is_not_shown_any_more(ticket, alice, sam):
    async with signed_in(alice) as peer, signed_in(sam) as other:
        await peer.join(ticket)
        # What was read of the members is answered for a second.
        await asyncio.sleep(1.2)
        assert await peer.refused("room.join", ticket=ticket.pk, last_seq=99) == "resync_required"
        await asyncio.sleep(1.2)
        members = (await other.done("room.join", ticket=ticket.pk))["members"]
        assert [each["name"] for each in members] == ["Sam"]


@pytest.mark.once
async def test_a_room_that_was_forgotten_meanwhile_is_not_listened_to(ticket, alice):
    async with signed_in(alice):
        hub = await get_hub()
        (connection,) = hub.sockets
        key = RoomKey(ticket.pk, "customer")
        arriving = asyncio.create_task(joining.arrive(hub, connection, [Join(ticket=ticket.pk)]))
        await asyncio.sleep(0)
        hub.turn_out(connection, key, ACCESS_REVOKED)
        await arriving
        hub.rooms.prune()
        assert key.group not in hub.layer._wanted


@pytest.mark.once
async def test_nothing_is_left_of_sockets_that_have_gone(ticket, alice, sam):
    hub = await get_hub()
    for _ in range(3):
        async with signed_in(alice) as peer, signed_in(sam) as staff:
            await staff.done("rooms.join", rooms=[{"room": "desk"}, {"ticket": ticket.pk}])
            await staff.done("presence.subscribe", users=[alice.pk, sam.pk, 999])
            await peer.join(ticket)
            await peer.refused("room.join", ticket=999_999)
            await peer.done("typing.start", room=f"ticket:{ticket.pk}")
    hub.rooms.prune()
    sockets = hub.sockets
    assert (len(sockets), len(hub.rooms), len(sockets.desk)) == (0, 0, 0)
    assert (sockets._by_user, sockets._watchers, any(sockets._beats)) == ({}, {}, False)
    assert hub.layer._wanted == {"desk"}
    assert not hub.attendance.typing._writing


# --- Bytes, at a real desk -------------------------------------------------------------


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """As a client sends it, masked with zeros."""
    first, size = (0x80 if fin else 0) | rsv | opcode, len(payload)
    if size < 126:
        return bytes([first, 0x80 | size]) + bytes(4) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", first, 0xFE, size) + bytes(4) + payload
    return struct.pack("!BBQ", first, 0xFF, size) + bytes(4) + payload


def until(peer: socket.socket, *ends: bytes) -> bytes:
    """What comes, up to one of these or to the end of the connection."""
    got = b""
    with suppress(ConnectionError):
        while not any(end in got for end in ends) and (piece := peer.recv(65536)):
            got += piece
    return got


def greeted(cluster: Cluster, token: str, buffer: int | None = None) -> socket.socket:
    peer = socket.socket()
    if buffer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    peer.settimeout(PATIENCE)
    peer.connect(("127.0.0.1", cluster.desks[0].port))
    lines = b"Authorization: Bearer " + token.encode(), b"Sec-WebSocket-Extensions: " + DEFLATE
    peer.sendall(upgrade(KEY, *lines))
    assert b"deflate" not in until(peer, b'"hello"')
    return peer


DEFLATE = b"permessage-deflate; client_max_window_bits"
VIOLATIONS = {
    "compressed": (frame(1, b"{}", rsv=0x40), 1002),
    "endless length": (struct.pack("!BBQ", 0x81, 0xFF, 2**62) + bytes(4), 1009),
    "negative length": (struct.pack("!BBQ", 0x81, 0xFF, 2**63 + 5) + bytes(4), 1002),
    "not UTF-8": (frame(1, b"\xff\xfe"), 1007),
    "surrogate": (frame(1, b'"\xed\xa0\x80"'), 1007),
    "continues nothing": (frame(0, b"x"), 1002),
    "long ping": (frame(9, b"x" * 126), 1002),
    "ping in pieces": (frame(9, fin=False), 1002),
    "not masked": (b"\x81\x02{}", 1002),
}


def violate(cluster: Cluster, token: str) -> dict[str, int]:
    """The close code for each violation; all of them at once."""
    peers = {name: greeted(cluster, token) for name in VIOLATIONS}
    codes = {}
    for name, (data, _) in VIOLATIONS.items():
        peers[name].sendall(data)
    for name, peer in peers.items():
        with closing(peer):
            got = everything_from(peer)
            assert got[0] == 0x88, got
            codes[name] = int.from_bytes(got[2:4], "big")
    return codes


@pytest.mark.postgres
async def test_what_is_no_websocket_ends_the_connection(cluster: Cluster, alice: User, sam: User):
    token = await in_database(token_of, alice)
    async with await cluster.desks[0].client(sam) as other:
        codes = await asyncio.to_thread(violate, cluster, token)
        assert codes == {name: code for name, (_, code) in VIOLATIONS.items()}
        assert (await other.ask("ping"))["type"] == "pong"


@pytest.mark.postgres
async def test_handshakes_that_come_to_nothing_hold_up_nobody(
    cluster: Cluster, alice: User, sam: User
):
    desk = cluster.desks[0]
    known = len(desk.log.read_text())
    token = (await in_database(token_of, alice)).encode()
    async with await desk.client(sam) as other:
        halves = [raw(cluster, upgrade()[:60]) for _ in range(100)]
        for _ in range(30):
            with closing(raw(cluster, upgrade(KEY, b"Authorization: Bearer " + token))) as peer:
                # It is reset, not closed.
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(5):
            assert (await other.ask("ping"))["type"] == "pong"
        for half in halves:
            half.close()
    assert "Traceback" not in desk.log.read_text()[known:]


@pytest.mark.postgres
@pytest.mark.parametrize(
    "lines",
    [
        [b'Cookie: sessionid="\\000\\000abcdefghij"'],
        [b"Origin: null"],
        [b"Origin: http://["],
        [b"Origin: http://evil.example", b"Origin: http://localhost:5173"],
        [b"Sec-WebSocket-Protocol: desk.v1, bearer.\xff"],
    ],
    ids=["nul", "no origin", "half an origin", "two origins", "not ASCII"],
)
async def test_odd_headers_are_refused(cluster: Cluster, lines: list[bytes], db: None):
    with closing(raw(cluster, upgrade(KEY, *lines))) as peer:
        answer = await asyncio.to_thread(everything_from, peer)
        assert answer.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 "))


PING = json.dumps({"type": "ping", "id": "1", "data": {}}).encode()


@pytest.mark.postgres
@pytest.mark.parametrize(
    "flood",
    [
        frame(9) * 5000 + frame(1, PING),
        frame(1, fin=False) + frame(0, fin=False) * 5000 + frame(0, PING),
    ],
    ids=["pings", "pieces"],
)
async def test_thousands_of_frames_at_once_end_the_connection_whatever_frames(
    cluster: Cluster, alice: User, flood: bytes
):
    token = await in_database(token_of, alice)
    with closing(await asyncio.to_thread(greeted, cluster, token)) as peer:
        peer.sendall(flood)
        assert b'"pong"' not in await asyncio.to_thread(until, peer, b'"pong"')


def replayed_to_nobody(cluster: Cluster, token: str, ticket: Ticket) -> socket.socket:
    """A peer that asks for everything and reads nothing of it."""
    peer = greeted(cluster, token, buffer=4096)
    data = {"ticket": ticket.pk, "last_seq": 0}
    peer.sendall(masked({"type": "room.join", "id": "c1", "data": data}))
    return peer


def push(peer: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(60):
            peer.sendall(frame(1, b"x" * MIB))


@pytest.mark.postgres
async def test_who_reads_nothing_cannot_leave_megabytes_with_the_desk(
    cluster: Cluster, ticket: Ticket, bob: User, sam: User
):
    desk = cluster.desks[0]
    await in_database(write_much, ticket, sam, 60)
    token = await in_database(token_of, bob)
    before, peak = desk.memory, 0.0
    with closing(await asyncio.to_thread(replayed_to_nobody, cluster, token, ticket)) as peer:
        pushing = asyncio.create_task(asyncio.to_thread(push, peer))
        while not pushing.done():
            await asyncio.sleep(0.05)
            peak = max(peak, desk.memory - before)
    assert peak < 30


@pytest.mark.postgres
async def test_many_rooms_are_joined_while_redis_hangs(cluster: Cluster, alice: User, sam: User):
    tickets = [(await in_database(opened_by, alice)).pk for _ in range(5)]
    async with await cluster.desks[0].client(sam) as client:
        with cluster.redis_paused():
            id_ = await client.send("rooms.join", rooms=[{"ticket": pk} for pk in tickets])
            await client.until(lambda: id_ in client._answers, seconds=6)
