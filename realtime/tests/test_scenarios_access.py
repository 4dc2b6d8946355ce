"""Who gets a socket at a real desk, by which door, and how they lose it in every process."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from rest_framework_simplejwt.tokens import AccessToken
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agents.models import User
from realtime.database import in_database
from realtime.hub import get_hub
from realtime.tests.cluster import IS_CHAOS, Cluster, token_of
from realtime.tests.live import PATIENCE, LiveClient
from realtime.tests.sockets import signed_in
from servicedesk.tests.frames import CheckedSocket

pytestmark = pytest.mark.postgres

OURS = "http://testserver"
# How soon sockets close, from the answer of what closes them; only a quiet machine is held to it.
PROMISED_SECONDS = 1 if IS_CHAOS else PATIENCE


# --- By which door ---------------------------------------------------------------------


def cookie_of(user: User) -> str:
    browser = Client()
    browser.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"


async def knock(address: str, user: User, way: str, origin: str | None) -> str:
    """What comes of signing in that way: `hello`, or the status of the refusal."""
    token, cookie = await in_database(token_of, user), await in_database(cookie_of, user)
    headers = {"cookie": {"Cookie": cookie}, "header": {"Authorization": f"Bearer {token}"}}
    offered: list[Any] = ["desk.v1", *([f"bearer.{token}"] if way == "subprotocol" else [])]
    address = f"{address.replace('http', 'ws', 1)}/ws/"
    options: dict[str, Any] = {"subprotocols": offered, "proxy": None}
    if origin is not None:
        options["origin"] = origin
    checked = CheckedSocket()
    try:
        async with connect(address, additional_headers=headers.get(way, {}), **options) as socket:
            assert socket.subprotocol == "desk.v1"
            if way == "first frame":
                await socket.send(json.dumps({"type": "auth", "data": {"token": token}}))
            frame = checked.hears(str(await asyncio.wait_for(socket.recv(), PATIENCE)))
            assert token not in str(frame)
            return str(frame["type"])
    except InvalidStatus as refused:
        return str(refused.response.status_code)


async def test_a_cookie_needs_an_origin_of_ours_and_no_way_in_takes_a_foreign_one(
    cluster: Cluster, alice: User
):
    ways = ("cookie", "subprotocol", "header", "first frame")
    origins = {"none": None, "ours": OURS, "foreign": "https://evil.example", "null": "null"}
    address = cluster.desks[0].address
    found = {
        (way, name): await knock(address, alice, way, origin)
        for way in ways
        for name, origin in origins.items()
    }
    tokens = {"none": "hello", "ours": "hello", "foreign": "403", "null": "403"}
    expected = {(way, name): tokens[name] for way in ways for name in origins}
    expected["cookie", "none"] = "403"
    assert found == expected


# --- Tokens that end -------------------------------------------------------------------


def short_token(user: User, seconds: float) -> str:
    """Of a new session, but soon over."""
    token = AccessToken(token_of(user))  # type: ignore[arg-type]
    token.set_exp(lifetime=timedelta(seconds=seconds))
    return str(token)


async def test_a_token_that_ends_closes_the_socket_unless_another_came_in_time(
    cluster: Cluster, alice: User
):
    desk = cluster.desks[0]
    token = await in_database(short_token, alice, 3)
    late = await LiveClient.connect(desk.address, token=token)
    async with await LiveClient.connect(desk.address, token=token) as refreshed:
        for client in (late, refreshed):
            expiring = await client.next("auth.expiring")
            assert expiring["token_expires_at"] == client.hello["token_expires_at"]
        answer = await refreshed.done("auth.refresh", token=await in_database(token_of, alice))
        assert answer["token_expires_at"] > refreshed.hello["token_expires_at"]
        assert await late.closed() == 4401
        assert late.bye
        assert late.bye["reconnect"]
        assert (await refreshed.ask("ping"))["type"] == "pong"
        again = await LiveClient.connect(desk.address, token=token, is_greeted=False)
        assert await again.closed() == 4501


# --- Sessions that end -----------------------------------------------------------------


async def closed_in_time(clients: list[LiveClient], since: float) -> set[int]:
    codes = {await client.closed() for client in clients}
    assert time.monotonic() - since < PROMISED_SECONDS
    return codes


async def test_signing_out_ends_the_sockets_of_this_session_in_every_process(
    cluster: Cluster, alice: User
):
    one, other = cluster.desks
    token = await in_database(token_of, alice)
    mine = [await LiveClient.connect(desk.address, token=token) for desk in cluster.desks]
    async with await other.client(alice) as elsewhere:
        await asyncio.to_thread(one.call, token, "POST", "/auth/logout", {})
        assert await closed_in_time(mine, time.monotonic()) == {4510}
        assert (await elsewhere.ask("ping"))["type"] == "pong"


Act = Callable[[Cluster, User, User], None]


def sign_out_everywhere(cluster: Cluster, user: User, sam: User) -> None:
    cluster.desks[0].call(token_of(user), "POST", "/auth/logout", {"everywhere": True})


def deactivate(cluster: Cluster, user: User, sam: User) -> None:
    cluster.desks[0].call(token_of(sam), "PATCH", f"/users/{user.pk}", {"is_active": False})


def promote(cluster: Cluster, user: User, sam: User) -> None:
    cluster.desks[0].call(token_of(sam), "PATCH", f"/users/{user.pk}", {"role": "agent"})


ENDINGS: dict[Act, int] = {sign_out_everywhere: 4510, deactivate: 4503, promote: 4510}


@pytest.mark.parametrize(("act", "code"), ENDINGS.items(), ids=[act.__name__ for act in ENDINGS])
async def test_what_ends_all_sessions_of_a_user_closes_their_sockets_in_every_process(
    cluster: Cluster, alice: User, sam: User, act: Act, code: int
):
    cookie = await in_database(cookie_of, alice)
    sockets = [await desk.client(alice) for desk in cluster.desks]
    sockets += [
        await LiveClient.connect(desk.address, cookie=cookie, origin=OURS) for desk in cluster.desks
    ]
    async with await cluster.desks[1].client(sam) as untouched:
        await in_database(act, cluster, alice, sam)
        assert await closed_in_time(sockets, time.monotonic()) == {code}
        for client in sockets:
            assert client.bye
            assert not client.bye["reconnect"]
        assert (await untouched.ask("ping"))["type"] == "pong"


async def test_a_deactivation_of_which_nobody_was_told_ends_sockets_in_the_next_round(
    alice: User, sam: User
):
    async with signed_in(alice) as socket, signed_in(sam) as untouched:
        # Past the services, so that nothing is announced.
        await in_database(User.objects.filter(pk=alice.pk).update, is_active=False)
        hub = await get_hub()
        await hub.guard.round()
        assert await socket.is_told_bye(4503, "account_disabled")
        assert (await untouched.ask("ping"))["type"] == "pong"
