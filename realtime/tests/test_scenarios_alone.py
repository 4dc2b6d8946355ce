"""One desk without Redis, as `make run` has it; on SQLite and on PostgreSQL."""

import asyncio

from agents.models import User
from realtime.database import in_database
from realtime.tests.cluster import Desk, lone_desk, token_of
from realtime.tests.live import LiveClient
from servicedesk.tests.frames import INTERNAL_CANARY


def write(desk: Desk, token: str, ticket: int, number: int) -> None:
    """A reply over HTTP, or a note."""
    is_note = number % 3 == 2
    body = {"body": INTERNAL_CANARY if is_note else f"Reply {number}", "internal": is_note}
    desk.call(token, "POST", f"/tickets/{ticket}/messages", body)


async def test_a_lone_desk_that_is_killed_and_started_again_costs_nobody_an_event(
    alice: User, sam: User, tmp_path
):
    with lone_desk(tmp_path) as desk:
        staff = await in_database(token_of, sam)
        customer = await in_database(token_of, alice)
        opened = await asyncio.to_thread(
            desk.call, customer, "POST", "/tickets/", {"subject": "The printer"}
        )
        ticket = opened["id"]

        async def writes(first: int, last: int) -> None:
            for number in range(first, last):
                await asyncio.to_thread(write, desk, staff, ticket, number)

        clients = [
            await LiveClient.connect(desk.address, token=token) for token in (staff, customer)
        ]
        for client in clients:
            await client.join(ticket)
        words = {"ticket": ticket, "body": "It is on fire", "client_msg_id": "fire"}
        sent = await clients[1].done("message.send", **words)
        await writes(0, 6)
        await clients[0].reaches(ticket, 9)

        desk.kill()
        assert [await client.closed() for client in clients] == [1006, 1006]
        desk.start()
        await asyncio.to_thread(desk.wait_until_ready)
        await writes(6, 12)

        back = [
            await LiveClient.connect(desk.address, token=token, after=client)
            for token, client in zip((staff, customer), clients, strict=True)
        ]
        for client in back:
            await client.join(ticket)
        # Nobody knows whether it had arrived; said again, it is the same message.
        assert await back[1].done("message.send", **words) == sent
        await writes(12, 15)
        # Opened, opened again by the first reply, what was said over the socket, and the rest.
        await back[0].reaches(ticket, 3 + 15)
        await back[1].reaches(ticket, 3 + 10)
        for client in back:
            await client.close()
        room = f"ticket:{ticket}"
        assert back[0].cursors[room].seqs == list(range(2, 19))
        assert back[1].cursors[room].seqs == list(range(2, 14))
