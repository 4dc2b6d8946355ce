"""What the hub holds together when something in it goes wrong, or much comes at once."""

import asyncio

import pytest
from django.db import DatabaseError
from django.utils import timezone

from realtime import commands, guard
from realtime.database import in_database
from realtime.hub import get_hub
from realtime.limits import MAX_SOCKETS_A_USER
from realtime.messages import Check
from realtime.outbound import MAX_WAITING_BYTES
from realtime.protocol.commands import COMMANDS
from realtime.protocol.frames import ANSWERS
from realtime.tests.sockets import PATIENCE, Socket, bearer, signed_in, token_of
from tickets import services
from tickets.models import Ticket


@pytest.fixture
def ticket(alice, sam) -> Ticket:
    return services.open_ticket(
        requester=alice, subject="The printer", actor=alice, at=timezone.now()
    )


def replies(ticket, author, *bodies):
    for body in bodies:
        services.post_message(ticket=ticket, author=author, body=body, at=timezone.now())


def test_each_command_has_a_handler_and_an_answer():
    assert commands._HANDLERS.keys() == COMMANDS.keys()
    # These two are answered by a frame of their own.
    assert COMMANDS.keys() - ANSWERS.keys() == {"auth", "ping"}


async def test_a_look_that_fails_is_repeated_and_holds_up_nobody_else(
    ticket, alice, sam, monkeypatch
):
    monkeypatch.setattr(guard, "LOOK_AFTER_FAILURE_SECONDS", 0.2)
    failures = [RuntimeError("a defect"), RuntimeError("another")]

    async def failing(call, looks):
        if failures:
            raise failures.pop()
        return await in_database(call, looks)

    async with signed_in(alice) as one, signed_in(sam) as other:
        await one.join(ticket)
        await other.join(ticket)
        monkeypatch.setattr(guard, "in_database", failing)
        (await get_hub()).hear(Check([alice.pk], []))
        await in_database(replies, ticket, sam, "While it failed")
        heard = await other.event("message.created")
        assert heard["data"]["message"]["body"] == "While it failed"
        late = await one.event("message.created")
        assert late["seq"] == heard["seq"]
        (await get_hub()).hear(Check([sam.pk], []))
        await in_database(replies, ticket, sam, "Afterwards")
        for socket in (one, other):
            assert (await socket.event("message.created"))["data"]["message"]["body"]


async def test_of_too_many_sockets_at_once_only_those_above_the_limit_are_sent_away(alice):
    token = await in_database(token_of, alice)
    sockets = [Socket(bearer(token)) for _ in range(MAX_SOCKETS_A_USER + 3)]
    await asyncio.gather(*(socket.connect(timeout=PATIENCE) for socket in sockets))

    async def stays(socket):
        assert (await socket.hears())["type"] == "hello"
        await socket.say(type="ping", id="1")
        answer = await socket.hears()
        assert answer["type"] == "pong" or answer["code"] == 4529, answer
        return answer["type"] == "pong"

    try:
        stayed = await asyncio.gather(*map(stays, sockets))
        assert sum(stayed) == MAX_SOCKETS_A_USER
    finally:
        await asyncio.gather(*(socket.disconnect(timeout=PATIENCE) for socket in sockets))


async def test_what_was_missed_may_be_more_than_may_wait_for_a_slow_reader(ticket, alice, sam):
    bodies = ["<" * 20_000] * 30
    await in_database(replies, ticket, alice, *bodies)
    async with signed_in(sam) as socket:
        events = await socket.join(ticket, last_seq=0)
        said = [event for event in events if event["event"] == "message.created"]
        assert len(said) == len(bodies)
        assert sum(len(str(event)) for event in said) > MAX_WAITING_BYTES


async def test_who_joins_anew_while_the_database_is_away_is_told_that_they_are_out(
    ticket, alice, monkeypatch
):
    async def away(look):
        raise DatabaseError("away")

    async with signed_in(alice) as socket:
        await socket.join(ticket)
        with monkeypatch.context() as outage:
            outage.setattr(await get_hub(), "look", away)
            assert await socket.refused("room.join", ticket=ticket.pk) == "unavailable"
        assert (await socket.hears())["reason"] == "resync_required"
        await socket.join(ticket)


async def test_of_a_loop_that_has_ended_nothing_stays():
    from realtime import broadcast, hub

    def run_a_loop():
        async def start():
            return await get_hub()

        return asyncio.run(start())

    ended = await asyncio.to_thread(run_a_loop)
    assert not ended.hears("desk")
    assert ended not in broadcast.listeners
    await get_hub()
    assert all(not loop.is_closed() for loop in hub._hubs)
