"""`Idempotency-Key`: sent again is answered again, and not done again."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from agents.models import Role
from agents.services import update_user
from servicedesk.api import idempotency
from servicedesk.api.idempotency import FINISHING, forget_old_keys
from servicedesk.models import IdempotencyKey
from tickets import services
from tickets.events import ticket_event
from tickets.lifecycle import Status
from tickets.models import Kind, Message, Ticket, TicketEvent
from tickets.tests.state import assert_consistent

TICKETS = "/api/tickets/"


@pytest.fixture
def post(alice, as_user):
    """alice's POST under a key."""
    client = as_user(alice)

    def send(body, key="k1", address=TICKETS, by=client, **headers):
        return by.post(address, body, HTTP_IDEMPOTENCY_KEY=key, **headers)

    return send


def is_replay(answer) -> bool:
    return bool(answer.headers.get("Idempotency-Replayed") == "true")


def test_the_same_again_is_answered_the_same_and_not_done_again(post, bob) -> None:
    first, again = post({"subject": "Once"}), post({"subject": "Once"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert (is_replay(first), is_replay(again)) == (False, True)
    assert again.json() == first.json()
    assert again["ETag"] == first["ETag"]
    assert again["Content-Type"] == first["Content-Type"]
    assert Ticket.objects.count() == 1
    assert TicketEvent.objects.filter(kind=Kind.OPENED).count() == 1
    assert_consistent()


def test_the_answer_shows_what_the_receivers_did(post, bob) -> None:
    answer = post({"subject": "Once"})

    body = answer.json()
    assert body["assignee"] == {"id": bob.pk, "name": "Bob"}
    assert body["status"] == "open"
    assert answer["ETag"] == f'"{body["version"]}"'
    ticket = Ticket.objects.get()
    assert (body["version"], body["stream"]["seq"]) == (ticket.version, ticket.last_public_seq)
    assert IdempotencyKey.objects.get().is_final


def test_an_agent_hears_why_under_a_key_too(bob, post, as_user) -> None:
    answer = post({"subject": "Once"}, by=as_user(bob))

    assert answer.json()["assignment"]["agent"]["id"] == bob.pk


def test_receivers_run_in_order_under_a_key(post, bob) -> None:
    heard = []

    def listen(*, event, **kwargs):
        assert not connection.in_atomic_block, "after the commit, not before"
        heard.append(event.kind)

    ticket_event.connect(listen)
    try:
        post({"subject": "Once"})
    finally:
        ticket_event.disconnect(listen)

    assert heard == [Kind.OPENED, Kind.ASSIGNED, Kind.STATUS_CHANGED]


def test_the_order_and_the_spacing_of_the_body_do_not_matter(post, alice, as_user) -> None:
    client = as_user(alice)
    texts = ['{"subject": "x", "priority": "high"}', '{ "priority":"high","subject":"x" }']

    answers = [
        client.post(TICKETS, text, content_type="application/json", HTTP_IDEMPOTENCY_KEY="k")
        for text in texts
    ]

    assert [a.status_code for a in answers] == [201, 201]
    assert is_replay(answers[1])


def test_the_slash_at_the_end_does_not_matter(post) -> None:
    post({"subject": "x"}, address="/api/tickets/")

    assert is_replay(post({"subject": "x"}, address="/api/tickets"))
    assert Ticket.objects.count() == 1


def test_another_body_or_address_under_the_key_is_refused(post, alice) -> None:
    ticket = post({"subject": "x"}).json()["id"]
    for body, address in [
        ({"subject": "y"}, TICKETS),
        ({"subject": "x", "tags": []}, TICKETS),
        ({"body": "x"}, f"{TICKETS}{ticket}/messages"),
    ]:
        answer = post(body, address=address)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert not is_replay(answer)
    assert Ticket.objects.count() == 1
    assert not Message.objects.exists()


def test_refusals_are_not_kept(post, alice) -> None:
    assert post({"subject": ""}).status_code == 400
    assert post({"subject": "x" * 201}).status_code == 400
    assert not IdempotencyKey.objects.exists()

    mended = post({"subject": "x"})

    assert (mended.status_code, is_replay(mended)) == (201, False)


def test_a_conflict_is_not_kept_either(bob, dana, alice, post, as_user) -> None:
    ticket = post({"subject": "x"}).json()["id"]
    claim = {"address": f"{TICKETS}{ticket}/claim", "key": "c", "by": as_user(dana)}
    assert post({}, **claim).status_code == 409
    services.assign(ticket=Ticket.objects.get(), to=None, actor=bob, at=timezone.now())
    dana.agent.availability = "available"
    dana.agent.save()

    assert post({}, **claim).status_code == 200
    assert is_replay(post({}, **claim))
    assert Ticket.objects.get().assignee == dana
    assert_consistent()


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "a\tb", "caf\u007f"])
def test_a_key_that_is_none_is_refused_and_nothing_done(key, post) -> None:
    answer = post({"subject": "x"}, key=key)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert answer.json()["errors"][0]["pointer"] == "/Idempotency-Key"
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "caf\u00e9"])
def test_any_other_text_is_a_key(key, post) -> None:
    assert post({"subject": "x"}, key=key).status_code == 201
    assert is_replay(post({"subject": "x"}, key=key))


def test_keys_belong_to_their_user(post, charlie, as_user) -> None:
    first = post({"subject": "x"})
    other = post({"subject": "x"}, by=as_user(charlie))

    assert (other.status_code, is_replay(other)) == (201, False)
    assert other.json()["id"] != first.json()["id"]
    assert other.json()["requester"]["id"] == charlie.pk


def test_without_a_sign_in_a_key_tells_nothing(post, anonymous) -> None:
    post({"subject": "x"})

    answer = post({"subject": "x"}, by=anonymous)

    assert answer.status_code == 401
    assert IdempotencyKey.objects.count() == 1


def test_tokens_are_not_kept(anonymous, alice) -> None:
    alice.set_password("correct horse battery")
    alice.save()
    body = {"username": "alice", "password": "correct horse battery"}

    answers = [anonymous.post("/api/auth/token", body, HTTP_IDEMPOTENCY_KEY="k") for _ in range(2)]

    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].json()["access"] != answers[1].json()["access"]
    assert not IdempotencyKey.objects.exists()


def test_only_posts_are_remembered(alice, bob, post, as_user) -> None:
    ticket = post({"subject": "x"}).json()["id"]
    client = as_user(bob)

    for _ in range(2):
        answer = client.put(
            f"{TICKETS}{ticket}/priority", {"priority": "high"}, HTTP_IDEMPOTENCY_KEY="p"
        )
        assert (answer.status_code, is_replay(answer)) == (200, False)
    assert IdempotencyKey.objects.count() == 1


# --- Time -----------------------------------------------------------------------------


def test_a_key_lives_two_days(post) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = post({"subject": "x"})
        clock.shift(timedelta(hours=47, minutes=59))
    # alice's access token is over by then; only the row's age is looked at.
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=47, minutes=59))
    assert is_replay(post({"subject": "x"}))

    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=48, seconds=1))
    again = post({"subject": "x"})

    assert (again.status_code, is_replay(again)) == (201, False)
    assert again.json()["id"] != first.json()["id"]
    assert IdempotencyKey.objects.count() == 1


def test_a_refusal_under_an_expired_key_forgets_nothing_it_should_not(post) -> None:
    post({"subject": "x"})
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=49))

    assert post({"subject": ""}).status_code == 400
    assert post({"subject": "x"}).status_code == 201
    assert IdempotencyKey.objects.count() == 1


def test_old_keys_are_swept(post) -> None:
    post({"subject": "x"}, key="old")
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=49))
    post({"subject": "x"}, key="new")

    assert forget_old_keys(batch=10).handled == 1
    assert IdempotencyKey.objects.get().key == "new"
    assert forget_old_keys(batch=10).handled == 0


# --- Dying in between -----------------------------------------------------------------


class Killed(BaseException):
    """Not an Exception: nothing may catch the end of the process."""


def test_killed_after_the_commit_it_is_answered_after_a_grace(post, bob, monkeypatch) -> None:
    def die(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("servicedesk.api.responses.Answer.rebuilt", die)
        with pytest.raises(Killed):
            post({"subject": "x"})
    row = IdempotencyKey.objects.get()
    assert not row.is_final
    assert Ticket.objects.count() == 1

    early = post({"subject": "x"})
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_in_progress")
    assert int(early["Retry-After"]) >= 1

    IdempotencyKey.objects.update(created_at=row.created_at - FINISHING)
    late = post({"subject": "x"})
    assert (late.status_code, is_replay(late)) == (201, True)
    assert late.json()["id"] == Ticket.objects.get().pk
    assert Ticket.objects.count() == 1


@pytest.mark.parametrize("error", [Killed, RuntimeError])
def test_killed_after_the_effect_neither_effect_nor_key_is_there(
    error, post, bob, monkeypatch
) -> None:
    heard = []
    ticket_event.connect(listen := lambda **kwargs: heard.append(kwargs), weak=False)
    store = idempotency._store

    def die(row, response):
        assert Ticket.objects.count() == 1, "the effect was there"
        raise error

    try:
        with monkeypatch.context() as patch:
            patch.setattr(idempotency, "_store", die)
            with pytest.raises(error):
                post({"subject": "x"})
    finally:
        ticket_event.disconnect(listen)

    assert idempotency._store is store
    assert not Ticket.objects.exists()
    assert not IdempotencyKey.objects.exists()
    assert heard == [], "nobody was told of what is not there"
    assert post({"subject": "x"}).status_code == 201
    assert_consistent()


def test_a_failing_receiver_does_not_fail_the_answer(post, bob) -> None:
    def broken(**kwargs):
        raise RuntimeError

    ticket_event.connect(broken)
    try:
        answer = post({"subject": "x"})
    finally:
        ticket_event.disconnect(broken)

    assert answer.status_code == 201
    assert is_replay(post({"subject": "x"}))


# --- With client_msg_id ---------------------------------------------------------------


def test_a_message_may_have_both_names(alice, bob, post) -> None:
    ticket = post({"subject": "x"}, key="t").json()["id"]
    address = f"{TICKETS}{ticket}/messages"
    body = {"body": "Hello", "client_msg_id": "m1"}

    first = post(body, address=address, key="a")
    same_key = post(body, address=address, key="a")
    other_key = post(body, address=address, key="b")
    no_key_again = post(body, address=address, key="b")

    assert [a.status_code for a in (first, same_key, other_key, no_key_again)] == [
        201,
        201,
        200,
        200,
    ]
    assert [is_replay(a) for a in (first, same_key, other_key, no_key_again)] == [
        False,
        True,
        False,
        False,
    ]
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"t", "a"}
    assert len({a.json()["id"] for a in (first, same_key, other_key, no_key_again)}) == 1
    assert Message.objects.count() == 1
    clash = post({"body": "Other", "client_msg_id": "m1"}, address=address, key="c")
    assert (clash.status_code, clash.json()["code"]) == (409, "idempotency_conflict")
    assert Message.objects.count() == 1
    assert_consistent()


def test_a_late_reply_under_a_key_opens_one_follow_up(alice, bob, post, sam) -> None:
    ticket = post({"subject": "x"}, key="t").json()["id"]
    row = Ticket.objects.get()
    services.change_status(
        ticket=row, to=Status.CANCELLED, actor=bob, at=timezone.now(), comment="Twice."
    )
    address = f"{TICKETS}{ticket}/messages"

    answers = [post({"body": "No!"}, address=address, key="r") for _ in range(2)]

    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    follow_up = answers[0].json()["ticket"]
    assert follow_up["follow_up_of"] == ticket
    assert follow_up["assignee"] == {"id": bob.pk, "name": "Bob"}
    assert Ticket.objects.count() == 2
    assert_consistent()


# --- Who asks again -------------------------------------------------------------------


def test_what_was_taken_out_of_sight_is_not_answered_again(alice, charlie, sam, post, as_user):
    ticket = Ticket.objects.get(pk=post({"subject": "x"}, key="t").json()["id"])
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    address, client = f"{TICKETS}{ticket.pk}/messages", as_user(charlie)
    assert post({"body": "Hello"}, address=address, by=client).status_code == 201
    services.remove_participant(ticket=ticket, user_id=charlie.pk, actor=sam, at=timezone.now())

    again = post({"body": "Hello"}, address=address, by=client)

    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert Message.objects.count() == 1


def test_a_demoted_agent_is_not_answered_as_an_agent(alice, bob, post, as_user):
    body = {"subject": "x", "requester": alice.pk}
    first = post(body, by=as_user(bob))
    assert first.json()["requester"]["email"] == alice.email
    update_user(user=bob, at=timezone.now(), role=Role.CUSTOMER)
    bob.refresh_from_db()

    again = post(body, by=as_user(bob))

    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")
    assert alice.email not in again.content.decode()


def test_the_fingerprint_cannot_be_made_without_the_secret_key(settings):
    def fingerprint(secret):
        settings.SECRET_KEY = secret
        request = Request(APIRequestFactory().post("/api/users/"))
        request._full_data = {"password": "tiger"}  # type: ignore[attr-defined]
        return idempotency._fingerprint(request)

    assert fingerprint("one") == fingerprint("one") != fingerprint("two")
