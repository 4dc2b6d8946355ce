"""The socket at /ws/: who gets in, by which door, and what it answers."""

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client
from django.utils import timezone

from agents import sessions
from agents.services import update_user
from realtime import commands, protocol, sockets
from realtime.tests.sockets import PATIENCE, bearer, opened

OURS = (b"origin", b"http://testserver")
FOREIGN = (b"origin", b"https://evil.example")


@pytest.fixture
def token(alice):
    return sessions.start(user=alice, at=timezone.now()).access


@pytest.fixture
def cookie(alice):
    client = Client()
    client.force_login(alice)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    return (b"cookie", f"{settings.SESSION_COOKIE_NAME}={value}".encode())


def offers(token):
    return ["desk.v1", f"bearer.{token}"]


async def greeted(socket, user):
    hello = await socket.hears()
    assert hello["type"] == "hello"
    assert hello["user"] == {"id": user.pk, "role": user.role, "name": user.display_name}
    return hello


# --- Getting in -----------------------------------------------------------------------


async def test_a_token_among_the_subprotocols_signs_in_and_is_not_echoed(alice, token):
    async with opened(subprotocols=offers(token)) as socket:
        assert socket.selected == "desk.v1"
        hello = await greeted(socket, alice)
        assert set(hello) == {
            "type", "conn", "user", "heartbeat_ms", "limits", "token_expires_at",
        }  # fmt: skip
        assert hello["limits"] == {"frame_bytes": 65536, "rooms": 100}
        assert hello["heartbeat_ms"] == 25_000
        assert hello["token_expires_at"].endswith("Z")
        assert token not in json.dumps(hello)


async def test_an_authorization_header_signs_in(alice, token):
    async with opened(bearer(token)) as socket:
        await greeted(socket, alice)
    async with opened(bearer(token), OURS, subprotocols=["desk.v1"]) as socket:
        assert socket.selected == "desk.v1"
        await greeted(socket, alice)


async def test_a_cookie_with_an_origin_of_ours_signs_in(alice, cookie):
    async with opened(cookie, OURS) as socket:
        hello = await greeted(socket, alice)
        assert hello["token_expires_at"] is None


async def test_a_first_frame_signs_in(alice, token):
    for headers in ((), (OURS,)):
        async with opened(*headers) as socket:
            assert await socket.receive_nothing(0.05)
            await socket.say(type="auth", data={"token": token})
            await greeted(socket, alice)


async def test_two_sockets_have_two_names(alice, token):
    async with opened(bearer(token)) as one, opened(bearer(token)) as other:
        assert (await one.hears())["conn"] != (await other.hears())["conn"]


# --- Not getting in -------------------------------------------------------------------


async def test_a_cookie_without_an_origin_of_ours_is_refused_before_the_handshake(cookie):
    others = [
        (),
        (FOREIGN,),
        ((b"origin", b"null"),),
        ((b"origin", b""),),
        ((b"origin", b"http://testserver.evil.example"),),
        ((b"origin", b"https://testserver"),),
        ((b"origin", b"http://testserver:81"),),
        ((b"origin", b"http://testserver@evil.example"),),
    ]
    for headers in others:
        async with opened(cookie, *headers, accepted=False):
            pass


async def test_a_token_from_a_foreign_page_is_refused_before_the_handshake(token):
    async with opened(bearer(token), FOREIGN, accepted=False):
        pass
    async with opened(FOREIGN, subprotocols=offers(token), accepted=False):
        pass
    async with opened(FOREIGN, accepted=False):
        pass


async def test_a_page_on_the_called_host_is_foreign_in_production(cookie, monkeypatch):
    elsewhere = [(b"origin", b"http://desk.test"), (b"host", b"desk.test")]
    async with opened(cookie, *elsewhere, accepted=False):
        pass


async def test_a_bad_token_is_told_so_and_closed(alice, token):
    for bad in ("nonsense", "", "a.b.c", token[:-2], f"{token}x", "\u00e9"):
        async with opened((b"authorization", b"Bearer " + bad.encode())) as socket:
            assert await socket.is_told_bye(4501, "not_authenticated")
    async with opened(subprotocols=offers("nonsense")) as socket:
        assert socket.selected == "desk.v1"
        assert await socket.is_told_bye(4501, "not_authenticated")
    async with opened() as socket:
        await socket.say(type="auth", data={"token": "nonsense"})
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_a_token_whose_session_has_ended_is_a_bad_one(alice, token):
    await sync_to_async(update_user)(user=alice, at=timezone.now(), is_active=False)
    async with opened(bearer(token)) as socket:
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_a_refresh_token_opens_nothing(alice):
    pair = await sync_to_async(sessions.start)(user=alice, at=timezone.now())
    async with opened(bearer(pair.refresh)) as socket:
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_a_bad_token_beside_a_good_cookie_is_a_bad_token(cookie):
    async with opened(cookie, OURS, bearer("nonsense")) as socket:
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_a_token_in_the_address_is_not_looked_at(token):
    async with opened(path=f"/ws/?token={token}&access={token}") as socket:
        assert await socket.receive_nothing(0.05)
        await socket.say(type="ping", id="1")
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_whoever_says_nothing_is_closed(db, monkeypatch):
    monkeypatch.setattr(protocol, "SIGN_IN_SECONDS", 0.05)
    async with opened() as socket:
        assert await socket.is_told_bye(4501, "not_authenticated")


async def test_whoever_signed_in_may_be_silent(token, monkeypatch):
    monkeypatch.setattr(protocol, "SIGN_IN_SECONDS", 0.2)
    async with opened() as socket:
        await socket.say(type="auth", data={"token": token})
        assert (await socket.hears())["type"] == "hello"
        assert await socket.receive_nothing(0.5)
        await socket.say(type="ping", id="1")
        assert (await socket.hears())["type"] == "pong"


async def test_anything_before_auth_ends_it(db):
    for command, data in (("ping", {}), ("room.join", {"ticket": 1})):
        async with opened() as socket:
            await socket.say(type=command, id="1", data=data)
            assert await socket.is_told_bye(4501, "not_authenticated")


async def test_an_auth_without_a_token_is_answered_and_may_be_mended(alice, token):
    async with opened() as socket:
        odd: list[Any] = [{}, {"token": 5}, {"token": token, "more": 1}, [], None]
        for data in odd:
            await socket.say_rubbish(json.dumps({"type": "auth", "data": data}))
            assert (await socket.hears())["code"] == "bad_frame"
        await socket.say(type="auth", data={"token": token})
        await greeted(socket, alice)


async def test_there_is_a_socket_on_no_other_path(token):
    for path in ("/", "/ws", "/ws/x", "/ws//", "/api/ws/", "/wss/", "//ws/"):
        async with opened(bearer(token), path=path, accepted=False):
            pass


# --- What it answers ------------------------------------------------------------------


@pytest.fixture
def headers(token):
    return bearer(token)


async def test_a_ping_is_answered_with_its_id(headers):
    async with opened(headers) as socket:
        await socket.hears()
        for name in ("c1", "x" * 64, "é"):
            await socket.say(type="ping", id=name)
            assert await socket.hears() == {"type": "pong", "re": name}


async def test_an_unknown_command_is_told_so_and_the_socket_lives(headers):
    async with opened(headers) as socket:
        await socket.hears()
        for _ in range(15):
            await socket.say_rubbish('{"type":"room.explode","id":"c1","data":{"a":[1]}}')
            answer = await socket.hears()
            assert (answer["type"], answer["re"], answer["code"]) == (
                "error",
                "c1",
                "unknown_type",
            )
        await socket.say(type="ping", id="1")
        assert (await socket.hears())["type"] == "pong"


BAD = {
    "hello": "bad_json",
    "{": "bad_json",
    '{"type":"ping","id":NaN}': "bad_json",
    '{"type":"a","id":"1","data":' + "[" * 30_000: "bad_json",
    '{"type":"ping","id":"\\ud800"}': "bad_json",
    "[]": "bad_frame",
    "5": "bad_frame",
    "null": "bad_frame",
    "{}": "bad_frame",
    '{"type":5,"id":"1"}': "bad_frame",
    '{"type":"ping"}': "bad_frame",
    '{"type":"ping","id":""}': "bad_frame",
    '{"type":"ping","id":"' + "x" * 65 + '"}': "bad_frame",
    '{"type":"ping","id":7}': "bad_frame",
    '{"type":"ping","id":"1","extra":1}': "bad_frame",
    '{"type":"ping","id":"1","data":"' + "x" * 65_536 + '"}': "too_large",
    '{"type":"ping","id":"1","data":"' + "é" * 32_768 + '"}': "too_large",
}


async def test_a_bad_frame_is_answered_and_the_socket_lives(headers):
    async with opened(headers) as socket:
        await socket.hears()
        for text, code in BAD.items():
            await socket.send_to(text_data=text)
            answer = await socket.hears()
            assert (answer["type"], answer["code"]) == ("error", code), text[:80]
            assert answer["re"] is None
            await socket.say(type="ping", id="1")
            assert (await socket.hears())["type"] == "pong"


async def test_a_binary_frame_is_a_bad_one(headers):
    async with opened(headers) as socket:
        await socket.hears()
        await socket.send_to(bytes_data=b'{"type":"ping","id":"1"}')
        assert (await socket.hears())["code"] == "bad_frame"


async def test_ten_bad_frames_in_a_row_end_it(headers):
    async with opened(headers) as socket:
        await socket.hears()
        for _ in range(9):
            await socket.say_rubbish("{")
            await socket.hears()
        await socket.say(type="ping", id="1")
        assert (await socket.hears())["type"] == "pong"
        for _ in range(10):
            await socket.say_rubbish("{")
            assert (await socket.hears())["code"] == "bad_json"
        assert await socket.is_told_bye(4507, "protocol_violation")


async def test_bad_frames_count_before_signing_in_too(db):
    async with opened() as socket:
        for _ in range(10):
            await socket.say_rubbish("{")
            assert (await socket.hears())["type"] == "error"
        assert await socket.is_told_bye(4507, "protocol_violation")


async def test_nothing_is_said_after_bye(db):
    async with opened() as socket:
        await socket.say(type="ping", id="1")
        assert await socket.is_told_bye(4501, "not_authenticated")
        await socket.say(type="ping", id="2")
        assert await socket.receive_nothing(0.1)


async def test_a_heartbeat_comes_by_itself(headers, monkeypatch):
    # Each second one of so many groups of sockets has its turn.
    monkeypatch.setattr(sockets, "HEARTBEAT_SECONDS", 1.0)
    async with opened(headers) as socket:
        await socket.hears()
        assert await socket.hears() == {"type": "hb", "heads": {}}
        assert await socket.hears() == {"type": "hb", "heads": {}}


async def test_a_defect_in_a_frame_does_not_end_the_socket(headers, monkeypatch):
    was_broken = asyncio.Event()

    async def broken(*args):
        was_broken.set()
        raise RuntimeError("a defect")

    async with opened(headers) as socket:
        await socket.hears()
        with monkeypatch.context() as defect:
            defect.setitem(commands._HANDLERS, "ping", broken)
            await socket.say(type="ping", id="1")
            await asyncio.wait_for(was_broken.wait(), PATIENCE)
            assert (await socket.hears())["code"] == "internal"
        await socket.say(type="ping", id="2")
        assert (await socket.hears())["re"] == "2"
