"""What a signed-in socket can do, and what it hears of others."""

import pytest
from django.utils import timezone

from agents.models import Team, User
from agents.services import update_agent, update_user
from realtime.database import in_database
from realtime.tests.sockets import signed_in
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Message, Ticket


@pytest.fixture
def ticket(alice, sam) -> Ticket:
    """Alice's, in nobody's hands."""
    return services.open_ticket(
        requester=alice, subject="The printer", description="", actor=alice, at=timezone.now()
    )


def reply(ticket: Ticket, author: User, body: str = "Hello", *, internal: bool = False):
    return services.post_message(
        ticket=ticket, author=author, body=body, is_internal=internal, at=timezone.now()
    ).message


async def moved(ticket: Ticket, team: Team, actor: User):
    await in_database(
        services.update_ticket,
        ticket=ticket,
        actor=actor,
        at=timezone.now(),
        fields={"team": team},
    )


async def replied(*args, **kwargs):
    return await in_database(reply, *args, **kwargs)


# --- Joining ---------------------------------------------------------------------------


async def test_whoever_joins_hears_what_happens_from_then_on(ticket, alice, sam):
    async with signed_in(alice) as socket:
        joined = await socket.done("room.join", ticket=ticket.pk)
        assert joined["room"] == f"ticket:{ticket.pk}"
        assert (joined["head"], joined["replay"]) == (1, 0)
        assert joined["members"] == [{"id": alice.pk, "name": "Alice", "kind": "customer"}]
        assert await socket.hears() == {"type": "room.live", "room": joined["room"], "seq": 1}
        message = await replied(ticket, sam, "We are on it")
        event = await socket.event("message.created")
        assert event["seq"] == 2
        assert event["data"]["message"]["body"] == "We are on it"
        assert event["data"]["message"]["id"] == message.pk
        assert event["actor"] == {"id": sam.pk, "name": "Sam", "kind": "supervisor"}
        assert (await socket.event("ticket.status_changed"))["seq"] == 3


async def test_whoever_comes_back_hears_what_they_missed_once(ticket, alice, sam):
    for number in range(3):
        await replied(ticket, sam, f"Reply {number}")
    async with signed_in(alice) as socket:
        events = await socket.join(ticket, last_seq=1)
        assert [event["seq"] for event in events] == [2, 3, 4, 5]
        assert await socket.hears_nothing("event")


async def test_notes_leave_no_hole_for_customers(ticket, alice, sam):
    async with signed_in(alice) as customer, signed_in(sam) as agent:
        await customer.join(ticket)
        await agent.join(ticket)
        await replied(ticket, sam, INTERNAL_CANARY, internal=True)
        await replied(ticket, sam, "In public")
        assert (await agent.event("message.created"))["data"]["message"]["internal"] is True
        first = await customer.event("message.created")
        assert first["data"]["message"]["body"] == "In public"
        assert first["seq"] == 2


async def test_what_one_may_not_see_is_as_if_it_were_not_there(ticket, charlie):
    async with signed_in(charlie) as socket:
        hidden = await socket.ask("room.join", ticket=ticket.pk)
        absent = await socket.ask("room.join", ticket=2**53 - 1)
        assert {**hidden, "re": ""} == {**absent, "re": ""}
        assert hidden["code"] == "not_found"
        await replied(ticket, ticket.requester)
        assert await socket.hears_nothing("event")


async def test_a_cursor_that_cannot_be_continued_asks_for_a_snapshot(ticket, alice, sam):
    async with signed_in(alice) as socket:
        for wrong in ({"last_seq": 99}, {"last_seq": 1, "epoch": "other"}):
            answer = await socket.ask("room.join", ticket=ticket.pk, **wrong)
            assert answer["code"] == "resync_required"
            assert answer["details"]["snapshot"] == f"/api/tickets/{ticket.pk}/"
        await socket.join(ticket, last_seq=1, epoch=ticket.epoch)


async def test_many_rooms_are_joined_at_once_and_answered_in_order(ticket, alice, sam):
    other = await in_database(
        services.open_ticket,
        requester=alice,
        subject="Another",
        description="",
        actor=alice,
        at=timezone.now(),
    )
    async with signed_in(sam) as socket:
        wanted = [
            {"ticket": other.pk, "last_seq": 0},
            {"ticket": 999_999},
            {"room": "desk"},
            {"ticket": ticket.pk, "last_seq": 77},
            {"ticket": ticket.pk},
        ]
        results = (await socket.done("rooms.join", rooms=wanted))["results"]
        assert [each["ok"] for each in results] == [True, False, True, False, True]
        assert [each.get("code") for each in results] == [
            None, "not_found", None, "resync_required", None,
        ]  # fmt: skip
        assert [event["seq"] for event in await socket.events_until_live()] == [1]
        assert await socket.events_until_live() == []


async def test_a_connection_has_a_hundred_rooms_and_no_more(sam):
    def open_many():
        for number in range(101):
            yield services.open_ticket(
                requester=sam, subject=str(number), description="", actor=sam, at=timezone.now()
            )

    tickets = await in_database(lambda: list(open_many()))
    async with signed_in(sam) as socket:
        rooms = [{"ticket": each.pk} for each in tickets[:100]]
        results = (await socket.done("rooms.join", rooms=rooms))["results"]
        assert all(each["ok"] for each in results)
        assert await socket.refused("room.join", ticket=tickets[100].pk) == "room_limit"
        await socket.done("room.leave", room=f"ticket:{tickets[0].pk}")
        await socket.done("room.join", ticket=tickets[100].pk)


async def test_whoever_leaves_hears_no_more(ticket, alice, sam):
    async with signed_in(alice) as socket:
        await socket.join(ticket)
        await socket.done("room.leave", room=f"ticket:{ticket.pk}")
        assert await socket.refused("room.leave", room=f"ticket:{ticket.pk}") == "not_joined"
        await replied(ticket, sam)
        assert await socket.hears_nothing("event")


async def test_whoever_loses_a_ticket_is_told_so_and_hears_no_more(ticket, alice, charlie, sam):
    await in_database(
        services.add_participant, ticket=ticket, user=charlie, actor=sam, at=timezone.now()
    )
    async with signed_in(charlie) as out, signed_in(alice) as stays:
        await out.join(ticket)
        await stays.join(ticket)
        await in_database(
            services.remove_participant,
            ticket=ticket,
            user_id=charlie.pk,
            actor=sam,
            at=timezone.now(),
        )
        await replied(ticket, sam, "Without Charlie")
        assert (await stays.event("message.created"))["data"]["message"]["body"]
        room = f"ticket:{ticket.pk}"
        left = await out.hears()
        while left["type"] != "room.left":
            assert left["type"] != "event"
            left = await out.hears()
        assert left == {"type": "room.left", "room": room, "reason": "access_revoked"}
        assert await out.hears_nothing("event")
        assert await out.refused("typing.start", room=room) == "not_joined"
        assert await out.refused("room.join", ticket=ticket.pk) == "not_found"


async def test_another_team_takes_its_tickets_out_of_an_agents_rooms(ticket, bob, sam):
    team = await in_database(Team.objects.create, name="Network")
    await moved(ticket, team, sam)
    await in_database(update_agent, agent=bob.agent, at=timezone.now(), teams=[team])
    async with signed_in(bob) as socket:
        await socket.join(ticket)
        await in_database(update_agent, agent=bob.agent, at=timezone.now(), teams=[])
        left = await socket.hears()
        while left["type"] != "room.left":
            left = await socket.hears()
        assert left["reason"] == "access_revoked"


# --- Messages --------------------------------------------------------------------------


async def test_a_message_is_sent_once_however_often_it_is_repeated(ticket, alice, sam):
    async with signed_in(alice) as socket, signed_in(sam) as other:
        await other.join(ticket)
        said = {"ticket": ticket.pk, "client_msg_id": "m1", "body": "It **hums**."}
        sent = await socket.done("message.send", **said)
        assert sent["message"]["body_html"] == "<p>It <strong>hums</strong>.</p>\n"
        assert sent["seq"] == 2
        assert "ticket" not in sent
        assert await socket.done("message.send", **said) == sent
        changed = {**said, "body": "It screams."}
        assert await socket.refused("message.send", **changed) == "idempotency_conflict"
        assert await in_database(Message.objects.filter(ticket=ticket).count) == 1
        assert (await other.event("message.created"))["data"]["message"]["id"] == (
            sent["message"]["id"]
        )
        assert await other.hears_nothing("message.created")


async def test_a_reply_that_opens_a_follow_up_says_where_it_went(ticket, alice, sam):
    at = timezone.now()
    await in_database(
        services.change_status,
        ticket=ticket,
        to=Status.CANCELLED,
        actor=sam,
        at=at,
        comment="Not needed",
    )
    async with signed_in(alice) as socket:
        said = {"ticket": ticket.pk, "client_msg_id": "m1", "body": "It is back"}
        sent = await socket.done("message.send", **said)
        assert sent["ticket"] != ticket.pk
        assert await socket.done("message.send", **said) == sent


async def test_what_is_no_message_is_refused_as_over_http(ticket, alice, charlie, sam):
    good = {"ticket": ticket.pk, "client_msg_id": "m1", "body": "Hello"}
    async with signed_in(alice) as socket:
        for wrong in ({"body": ""}, {"body": " "}, {"body": "x" * 50_001}, {"internal": True}):
            answer = await socket.ask("message.send", **{**good, **wrong})
            assert answer["code"] == "validation_failed", wrong
    async with signed_in(charlie) as socket:
        assert await socket.refused("message.send", **good) == "not_found"
    assert not await in_database(Message.objects.exists)


async def test_more_than_five_messages_at_once_must_wait(ticket, alice):
    async with signed_in(alice) as socket:
        for number in range(40):
            data = {"ticket": ticket.pk, "client_msg_id": f"m{number}", "body": "Hello"}
            await socket.say(type="message.send", id=f"m{number}", data=data)
        heard = [await socket.hears() for _ in range(40)]
        refused = [frame for frame in heard if frame["type"] == "error"]
        assert refused
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert all(0 < answer["retry_after_ms"] <= 1000 for answer in refused)


# --- Typing ----------------------------------------------------------------------------


async def test_others_see_who_types_and_that_it_has_ended(ticket, alice, sam):
    room = f"ticket:{ticket.pk}"
    async with signed_in(alice) as customer, signed_in(sam) as agent:
        await customer.join(ticket)
        await agent.join(ticket)
        assert await customer.refused("typing.start", room="ticket:999999") == "not_joined"
        for _ in range(3):
            await agent.done("typing.start", room=room)
        started = await customer.event("typing.started")
        assert started["data"] == {
            "user": {"id": sam.pk, "name": "Sam", "kind": "supervisor"},
            "internal": False,
        }
        assert await customer.hears_nothing("typing.started")
        await agent.done(
            "message.send", ticket=ticket.pk, client_msg_id="m1", body="Here is the answer"
        )
        assert (await customer.event("typing.stopped"))["data"]["user"]["id"] == sam.pk
        assert await agent.hears_nothing("typing.started")


async def test_customers_do_not_see_that_a_note_is_written(ticket, alice, sam, dana):
    room = f"ticket:{ticket.pk}"
    async with signed_in(alice) as customer, signed_in(sam) as agent, signed_in(dana) as other:
        for socket in (customer, agent, other):
            await socket.join(ticket)
        await agent.done("typing.start", room=room, internal=True)
        assert (await other.event("typing.started"))["data"]["internal"] is True
        assert await customer.hears_nothing("typing.started")
        assert await customer.refused("typing.start", room=room, internal=True) == (
            "validation_failed"
        )
        late = await customer.done("room.join", ticket=ticket.pk)
        assert late["typing"] == []


async def test_typing_ends_by_itself_and_with_the_socket(ticket, alice, sam, dana):
    room = f"ticket:{ticket.pk}"
    async with signed_in(alice) as customer:
        await customer.join(ticket)
        async with signed_in(sam) as agent:
            await agent.join(ticket)
            await agent.done("typing.start", room=room)
            await customer.event("typing.started")
            async with signed_in(dana) as newcomer:
                joined = await newcomer.done("room.join", ticket=ticket.pk)
                assert [each["user"]["id"] for each in joined["typing"]] == [sam.pk]
        assert (await customer.event("typing.stopped"))["data"]["user"]["id"] == sam.pk


# --- Presence and news -----------------------------------------------------------------


async def test_agents_watch_who_is_there(alice, bob, sam):
    async with signed_in(sam) as socket:
        watched = {"users": [alice.pk, bob.pk]}
        states = (await socket.done("presence.subscribe", **watched))["users"]
        assert [(each["user"], each["state"]) for each in states] == [
            (alice.pk, "offline"),
            (bob.pk, "offline"),
        ]
        async with signed_in(bob) as other:
            changed = (await socket.event("presence.changed"))["data"]
            assert (changed["user"], changed["state"]) == (bob.pk, "online")
            await other.done("presence.set", state="away")
            later = (await socket.event("presence.changed"))["data"]
            assert (later["user"], later["state"]) == (bob.pk, "away")
            assert later["version"] > changed["version"]


async def test_customers_watch_nobody(alice, bob):
    async with signed_in(alice) as socket:
        assert await socket.refused("presence.subscribe", users=[bob.pk]) == "not_found"


async def test_who_looks_at_a_ticket_is_shown_to_who_does(ticket, alice, sam):
    async with signed_in(alice) as socket:
        await socket.join(ticket)
        async with signed_in(sam) as other:
            await other.join(ticket)
            members = (await socket.event("room.members"))["data"]["members"]
            assert [each["name"] for each in members] == ["Alice", "Sam"]
        members = (await socket.event("room.members"))["data"]["members"]
        assert [each["name"] for each in members] == ["Alice"]


async def test_news_come_without_joining_anything(ticket, alice, charlie, sam):
    async with signed_in(alice) as socket, signed_in(charlie) as stranger:
        await replied(ticket, sam)
        told = await socket.event("notification.created")
        assert told["room"] is None
        assert told["data"]["ticket"] == ticket.pk
        touched = await socket.event("ticket.touched")
        assert (touched["room"], touched["data"]) == (None, {"ticket": ticket.pk})
        assert await stranger.hears_nothing("signal")


async def test_the_desk_hears_of_the_tickets_that_are_its_own(ticket, alice, bob, sam):
    team = await in_database(Team.objects.create, name="Network")
    async with signed_in(alice) as socket:
        assert await socket.refused("room.join", room="desk") == "not_found"
    async with signed_in(bob) as agent, signed_in(sam) as supervisor:
        for socket in (agent, supervisor):
            assert await socket.done("room.join", room="desk") == {"room": "desk"}
        await replied(ticket, alice)
        for socket in (agent, supervisor):
            touched = await socket.event("ticket.touched")
            assert (touched["room"], touched["data"]["ticket"]) == ("desk", ticket.pk)
        await moved(ticket, team, sam)
        await supervisor.event("ticket.touched")
        assert await agent.hears_nothing("ticket.touched")
        await agent.done("room.leave", room="desk")


async def test_a_note_does_not_touch_the_customer(ticket, alice, sam):
    async with signed_in(alice) as socket:
        await replied(ticket, sam, INTERNAL_CANARY, internal=True)
        assert await socket.hears_nothing("signal")


# --- The end ---------------------------------------------------------------------------


async def test_whoever_is_deactivated_is_told_so_and_closed(bob, sam):
    async with signed_in(bob) as socket:
        await in_database(update_user, user=bob, is_active=False, at=timezone.now())
        assert await socket.is_told_bye(4503, "account_disabled")


async def test_another_role_ends_the_socket(bob, sam):
    async with signed_in(bob) as socket:
        await in_database(update_user, user=bob, role="customer", at=timezone.now())
        assert await socket.is_told_bye(4510, "signed_out")
