"""The client that other tests rely on finds what is wrong; shown with servers that do wrong."""

import json
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import serve

from realtime.protocol import frames
from realtime.tests.live import LiveClient
from realtime.tests.test_asyncapi import EVENT, examples
from servicedesk.tests.frames import INTERNAL_CANARY, BrokenFrame

(HELLO,) = examples("hello")
HELLO_CUSTOMER = {**HELLO, "user": {"id": 2, "role": "customer", "name": "Alice Adams"}}


@asynccontextmanager
async def server(*script, greets_with=HELLO):
    """Says hello; to each command the answer and the frames that stand next in the script."""
    lines = iter(script)

    async def talk(socket):
        await socket.send(json.dumps(greets_with))
        async for text in socket:
            command = json.loads(text)
            for frame in next(lines):
                if frame["type"] == "bye":
                    await socket.send(json.dumps(frame))
                    await socket.close(frame["code"])
                    return
                answers = frame["type"] in ("ok", "pong", "error")
                await socket.send(json.dumps({**frame, "re": command["id"]} if answers else frame))

    async with serve(talk, "127.0.0.1", 0, subprotocols=["desk.v1"]) as running:  # type: ignore[list-item]
        port = running.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


def joined(head, replay=0):
    data = {"room": "ticket:42", "epoch": "e", "head": head, "replay": replay}
    return {"type": "ok", "data": {**data, "members": [], "typing": []}}


def event(seq):
    return {**EVENT, "seq": seq}


def live(seq):
    return {"type": "room.live", "room": "ticket:42", "seq": seq}


PONG = {"type": "pong"}
DRAINING = {
    "type": "bye", "code": 4412, "reason": "draining", "reconnect": True, "retry_after_ms": 5,
}  # fmt: skip


async def test_it_joins_collects_and_goes_on_where_it_was():
    script = (
        [joined(5), live(5), event(6), event(7)],
        [joined(9, replay=2), event(8), event(9), live(9)],
    )
    async with server(*script) as address:
        async with await LiveClient.connect(address, token="t") as first:
            assert first.hello == HELLO
            await first.join(42)
            assert (await first.next("ticket.priority_changed"))["seq"] == 6
            assert (await first.next())["seq"] == 7
        async with await LiveClient.connect(address, after=first) as second:
            answer = await second.join(42)
            assert answer["replay"] == 2
            assert [each["seq"] for each in second.events(42)] == [8, 9]
            assert second.cursors["ticket:42"].seqs == [6, 7, 8, 9]


async def test_answers_are_found_by_id_whatever_comes_in_between():
    async with server([live(3), PONG]) as address:
        client = await LiveClient.connect(address)
        with pytest.raises(AssertionError, match="not joined"):
            await client.ask("ping")
        await client.close()
    async with (
        server([PONG], [{"type": "error", "code": "not_found", "message": "No."}]) as address,
        await LiveClient.connect(address) as client,
    ):
        first = await client.send("ping")
        second = await client.send("room.join", ticket=42)
        assert (await client.answer(second))["code"] == "not_found"
        assert (await client.answer(first))["type"] == "pong"


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ([joined(5), live(5), event(7)], "7 came, not 6"),
        ([joined(5), live(5), event(5)], "5 came, not 6"),
        ([joined(5), live(5), event(6), event(6)], "6 came, not 7"),
        ([joined(5), live(6)], "live from 6, but at 5"),
        ([joined(5), live(5), {"type": "hb", "heads": {"ticket:42": 6}}], "the head is 6"),
        ([joined(5, replay=1)], "1 events follow, not 0"),
        ([joined(5), live(5), {**event(6), "room": "ticket:43"}], "ticket:43 is not joined"),
        (
            [
                joined(5),
                live(5),
                {"type": "room.left", "room": "ticket:42", "reason": "access_revoked"},
                event(6),
            ],
            "ticket:42 is not joined",
        ),
        ([joined(5), joined(5)], "a second answer"),
        ([joined(5), HELLO], "a second hello"),
        ([joined(5), {**live(5), "surplus": 1}], "not as documented"),
    ],
)
async def test_what_a_server_does_wrong_is_raised(script, fault):
    async with server(script) as address:
        client = await LiveClient.connect(address)
        await client.send("room.join", ticket=42)
        with pytest.raises(AssertionError, match=fault):
            await client.until(lambda: False)
        await client.close()


async def test_what_was_wrong_is_raised_at_the_latest_when_it_is_closed():
    async with server([joined(5), event(7)]) as address:
        client = await LiveClient.connect(address)
        await client.send("room.join", ticket=42)
        await client.socket.wait_closed()
        with pytest.raises(AssertionError, match="7 came"):
            async with client:
                pass


async def test_a_customer_who_hears_an_internal_note_is_raised():
    note = {**examples("event.message.created")[1], "seq": 6}
    note["data"]["message"]["body"] = INTERNAL_CANARY
    script = [joined(5), live(5), note]
    async with (
        server(script) as address,
        await LiveClient.connect(address) as agent,
    ):
        await agent.join(42)
        assert (await agent.next("event"))["seq"] == 6
    async with server(script, greets_with=HELLO_CUSTOMER) as address:
        client = await LiveClient.connect(address)
        await client.send("room.join", ticket=42)
        with pytest.raises(BrokenFrame, match="internal note"):
            await client.next("event")
        await client.close()


async def test_it_knows_how_it_ended():
    async with server([DRAINING]) as address, await LiveClient.connect(address) as client:
        await client.send("ping")
        assert await client.closed() == frames.DRAINING.code
        assert client.bye == DRAINING


async def test_what_is_no_command_is_sent_as_rubbish_only():
    async with (
        server([{"type": "error", "code": "bad_json", "message": "No."}]) as address,
        await LiveClient.connect(address) as client,
    ):
        with pytest.raises(BrokenFrame):
            await client.send("room.explode")
        with pytest.raises(BrokenFrame):
            await client.send_rubbish('{"type":"ping","id":"1"}')
