"""Nothing is missed, doubled or shown to the wrong person, whatever happens to the processes.

Real desks, PostgreSQL and Redis. Every client checks that `seq` rises by exactly one, that `hb`
agrees, and that no customer hears of an internal note (realtime.tests.live).
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
import redis
from django.db import close_old_connections
from django.utils import timezone

from agents.models import Team, User
from agents.services import update_agent
from realtime.database import in_database
from realtime.presence import Lease, RedisPresence
from realtime.presence.store import LEASE_SECONDS
from realtime.tests.cluster import IS_CHAOS, Cluster
from realtime.tests.live import PATIENCE, LiveClient
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Ticket, TicketEvent

pytestmark = pytest.mark.postgres


@pytest.fixture
def ticket(alice: User, sam: User) -> Ticket:
    """Alice's, of no team, in nobody's hands."""
    return services.open_ticket(
        requester=alice, subject="The printer", actor=alice, at=timezone.now()
    )


def reply(ticket: Ticket, author: User, body: str = "Hello", *, internal: bool = False) -> None:
    services.post_message(
        ticket=ticket, author=author, body=body, is_internal=internal, at=timezone.now()
    )


def note(ticket: Ticket, author: User) -> None:
    reply(ticket, author, INTERNAL_CANARY, internal=True)


def head_of(ticket: Ticket, *, public: bool = False) -> int:
    ticket.refresh_from_db()
    return ticket.last_public_seq if public else ticket.last_seq


async def reaches_the_end(client: LiveClient, ticket: Ticket, *, public: bool = False) -> None:
    await client.reaches(ticket.pk, await in_database(head_of, ticket, public=public))


class Burst:
    """Replies and notes in turn, one after the other, until it is stopped."""

    def __init__(self, ticket: Ticket, author: User) -> None:
        self.written = 0
        self._ticket, self._author = ticket, author
        self._is_over = threading.Event()

    def run(self) -> None:
        for number in count():
            if self._is_over.wait(0.01):
                break
            (note if number % 3 == 2 else reply)(self._ticket, self._author)
            self.written += 1
        close_old_connections()

    async def has_written(self, more: int) -> None:
        """Wait for so many more."""
        goal = self.written + more
        async with asyncio.timeout(PATIENCE):
            while self.written < goal:
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def burst(ticket: Ticket, author: User):
    """Somebody writes as fast as it goes, beside what the block does."""
    writing = Burst(ticket, author)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(writing.run)
        try:
            yield writing
        finally:
            writing.stop()
        done.result(PATIENCE)


# --- Coming back -----------------------------------------------------------------------


async def test_who_comes_back_elsewhere_has_the_reply_before_they_can_send(
    cluster: Cluster, ticket: Ticket, alice: User, sam: User
):
    one, other = cluster.desks
    async with await one.client(alice) as before:
        await before.join(ticket.pk)
    async with await one.client(sam) as agent:
        await agent.join(ticket.pk)
        body = {"body": "Have you tried again?", "client_msg_id": "from-sam"}
        sent = await agent.done("message.send", ticket=ticket.pk, **body)
    async with await other.client(alice, after=before) as again:
        cursor = before.cursors[f"ticket:{ticket.pk}"]
        # Both commands at once: the answer to the second comes after what was missed.
        await again.send("room.join", ticket=ticket.pk, last_seq=cursor.seq, epoch=cursor.epoch)
        answer = await again.send(
            "message.send", ticket=ticket.pk, body="Yes", client_msg_id="from-alice"
        )
        await again.answer(answer)
        kinds = [frame.get("event", frame.get("re", frame["type"])) for frame in again.frames]
        assert kinds.index("message.created") < kinds.index("room.live") < kinds.index(answer)
        message = again.events(ticket.pk)[0]["data"]["message"]
        assert message["id"] == sent["message"]["id"]


async def test_a_process_killed_under_load_costs_nobody_an_event(
    cluster: Cluster, ticket: Ticket, alice: User, bob: User, sam: User
):
    one, other = cluster.desks
    stays = await one.client(sam)
    cut = [await other.client(bob), await other.client(alice)]
    for client in (stays, *cut):
        await client.join(ticket.pk)
    with burst(ticket, sam) as writing:
        await writing.has_written(20)
        other.kill()
        assert {await client.closed() for client in cut} == {1006}
        await writing.has_written(20)
        back = [await one.client(bob, after=cut[0]), await one.client(alice, after=cut[1])]
        for client in back:
            await client.join(ticket.pk)
        await writing.has_written(20)
    agent, customer = back
    await reaches_the_end(stays, ticket)
    await reaches_the_end(agent, ticket)
    await reaches_the_end(customer, ticket, public=True)
    for client in (stays, *back):
        await client.close()
    seqs = stays.cursors[f"ticket:{ticket.pk}"].seqs
    assert agent.cursors[f"ticket:{ticket.pk}"].seqs == seqs
    assert seqs == list(range(2, seqs[-1] + 1))


async def test_sockets_outlive_redis_and_catch_up(
    cluster: Cluster, ticket: Ticket, alice: User, sam: User
):
    one, other = cluster.desks
    agent, customer = await one.client(sam), await other.client(alice)
    for client in (agent, customer):
        await client.join(ticket.pk)
    with burst(ticket, sam) as writing:
        await writing.has_written(5)
        cluster.redis.kill()
        await asyncio.sleep(2)
        written = writing.written
        await asyncio.to_thread(cluster.redis.start)
        back_at = time.monotonic()
    assert written > 5, "an outage of Redis stops nobody's work"
    await reaches_the_end(agent, ticket)
    await reaches_the_end(customer, ticket, public=True)
    assert time.monotonic() - back_at < (5 if IS_CHAOS else PATIENCE)
    for client in (agent, customer):
        assert (await client.next("degraded"))["active"]
        assert not (await client.next("degraded"))["active"]
    # From here on events come at once again, and so do signals.
    await agent.done("typing.start", room=f"ticket:{ticket.pk}")
    assert (await customer.next("typing.started"))["data"]["user"]["id"] == sam.pk
    for client in (agent, customer):
        await client.close()


DIES_BEFORE_TELLING = """
import os, signal
from django.utils import timezone
from agents.models import User
from realtime import signals
from tickets import services
from tickets.models import Ticket

signals.publish = lambda parcels: os.kill(os.getpid(), signal.SIGKILL)
services.post_message(
    ticket=Ticket.objects.get(pk={ticket}),
    author=User.objects.get(pk={author}),
    body="My last words",
    at=timezone.now(),
)
"""


async def test_what_a_process_committed_but_did_not_live_to_tell_arrives(
    cluster: Cluster, ticket: Ticket, alice: User, sam: User
):
    async with await cluster.desks[0].client(alice) as customer:
        await customer.join(ticket.pk)
        script = DIES_BEFORE_TELLING.format(ticket=ticket.pk, author=sam.pk)
        writer = cluster.program("writer", "manage.py", "shell", "-v", "0", "-c", script)
        writer.start()
        assert await asyncio.to_thread(writer.wait) == -9
        event = await customer.next("message.created")
        assert event["data"]["message"]["body"] == "My last words"


async def test_of_eight_writers_at_once_a_client_sees_every_event_in_order(
    cluster: Cluster, ticket: Ticket, sam: User
):
    async with await cluster.desks[0].client(sam) as agent:
        joined = await agent.done("room.join", ticket=ticket.pk, last_seq=0)
        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(_write, 15, partial(reply, ticket, sam))
            await reaches_the_end(agent, ticket)
        await reaches_the_end(agent, ticket)
        seqs = agent.cursors[joined["room"]].seqs
        # Opened, opened again by the first reply, and the replies.
        assert seqs == list(range(1, 8 * 15 + 3))


def _write(times: int, act: Callable[[], None]) -> None:
    for _ in range(times):
        act()
    close_old_connections()


# --- Losing access ---------------------------------------------------------------------


class Leaving:
    """Somebody who sees a ticket for one reason, and what takes the reason away."""

    def __init__(self, ticket: Ticket, user: User, act: Callable[[], object]) -> None:
        self.ticket, self.user, self.act = ticket, user, act


@pytest.fixture(params=["unassigned", "ticket moved", "participant removed", "agent moved"])
def leaving(request: pytest.FixtureRequest, ticket: Ticket, charlie: User, dana: User, sam: User):
    own, foreign = Team.objects.create(name="Own"), Team.objects.create(name="Foreign")
    by_sam: dict[str, Any] = {"actor": sam, "at": timezone.now()}
    act: Callable[[], object]
    put = partial(services.update_ticket, ticket=ticket, **by_sam)
    if request.param == "unassigned":
        put(fields={"team": foreign})
        services.assign(ticket=ticket, to=dana, force=True, **by_sam)
        act = partial(services.assign, ticket=ticket, to=None, **by_sam)
        return Leaving(ticket, dana, act)
    if request.param == "participant removed":
        services.add_participant(ticket=ticket, user=charlie, **by_sam)
        act = partial(services.remove_participant, ticket=ticket, user_id=charlie.pk, **by_sam)
        return Leaving(ticket, charlie, act)
    put(fields={"team": own})
    update_agent(agent=dana.agent, teams=[own], at=timezone.now())
    if request.param == "ticket moved":
        return Leaving(ticket, dana, partial(put, fields={"team": foreign}))
    return Leaving(
        ticket, dana, partial(update_agent, agent=dana.agent, teams=[foreign], at=timezone.now())
    )


def last_for(leaving: Leaving) -> int | None:
    """Take the access away; answers the last seq that may be heard, where the log says it."""
    before = head_of(leaving.ticket)
    leaving.act()
    seq = "seq" if leaving.user.is_desk_staff else "public_seq"
    log = TicketEvent.objects.filter(ticket=leaving.ticket, seq__gt=before).order_by("seq")
    kinds = ("ticket.assigned", "ticket.updated", "participants.changed")
    revoked = log.filter(kind__in=kinds).values_list(seq, flat=True).first()
    # Which teams an agent is in stands in no ticket's log.
    return None if revoked is None else revoked - 1


async def test_who_loses_access_in_a_burst_is_told_and_hears_no_more(
    cluster: Cluster, leaving: Leaving, alice: User, sam: User
):
    one, other = cluster.desks
    ticket = leaving.ticket
    leavers = [await one.client(leaving.user), await other.client(leaving.user)]
    stay = [await one.client(alice), await other.client(sam)]
    for client in (*leavers, *stay):
        await client.join(ticket.pk)
    with burst(ticket, sam) as writing:
        await writing.has_written(10)
        last = await in_database(last_for, leaving)
        for client in leavers:
            left = await client.next("room.left")
            assert left["reason"] == "access_revoked"
        await writing.has_written(10)
    await reaches_the_end(stay[0], ticket, public=True)
    await reaches_the_end(stay[1], ticket)
    for client in leavers:
        assert client.events(ticket.pk)
        if last is not None:
            assert client.cursors[f"ticket:{ticket.pk}"].seq <= last
        answer = await client.ask("room.join", ticket=ticket.pk)
        assert answer["code"] == "not_found"
    for client in (*leavers, *stay):
        await client.close()


# --- For the desk only -----------------------------------------------------------------


async def test_internal_notes_reach_no_customer_live_replayed_refilled_or_typed(
    cluster: Cluster, ticket: Ticket, alice: User, charlie: User, sam: User
):
    one, other = cluster.desks
    room = f"ticket:{ticket.pk}"
    joins = partial(services.add_participant, ticket=ticket, user=charlie, actor=sam)
    await in_database(joins, at=timezone.now())
    agent, customer = await one.client(sam), await other.client(alice)
    guest = await one.client(charlie)
    for client in (agent, customer, guest):
        await client.join(ticket.pk)
    # Live, and while it is typed.
    await agent.done("typing.start", room=room, internal=True)
    await agent.done(
        "message.send",
        ticket=ticket.pk, body=INTERNAL_CANARY, internal=True, client_msg_id="note",
    )  # fmt: skip
    await in_database(reply, ticket, sam, "In public")
    await reaches_the_end(customer, ticket, public=True)
    await reaches_the_end(guest, ticket, public=True)
    # Replayed.
    await guest.close()
    for _ in range(3):
        await in_database(note, ticket, sam)
        await in_database(reply, ticket, sam, "In public")
    guest = await other.client(charlie, after=guest)
    assert (await guest.join(ticket.pk))["replay"] == 3
    # Refilled: nobody announces these, because the layer is away.
    cluster.redis.kill()
    await in_database(note, ticket, sam)
    await in_database(reply, ticket, sam, "In public")
    for client in (customer, guest):
        await reaches_the_end(client, ticket, public=True)
    await reaches_the_end(agent, ticket)
    heard = "".join(map(str, agent.frames))
    assert heard.count(INTERNAL_CANARY) >= 5
    for client in (customer, guest):
        texts = "".join(map(str, client.frames))
        assert INTERNAL_CANARY not in texts
        assert "typing.started" not in texts
    for client in (agent, customer, guest):
        await client.close()


# --- Coming and going ------------------------------------------------------------------


async def test_a_process_that_ends_sends_old_and_young_sockets_elsewhere(
    cluster: Cluster, ticket: Ticket, sam: User, alice: User
):
    one, other = cluster.desks
    old = await one.client(sam)
    await old.join(ticket.pk)
    watcher = await other.client(alice)
    await watcher.join(ticket.pk)
    await asyncio.sleep(3)
    young = await one.client(sam)
    await asyncio.sleep(0.1)
    one.terminate()
    for client in (old, young):
        assert await client.closed() == 4412
        assert client.bye
        assert client.bye["reconnect"]
        assert 0 <= client.bye["retry_after_ms"] <= 2000
    assert await asyncio.to_thread(one.wait) == 0
    # Both sockets have given back what they held: only this one is open.
    store = RedisPresence(cluster.redis.url)
    assert (await store.touch(Lease(sam.pk, "probe", "online"), now=time.time()))[1] == 1
    viewers = await store.viewers(ticket.pk, now=time.time())
    assert [viewer.id for viewer in viewers] == [alice.pk]
    await store.close()
    async with await other.client(sam, after=old) as back:
        await back.join(ticket.pk)
    await watcher.close()


async def test_who_has_a_tab_on_a_killed_process_is_online_until_the_other_tab_closes(
    cluster: Cluster, bob: User, sam: User
):
    one, other = cluster.desks
    store = RedisPresence(cluster.redis.url)
    async with await other.client(sam) as watcher:
        tabs = [await one.client(bob), await other.client(bob)]
        for tab in tabs:
            # Answered once the desk has taken the socket in, presence included.
            await tab.ask("ping")
        (state,) = (await watcher.done("presence.subscribe", users=[bob.pk]))["users"]
        assert state["state"] == "online"
        one.kill()
        await tabs[0].closed()
        await _passes(cluster, f"{bob.pk}:{tabs[0].hello['conn']}", LEASE_SECONDS)
        (state,) = await store.states([bob.pk], now=time.time())
        assert state.state == "online"
        await tabs[1].close()
        started = time.monotonic()
        told = (await watcher.next("presence.changed"))["data"]
        assert (told["user"], told["state"]) == (bob.pk, "offline")
        assert time.monotonic() - started > 5, "a page that reloads is not seen to go"
        changes = [f for f in watcher.frames if f.get("event") == "presence.changed"]
        assert len(changes) == 1
    await store.close()


async def _passes(cluster: Cluster, lease: str, seconds: float) -> None:
    """So much time of a lease, without waiting for it."""
    with redis.Redis.from_url(cluster.redis.url) as client:
        client.zincrby("{desk:presence}:leases", -seconds * 1000, lease)


async def test_an_idle_socket_lives_on(cluster: Cluster, sam: User):
    async with await cluster.desks[0].client(sam) as client:
        await client.next("hb")
        assert (await client.ask("ping"))["type"] == "pong"
