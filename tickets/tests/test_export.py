"""The list as CSV: what is in it, what a spreadsheet may not compute, and how it is sent."""

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from asgiref.testing import ApplicationCommunicator
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import sessions
from agents.models import Team
from servicedesk.asgi import application
from tickets import export, services
from tickets.models import Category, Ticket
from tickets.services import assign
from tickets.tests import promises

URL = "/api/tickets/export"
CSV = "text/csv; charset=utf-8"


def opened(requester, subject="x", **fields) -> Ticket:
    at = fields.pop("at", timezone.now())
    ticket = services.open_ticket(
        requester=requester, actor=requester, subject=subject, at=at, **fields
    )
    return Ticket.objects.get(pk=ticket.pk)


def many(requester, count: int) -> list[Ticket]:
    rows = [Ticket(requester=requester, subject=f"Ticket {n}") for n in range(count)]
    return Ticket.objects.bulk_create(rows)


def table(response) -> list[dict[str, str]]:
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def subjects(response) -> list[str]:
    return [row["subject"] for row in table(response)]


# --- What is in it --------------------------------------------------------------------


def test_the_columns_say_what_the_list_says(as_user, alice, bob, sam, vpn):
    network = Team.objects.create(name="Network")
    assign(ticket=opened(alice), to=None, actor=sam, at=timezone.now())
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    ticket = opened(
        alice,
        'Says "no", twice\u2028',
        at=at,
        category=Category.objects.create(name="Übersee"),
        required_skills=[vpn],
        tags=["b", "a"],
    )
    Ticket.objects.filter(pk=ticket.pk).update(team=network, escalation_level=2, assignee=bob)

    response = as_user(sam).get(URL, {"category": ticket.category_id})

    assert response.status_code == 200
    [row] = table(response)
    assert list(row) == list(export.COLUMNS)
    assert row == {
        "id": str(ticket.pk),
        "number": ticket.number,
        "subject": 'Says "no", twice\u2028',
        "status": ticket.status,
        "priority": "normal",
        "channel": "web",
        "category": "Übersee",
        "team": "Network",
        "requester": "Alice",
        "assignee": "Bob",
        "tags": "a, b",
        "required_skills": "vpn",
        "escalation_level": "2",
        "reopen_count": "0",
        "created_at": "2026-03-04T05:06:07Z",
        "updated_at": row["updated_at"],
        "first_responded_at": "",
        "resolved_at": "",
        "closed_at": "",
        "sla_state": "none",
        "sla_due_at": "",
    }


def test_the_service_level_is_that_of_the_moment(as_user, alice, sam):
    promises.policy(targets=promises.same(1, None, None))
    at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    opened(alice, at=at)
    for later, state in ((0, "on_track"), (50, "at_risk"), (70, "breached")):
        with time_machine.travel(at + timedelta(minutes=later), tick=False):
            [row] = table(as_user(sam).get(URL, {"sla": state, "ordering": "due_at"}))
        assert (row["sla_state"], row["sla_due_at"]) == (state, "2026-11-23T10:00:00Z")


def test_it_is_a_file_and_nothing_else(as_user, alice, sam):
    opened(alice)

    with time_machine.travel(datetime(2026, 5, 6, 12, tzinfo=UTC)):
        response = as_user(sam).get(URL)

    assert response["Content-Type"] == CSV
    assert response["Content-Disposition"] == 'attachment; filename="tickets-2026-05-06.csv"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.streaming
    body = b"".join(response.streaming_content)
    assert body.startswith(b"id,number,subject,")
    assert body.endswith(b"\r\n")
    assert body.count(b"\r\n") == 2


@pytest.mark.parametrize("accept", ["text/csv", "*/*", "application/json", "text/html;q=0.1"])
def test_there_is_one_representation_whatever_is_asked_for(as_user, sam, accept):
    response = as_user(sam).get(URL, HTTP_ACCEPT=accept)

    assert (response.status_code, response["Content-Type"]) == (200, CSV)


def test_nothing_found_is_a_table_without_rows(as_user, sam):
    response = as_user(sam).get(URL, {"status": "closed"})

    assert b"".join(response.streaming_content) == export.header()


def test_it_is_filtered_and_ordered_as_the_list_is(as_user, alice, charlie, sam):
    at = timezone.now()
    for number, who in enumerate((alice, charlie, alice)):
        opened(who, f"printer {number}", at=at + timedelta(minutes=number), tags=[f"t{number}"])
    client = as_user(sam)

    for query in (
        {},
        {"ordering": "created_at"},
        {"ordering": "-created_at", "requester": alice.pk},
        {"q": "printer 1"},
        {"tag": "t0,t2", "ordering": "created_at"},
    ):
        listed = client.get("/api/tickets/", query).json()["results"]
        assert subjects(client.get(URL, query)) == [ticket["subject"] for ticket in listed], query


@pytest.mark.parametrize(
    "query",
    [
        {"status": "lost"},
        {"sort": "id"},
        {"ordering": "subject"},
        {"page_size": "10"},
        {"cursor": "x"},
        {"count": "exact"},
        {"q": "\x00"},
    ],
)
def test_what_is_no_filter_is_a_problem_before_the_first_byte(as_user, sam, query):
    response = as_user(sam).get(URL, query)

    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert response.json()["code"] == "validation_failed"


@pytest.mark.parametrize("who", ["alice", "bob", "charlie"])
def test_only_supervisors_take_the_list_away(as_user, request, who, alice, bob, charlie):
    opened(alice, "subjectcanary")

    response = as_user(request.getfixturevalue(who)).get(URL)

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert b"subjectcanary" not in response.content


def test_nobody_takes_it_without_signing_in(anonymous):
    assert anonymous.get(URL).status_code == 401


# --- What a spreadsheet may not compute -----------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\tx",
        "\rx",
        "\nx",
        " =1",
        "\u00a0=1",
        "\u3000 -1",
        "'=1",
        '"=1',
        "\"' +1",
        "\ufeff=1",
        "\u200b@x",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
        "﹦1",
        " \uff1d1",
    ],
)
def test_a_formula_is_made_a_text(text):
    assert export.neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", " ", "x=1", "a@b", "1-1", "Ärger", "'", '"', "'x", "\u2013"])
def test_a_text_stays_as_it_is(text):
    assert export.neutral(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;=1+1;b", "a;'=1+1;b"),
        ("a; \t@x", "a; \t'@x"),
        ("a\n=1", "a\n'=1"),
        ("a;b", "a;b"),
        ("=a;=b", "'=a;'=b"),
        ("a;", "a;"),
        (";=1", ";'=1"),
    ],
)
def test_a_formula_is_none_either_where_another_sign_parts_the_cells(text, expected) -> None:
    assert export.neutral(text) == expected


def test_every_text_of_a_row_is_made_one(as_user, alice, sam, vpn):
    alice.name = "=alice"
    alice.save(update_fields=["name"])
    vpn.name = "-skill"
    vpn.save(update_fields=["name"])
    opened(
        alice,
        "=subject",
        tags=["@tag"],
        required_skills=[vpn],
        category=Category.objects.create(name="+category"),
        team=Team.objects.create(name="\uff1dteam"),
    )

    [row] = table(as_user(sam).get(URL))

    assert {name: row[name] for name in row if row[name].startswith("'")} == {
        "subject": "'=subject",
        "category": "'+category",
        "team": "'\uff1dteam",
        "requester": "'=alice",
        "tags": "'@tag",
        "required_skills": "'-skill",
    }


# --- How it is sent -------------------------------------------------------------------


def test_each_piece_takes_the_same_few_queries(as_user, alice, sam, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 10)
    many(alice, 35)
    response = as_user(sam).get(URL)
    pieces = iter(response.streaming_content)
    next(pieces)
    needed = []

    for _ in range(4):
        with CaptureQueriesContext(connection) as queries:
            next(pieces)
        needed.append(len(queries))

    assert needed == [3, 3, 3, 3]
    assert list(pieces) == []


def test_nothing_is_read_before_it_is_asked_for(as_user, alice, sam):
    many(alice, 3)
    with CaptureQueriesContext(connection) as queries:
        response = as_user(sam).get(URL)
    assert not [query for query in queries if '"tickets_ticket"."subject"' in query["sql"]]
    response.close()


def test_what_changes_meanwhile_neither_falls_out_nor_comes_twice(as_user, alice, sam, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 2)
    found = many(alice, 6)
    pieces = iter(as_user(sam).get(URL).streaming_content)
    text = [next(pieces), next(pieces)]
    for ticket in (found[0], found[5]):
        services.update_ticket(
            ticket=ticket, actor=sam, at=timezone.now(), fields={"subject": "Changed"}
        )

    text += pieces

    rows = list(csv.DictReader(io.StringIO(b"".join(text).decode(), newline="")))
    assert sorted(int(row["id"]) for row in rows) == [ticket.pk for ticket in found]


async def parts_of(scope_headers: list[tuple[bytes, bytes]], query: bytes = b""):
    """What the real application sends for the export, message by message."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": URL,
        "raw_path": URL.encode(),
        "query_string": query,
        "headers": [(b"host", b"testserver"), *scope_headers],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "scheme": "http",
    }
    desk = ApplicationCommunicator(application, scope)
    await desk.send_input({"type": "http.request", "body": b"", "more_body": False})
    while True:
        message = await desk.receive_output(20)
        yield message
        if message["type"] == "http.response.body" and not message.get("more_body"):
            return


def test_the_server_sends_it_piece_by_piece_and_does_other_things_meanwhile(
    alice, sam, monkeypatch
):
    """Through the application that Daphne runs. Each piece waits for the event loop, which so must
    be free, and for the piece before, which so must have been sent."""
    monkeypatch.setattr(export, "CHUNK", 10)
    many(alice, 35)
    access = sessions.start(user=sam, at=timezone.now()).access
    read = export.rows
    loops: list[asyncio.AbstractEventLoop] = []
    sent: list[bytes] = []
    had_been_sent: list[int] = []

    async def tick() -> None:
        had_been_sent.append(len(sent))

    def slow(ids, at):
        asyncio.run_coroutine_threadsafe(tick(), loops[0]).result(10)
        return read(ids, at)

    monkeypatch.setattr(export, "rows", slow)

    async def follow() -> dict[str, Any]:
        loops.append(asyncio.get_running_loop())
        start: dict[str, Any] = {}
        headers = [(b"authorization", f"Bearer {access}".encode())]
        async for message in parts_of(headers):
            if message["type"] == "http.response.start":
                start = message
            elif body := message.get("body"):
                sent.append(body)
        return start

    start = asyncio.run(follow())

    assert start["status"] == 200
    assert (b"content-type", b"text/csv; charset=utf-8") in [
        (name.lower(), value) for name, value in start["headers"]
    ]
    assert len(sent) == 5
    assert had_been_sent == sorted(had_been_sent)
    assert had_been_sent[-1] >= 3, "the first pieces had left before the last was made"
    rows = list(csv.DictReader(io.StringIO(b"".join(sent).decode(), newline="")))
    assert len(rows) == 35


def test_a_refusal_by_the_server_is_a_problem(alice, bob):
    access = sessions.start(user=bob, at=timezone.now()).access

    async def follow() -> list[Any]:
        headers = [(b"authorization", f"Bearer {access}".encode())]
        return [message async for message in parts_of(headers)]

    start, *body = asyncio.run(follow())

    assert start["status"] == 403
    assert b'"permission_denied"' in b"".join(message["body"] for message in body)
