"""Keyset paging: every row once, in both directions, at any depth, whatever the cursor says."""

import base64
from datetime import timedelta
from types import SimpleNamespace

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from servicedesk.api.pagination import Cursor, KeysetPagination
from servicedesk.errors import FieldError
from tickets.models import Ticket

ORDERINGS = [f"{s}{n}" for n in ("updated_at", "created_at", "priority") for s in ("", "-")]


@pytest.fixture
def tickets(alice):
    """Ninety, most of them equal in everything that they can be ordered by."""
    now = timezone.now().replace(microsecond=0)
    make_tickets(alice, 90, now)
    return now


def make_tickets(requester, count, now, **fields):
    return Ticket.objects.bulk_create(
        Ticket(
            **{
                "requester": requester,
                "subject": f"t{number}",
                "priority": 2 + (number % 30 == 0),
                "created_at": now - timedelta(seconds=number // 40),
                "updated_at": now - timedelta(seconds=number // 40),
                "public_updated_at": now - timedelta(seconds=number // 40),
                **fields,
            }
        )
        for number in range(count)
    )


def walk(client, url, link="next"):
    """The ids of every page from here on, in the order in which they were given."""
    found = []
    while url:
        body = client.get(url).json()
        ids = [row["id"] for row in body["results"]]
        found.append(ids)
        url = body[link]
    return found


def flat(pages):
    return [pk for page in pages for pk in page]


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_every_row_comes_once_forwards_and_backwards(as_user, sam, tickets, ordering):
    client = as_user(sam)
    url = f"/api/tickets/?ordering={ordering}&page_size=17"
    forwards = walk(client, url)
    name, sign = ordering.lstrip("-"), "-" if ordering.startswith("-") else ""
    expected = Ticket.objects.order_by(f"{sign}{name}", f"{sign}pk")
    assert flat(forwards) == list(expected.values_list("pk", flat=True))
    assert [len(page) for page in forwards] == [17, 17, 17, 17, 17, 5]
    last = url
    while following := client.get(last).json()["next"]:
        last = following
    backwards = walk(client, last, "previous")
    assert backwards == forwards[::-1]


def test_hundreds_of_equal_rows_are_paged_without_a_repeat(as_user, alice, sam):
    now = timezone.now()
    make_tickets(alice, 420, now, priority=2, created_at=now, updated_at=now)
    for ordering in ("priority", "-updated_at"):
        found = flat(walk(as_user(sam), f"/api/tickets/?ordering={ordering}&page_size=100"))
        assert len(found) == len(set(found)) == 420


def test_a_customer_pages_by_what_they_can_see(as_user, alice, tickets):
    assert len(set(flat(walk(as_user(alice), "/api/tickets/?page_size=40")))) == 90


def test_rows_that_come_in_between_repeat_and_hide_none(as_user, alice, sam, tickets):
    client = as_user(sam)
    before = set(Ticket.objects.values_list("pk", flat=True))
    first = client.get("/api/tickets/?page_size=20").json()
    make_tickets(alice, 30, tickets + timedelta(hours=1))
    make_tickets(alice, 30, tickets - timedelta(hours=1))
    rest = flat(walk(client, first["next"]))
    seen = [row["id"] for row in first["results"]] + rest
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_a_page_whose_edge_was_deleted_goes_on_from_there(as_user, sam, tickets):
    client = as_user(sam)
    first = client.get("/api/tickets/?page_size=20").json()
    expected = flat(walk(client, first["next"]))
    Ticket.objects.filter(pk=first["results"][-1]["id"]).delete()
    assert flat(walk(client, first["next"])) == expected


def test_the_links_keep_the_filters_and_the_path(as_user, sam, tickets):
    body = as_user(sam).get("/api/tickets?status=new&page_size=20&ordering=priority").json()
    assert body["next"].startswith("http://testserver/api/tickets?")
    for part in ("status=new", "page_size=20", "ordering=priority", "cursor="):
        assert part in body["next"]
    assert body["previous"] is None


def test_an_empty_list_has_no_links(as_user, sam):
    body = as_user(sam).get("/api/tickets/").json()
    assert body == {"next": None, "previous": None, "results": []}


def test_a_page_past_either_end_leads_back(as_user, sam, tickets):
    client = as_user(sam)
    first = client.get("/api/tickets/?page_size=80").json()
    second = client.get(first["next"]).json()
    Ticket.objects.filter(pk__in=[row["id"] for row in second["results"]]).delete()
    empty = client.get(first["next"]).json()
    assert (empty["results"], empty["next"]) == ([], None)
    assert client.get(empty["previous"]).json()["results"] == first["results"]
    Ticket.objects.filter(pk__in=[row["id"] for row in first["results"]]).delete()
    empty = client.get(second["previous"]).json()
    assert (empty["results"], empty["previous"]) == ([], None)


def test_pages_have_one_to_a_hundred_rows(as_user, sam, tickets):
    client = as_user(sam)
    make = [("", 25), ("?page_size=1", 1), ("?page_size=100", 90), ("?page_size=", 25)]
    for query, rows in make:
        assert len(client.get(f"/api/tickets/{query}").json()["results"]) == rows
    hidden = "0" * 8 + "1" + "9" * 9
    for value in ("0", "101", "-1", "x", "1.5", "%D9%A3", "1e1", "9" * 400, hidden):
        assert client.get(f"/api/tickets/?page_size={value}").status_code == 400, value


def test_the_exact_count_is_of_the_whole_filtered_list(as_user, sam, tickets):
    body = as_user(sam).get("/api/tickets/?count=exact&page_size=10&priority=high").json()
    assert (body["count"], len(body["results"])) == (3, 3)
    second = as_user(sam).get(
        as_user(sam).get("/api/tickets/?count=exact&page_size=50").json()["next"]
    )
    assert second.json()["count"] == 90


def test_a_page_is_one_range_without_count_or_offset(as_user, sam, tickets):
    client = as_user(sam)
    url = "/api/tickets/?page_size=20"
    costs = []
    while url:
        with CaptureQueriesContext(connection) as queries:
            body = client.get(url).json()
        sql = " ".join(query["sql"].upper() for query in queries)
        assert "COUNT(" not in sql
        assert "OFFSET" not in sql
        costs.append(len(queries))
        url = body["next"]
    assert len(set(costs)) == 1, costs


@pytest.mark.parametrize(
    "path",
    ["agents/", "users/", "teams/", "skills/", "categories/", "notifications/"],
)
def test_every_other_list_is_paged_the_same_way(as_user, sam, alice, path):
    body = as_user(sam).get(f"/api/{path}?page_size=1&count=exact").json()
    assert {"next", "previous", "results", "count"} == set(body)
    assert as_user(sam).get(f"/api/{path}?cursor=forged").status_code == 400
    assert as_user(sam).get(f"/api/{path}?page_size=101").status_code == 400


# --- Forged cursors -------------------------------------------------------------------


def forged(*parts):
    return base64.urlsafe_b64encode(orjson.dumps(list(parts))).rstrip(b"=").decode()


NOW = "2026-01-01T00:00:00+00:00"
BAD = [
    "x", "====", "AAAA", "é", "a b", "%00", base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    base64.urlsafe_b64encode(b"[" * 5000).decode(), forged(), forged(1, 2, 3), forged(None),
    forged("-created_at", NOW, 1, False),
    forged("-updated_at", None, 1, False),
    forged("-updated_at", "yesterday", 1, False),
    forged("-updated_at", 5, 1, False),
    forged("-updated_at", [NOW], 1, False),
    forged("-updated_at", "2026-01-01T00:00:00", 1, False),
    forged("-updated_at", "9999-12-31T23:59:59-14:00", 1, False),
    forged("-updated_at", "0001-01-01T00:00:00+14:00", 1, False),
    forged("-updated_at", NOW, "1", False),
    forged("-updated_at", NOW, 1.5, False),
    forged("-updated_at", NOW, None, False),
    forged("-updated_at", NOW, 2**64 - 1, False),
    forged("-updated_at", NOW, 1, "no"),
    forged("-updated_at", NOW, 1, False, 1),
]  # fmt: skip


def test_a_forged_cursor_is_400(as_user, sam, tickets):
    client = as_user(sam)
    for cursor in BAD:
        response = client.get("/api/tickets/", {"cursor": cursor})
        assert response.status_code == 400, cursor
        assert response.json()["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, -1, 0, 10**400, "1", 2.5, "x", True])
def test_a_cursor_with_another_number_never_breaks_the_query(as_user, sam, tickets, value):
    try:
        cursor = forged("priority", value, 1, False)
    except TypeError:  # orjson writes 64 bits; a forger may write more
        text = f'["priority",{value},1,false]'.encode()
        cursor = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    response = as_user(sam).get(f"/api/tickets/?ordering=priority&cursor={cursor}")
    assert response.status_code in (200, 400)


def test_a_cursor_of_another_ordering_is_400(as_user, sam, tickets):
    client = as_user(sam)
    link = client.get("/api/tickets/?ordering=priority&page_size=5").json()["next"]
    swapped = link.replace("ordering=priority", "ordering=-created_at")
    assert client.get(swapped).status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text() | st.just(NOW) | st.just("priority") | st.just("-pk"),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ordering=st.sampled_from(["-pk", "priority", "-updated_at"]), data=JSON | st.binary())
def test_whatever_a_cursor_holds_it_is_read_or_refused(ordering, data):
    raw = data if isinstance(data, bytes) else orjson.dumps(data)
    name = ordering.lstrip("-")
    field = Ticket._meta.pk if name == "pk" else Ticket._meta.get_field(name)
    for text in (raw.decode("latin-1"), base64.urlsafe_b64encode(raw).rstrip(b"=").decode()):
        try:
            cursor = Cursor.decode(text, ordering, field)
        except FieldError:
            continue
        assert cursor.ordering == ordering
        assert Cursor.decode(cursor.encode(), ordering, field) == cursor


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.text() | st.none(), min_size=4, max_size=4))
def test_a_paginator_asked_with_any_cursor_pages_or_refuses(parts):
    request = Request(APIRequestFactory().get("/", {"cursor": forged(*parts), "page_size": "3"}))
    paginator = KeysetPagination()
    view = SimpleNamespace(ordering="priority")
    try:
        paginator.paginate_queryset(Ticket.objects.none(), request, view)
    except FieldError:
        return
    assert paginator.get_paginated_response([]).status_code == 200
