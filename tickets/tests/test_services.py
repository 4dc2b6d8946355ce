"""What each service does, what it refuses, and what must not happen along the way.

After every test here: each agent's load is the number of their tickets in work, each log has no
gap, and the receivers have heard all of it.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.http import Http404
from django.utils import timezone

from agents.models import AgentProfile, AgentSkill, Availability, Role, User
from agents.services import create_user, set_availability, update_agent
from servicedesk.api.preconditions import VersionConflict
from servicedesk.errors import FieldError, NotAllowed
from tickets import services
from tickets.lifecycle import Status, TransitionBlocked, TransitionNotAllowed
from tickets.models import (
    AssignmentDecision,
    Category,
    Kind,
    Message,
    Notification,
    Participant,
    Priority,
    Tag,
    Ticket,
    TicketEvent,
)
from tickets.services.assign import (
    AgentAtCapacity,
    AgentUnavailable,
    AlreadyAssigned,
    NoAgentAvailable,
    TicketEnded,
)
from tickets.services.escalate import EscalationLimit
from tickets.services.rate import NotResolved
from tickets.services.reply import IdempotencyConflict
from tickets.sweeps import assign_tickets
from tickets.tests.state import assert_consistent, kinds, snapshot

DAY = timedelta(days=1)
ENDED = [Status.RESOLVED, Status.CLOSED, Status.CANCELLED]


@pytest.fixture(autouse=True)
def _consistent_afterwards(db):
    yield
    assert_consistent()


@pytest.fixture
def at():
    return timezone.now()


@pytest.fixture
def waiting(alice, at):
    """alice's ticket in nobody's hands."""
    return services.open_ticket(requester=alice, subject="No mail", actor=alice, at=at)


@pytest.fixture
def ticket(bob, waiting):
    """alice's ticket in bob's hands: he was available when she asked."""
    waiting.refresh_from_db()
    assert waiting.assignee_id == bob.pk
    return waiting


def fresh(ticket: Ticket) -> Ticket:
    return Ticket.objects.get(pk=ticket.pk)


def move(ticket, to, actor, at, **how) -> Ticket:
    return services.change_status(ticket=ticket, to=to, actor=actor, at=at, **how)


def end(ticket, status, bob, sam, at) -> Ticket:
    """Bring an open ticket into one of the ended statuses."""
    if status == Status.CANCELLED:
        return move(ticket, status, bob, at, comment="A duplicate.")
    move(ticket, Status.RESOLVED, bob, at, resolution="Restarted it.")
    return move(ticket, Status.CLOSED, sam, at) if status == Status.CLOSED else fresh(ticket)


def agent(name: str, *, capacity: int = 10, teams=(), skills=None, at) -> User:
    """An available agent."""
    user = create_user(username=name, name=name.title(), role=Role.AGENT)
    update_agent(
        agent=user.agent,
        at=at,
        capacity=capacity,
        availability=Availability.AVAILABLE,
        teams=teams,
        skills=skills or {},
    )
    return User.objects.select_related("agent").get(pk=user.pk)


def refused_without_a_trace(error, call, *tickets: Ticket):
    """The call raises this error and leaves tickets, logs, loads and messages as they were."""
    before = snapshot(*tickets)
    with pytest.raises(error) as refused:
        call()
    assert snapshot(*tickets) == before
    return refused.value


# --- Opening --------------------------------------------------------------------------


def test_a_category_brings_its_team_and_skills(alice, at, team, vpn) -> None:
    category = services.create_category(name="Remote", team=team, required_skills=[vpn])

    opened = services.open_ticket(
        requester=alice, subject="VPN", category=category, actor=alice, at=at
    )

    assert opened.team == team
    assert list(opened.required_skills.all()) == [vpn]


def test_what_the_ticket_names_wins_over_its_category(alice, at, team, vpn) -> None:
    from agents.models import Team

    other = Team.objects.create(name="Mail")
    category = services.create_category(name="Remote", team=team, required_skills=[vpn])

    opened = services.open_ticket(
        requester=alice,
        subject="VPN",
        category=category,
        team=other,
        required_skills=[],
        actor=alice,
        at=at,
    )

    assert opened.team == other
    assert not opened.required_skills.exists()


def test_a_new_ticket_without_a_free_agent_waits_as_new(alice, dana, waiting) -> None:
    now = fresh(waiting)

    assert (now.status, now.assignee_id, now.version) == (Status.NEW, None, 1)
    assert kinds(now) == [Kind.OPENED]
    assert not AssignmentDecision.objects.exists()


def test_a_new_ticket_goes_to_whom_the_gates_let_through(alice, at, team, vpn) -> None:
    agent("noteam", skills={vpn: 5}, at=at)
    agent("noskill", teams=[team], at=at)
    agent("full", teams=[team], skills={vpn: 5}, capacity=0, at=at)
    right = agent("right", teams=[team], skills={vpn: 1}, at=at)
    category = services.create_category(name="Remote", team=team, required_skills=[vpn])

    opened = fresh(
        services.open_ticket(requester=alice, subject="V", category=category, actor=alice, at=at)
    )

    assert (opened.assignee, opened.status) == (right, Status.OPEN)
    assert kinds(opened) == [Kind.OPENED, Kind.ASSIGNED, Kind.STATUS_CHANGED]
    decision = opened.decisions.get()
    assert decision.method == "auto"
    gates = {c["agent"]["name"]: c["gates"] for c in decision.candidates}
    assert gates["Right"] == []
    assert gates["Noteam"] == ["not_in_team"]
    assert gates["Noskill"] == ["missing_skill"]
    assert gates["Full"] == ["at_capacity"]


def test_tags_are_made_on_first_use_and_kept_in_lower_case(alice, at) -> None:
    Tag.objects.create(name="mail")

    opened = services.open_ticket(
        requester=alice, subject="x", actor=alice, at=at, tags=[" Mail", "mail", "Urgent "]
    )

    assert sorted(opened.tags.values_list("name", flat=True)) == ["mail", "urgent"]
    assert Tag.objects.count() == 2


# --- Replies and notes ----------------------------------------------------------------


def test_the_first_public_reply_of_an_agent_opens_a_new_ticket(alice, dana, waiting, at) -> None:
    later = at + timedelta(minutes=5)

    services.post_message(ticket=waiting, author=dana, body="Looking.", at=later)

    now = fresh(waiting)
    assert (now.status, now.first_responded_at, now.assignee_id) == (Status.OPEN, later, None)
    assert kinds(now) == [Kind.OPENED, Kind.MESSAGE_CREATED, Kind.STATUS_CHANGED]


def test_only_the_first_reply_is_the_first_response(alice, bob, ticket, at) -> None:
    services.post_message(ticket=ticket, author=bob, body="One.", at=at)
    version = fresh(ticket).version
    services.post_message(ticket=ticket, author=bob, body="Two.", at=at + DAY)

    assert fresh(ticket).first_responded_at == at
    assert fresh(ticket).version == version


@pytest.mark.parametrize("who", ["alice", "dana"])
def test_neither_a_note_nor_the_customers_own_words_are_a_response(
    who, alice, dana, waiting, at, request
) -> None:
    author = request.getfixturevalue(who)

    services.post_message(
        ticket=waiting, author=author, body="Hm.", at=at, is_internal=author == dana
    )

    now = fresh(waiting)
    assert (now.status, now.first_responded_at, now.version) == (Status.NEW, None, 1)


def test_an_agent_who_asks_for_themselves_does_not_answer_themselves(dana, at) -> None:
    own = services.open_ticket(requester=dana, subject="My mouse", actor=dana, at=at)

    services.post_message(ticket=own, author=dana, body="It squeaks.", at=at)

    assert (fresh(own).status, fresh(own).first_responded_at) == (Status.NEW, None)


def test_notes_leave_no_hole_and_do_not_touch_what_the_customer_sees(alice, bob, ticket, at):
    before = fresh(ticket)
    for number in range(3):
        services.post_message(
            ticket=ticket, author=bob, body=f"Note {number}", at=at + DAY, is_internal=True
        )
    noted = fresh(ticket)
    services.post_message(ticket=ticket, author=bob, body="Reply", at=at + 2 * DAY)

    assert noted.last_seq == before.last_seq + 3
    assert noted.updated_at == at + DAY
    assert noted.last_public_seq == before.last_public_seq
    assert noted.public_updated_at == before.public_updated_at
    assert noted.version == before.version
    reply = Message.objects.get(body="Reply")
    assert (reply.seq, reply.public_seq) == (before.last_seq + 4, before.last_public_seq + 1)
    assert fresh(ticket).public_updated_at == at + 2 * DAY
    told = Notification.objects.filter(kind=Notification.Kind.NOTED)
    assert not told.filter(user=alice).exists()


def test_a_customer_writes_no_note(alice, ticket, at) -> None:
    refused_without_a_trace(
        NotAllowed,
        lambda: services.post_message(
            ticket=ticket, author=alice, body="psst", at=at, is_internal=True
        ),
        ticket,
    )


@pytest.mark.parametrize("status", [Status.PENDING, Status.RESOLVED, Status.CLOSED])
def test_a_customers_reply_takes_a_waiting_ticket_back_to_open(
    status, alice, bob, sam, ticket, at
) -> None:
    if status == Status.PENDING:
        move(ticket, status, bob, at, comment="Which one?")
    else:
        end(ticket, status, bob, sam, at)
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 0

    posted = services.post_message(ticket=ticket, author=alice, body="Again!", at=at + 14 * DAY)

    now = fresh(ticket)
    assert posted.follow_up is None
    assert posted.message.ticket_id == ticket.pk
    assert (now.status, now.assignee) == (Status.OPEN, bob)
    assert now.reopen_count == (0 if status == Status.PENDING else 1)
    assert (now.resolved_at, now.closed_at) == (None, None)
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 1
    assert Ticket.objects.count() == 1
    assert kinds(now)[-2:] == [Kind.MESSAGE_CREATED, Kind.STATUS_CHANGED]


def test_a_participants_reply_counts_like_the_customers(alice, bob, charlie, sam, ticket, at):
    services.add_participant(ticket=ticket, user=charlie, actor=bob, at=at)
    end(ticket, Status.RESOLVED, bob, sam, at)

    services.post_message(ticket=ticket, author=charlie, body="Not yet.", at=at)

    assert fresh(ticket).status == Status.OPEN


def test_a_customers_reply_leaves_a_ticket_on_hold_where_it_is(alice, bob, ticket, at) -> None:
    move(ticket, Status.ON_HOLD, bob, at)

    services.post_message(ticket=ticket, author=alice, body="Any news?", at=at)

    assert fresh(ticket).status == Status.ON_HOLD


@pytest.mark.parametrize("status", [Status.PENDING, *ENDED])
def test_an_agents_message_reopens_nothing(status, bob, sam, ticket, at) -> None:
    if status == Status.PENDING:
        move(ticket, status, bob, at, comment="Which one?")
    else:
        end(ticket, status, bob, sam, at)

    services.post_message(ticket=ticket, author=bob, body="For the record.", at=at)
    services.post_message(ticket=ticket, author=sam, body="Noted.", at=at, is_internal=True)

    assert (fresh(ticket).status, fresh(ticket).reopen_count) == (status, 0)
    assert Ticket.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "after"), [(Status.CLOSED, 14 * DAY + timedelta(seconds=1)), (Status.CANCELLED, DAY)]
)
def test_a_reply_that_comes_too_late_opens_a_follow_up(
    status, after, alice, bob, sam, ticket, at, team
) -> None:
    end(ticket, status, bob, sam, at)
    before = snapshot(ticket)

    posted = services.post_message(
        ticket=ticket, author=alice, body="Broken again", at=at + after, client_msg_id="m1"
    )

    assert {k: v for k, v in snapshot(ticket).items() if k[0] == "ticket"} == {
        k: v for k, v in before.items() if k[0] == "ticket"
    }
    assert fresh(ticket).status == status
    new = posted.follow_up
    assert new is not None
    new = fresh(new)
    assert new.follow_up_of == ticket
    assert new.requester == alice
    assert new.assignee == bob
    assert posted.message.ticket_id == new.pk
    assert kinds(new) == [
        Kind.OPENED,
        Kind.MESSAGE_CREATED,
        Kind.ASSIGNED,
        Kind.STATUS_CHANGED,
    ]
    # Sent again, the same message and no second follow-up.
    again = services.post_message(
        ticket=ticket, author=alice, body="Broken again", at=at + after, client_msg_id="m1"
    )
    assert (again.is_new, again.message.pk, again.follow_up) == (False, posted.message.pk, new)
    assert Ticket.objects.count() == 2


def test_further_late_replies_go_into_the_same_follow_up(alice, bob, sam, ticket, at) -> None:
    end(ticket, Status.CLOSED, bob, sam, at)
    late = at + 15 * DAY
    first = services.post_message(ticket=ticket, author=alice, body="Broken again", at=late)
    second = services.post_message(ticket=ticket, author=alice, body="And smoking", at=late)
    assert first.follow_up is not None
    assert second.follow_up == first.follow_up
    assert Ticket.objects.count() == 2
    services.change_status(
        ticket=first.follow_up, to=Status.CANCELLED, actor=alice, comment="Never mind", at=late
    )
    third = services.post_message(ticket=ticket, author=alice, body="Still broken", at=late)
    assert third.follow_up != first.follow_up


def test_the_same_client_msg_id_says_the_same_thing_once(alice, ticket, at) -> None:
    first = services.post_message(
        ticket=ticket, author=alice, body="Hello", at=at, client_msg_id="m1"
    )
    before = snapshot(ticket)
    again = services.post_message(
        ticket=ticket, author=alice, body="Hello", at=at + DAY, client_msg_id="m1"
    )

    assert (first.is_new, again.is_new) == (True, False)
    assert again.message == first.message
    assert snapshot(ticket) == before
    refused_without_a_trace(
        IdempotencyConflict,
        lambda: services.post_message(
            ticket=ticket, author=alice, body="Other", at=at, client_msg_id="m1"
        ),
        ticket,
    )


def test_a_repeated_message_moves_nothing_a_second_time(alice, bob, ticket, at) -> None:
    move(ticket, Status.PENDING, bob, at, comment="Which?")
    services.post_message(ticket=ticket, author=alice, body="That", at=at, client_msg_id="m1")
    move(ticket, Status.PENDING, bob, at, comment="And?")

    services.post_message(ticket=ticket, author=alice, body="That", at=at, client_msg_id="m1")

    assert fresh(ticket).status == Status.PENDING


def test_a_note_and_a_reply_of_one_client_msg_id_are_in_conflict(bob, ticket, at) -> None:
    services.post_message(ticket=ticket, author=bob, body="x", at=at, client_msg_id="m")

    refused_without_a_trace(
        IdempotencyConflict,
        lambda: services.post_message(
            ticket=ticket, author=bob, body="x", at=at, client_msg_id="m", is_internal=True
        ),
        ticket,
    )


def test_two_authors_may_use_the_same_client_msg_id(alice, bob, ticket, at) -> None:
    for author in (alice, bob):
        posted = services.post_message(
            ticket=ticket, author=author, body=author.username, at=at, client_msg_id="1"
        )
        assert posted.is_new

    assert Message.objects.count() == 2


# --- Moving ---------------------------------------------------------------------------


def test_resolving_keeps_the_resolution_and_frees_the_place(bob, ticket, at) -> None:
    move(ticket, Status.RESOLVED, bob, at + DAY, resolution="Restarted it.")

    now = fresh(ticket)
    assert (now.status, now.resolved_at, now.closed_at) == (Status.RESOLVED, at + DAY, None)
    assert now.resolution == "Restarted it."
    assert now.assignee == bob
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 0


def test_resolving_needs_an_explanation(bob, ticket, at) -> None:
    refused = refused_without_a_trace(
        TransitionBlocked, lambda: move(ticket, Status.RESOLVED, bob, at), ticket
    )
    assert [r["code"] for r in refused.extra["reasons"]] == ["resolution_required"]

    refused_without_a_trace(
        TransitionBlocked,
        lambda: move(ticket, Status.RESOLVED, bob, at, comment="note", is_internal=True),
        ticket,
    )


def test_an_earlier_public_reply_explains_enough(bob, ticket, at) -> None:
    services.post_message(ticket=ticket, author=bob, body="It works again.", at=at)

    move(ticket, Status.RESOLVED, bob, at)

    assert fresh(ticket).status == Status.RESOLVED


def test_a_public_comment_that_comes_along_explains_enough(bob, ticket, at) -> None:
    move(ticket, Status.RESOLVED, bob, at, comment="It works again.")

    now = fresh(ticket)
    assert (now.status, now.first_responded_at) == (Status.RESOLVED, at)
    assert kinds(now)[-2:] == [Kind.MESSAGE_CREATED, Kind.STATUS_CHANGED]


@pytest.mark.parametrize("who", ["dana", "sam"])
def test_resolving_an_unassigned_ticket_assigns_who_resolves_it(
    who, alice, dana, sam, waiting, at, request
) -> None:
    resolver = request.getfixturevalue(who)

    move(waiting, Status.RESOLVED, resolver, at, resolution="Done.")

    now = fresh(waiting)
    assert (now.status, now.assignee) == (Status.RESOLVED, resolver)
    assert kinds(now) == [Kind.OPENED, Kind.ASSIGNED, Kind.STATUS_CHANGED]
    assert AgentProfile.objects.get(pk=resolver.pk).open_load == 0
    assert now.decisions.get().agent == resolver


def test_resolving_somebody_elses_ticket_leaves_it_theirs(bob, dana, ticket, at) -> None:
    move(ticket, Status.RESOLVED, dana, at, resolution="Done.")

    assert fresh(ticket).assignee == bob
    assert not AssignmentDecision.objects.filter(agent=dana).exists()


def test_waiting_for_the_customer_needs_words_for_them(bob, ticket, at) -> None:
    for how in ({}, {"comment": "note", "is_internal": True}):
        refused_without_a_trace(
            TransitionBlocked, lambda how=how: move(ticket, Status.PENDING, bob, at, **how), ticket
        )

    move(ticket, Status.PENDING, bob, at, comment="Which printer?")

    now = fresh(ticket)
    assert (now.status, now.first_responded_at) == (Status.PENDING, at)
    message = Message.objects.get()
    assert (message.author, message.is_internal) == (bob, False)


@pytest.mark.parametrize("comment", ["", "   ", " \n\t "])
def test_an_agent_says_why_they_cancel(comment, alice, bob, ticket, at) -> None:
    refused_without_a_trace(
        TransitionBlocked,
        lambda: move(ticket, Status.CANCELLED, bob, at, comment=comment),
        ticket,
    )
    move(ticket, Status.CANCELLED, bob, at, comment="A duplicate.", is_internal=True)

    now = fresh(ticket)
    assert (now.status, now.closed_at, now.resolved_at) == (Status.CANCELLED, at, None)
    assert Message.objects.get().is_internal
    assert now.last_public_seq == now.last_seq - 1


@pytest.mark.parametrize("blank", ["   ", "\n"])
def test_white_space_is_no_resolution_and_no_comment(blank, bob, ticket, at) -> None:
    refused_without_a_trace(
        TransitionBlocked,
        lambda: move(ticket, Status.RESOLVED, bob, at, resolution=blank),
        ticket,
    )
    move(ticket, Status.ON_HOLD, bob, at, comment=blank)

    assert not Message.objects.exists()


def test_customers_cancel_and_close_their_own_without_a_word(alice, bob, ticket, at) -> None:
    other = services.open_ticket(requester=alice, subject="Two", actor=alice, at=at)
    move(other, Status.CANCELLED, alice, at)
    move(ticket, Status.RESOLVED, bob, at, resolution="Done.")
    move(ticket, Status.CLOSED, alice, at + DAY)

    now = fresh(ticket)
    assert fresh(other).status == Status.CANCELLED
    assert (now.status, now.resolved_at, now.closed_at) == (Status.CLOSED, at, at + DAY)


@pytest.mark.parametrize("to", [Status.OPEN, Status.PENDING, Status.ON_HOLD, Status.RESOLVED])
def test_a_customer_does_not_do_the_agents_work(to, alice, waiting, at) -> None:
    refused_without_a_trace(
        NotAllowed,
        lambda: move(
            waiting,
            to,
            alice,
            at,
            comment="please",
            resolution="Done." if to == Status.RESOLVED else "",
        ),
        waiting,
    )


def test_a_participant_decides_nothing(alice, bob, charlie, ticket, at) -> None:
    services.add_participant(ticket=ticket, user=charlie, actor=bob, at=at)

    refused_without_a_trace(
        NotAllowed, lambda: move(ticket, Status.CANCELLED, charlie, at, comment="no"), ticket
    )


@pytest.mark.parametrize("status", ENDED)
def test_every_return_to_open_is_counted(status, alice, bob, sam, ticket, at) -> None:
    for times in (1, 2):
        end(ticket, status, bob, sam, at)
        assert AgentProfile.objects.get(pk=bob.pk).open_load == 0
        move(ticket, Status.OPEN, sam, at)
        now = fresh(ticket)
        assert now.reopen_count == times
        assert (now.status, now.resolved_at, now.closed_at) == (Status.OPEN, None, None)
        assert AgentProfile.objects.get(pk=bob.pk).open_load == 1


@pytest.mark.parametrize("status", [Status.PENDING, Status.ON_HOLD])
def test_coming_back_from_a_pause_is_no_reopening(status, bob, ticket, at) -> None:
    move(ticket, status, bob, at, comment="Wait.")
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 0

    move(ticket, Status.OPEN, bob, at)

    assert fresh(ticket).reopen_count == 0
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 1


def test_a_customer_reopens_within_the_window_and_not_after_it(alice, bob, sam, ticket, at):
    end(ticket, Status.CLOSED, bob, sam, at)
    late = at + 14 * DAY + timedelta(seconds=1)

    refused = refused_without_a_trace(
        TransitionBlocked, lambda: move(ticket, Status.OPEN, alice, late), ticket
    )
    assert [r["code"] for r in refused.extra["reasons"]] == ["reopen_window_over"]
    refused_without_a_trace(NotAllowed, lambda: move(ticket, Status.OPEN, bob, at), ticket)

    move(ticket, Status.OPEN, alice, at + 14 * DAY)
    assert fresh(ticket).status == Status.OPEN


def test_nothing_returns_to_new_and_nothing_moves_to_where_it_is(bob, sam, ticket, at) -> None:
    for to in (Status.NEW, Status.OPEN, Status.CLOSED):
        refused = refused_without_a_trace(
            TransitionNotAllowed, lambda to=to: move(ticket, to, sam, at, comment="x"), ticket
        )
        assert refused.extra["current"] == "open"


def test_a_resolution_belongs_to_a_resolved_ticket_alone(bob, ticket, at) -> None:
    refused_without_a_trace(
        FieldError, lambda: move(ticket, Status.ON_HOLD, bob, at, resolution="Done."), ticket
    )


def test_a_stale_version_changes_nothing(bob, dana, ticket, at) -> None:
    stale = frozenset({fresh(ticket).version - 1})
    calls = [
        lambda: move(ticket, Status.ON_HOLD, bob, at, expected=stale),
        lambda: services.assign(ticket=ticket, to=None, actor=bob, at=at, expected=stale),
        lambda: services.assign_automatically(ticket=ticket, actor=bob, at=at, expected=stale),
        lambda: services.change_priority(
            ticket=ticket, to=Priority.HIGH, actor=bob, at=at, expected=stale
        ),
        lambda: services.escalate(ticket=ticket, reason="x", actor=bob, at=at, expected=stale),
        lambda: services.update_ticket(
            ticket=ticket, actor=bob, at=at, fields={"subject": "New"}, expected=stale
        ),
    ]
    for call in calls:
        refused_without_a_trace(VersionConflict, call, ticket)


def test_a_ticket_that_is_not_there_is_not_found(bob, at) -> None:
    with pytest.raises(Http404):
        move(Ticket(pk=404), Status.ON_HOLD, bob, at)


# --- Version --------------------------------------------------------------------------


def test_the_version_rises_with_the_tickets_fields_and_with_nothing_else(
    alice, bob, charlie, dana, sam, ticket, at, vpn
) -> None:
    def rises(call) -> bool:
        before = fresh(ticket).version
        call()
        after = fresh(ticket).version
        assert after in (before, before + 1)
        return after > before

    def say(author, **how):
        return services.post_message(ticket=ticket, author=author, body="x", at=at, **how)

    def edit(**changes):
        return services.update_ticket(ticket=ticket, actor=bob, at=at, **changes)

    change: dict[str, Any] = {"ticket": ticket, "actor": bob, "at": at}
    assert not rises(lambda: say(alice))
    assert not rises(lambda: say(bob, is_internal=True))
    assert rises(lambda: say(bob)), "the first response is a field"
    assert not rises(lambda: say(bob))
    assert rises(lambda: edit(fields={"subject": "New"}))
    assert not rises(lambda: edit(fields={"subject": "New"}))
    assert rises(lambda: edit(tags=["one"]))
    assert not rises(lambda: edit(tags=[" One "]))
    assert rises(lambda: edit(required_skills=[vpn]))
    assert not rises(lambda: edit(required_skills=[vpn]))
    assert rises(lambda: edit(priority=Priority.HIGH))
    assert rises(lambda: services.change_priority(to=Priority.URGENT, **change))
    assert not rises(lambda: services.change_priority(to=Priority.URGENT, **change))
    assert rises(lambda: services.escalate(reason="x", **change))
    assert rises(lambda: services.add_participant(user=charlie, **change))
    assert not rises(lambda: services.add_participant(user=charlie, **change))
    assert rises(lambda: services.remove_participant(user_id=charlie.pk, **change))
    assert not rises(lambda: services.remove_participant(user_id=charlie.pk, **change))
    assert rises(lambda: services.assign(to=None, **change))
    assert rises(lambda: services.assign(to=dana, force=True, **{**change, "actor": sam}))
    assert not rises(lambda: services.assign(to=dana, **change))
    assert rises(lambda: move(ticket, Status.RESOLVED, bob, at))
    assert not rises(lambda: services.rate(ticket=ticket, score=5, actor=alice, at=at))


# --- Editing, priority, escalation, rating --------------------------------------------


def test_an_edit_names_exactly_the_fields_that_changed(bob, ticket, at, team) -> None:
    services.update_ticket(
        ticket=ticket,
        actor=bob,
        at=at,
        fields={"subject": ticket.subject, "description": "More", "team": team},
        tags=["b", "a"],
        priority=Priority.HIGH,
    )

    updated, moved = TicketEvent.objects.filter(ticket=ticket).order_by("-seq")[:2][::-1]
    assert (updated.kind, updated.data) == (
        Kind.UPDATED,
        {"fields": ["description", "tags", "team"]},
    )
    assert (moved.kind, moved.public_data) == (
        Kind.PRIORITY_CHANGED,
        {"from": "normal", "to": "high"},
    )


def test_an_edit_that_changes_nothing_leaves_no_trace(bob, ticket, at) -> None:
    before = snapshot(ticket)

    services.update_ticket(
        ticket=ticket,
        actor=bob,
        at=at + DAY,
        fields={"subject": ticket.subject},
        tags=[],
        required_skills=[],
        priority=Priority.NORMAL,
    )

    assert snapshot(ticket) == before


@pytest.mark.parametrize("name", ["status", "assignee", "requester", "version", "reopen_count"])
def test_an_edit_reaches_the_plain_fields_only(name, bob, sam, ticket, at) -> None:
    refused_without_a_trace(
        NotAllowed,
        lambda: services.update_ticket(ticket=ticket, actor=sam, at=at, fields={name: 3}),
        ticket,
    )


def test_the_reason_for_a_priority_stays_inside(alice, bob, ticket, at) -> None:
    services.change_priority(
        ticket=ticket, to=Priority.LOW, actor=bob, at=at, reason="She always shouts."
    )

    event = TicketEvent.objects.get(kind=Kind.PRIORITY_CHANGED)
    assert event.data["reason"] == "She always shouts."
    assert event.public_data == {"from": "normal", "to": "low"}


def test_escalating_climbs_to_the_limit_and_no_further(alice, bob, sam, ticket, at) -> None:
    for step, priority in ((1, Priority.HIGH), (2, Priority.URGENT), (3, Priority.CRITICAL)):
        services.escalate(ticket=ticket, reason="Board is waiting.", actor=bob, at=at)
        assert (fresh(ticket).escalation_level, fresh(ticket).priority) == (step, priority)
    for level in (None, 3, 4, 2, 1, 2**31):
        refused_without_a_trace(
            EscalationLimit,
            lambda level=level: services.escalate(
                ticket=ticket, reason="x", level=level, actor=bob, at=at
            ),
            ticket,
        )
    event = TicketEvent.objects.filter(kind=Kind.ESCALATED).latest("seq")
    assert event.data["reason"] == "Board is waiting."
    assert "reason" not in (event.public_data or {})
    told = Notification.objects.filter(kind=Notification.Kind.ESCALATED)
    assert told.filter(user=sam).count() == 3
    assert not told.filter(user=alice).exists()


def test_the_most_urgent_stays_most_urgent_when_escalated(bob, ticket, at) -> None:
    services.change_priority(ticket=ticket, to=Priority.CRITICAL, actor=bob, at=at)

    services.escalate(ticket=ticket, reason="x", level=2, actor=bob, at=at)

    assert (fresh(ticket).escalation_level, fresh(ticket).priority) == (2, Priority.CRITICAL)


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_ticket_is_neither_escalated_nor_assigned(
    status, bob, dana, sam, ticket, at
) -> None:
    end(ticket, status, bob, sam, at)
    calls = [
        lambda: services.escalate(ticket=ticket, reason="x", actor=sam, at=at),
        lambda: services.assign(ticket=ticket, to=dana, actor=sam, at=at, force=True),
        lambda: services.assign(ticket=ticket, to=None, actor=sam, at=at),
        lambda: services.assign_automatically(ticket=ticket, actor=sam, at=at),
    ]
    for call in calls:
        refused_without_a_trace(TicketEnded, call, ticket)
    assert services.assign_if_possible(ticket=ticket, at=at) is False


def test_only_the_requester_rates_and_only_what_is_resolved(alice, bob, charlie, ticket, at):
    refused_without_a_trace(
        NotResolved, lambda: services.rate(ticket=ticket, score=5, actor=alice, at=at), ticket
    )
    move(ticket, Status.RESOLVED, bob, at, resolution="Done.")
    for other in (bob, charlie):
        refused_without_a_trace(
            NotAllowed,
            lambda other=other: services.rate(ticket=ticket, score=5, actor=other, at=at),
            ticket,
        )
    services.rate(ticket=ticket, score=2, actor=alice, at=at, comment="Slow.")
    services.rate(ticket=ticket, score=4, actor=alice, at=at + DAY)

    rating = fresh(ticket).rating
    assert (rating.score, rating.comment, rating.rated_at) == (4, "", at + DAY)


@pytest.mark.parametrize("who", ["alice", "charlie"])
def test_what_is_the_desks_is_refused_to_customers(
    who, alice, bob, charlie, ticket, at, request
) -> None:
    actor = request.getfixturevalue(who)
    change: dict[str, Any] = {"ticket": ticket, "actor": actor, "at": at}
    calls = [
        lambda: services.assign(to=None, **change),
        lambda: services.assign(to=actor, **change),
        lambda: services.assign_automatically(**change),
        lambda: services.claim(ticket=ticket, agent=actor, at=at),
        lambda: services.escalate(reason="x", **change),
        lambda: services.change_priority(to=Priority.CRITICAL, **change),
        lambda: services.update_ticket(fields={"subject": "x"}, **change),
        lambda: services.add_participant(user=charlie, **change),
        lambda: services.remove_participant(user_id=alice.pk, **change),
    ]
    for call in calls:
        refused_without_a_trace(NotAllowed, call, ticket)


# --- Participants ---------------------------------------------------------------------


def test_a_participant_comes_once_and_goes_once(alice, bob, charlie, ticket, at) -> None:
    def add():
        return services.add_participant(ticket=ticket, user=charlie, actor=bob, at=at)

    def remove():
        return services.remove_participant(ticket=ticket, user_id=charlie.pk, actor=bob, at=at)

    assert (add(), add()) == (True, False)
    assert Ticket.objects.visible_to(charlie).get() == ticket
    assert (remove(), remove()) == (True, False)
    assert not Ticket.objects.visible_to(charlie).exists()
    changes = TicketEvent.objects.filter(kind=Kind.PARTICIPANTS_CHANGED).order_by("seq")
    assert [event.data for event in changes] == [
        {"added": [charlie.pk], "removed": []},
        {"added": [], "removed": [charlie.pk]},
    ]


def test_an_inactive_account_takes_no_part(bob, charlie, ticket, at) -> None:
    charlie.is_active = False
    charlie.save()

    refused_without_a_trace(
        FieldError,
        lambda: services.add_participant(ticket=ticket, user=charlie, actor=bob, at=at),
        ticket,
    )
    assert not Participant.objects.exists()


# --- Assigning ------------------------------------------------------------------------


def test_the_first_assignment_opens_and_the_next_does_not(alice, dana, sam, waiting, at) -> None:
    other = agent("erin", at=at)
    services.assign(ticket=waiting, to=dana, actor=sam, at=at, force=True)
    opened = fresh(waiting)
    services.assign(ticket=waiting, to=other, actor=sam, at=at)

    now = fresh(waiting)
    assert (opened.status, opened.assignee) == (Status.OPEN, dana)
    assert (now.status, now.assignee) == (Status.OPEN, other)
    assert kinds(now) == [Kind.OPENED, Kind.ASSIGNED, Kind.STATUS_CHANGED, Kind.ASSIGNED]
    last = TicketEvent.objects.filter(ticket=now).latest("seq")
    assert last.data == {"from": dana.pk, "to": other.pk, "method": "manual"}


def test_assigning_to_the_assignee_changes_nothing(bob, ticket, at) -> None:
    before = snapshot(ticket)

    services.assign(ticket=ticket, to=bob, actor=bob, at=at + DAY)

    assert snapshot(ticket) == before


def test_a_ticket_goes_to_nobody_who_is_away_full_or_a_customer(
    alice, bob, charlie, dana, sam, ticket, at
) -> None:
    full = agent("full", capacity=0, at=at)
    gone = agent("gone", at=at)
    update_agent(agent=gone.agent, at=at, is_active=False)

    def give(to):
        return lambda: services.assign(ticket=ticket, to=to, actor=sam, at=at)

    refused_without_a_trace(AgentUnavailable, give(dana), ticket)
    refused_without_a_trace(AgentUnavailable, give(gone), ticket)
    refused_without_a_trace(AgentAtCapacity, give(full), ticket)
    refused_without_a_trace(FieldError, give(charlie), ticket)


def test_a_supervisor_may_force_and_an_agent_may_not(bob, dana, sam, ticket, at) -> None:
    full = agent("full", capacity=0, at=at)
    for to in (dana, full):
        refused_without_a_trace(
            NotAllowed,
            lambda to=to: services.assign(ticket=ticket, to=to, actor=bob, at=at, force=True),
            ticket,
        )
        services.assign(ticket=ticket, to=to, actor=sam, at=at, force=True)
        assert fresh(ticket).assignee == to
        assert AgentProfile.objects.get(pk=to.pk).open_load == 1
    assert AgentProfile.objects.get(pk=dana.pk).open_load == 0


def test_capacity_bounds_what_is_in_work_and_not_what_is_paused(alice, at) -> None:
    one = agent("one", capacity=1, at=at)
    first, second = (
        services.open_ticket(requester=alice, subject=name, actor=alice, at=at) for name in "ab"
    )
    assert (fresh(first).assignee, fresh(second).assignee) == (one, None)
    refused_without_a_trace(
        AgentAtCapacity, lambda: services.claim(ticket=second, agent=one, at=at), first, second
    )

    move(first, Status.ON_HOLD, one, at)
    services.claim(ticket=second, agent=one, at=at)

    assert fresh(second).assignee == one
    # What comes back comes back, whatever the capacity.
    move(first, Status.OPEN, one, at)
    assert AgentProfile.objects.get(pk=one.pk).open_load == 2


def test_handing_a_paused_ticket_on_moves_no_load(alice, bob, ticket, at) -> None:
    move(ticket, Status.ON_HOLD, bob, at)
    erin = agent("erin", at=at)

    services.assign(ticket=ticket, to=erin, actor=bob, at=at)

    assert AgentProfile.objects.get(pk=bob.pk).open_load == 0
    assert AgentProfile.objects.get(pk=erin.pk).open_load == 0
    move(ticket, Status.OPEN, erin, at)
    assert AgentProfile.objects.get(pk=erin.pk).open_load == 1


def test_whoever_a_ticket_was_taken_from_does_not_get_it_back_by_itself(
    alice, bob, sam, ticket, at
) -> None:
    services.assign(ticket=ticket, to=None, actor=sam, at=at)

    now = fresh(ticket)
    assert (now.assignee, now.status) == (None, Status.OPEN)
    assert AgentProfile.objects.get(pk=bob.pk).open_load == 0
    assert assign_tickets().handled == 0
    refused = refused_without_a_trace(
        NoAgentAvailable,
        lambda: services.assign_automatically(ticket=ticket, actor=sam, at=at),
        ticket,
    )
    gates = {c["agent"]["id"]: c["gates"] for c in refused.members()["candidates"]}
    assert gates[bob.pk] == ["excluded"]
    assert gates[sam.pk] == ["away"]
    # A second agent may have it; and somebody may still decide otherwise.
    erin = agent("erin", at=at)
    assert assign_tickets().handled == 1
    assert fresh(ticket).assignee == erin
    services.assign(ticket=ticket, to=None, actor=sam, at=at)
    services.claim(ticket=ticket, agent=bob, at=at)
    assert fresh(ticket).assignee == bob


def test_auto_decides_afresh_for_an_assigned_ticket(alice, bob, ticket, at, vpn) -> None:
    expert = agent("expert", at=at, skills={vpn: 5})
    services.update_ticket(ticket=ticket, actor=bob, at=at, required_skills=[vpn])

    services.assign_automatically(ticket=ticket, actor=bob, at=at)
    assert fresh(ticket).assignee == expert
    before = snapshot(ticket)
    services.assign_automatically(ticket=ticket, actor=bob, at=at)

    assert snapshot(ticket) == before


def test_auto_with_nobody_eligible_says_why_for_each(alice, bob, dana, ticket, at, vpn) -> None:
    services.update_ticket(ticket=ticket, actor=bob, at=at, required_skills=[vpn])
    AgentSkill.objects.create(agent=dana.agent, skill=vpn, level=5)

    refused = refused_without_a_trace(
        NoAgentAvailable,
        lambda: services.assign_automatically(ticket=ticket, actor=bob, at=at),
        ticket,
    )

    gates = {c["agent"]["name"]: c["gates"] for c in refused.members()["candidates"]}
    assert gates == {"Bob": ["missing_skill"], "Dana": ["away"]}


def test_a_claim_takes_what_nobody_has_whatever_the_skills(alice, waiting, bob, at, vpn) -> None:
    waiting.required_skills.add(vpn)

    services.claim(ticket=waiting, agent=bob, at=at)

    now = fresh(waiting)
    assert (now.assignee, now.status) == (bob, Status.OPEN)
    assert now.decisions.get().method == "claim"
    for who in (bob, agent("erin", at=at)):
        refused = refused_without_a_trace(
            AlreadyAssigned,
            lambda who=who: services.claim(ticket=waiting, agent=who, at=at),
            waiting,
        )
        assert refused.extra["assignee"] == bob.pk


def test_a_claim_needs_somebody_who_is_there(alice, dana, waiting, at) -> None:
    refused_without_a_trace(
        AgentUnavailable, lambda: services.claim(ticket=waiting, agent=dana, at=at), waiting
    )


@pytest.mark.parametrize("how", ["claim", "assign"])
def test_a_decision_shows_the_agent_as_they_were_before_it(how, alice, waiting, at) -> None:
    one = agent("one", capacity=1, at=at)

    if how == "claim":
        services.claim(ticket=waiting, agent=one, at=at)
    else:
        services.assign(ticket=waiting, to=one, actor=one, at=at)

    [seen] = fresh(waiting).decisions.get().candidates
    assert (seen["gates"], seen["eligible"]) == ([], True)
    assert seen["parts"]["headroom"] == seen["parts"]["rest"] == 1.0
    assert seen["summary"] == "0 of 1 in work."


def test_a_superuser_is_a_supervisor_for_the_assignment_too(alice, waiting, at) -> None:
    root = create_user(username="root", role=Role.CUSTOMER, is_superuser=True)
    update_agent(agent=root.agent, at=at, availability=Availability.AVAILABLE)

    services.claim(ticket=waiting, agent=root, at=at)

    assert fresh(waiting).assignee == root


# --- Leaving --------------------------------------------------------------------------


def test_leaving_hands_back_what_the_customer_has_not_heard_of(alice, bob, at) -> None:
    untouched, answered, paused = (
        services.open_ticket(requester=alice, subject=name, actor=alice, at=at) for name in "abc"
    )
    services.post_message(ticket=answered, author=bob, body="On it.", at=at)
    move(paused, Status.ON_HOLD, bob, at)
    erin = agent("erin", at=at)

    set_availability(user=bob, availability=Availability.AWAY, at=at, reassign=True)

    assert fresh(untouched).assignee == erin
    assert fresh(answered).assignee == bob
    assert fresh(paused).assignee == bob


@pytest.mark.parametrize(
    ("availability", "reassign"),
    [(Availability.AWAY, False), (Availability.AVAILABLE, True), (Availability.AVAILABLE, False)],
)
def test_nothing_is_handed_back_unasked(availability, reassign, alice, bob, ticket, at) -> None:
    agent("erin", at=at)

    set_availability(user=bob, availability=availability, at=at, reassign=reassign)

    assert fresh(ticket).assignee == bob


def test_a_category_of_a_taken_name_is_refused(db) -> None:
    services.create_category(name="Mail")

    with pytest.raises(FieldError):
        services.create_category(name="MAIL")
    assert Category.objects.count() == 1
