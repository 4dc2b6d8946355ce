"""/api/tickets/<id>/messages: replies, notes, and what they bring about."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets import services
from tickets.lifecycle import Status
from tickets.models import Message, Ticket, TicketEvent

CANARY = "kestrel-canary"


@pytest.fixture
def ticket(alice):
    return services.open_ticket(
        requester=alice, actor=alice, subject="Printer is broken", at=timezone.now()
    )


@pytest.fixture
def url(ticket):
    return f"/api/tickets/{ticket.pk}/messages"


def status_of(ticket):
    return Ticket.objects.get(pk=ticket.pk).status


def moved(ticket, actor, to, **kwargs):
    """The ticket in a status, by the ways that lead there."""
    at = kwargs.pop("at", timezone.now())
    return services.change_status(
        ticket=ticket, to=Status(to), actor=actor, at=at, comment="c", **kwargs
    )


def test_a_reply_is_answered_with_all_of_its_members(as_user, alice, url):
    response = as_user(alice).post(url, {"body": "It is **smoking**."})
    assert response.status_code == 201
    body = response.json()
    plain = {"id", "seq", "author", "body", "body_html", "internal", "created_at"}
    assert set(body) == {*plain, "attachments"}
    assert body["attachments"] == []
    assert body["author"] == {"id": alice.pk, "name": "Alice"}
    assert body["body_html"].strip() == "<p>It is <strong>smoking</strong>.</p>"
    assert (body["seq"], body["internal"]) == (2, False)


def test_markdown_brings_no_script(as_user, alice, url):
    body = as_user(alice).post(url, {"body": "<script>x</script>[a](javascript:b)"}).json()
    assert "<script" not in body["body_html"]
    assert "href" not in body["body_html"]


def test_the_conversation_is_oldest_first(as_user, alice, bob, url):
    customer, agent = as_user(alice), as_user(bob)
    for client, text in ((customer, "one"), (agent, "two"), (customer, "three")):
        assert client.post(url, {"body": text}).status_code == 201
    assert [m["body"] for m in customer.get(url).json()["results"]] == ["one", "two", "three"]


def test_a_customer_never_sees_a_note_nor_a_hole_where_it_is(as_user, alice, dana, url):
    customer, agent = as_user(alice), as_user(dana)
    customer.post(url, {"body": "one"})
    note = agent.post(url, {"body": CANARY, "internal": True})
    assert (note.status_code, note.json()["internal"]) == (201, True)
    agent.post(url, {"body": "two"})
    shown = customer.get(url)
    assert CANARY.encode() not in shown.content
    assert [(m["body"], m["seq"]) for m in shown.json()["results"]] == [("one", 2), ("two", 3)]
    staff = agent.get(url).json()["results"]
    assert [(m["body"], m["internal"]) for m in staff] == [
        ("one", False),
        (CANARY, True),
        ("two", False),
    ]
    assert customer.get(f"{url}?count=exact").json()["count"] == 2


def test_a_customers_internal_is_refused(as_user, alice, url):
    response = as_user(alice).post(url, {"body": "x", "internal": True})
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/internal"
    assert not Message.objects.exists()


def test_a_customer_may_say_that_it_is_not_internal(as_user, alice, url):
    assert as_user(alice).post(url, {"body": "x", "internal": False}).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body"),
        ({"body": ""}, "/body"),
        ({"body": " \n "}, "/body"),
        ({"body": None}, "/body"),
        ({"body": 5}, "/body"),
        ({"body": "x" * 50_001}, "/body"),
        ({"body": "x", "internal": "yes"}, "/internal"),
        ({"body": "x", "internal": 1}, "/internal"),
        ({"body": "x", "client_msg_id": ""}, "/client_msg_id"),
        ({"body": "x", "client_msg_id": "a" * 65}, "/client_msg_id"),
        ({"body": "x", "client_msg_id": "a\nb"}, "/client_msg_id"),
        ({"body": "x", "client_msg_id": 7}, "/client_msg_id"),
        ({"body": "x", "author": 1}, "/author"),
    ],
)
def test_what_is_not_valid_says_where(as_user, bob, url, body, pointer):
    response = as_user(bob).post(url, body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == pointer
    assert not Message.objects.exists()


def test_the_same_client_msg_id_is_the_same_message(as_user, alice, url):
    client = as_user(alice)
    first = client.post(url, {"body": "x", "client_msg_id": "m1"})
    events = TicketEvent.objects.count()
    again = client.post(url, {"body": "x", "client_msg_id": "m1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (Message.objects.count(), TicketEvent.objects.count()) == (1, events)


@pytest.mark.parametrize("other", [{"body": "y"}, {"body": "x", "internal": True}])
def test_the_same_client_msg_id_with_another_body_is_a_conflict(as_user, bob, url, other):
    client = as_user(bob)
    client.post(url, {"body": "x", "client_msg_id": "m1"})
    response = client.post(url, {**other, "client_msg_id": "m1"})
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")
    assert Message.objects.count() == 1


def test_a_client_msg_id_is_its_authors_own(as_user, alice, bob, url):
    for user in (alice, bob):
        response = as_user(user).post(url, {"body": user.name, "client_msg_id": "m1"})
        assert response.status_code == 201


# --- What a message brings about ------------------------------------------------------


def test_the_first_reply_of_an_agent_opens_a_new_ticket(as_user, alice, sam, ticket, url):
    as_user(alice).post(url, {"body": "hello?"})
    assert status_of(ticket) == "new"
    as_user(sam).post(url, {"body": "a note", "internal": True})
    assert status_of(ticket) == "new"
    assert Ticket.objects.get(pk=ticket.pk).first_responded_at is None
    as_user(sam).post(url, {"body": "hello"})
    assert status_of(ticket) == "open"
    assert Ticket.objects.get(pk=ticket.pk).first_responded_at is not None


@pytest.mark.parametrize(("status", "reopened"), [("pending", 0), ("resolved", 1)])
def test_a_customers_reply_brings_a_ticket_back(as_user, alice, sam, ticket, url, status, reopened):
    moved(ticket, sam, status)
    assert as_user(alice).post(url, {"body": "still"}).status_code == 201
    shown = as_user(alice).get(f"/api/tickets/{ticket.pk}/").json()
    assert (shown["status"], shown["reopen_count"]) == ("open", reopened)


@pytest.mark.parametrize("status", ["on_hold", "pending", "resolved"])
def test_an_agents_reply_and_a_note_leave_the_status_alone(as_user, sam, ticket, url, status):
    moved(ticket, sam, status)
    as_user(sam).post(url, {"body": "fyi"})
    as_user(sam).post(url, {"body": "fyi", "internal": True})
    assert status_of(ticket) == status


def closed(ticket, sam, *, days_ago):
    moved(ticket, sam, "resolved")
    moved(ticket, sam, "closed")
    Ticket.objects.filter(pk=ticket.pk).update(closed_at=timezone.now() - timedelta(days=days_ago))


def test_a_reply_within_the_window_reopens_a_closed_ticket(as_user, alice, sam, ticket, url):
    closed(ticket, sam, days_ago=13)
    response = as_user(alice).post(url, {"body": "again"})
    assert response.status_code == 201
    assert "ticket" not in response.json()
    assert status_of(ticket) == "open"


def test_a_reply_after_the_window_opens_a_follow_up(as_user, alice, sam, ticket, url):
    closed(ticket, sam, days_ago=15)
    client = as_user(alice)
    response = client.post(url, {"body": "again", "client_msg_id": "m1"})
    assert response.status_code == 201
    follow_up = response.json()["ticket"]
    assert follow_up["id"] != ticket.pk
    assert follow_up["follow_up_of"] == ticket.pk
    assert status_of(ticket) == "closed"
    messages = client.get(f"/api/tickets/{follow_up['id']}/messages").json()["results"]
    assert [m["body"] for m in messages] == ["again"]
    again = client.post(url, {"body": "again", "client_msg_id": "m1"})
    assert (again.status_code, again.json()["ticket"]["id"]) == (200, follow_up["id"])
    assert Ticket.objects.count() == 2


def test_a_page_of_the_log_ends_before_its_messages_are_too_much(
    as_user, alice, bob, ticket, monkeypatch
):
    texts = ["a" * 60, "b" * 60, "c" * 200, "d" * 10]
    for text in texts:
        services.post_message(ticket=ticket, author=alice, body=text, at=timezone.now())
    monkeypatch.setattr("tickets.api.events.PAGE_OF_TEXT", 100)
    client, pages, after, head = as_user(alice), [], 0, None
    while after != head:
        page = client.get(f"/api/tickets/{ticket.pk}/events?after={after}").json()
        pages.append([event["seq"] for event in page["results"]])
        after, head = pages[-1][-1], page["head"]

    seqs = [seq for page in pages for seq in page]
    assert seqs == list(range(1, head + 1)), "nothing is left out"
    assert len(pages) >= 3


# --- Charlie, and cost ----------------------------------------------------------------


def test_a_stranger_neither_reads_nor_writes(as_user, charlie, url):
    client = as_user(charlie)
    assert client.get(url).status_code == 404
    assert client.post(url, {"body": "x"}).status_code == 404
    assert not Message.objects.exists()


def test_a_participant_reads_and_replies(as_user, charlie, sam, ticket, url):
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    client = as_user(charlie)
    assert client.post(url, {"body": "me too"}).status_code == 201
    assert client.get(url).json()["results"][0]["author"]["id"] == charlie.pk


def test_the_conversation_costs_the_same_whatever_its_length(as_user, alice, sam, ticket, url):
    def fill(count):
        for number in range(count):
            for author in (alice, sam):
                services.post_message(
                    ticket=ticket, author=author, body=str(number), at=timezone.now()
                )

    def queries(path):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    client = as_user(sam)
    events = f"/api/tickets/{ticket.pk}/events"
    fill(1)
    before = (queries(url), queries(events))
    fill(15)
    assert (queries(url), queries(events)) == before
