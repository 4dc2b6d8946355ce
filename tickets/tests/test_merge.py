"""Merging: what goes over, what stays, and what can never come about."""

import importlib
import threading
from contextlib import suppress
from datetime import timedelta
from itertools import permutations

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from agents.models import Availability, Team
from agents.services import create_user, update_agent
from servicedesk.api.preconditions import VersionConflict
from servicedesk.errors import FieldError, NotAllowed
from tickets import locks, services
from tickets.lifecycle import Status, TransitionBlocked
from tickets.mails import mail_of
from tickets.models import (
    Category,
    CategoryExperience,
    Message,
    Notification,
    Priority,
    SlaClock,
    Ticket,
)
from tickets.models.category import MAX_TAGS
from tickets.services.assign import AlreadyAssigned, TicketEnded
from tickets.services.merge import TicketMerged
from tickets.services.messages import kept_name, name_through
from tickets.tests import promises
from tickets.tests.state import (
    assert_consistent,
    counted_loads,
    folded,
    kinds,
    loads,
    present,
    snapshot,
)
from tickets.tests.test_races import assert_settled, at_once, look_without_locking

merging = importlib.import_module("tickets.services.merge")


@pytest.fixture
def at():
    return timezone.now()


@pytest.fixture
def friend(db):
    return create_user(username="friend", email="friend@desk.example", name="Friend")


@pytest.fixture
def source(alice, bob, at) -> Ticket:
    """alice's ticket, in bob's hands."""
    return opened(alice, at, subject="Printer smokes", description="It *really* does.")


@pytest.fixture
def survivor(friend, bob, at) -> Ticket:
    return opened(friend, at + timedelta(seconds=1), subject="Smoke on the second floor")


def opened(requester, at, subject="x", **fields) -> Ticket:
    ticket = services.open_ticket(
        requester=requester, actor=requester, subject=subject, at=at, **fields
    )
    return fresh(ticket)


def fresh(ticket: Ticket) -> Ticket:
    return Ticket.objects.get(pk=ticket.pk)


def say(ticket, author, body, at, **options) -> Message:
    posted = services.post_message(ticket=ticket, author=author, body=body, at=at, **options)
    return posted.message


def merge(source, into, actor, at=None) -> Ticket:
    return services.merge(source=source, into=into, actor=actor, at=at or timezone.now())


def move(ticket, to, actor, at) -> Ticket:
    """With the words that the move asks for."""
    ends = to == "resolved"
    return services.change_status(
        ticket=ticket,
        to=Status(to),
        actor=actor,
        at=at,
        comment="" if ends else "So.",
        resolution="By hand." if ends else "",
    )


def said_in(ticket: Ticket) -> list[str]:
    return list(ticket.messages.order_by("created_at", "id").values_list("body", flat=True))


# --- What goes over -------------------------------------------------------------------


def test_the_source_is_closed_and_points_to_the_survivor(source, survivor, bob, at):
    later = at + timedelta(minutes=5)

    merged = merge(source, survivor, bob, later)

    assert (merged.status, merged.merged_into_id) == (Status.CLOSED, survivor.pk)
    assert (merged.resolution, merged.closed_at) == (f"Merged into {survivor.number}.", later)
    assert merged == fresh(source)
    assert fresh(source).status == Status.CLOSED
    assert fresh(survivor).status == Status.OPEN
    assert_consistent()


def test_each_step_of_the_closing_is_a_move_of_the_table(source, survivor, bob):
    merge(source, survivor, bob)

    moves = source.events.filter(kind="ticket.status_changed").order_by("seq")
    steps = [(event.data["from"], event.data["to"]) for event in moves]
    assert steps == [("new", "open"), ("open", "resolved"), ("resolved", "closed")]
    [closed] = source.events.filter(kind="ticket.merged")
    assert (closed.data, closed.public_data) == ({"into": survivor.pk}, {"into": survivor.pk})
    assert closed.actor == bob


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "resolved", "closed"])
def test_a_source_in_any_of_these_statuses_ends_up_closed(status, alice, friend, sam, bob, at):
    update_agent(agent=bob.agent, at=at, capacity=0)
    survivor, source = opened(friend, at), opened(alice, at)
    assert source.status == Status.NEW, "nobody has it"
    path = {"resolved": ["resolved"], "closed": ["resolved", "closed"], "new": []}
    for step in path.get(status, [status]):
        move(source, step, sam, at)
    before = fresh(source)
    assert before.status == status

    merge(source, survivor, sam)

    merged = fresh(source)
    assert merged.status == Status.CLOSED
    assert merged.assignee_id == before.assignee_id, "nobody is made to have had it"
    if status in ("resolved", "closed"):
        assert merged.resolution == "By hand."
        assert merged.resolved_at == before.resolved_at
    if status == "closed":
        assert merged.closed_at == before.closed_at
    assert_consistent()


def test_messages_follow_in_the_order_in_which_they_were_said(source, survivor, alice, bob, at):
    minute = timedelta(minutes=1)
    say(source, alice, "two", at + 2 * minute)
    say(survivor, bob, "three", at + 3 * minute)
    note = say(source, bob, "four", at + 4 * minute, is_internal=True)
    head, public_head = fresh(survivor).last_seq, fresh(survivor).last_public_seq

    merge(source, survivor, bob, at + 9 * minute)

    assert said_in(survivor) == [source.description, "two", "three", "four"]
    assert said_in(source) == []
    first, two, _three, four = survivor.messages.order_by("created_at", "id")
    assert (first.author, first.created_at) == (source.requester, source.created_at)
    assert [message.seq for message in (first, two, four)] == [head + 1, head + 2, head + 3]
    assert [first.public_seq, two.public_seq] == [public_head + 1, public_head + 2]
    assert (four.pk, four.is_internal, four.public_seq) == (note.pk, True, None)
    assert {message.merged_from_id for message in (first, two, four)} == {source.pk}
    arrived = survivor.events.filter(seq__gt=head).order_by("seq")
    assert [event.kind for event in arrived] == [
        *["message.created"] * 3, "participants.changed", "ticket.merged"
    ]  # fmt: skip
    assert [event.data.get("message") for event in arrived][:3] == [first.pk, two.pk, four.pk]
    assert arrived[2].public_data is None, "a note stays a note"
    assert_consistent()


def test_a_ticket_without_a_description_leaves_its_subject(alice, survivor, bob, at):
    merge(opened(alice, at, subject="No words", description=" "), survivor, bob)

    assert said_in(survivor) == ["No words"]


def test_people_follow_and_nobody_twice(source, survivor, alice, charlie, friend, sam, dana, at):
    for person in (charlie, friend, dana):
        services.add_participant(ticket=source, user=person, actor=sam, at=at)
    services.add_participant(ticket=survivor, user=charlie, actor=sam, at=at)

    merge(source, survivor, sam)

    assert set(survivor.participants.all()) == {alice, charlie, dana}
    [change] = survivor.events.filter(kind="participants.changed").order_by("-seq")[:1]
    assert change.public_data == {"added": sorted([alice.pk, dana.pk]), "removed": []}
    assert survivor in Ticket.objects.visible_to(alice)


def test_tags_follow_as_far_as_there_is_room(alice, friend, bob, at):
    source = opened(alice, at, tags=["a", "b", "c"])
    survivor = opened(friend, at, tags=["b", *(f"t{n:02}" for n in range(MAX_TAGS - 2))])

    merge(source, survivor, bob)

    names = set(survivor.tags.values_list("name", flat=True))
    assert len(names) == MAX_TAGS
    assert {"a", "b"} <= names
    assert {tag.name for tag in source.tags.all()} == {"a", "b", "c"}
    assert "ticket.updated" in kinds(survivor)


def test_the_agents_load_is_what_is_left(source, survivor, bob):
    assert loads()[bob.pk] == 2

    merge(source, survivor, bob)

    assert loads() == counted_loads() == {bob.pk: 1}


def test_nobody_is_more_experienced_for_a_merger(survivor, alice, bob, at):
    source = opened(alice, at, category=Category.objects.create(name="Printers"))
    assert source.assignee == bob

    merge(source, survivor, bob)

    assert not CategoryExperience.objects.exists()


def test_whoever_waited_in_the_source_waits_in_the_survivor(source, survivor, alice, bob, at):
    say(survivor, bob, "We are on it.", at + timedelta(minutes=1))
    asked = at + timedelta(minutes=2)
    say(source, bob, "Where?", at + timedelta(minutes=1))
    say(source, alice, "Here.", asked)
    assert fresh(survivor).waiting_since is None

    merge(source, survivor, bob, at + timedelta(minutes=3))

    assert fresh(survivor).waiting_since == asked
    assert fresh(source).waiting_since is None


def test_nobody_waits_since_before_there_was_a_ticket(source, survivor, bob, at):
    say(survivor, bob, "We are on it.", at + timedelta(minutes=1))
    assert source.waiting_since < survivor.created_at

    merge(source, survivor, bob, at + timedelta(minutes=3))

    assert fresh(survivor).waiting_since == survivor.created_at


# The survivor has stopped, and somebody waits in the source.


@pytest.mark.parametrize(("stopped", "reopened"), [("pending", 0), ("resolved", 1)])
def test_a_question_opens_a_survivor_that_has_stopped(
    stopped, reopened, source, survivor, bob, sam, at
):
    move(survivor, stopped, bob, at + timedelta(minutes=1))
    assert loads()[bob.pk] == 1

    merge(source, survivor, sam, at + timedelta(minutes=2))

    there = fresh(survivor)
    assert (there.status, there.reopen_count) == (Status.OPEN, reopened)
    assert (there.resolved_at, there.waiting_since) == (None, survivor.created_at)
    assert kinds(survivor)[-2:] == ["ticket.merged", "ticket.status_changed"]
    assert loads()[bob.pk] == 1
    assert folded(there) == present(there)
    assert_consistent()


@pytest.mark.parametrize("stopped", ["pending", "resolved", "on_hold"])
def test_what_was_answered_opens_nothing(stopped, source, survivor, bob, sam, at):
    minute = timedelta(minutes=1)
    say(source, bob, "Off and on again.", at + minute)
    move(survivor, stopped, bob, at + 2 * minute)

    merge(source, survivor, sam, at + 3 * minute)

    assert fresh(survivor).status == stopped
    assert fresh(survivor).waiting_since is None
    assert_consistent()


def test_who_waits_for_a_third_party_waits_on_with_whoever_asks(source, survivor, bob, sam, at):
    move(survivor, "on_hold", bob, at + timedelta(minutes=1))

    merge(source, survivor, sam, at + timedelta(minutes=2))

    assert (fresh(survivor).status, fresh(survivor).waiting_since is None) == ("on_hold", False)


# The desk has answered in the source.


def test_an_answer_that_follows_answers_the_survivor(alice, friend, bob, at):
    promises.policy()
    source, survivor = opened(alice, at), opened(friend, at + timedelta(seconds=1))
    minute = timedelta(minutes=1)
    say(source, bob, "notes do not count", at + minute, is_internal=True)
    say(source, bob, "Off and on again.", at + 2 * minute)
    say(source, bob, "Then smoke.", at + 3 * minute)

    merge(source, survivor, bob, at + 4 * minute)

    there = fresh(survivor)
    assert (there.first_responded_at, there.waiting_since) == (at + 2 * minute, None)
    clock = SlaClock.objects.get(ticket=survivor, metric="first_response")
    assert (clock.state, clock.met_at) == ("met", at + 2 * minute)
    assert not SlaClock.objects.filter(ticket=survivor, metric="next_response").exists()
    assert folded(there) == present(there)
    assert folded(fresh(source)) == present(fresh(source))


def test_an_answer_from_before_the_survivor_is_none_to_it(alice, friend, bob, at):
    source = opened(alice, at)
    say(source, bob, "Off and on again.", at + timedelta(minutes=1))
    survivor = opened(friend, at + timedelta(minutes=2))

    merge(source, survivor, bob, at + timedelta(minutes=3))

    there = fresh(survivor)
    assert (there.first_responded_at, there.waiting_since) == (None, survivor.created_at)
    assert folded(there) == present(there)


def test_the_first_answer_stays_the_first(source, survivor, bob, at):
    minute = timedelta(minutes=1)
    say(source, bob, "early", at + minute)
    say(survivor, bob, "first here", at + 2 * minute)

    merge(source, survivor, bob, at + 3 * minute)

    assert fresh(survivor).first_responded_at == at + 2 * minute
    assert folded(fresh(survivor)) == present(fresh(survivor))


@pytest.mark.parametrize("asked_in", ["source", "survivor"])
def test_who_asked_after_the_answer_waits_since_then(
    asked_in, source, survivor, alice, friend, bob, at
):
    minute = timedelta(minutes=1)
    say(survivor, friend, "before", at + minute)
    say(source, bob, "Off and on again.", at + 2 * minute)
    where, who = {"source": (source, alice), "survivor": (survivor, friend)}[asked_in]
    say(survivor, bob, "a note", at + 3 * minute, is_internal=True)
    say(where, who, "It still smokes.", at + 4 * minute)
    say(where, who, "Still.", at + 5 * minute)

    merge(source, survivor, bob, at + 6 * minute)

    there = fresh(survivor)
    assert there.first_responded_at == at + 2 * minute
    assert there.waiting_since == at + 4 * minute


def test_who_asked_for_a_ticket_does_not_answer_by_what_they_asked(alice, bob, dana, at):
    """Dana works here, but it was she who needed help; also where that came a long way."""
    survivor = opened(alice, at)
    first, second = opened(dana, at + timedelta(seconds=1)), opened(alice, at)
    say(first, dana, "It is urgent.", at + timedelta(minutes=1))
    merge(first, second, bob, at + timedelta(minutes=2))
    assert fresh(second).first_responded_at is None

    merge(second, survivor, bob, at + timedelta(minutes=3))

    there = fresh(survivor)
    assert (there.first_responded_at, there.waiting_since) == (None, survivor.created_at)
    for ticket in (first, second, survivor):
        assert folded(fresh(ticket)) == present(fresh(ticket))


def test_the_merger_is_told_once_and_none_of_the_messages_again(source, survivor, alice, bob, sam):
    for number in range(3):
        say(source, alice, f"{number}", timezone.now())
    Notification.objects.all().delete()

    merge(source, survivor, sam)

    told = Notification.objects.values_list("user__username", "kind", "ticket")
    assert set(told) == {("alice", "merged", source.pk), ("bob", "merged", source.pk)}


def test_the_mail_says_where_it_goes_on(source, survivor, bob, sam):
    merge(source, survivor, sam)
    [told] = Notification.objects.filter(user=source.requester, kind="merged")

    mail = mail_of(told)

    assert mail.subject == f"[{source.number}] Merged into {survivor.number}: {source.subject}"
    assert f"merged into {survivor.number}" in str(mail.body)
    assert survivor.subject not in str(mail.body)


# --- What is refused ------------------------------------------------------------------


def test_a_ticket_is_not_merged_into_itself(source, bob):
    before = snapshot(source)

    with pytest.raises(FieldError):
        merge(source, source, bob)

    assert snapshot(source) == before


def test_a_customer_merges_nothing(source, survivor, alice):
    before = snapshot(source, survivor)

    with pytest.raises(NotAllowed):
        merge(source, survivor, alice)

    assert snapshot(source, survivor) == before


@pytest.mark.parametrize("end", ["closed", "cancelled"])
def test_what_is_finished_takes_nothing_in(end, source, survivor, sam, at):
    steps = {"closed": ["resolved", "closed"], "cancelled": ["cancelled"]}[end]
    for step in steps:
        move(survivor, step, sam, at)
    before = snapshot(source, survivor)

    with pytest.raises(TicketEnded):
        merge(source, survivor, sam)

    assert snapshot(source, survivor) == before


def test_a_cancelled_ticket_is_not_merged(source, survivor, sam, at):
    services.change_status(ticket=source, to=Status.CANCELLED, comment="y", actor=sam, at=at)
    before = snapshot(source, survivor)

    with pytest.raises(TicketEnded):
        merge(source, survivor, sam)

    assert snapshot(source, survivor) == before


def test_a_ticket_is_merged_once_and_takes_nothing_in_afterwards(source, survivor, charlie, bob):
    third = opened(charlie, timezone.now())
    merge(source, survivor, bob)
    before = snapshot(source, survivor, third)

    for one, other in ((source, third), (third, source), (source, survivor), (survivor, source)):
        with pytest.raises(TicketMerged) as refused:
            merge(one, other, bob)
        assert refused.value.extra == {"merged_into": survivor.pk}

    assert snapshot(source, survivor, third) == before


def test_whoever_has_not_seen_the_last_version_merges_nothing(source, survivor, bob, at):
    before = snapshot(source, survivor)

    with pytest.raises(VersionConflict):
        services.merge(
            source=source, into=survivor, actor=bob, at=at, expected={source.version - 1}
        )

    assert snapshot(source, survivor) == before


def test_nothing_happens_to_a_merged_ticket_any_more(source, survivor, alice, bob, sam, at):
    merge(source, survivor, bob)
    before = snapshot(source, survivor)
    by = {"ticket": source, "actor": sam, "at": at}

    for person in (sam, alice):
        with pytest.raises(TransitionBlocked) as refused:
            services.change_status(ticket=source, to=Status.OPEN, actor=person, at=at)
        assert [reason["code"] for reason in refused.value.extra["reasons"]] == ["ticket_merged"]
    for change in (
        lambda: services.change_priority(to=Priority.LOW, **by),
        lambda: services.update_ticket(fields={"subject": "y"}, **by),
        lambda: services.change_tags(add=["y"], **by),
        lambda: services.add_participant(user=sam, **by),
        lambda: services.rate(ticket=source, score=1, actor=alice, at=at),
    ):
        with pytest.raises(TicketMerged):
            change()
    for change in (
        lambda: services.assign(to=bob, **by),
        lambda: services.claim(ticket=source, agent=sam, at=at),
        lambda: services.escalate(reason="y", **by),
    ):
        with pytest.raises((TicketEnded, AlreadyAssigned)):
            change()

    assert snapshot(source, survivor) == before


def test_somebody_may_still_be_taken_out_of_a_merged_ticket(source, survivor, charlie, sam, at):
    services.add_participant(ticket=source, user=charlie, actor=sam, at=at)
    merge(source, survivor, sam)

    assert services.remove_participant(ticket=source, user_id=charlie.pk, actor=sam, at=at)
    assert source not in Ticket.objects.visible_to(charlie)


# --- Replies to what was merged -------------------------------------------------------


def test_a_reply_reaches_the_survivor_along_the_whole_chain(source, survivor, alice, bob, at):
    last = opened(alice, at)
    merge(source, survivor, bob)
    merge(survivor, last, bob)
    later = at + timedelta(minutes=1)

    posted = services.post_message(ticket=source, author=alice, body="Still there?", at=later)

    assert (posted.message.ticket_id, posted.follow_up) == (last.pk, last)
    assert posted.message.merged_from_id is None, "it was written there"
    assert said_in(last)[-1] == "Still there?"
    assert said_in(source) == said_in(survivor) == []
    origins = {message.merged_from_id for message in last.messages.all()}
    assert origins == {source.pk, survivor.pk, None}, "each keeps where it was written"
    assert_consistent()


def test_a_customers_reply_to_a_merged_ticket_opens_the_survivor_again(
    source, survivor, alice, bob, at
):
    merge(source, survivor, bob)
    services.change_status(
        ticket=survivor, to=Status.RESOLVED, resolution="Out.", actor=bob, at=timezone.now()
    )

    services.post_message(ticket=source, author=alice, body="No!", at=timezone.now())

    assert fresh(survivor).status == Status.OPEN
    assert fresh(source).status == Status.CLOSED


def test_a_reply_to_what_ended_long_ago_follows_up_the_survivor(source, survivor, alice, bob, at):
    merge(source, survivor, bob)
    for step in ("resolved", "closed"):
        move(survivor, step, bob, timezone.now())
    late = timezone.now() + timedelta(days=60)
    send = {"ticket": source, "author": alice, "body": "Again!", "client_msg_id": "m1", "at": late}

    first, again = services.post_message(**send), services.post_message(**send)

    assert first.follow_up is not None
    assert first.follow_up.follow_up_of_id == survivor.pk
    assert (again.is_new, again.message) == (False, first.message)


def test_no_reply_goes_where_its_author_may_not_look(source, survivor, alice, bob, sam):
    merge(source, survivor, bob)
    services.remove_participant(ticket=survivor, user_id=alice.pk, actor=sam, at=timezone.now())
    before = snapshot(source, survivor)

    with pytest.raises(TicketMerged):
        services.post_message(ticket=source, author=alice, body="x", at=timezone.now())

    assert snapshot(source, survivor) == before


def test_the_same_client_ids_in_both_tickets_do_not_meet(source, survivor, alice, bob, at):
    for ticket, body in ((source, "in the source"), (survivor, "in the survivor")):
        say(ticket, bob, body, at, client_msg_id="m1")
    merge(source, survivor, bob)

    def again(ticket, body):
        return services.post_message(
            ticket=ticket, author=bob, body=body, client_msg_id="m1", at=timezone.now()
        )

    for ticket, body in ((source, "in the source"), (survivor, "in the survivor")):
        posted = again(ticket, body)
        assert (posted.is_new, posted.message.body) == (False, body)
    third = opened(alice, at)
    merge(survivor, third, bob)
    for ticket, body in ((source, "in the source"), (survivor, "in the survivor")):
        posted = again(ticket, body)
        assert (posted.is_new, posted.message.ticket_id) == (False, third.pk)
    assert again(third, "in the third").is_new


@pytest.mark.parametrize("name", ["merged:x", "through:1:x", "hashed:x", "through:" + "x" * 56])
def test_a_client_may_name_its_messages_as_we_do(name, source, alice, friend, bob, at):
    survivor = opened(alice, at)
    for ticket in (source, survivor):
        say(ticket, alice, ticket.subject, at, client_msg_id=name)

    merge(source, survivor, bob)

    for ticket in (source, survivor):
        posted = services.post_message(
            ticket=ticket, author=alice, body=ticket.subject, client_msg_id=name, at=at
        )
        assert (posted.is_new, posted.message.ticket_id) == (False, survivor.pk)


def test_no_client_hits_on_the_name_of_a_message_that_was_moved(source, alice, bob, at):
    survivor = opened(alice, at)
    say(source, alice, "x", at, client_msg_id="m1")
    guess = name_through(source.pk, kept_name("m1"))
    assert guess
    assert len(guess) <= 64
    say(survivor, alice, "y", at, client_msg_id=guess)

    merge(source, survivor, bob)
    after = services.post_message(
        ticket=survivor, author=alice, body="y", at=at, client_msg_id=guess
    )

    assert (after.is_new, after.message.body) == (False, "y")
    assert survivor.messages.filter(client_msg_id=guess).get().body == "x"


def test_a_message_to_a_merged_ticket_is_the_same_however_far_it_goes(
    source, survivor, alice, bob, at
):
    merge(source, survivor, bob)
    send = {"ticket": source, "author": alice, "body": "x", "client_msg_id": "through:1"}
    first = services.post_message(**send, at=at)
    third = opened(alice, at)
    merge(survivor, third, bob)

    again = services.post_message(**send, at=at)

    assert (first.is_new, again.is_new, again.message.ticket_id) == (True, False, third.pk)


# --- No cycles ------------------------------------------------------------------------


@pytest.mark.once
def test_whatever_is_merged_in_whatever_order_no_chain_comes_round(alice, sam, at):
    """Every order of three of the six mergers that there are among three tickets."""
    pairs = list(permutations(range(3), 2))
    for order in permutations(pairs, 3):
        tickets = [opened(alice, at) for _ in range(3)]
        made = 0
        for one, other in order:
            try:
                merge(tickets[one], tickets[other], sam, at)
                made += 1
            except TicketMerged:
                pass
        points_to = dict(
            Ticket.objects.filter(pk__in=[t.pk for t in tickets]).values_list("pk", "merged_into")
        )
        assert list(points_to.values()).count(None) == 3 - made > 0
        for start in points_to:
            steps, here = 0, start
            while (there := points_to[here]) is not None:
                steps, here = steps + 1, there
                assert steps < 3, order
            reply = services.post_message(ticket=Ticket(pk=start), author=alice, body="x", at=at)
            assert reply.message.ticket_id == here


# --- Over HTTP ------------------------------------------------------------------------


def test_an_agent_merges_over_http(as_user, source, survivor, bob):
    client, url = as_user(bob), f"/api/tickets/{source.pk}"

    response = client.post(f"{url}/merge", {"into": survivor.pk})

    assert response.status_code == 200
    body = response.json()
    assert (body["id"], body["status"], body["merged_into"]) == (source.pk, "closed", survivor.pk)
    assert body["allowed_actions"] == []
    assert client.get(f"/api/tickets/{survivor.pk}/").json()["merged_into"] is None
    again = client.post(f"{url}/merge", {"into": survivor.pk})
    assert (again.status_code, again.json()["code"]) == (409, "ticket_merged")
    assert again.json()["merged_into"] == survivor.pk


def test_a_stale_version_merges_nothing_over_http(as_user, source, survivor, bob):
    response = as_user(bob).post(
        f"/api/tickets/{source.pk}/merge", {"into": survivor.pk}, HTTP_IF_MATCH='"99"'
    )

    assert response.status_code == 412
    assert fresh(source).merged_into is None


def test_repeated_under_a_key_it_is_done_once(as_user, source, survivor, bob):
    client, address = as_user(bob), f"/api/tickets/{source.pk}/merge"
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}

    first, second = (client.post(address, {"into": survivor.pk}, **key) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert second["Idempotency-Replayed"] == "true"
    assert first.json() == second.json()


@pytest.mark.parametrize("body", [{}, {"into": "2"}, {"into": None}, {"into": 1, "x": 1}])
def test_a_body_that_names_no_ticket_is_refused(as_user, source, bob, body):
    response = as_user(bob).post(f"/api/tickets/{source.pk}/merge", body)

    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")


def test_into_itself_is_a_fault_of_the_body(as_user, source, bob):
    response = as_user(bob).post(f"/api/tickets/{source.pk}/merge", {"into": source.pk})

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/into"


def test_who_sees_only_one_of_the_two_hears_404(as_user, source, survivor, bob, dana, at):
    update_agent(agent=dana.agent, at=at, teams=[])
    Ticket.objects.filter(pk=survivor.pk).update(team=Team.objects.create(name="Others"))
    before, client = snapshot(source, survivor), as_user(dana)

    there = client.post(f"/api/tickets/{source.pk}/merge", {"into": survivor.pk})
    unknown = client.post(f"/api/tickets/{source.pk}/merge", {"into": 999_999})
    back = client.post(f"/api/tickets/{survivor.pk}/merge", {"into": source.pk})

    assert (there.status_code, back.status_code) == (404, 404)
    assert there.json() == unknown.json()
    assert snapshot(source, survivor) == before


def test_charlie_and_alice_merge_nothing(as_user, source, survivor, alice, charlie):
    before = snapshot(source, survivor)
    address, body = f"/api/tickets/{source.pk}/merge", {"into": survivor.pk}

    assert as_user(charlie).post(address, body).status_code == 404
    assert as_user(alice).post(address, body).status_code == 403
    assert snapshot(source, survivor) == before


def test_both_logs_are_read_without_a_gap_and_without_a_leak(
    as_user, source, survivor, alice, friend, bob, at
):
    say(source, alice, "from alice", at)
    say(source, bob, "notecanary", at, is_internal=True)
    merge(source, survivor, bob)

    for person, ticket in ((alice, source), (alice, survivor), (friend, survivor), (bob, source)):
        answer = as_user(person).get(f"/api/tickets/{ticket.pk}/events")
        log = answer.json()
        assert [event["seq"] for event in log["results"]] == list(range(1, log["head"] + 1))
        for event in log["results"]:
            if event["event"] == "message.created":
                assert event["data"]["message"]["seq"] == event["seq"]
        assert ("notecanary" in answer.content.decode()) == (person == bob)
        # Which ticket came in is for the desk: not all of the survivor's customers saw it.
        merged = [event["data"] for event in log["results"] if event["event"] == "ticket.merged"]
        assert merged == ([{"into": survivor.pk}] if ticket == source else [])
        assert ("merged_from" in answer.content.decode()) == (person == bob and ticket == survivor)


def test_the_conversation_is_read_oldest_first_page_by_page(
    as_user, source, survivor, alice, friend, bob, at
):
    for number in range(6):
        where, who = ((source, alice), (survivor, friend))[number % 2]
        say(where, who, f"{number}", at + timedelta(minutes=number + 1))
    merge(source, survivor, bob, at + timedelta(hours=1))
    client, address = as_user(alice), f"/api/tickets/{survivor.pk}/messages?page_size=2"

    found = []
    while address:
        page = client.get(address).json()
        found += [message["body"] for message in page["results"]]
        address = page["next"]

    assert found == [source.description, *"012345"]
    assert client.get(f"/api/tickets/{source.pk}/messages").json()["results"] == []


def test_a_reply_to_a_merged_ticket_answers_with_the_survivor(
    as_user, source, survivor, alice, bob
):
    merge(source, survivor, bob)
    body = {"body": "Hello?", "client_msg_id": "m1"}

    first, again = (
        as_user(alice).post(f"/api/tickets/{source.pk}/messages", body) for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["ticket"]["id"] == again.json()["ticket"]["id"] == survivor.pk
    assert first.json()["id"] == again.json()["id"]


def test_a_merged_ticket_says_why_it_cannot_be_reopened(as_user, source, survivor, sam):
    merge(source, survivor, sam)
    client, url = as_user(sam), f"/api/tickets/{source.pk}"

    refused = client.put(f"{url}/status", {"status": "open"})
    moves = client.get(f"{url}/transitions").json()["transitions"]

    assert (refused.status_code, refused.json()["code"]) == (409, "transition_blocked")
    assert [reason["code"] for reason in refused.json()["reasons"]] == ["ticket_merged"]
    assert [(move["to"], move["available"]) for move in moves] == [("open", False)]
    assert [reason["code"] for reason in moves[0]["reasons"]] == ["ticket_merged"]


# --- In the console -------------------------------------------------------------------


def test_an_agent_merges_in_the_console(console, source, survivor, bob):
    browser = console(bob)
    act = f"/admin/tickets/ticket/{source.pk}/merge/act/"

    answer = browser.post(act, {"version": source.version, "into": survivor.number}, follow=True)

    assert fresh(source).merged_into_id == survivor.pk
    text = answer.content.decode()
    assert f"{source.number} goes on in {survivor.number}." in text
    assert "This ticket was merged into" in text
    assert f"merged it into {survivor.number}" in text
    assert 'id="merge"' not in text, "no second time"


@pytest.mark.parametrize("into", ["", "x", "SD-999999"])
def test_a_number_that_is_no_ticket_merges_nothing_in_the_console(console, source, bob, into):
    before = snapshot(source)
    act = f"/admin/tickets/ticket/{source.pk}/merge/act/"

    answer = console(bob).post(act, {"version": source.version, "into": into})

    assert answer.status_code == 400
    assert snapshot(source) == before


def test_a_reply_in_the_console_says_where_it_went(console, source, survivor, bob):
    merge(source, survivor, bob)
    act = f"/admin/tickets/ticket/{source.pk}/reply/act/"
    data = {"version": 1, "body": "Hm.", "audience": "public", "client_msg_id": "c1"}

    answer = console(bob).post(act, data, follow=True)

    assert f"What you wrote is in {survivor.number}" in answer.content.decode()
    assert said_in(survivor)[-1] == "Hm."


# --- Many at once ---------------------------------------------------------------------

both_ways = pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)


@pytest.mark.postgres
@both_ways
def test_of_two_who_merge_in_a_circle_one_does(alice, sam, at, protected, monkeypatch):
    one, other = opened(alice, at), opened(alice, at)
    if not protected:
        look_without_locking(monkeypatch, 2)

    answers = at_once(
        lambda: merge(one, other, sam, at),
        lambda: merge(other, one, sam, at),
    )

    merged = [ticket for ticket in (one, other) if fresh(ticket).merged_into_id]
    assert len(merged) == 1
    refusals = [answer for answer in answers if isinstance(answer, Exception)]
    # Without the lock both find that they may, and only the database stands between them and a
    # circle: by the log's unique places, or because each waits for the other's row.
    wanted = (TicketMerged,) if protected else (IntegrityError, OperationalError)
    assert isinstance(refusals[0], wanted)
    assert_settled()


@pytest.mark.postgres
@both_ways
def test_two_who_merge_in_a_circle_do_not_wait_for_each_other(
    alice, sam, at, protected, monkeypatch
):
    """The twin locks as asked, source first: the database has to end one of the two."""
    one, other = opened(alice, at), opened(alice, at)
    have_one = threading.Barrier(2)

    def as_asked(source: int, survivor: int) -> list[Ticket]:
        first = locks.lock_ticket(source)
        have_one.wait(20)
        return [first, locks.lock_ticket(survivor)]

    if not protected:
        monkeypatch.setattr(merging, "lock_tickets", as_asked)

    answers = at_once(
        lambda: merge(one, other, sam, at),
        lambda: merge(other, one, sam, at),
    )

    refusals = [answer for answer in answers if isinstance(answer, Exception)]
    assert [type(refusal) for refusal in refusals] == [
        TicketMerged if protected else OperationalError
    ]


@pytest.mark.postgres
@both_ways
def test_what_is_said_while_its_ticket_is_merged_is_not_lost(
    source, survivor, alice, bob, at, protected, monkeypatch
):
    if not protected:
        look_without_locking(monkeypatch, 2)

    answers = at_once(
        *(
            lambda n=number: services.post_message(ticket=source, author=alice, body=f"{n}", at=at)
            for number in range(1 if not protected else 8)
        ),
        lambda: merge(source, survivor, bob, at),
    )

    failures = [answer for answer in answers if isinstance(answer, Exception)]
    if not protected:
        assert failures or said_in(source), "it fails, or stays behind"
        return
    assert failures == []
    assert said_in(source) == []
    assert sorted(said_in(survivor)) == sorted([source.description, *"01234567"])
    assert_settled()


@pytest.mark.postgres
@both_ways
def test_a_reply_along_a_chain_and_a_merger_do_not_wait_for_each_other(
    alice, bob, sam, at, protected, monkeypatch
):
    """Whoever replies to the newer ticket goes on to the older; whoever merges again, the other
    way round. The twin keeps the lock on the first while it waits for the second."""
    older, newer = opened(alice, at), opened(alice, at)
    merge(newer, older, sam, at)
    have_one = threading.Barrier(2)

    def keeping(pk: int) -> Ticket:
        ticket = locks.lock_ticket(pk)
        have_one.wait(20)
        return locks.lock_ticket(ticket.merged_into_id or pk)

    def merge_again() -> None:
        with suppress(TicketMerged):
            merge(older, newer, sam, at)

    real = locks.lock_tickets

    def meeting(*pks: int) -> list[Ticket]:
        locks.lock_ticket(min(pks))
        have_one.wait(20)
        return real(*pks)

    if not protected:
        monkeypatch.setattr(
            importlib.import_module("tickets.services.reply"), "lock_survivor", keeping
        )
        monkeypatch.setattr(merging, "lock_tickets", meeting)

    answers = at_once(
        lambda: services.post_message(ticket=newer, author=alice, body="x", at=at), merge_again
    )

    failures = [type(answer) for answer in answers if isinstance(answer, OperationalError)]
    assert failures == ([] if protected else [OperationalError])


@pytest.mark.postgres
@both_ways
def test_two_who_reopen_by_merging_do_not_wait_for_each_others_agents(
    alice, bob, dana, sam, at, protected, monkeypatch
):
    """Each merger weighs on the survivor's agent and takes from the source's. The twin locks an
    agent when it comes to one, and the database has to end one of the two."""
    update_agent(agent=dana.agent, at=at, availability=Availability.AVAILABLE)
    pairs = []
    for asked, stopped in ((bob, dana), (dana, bob)):
        source, survivor = opened(alice, at), opened(alice, at)
        for ticket, agent in ((source, asked), (survivor, stopped)):
            services.assign(ticket=ticket, to=agent, actor=sam, at=at, force=True)
        move(survivor, "pending", stopped, at)
        pairs.append((source, survivor))
    have_one, close = threading.Barrier(2), merging._close

    def have_one_and_close(*args):
        with suppress(threading.BrokenBarrierError):
            have_one.wait(1 if protected else 20)
        return close(*args)

    monkeypatch.setattr(merging, "_close", have_one_and_close)
    if not protected:
        monkeypatch.setattr(merging, "lock_agents", lambda ids: None)

    answers = at_once(*(lambda p=pair: merge(p[0], p[1], sam, at) for pair in pairs))

    failed = [answer for answer in answers if isinstance(answer, Exception)]
    if protected:
        assert failed == []
    else:
        assert [type(answer) for answer in failed] == [OperationalError]
    assert_settled()
