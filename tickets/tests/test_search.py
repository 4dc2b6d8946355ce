"""Full text, on both databases: the same words find the same tickets."""

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tickets import services
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.search import matching

NOTE = "notecanary"


@pytest.fixture
def make(alice):
    def make_one(subject, description="", requester=alice):
        return services.open_ticket(
            requester=requester,
            actor=requester,
            subject=subject,
            description=description,
            at=timezone.now(),
        )

    return make_one


def found(client, text, path="/api/tickets/"):
    response = client.get(path, {"q": text})
    assert response.status_code == 200, response.content
    return {row["id"] for row in response.json()["results"]}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Printer on fire", "printer"),
        ("Printer on fire", "FIRE printer"),
        ("Printer on fire", "pri"),
        ("Printer on fire", "on fi"),
        ("Größe passt nicht", "größe"),
        ("Cannot reach vpn.example.com today", "vpn.example.com"),
        ("Cannot reach vpn.example.com today", "vpn"),
        ("Cannot reach vpn.example.com today", "example"),
        ("Mail to carol@shop.example bounces", "carol@shop.example"),
        ("Mail to carol@shop.example bounces", "carol"),
        ("See /var/log/syslog.1 for more", "syslog"),
        ("See /var/log/syslog.1 for more", "/var/log/syslog.1"),
        ("Open https://intra.example/help?id=4", "intra.example/help"),
        ("It says error-404 again", "404"),
        ("It says error-404 again", "error-404"),
        ("Version 10.4.2 crashes", "10.4.2"),
        ("Version 10.4.2 crashes", "10.4"),
        ("The user_name is wrong", "user_name"),
        ("it's O'Brien's", "o'brien"),
        ("C++ build (x86) fails", "c++ x86"),
        ("Order #12345, late", "#12345"),
        ("A price of 3,50", "3,50"),
        ("日本語のチケット", "日本語のチケット"),
        ("-5 degrees", "5"),
        ("1e5 rows", "1e5"),
    ],
)
def test_words_are_found_whatever_stands_around_them(as_user, alice, make, text, query):
    ticket, other = make(text), make("nothing of the kind")
    in_description = make("A subject", text)
    assert found(as_user(alice), query) == {ticket.pk, in_description.pk}
    assert other.pk not in found(as_user(alice), query)


def test_every_word_must_be_there(as_user, alice, make):
    make("red printer")
    make("blue printer")
    both = make("red and blue printer")
    assert found(as_user(alice), "red blue") == {both.pk}


def test_only_the_last_word_may_be_begun(as_user, alice, make):
    ticket = make("printer on fire")
    client = as_user(alice)
    assert found(client, "printer fi") == {ticket.pk}
    assert found(client, "prin fire") == set()


def test_messages_are_found_too(as_user, alice, sam, make):
    ticket = make("x")
    services.post_message(ticket=ticket, author=sam, body="try rebooting", at=timezone.now())
    assert found(as_user(alice), "rebooting") == {ticket.pk}
    assert found(as_user(sam), "rebooting") == {ticket.pk}


def test_a_note_is_found_by_staff_and_never_by_a_customer(as_user, alice, sam, charlie, make):
    ticket = make("x")
    services.post_message(
        ticket=ticket, author=sam, body=f"{NOTE} here", is_internal=True, at=timezone.now()
    )
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    for path in ("/api/tickets/", "/api/tickets/similar"):
        assert found(as_user(sam), NOTE, path) == {ticket.pk}
        for customer in (alice, charlie):
            for query in (NOTE, NOTE[:4], f"x {NOTE}", f"here {NOTE}"):
                if path.endswith("similar") and query.startswith("x"):
                    continue  # any word will do there, and x is in the subject
                assert found(as_user(customer), query, path) == set()


def test_a_stranger_finds_nothing(as_user, charlie, make):
    make("printer")
    assert found(as_user(charlie), "printer") == set()
    assert found(as_user(charlie), "printer", "/api/tickets/similar") == set()


def test_a_change_is_found_and_what_it_replaced_is_not(as_user, alice, sam, make):
    ticket = make("old words", "ancient text")
    fields = {"subject": "fresh words", "description": "modern text"}
    services.update_ticket(ticket=ticket, actor=sam, at=timezone.now(), fields=fields)
    client = as_user(alice)
    assert found(client, "fresh modern") == {ticket.pk}
    assert found(client, "old") == found(client, "ancient") == set()


# Syntax of FTS5, of tsquery, of SQL and of formats; and letters that are hard to fold.
HOSTILE_WORDS = """
' " \\ ';-- % _ * ** :* a:* ! !!a & | && ( ) ((a NOT AND subject:a {subject}:a ^a a^ -a +a -- /* */
<-> <script> . ... { } [ ] $1 %s %(a)s {0} NULL 0x41 \x7f \u200b \ufffd \U0001d54f \u01c5 İ ß
a\u0301 \u202e \u0663 ²
"""
HOSTILE = [
    *HOSTILE_WORDS.split(),
    *("' OR 1=1 --", "AND OR NOT", "a AND", "NEAR(a b)", "a NEAR/3 b", "a & b | c <-> d"),
    *("a" * 200, "a " * 100, "é" * 200, "\t\n", " "),
]


@pytest.mark.parametrize("path", ["/api/tickets/", "/api/tickets/similar"])
def test_no_query_breaks_the_search(as_user, alice, make, path):
    make("a plain ticket")
    client = as_user(alice)
    for query in HOSTILE:
        assert client.get(path, {"q": query}).status_code == 200, query
    assert Ticket.objects.count() == 1


@pytest.mark.parametrize("query", ["'", "!", "*", "%", "-", '"', "\\"])
def test_a_query_without_a_word_finds_nothing(as_user, alice, make, query):
    make("a plain ticket")
    assert found(as_user(alice), query) == set()


def test_an_empty_query_is_no_filter(as_user, alice, make):
    ticket = make("a plain ticket")
    assert found(as_user(alice), "") == {ticket.pk}


def test_a_nul_and_too_much_text_are_400(as_user, alice):
    client = as_user(alice)
    for path in ("/api/tickets/", "/api/tickets/similar"):
        assert client.get(f"{path}?q=a%00b").status_code == 400
    assert client.get("/api/tickets/", {"q": "x" * 201}).status_code == 400


def test_similar_shows_a_few_open_tickets_with_any_of_the_words(as_user, alice, make, sam):
    tickets = [make(f"printer number {n}") for n in range(7)]
    unlike = make("scanner")
    services.change_status(
        ticket=tickets[6], to=Status.CANCELLED, actor=sam, at=timezone.now(), comment="c"
    )
    rows = found(as_user(alice), "my printer smokes", "/api/tickets/similar")
    assert len(rows) == 5
    assert rows <= {ticket.pk for ticket in tickets[:6]}
    assert found(as_user(alice), "scanner printer", "/api/tickets/similar") >= {unlike.pk}


@pytest.mark.postgres
def test_the_search_is_read_from_its_indexes(make):
    make("a plain ticket")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = matching(Ticket.objects.all(), "printer", notes=False).explain()
    assert "tickets_ticket_words" in plan
    assert "tickets_message_words" in plan
