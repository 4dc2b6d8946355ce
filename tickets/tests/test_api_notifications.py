"""/api/notifications/ and /api/categories/."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets import services
from tickets.models import Category, Notification, Ticket

URL = "/api/notifications/"


@pytest.fixture
def ticket(alice, sam):
    return services.open_ticket(
        requester=alice, actor=sam, subject="Printer is broken", at=timezone.now()
    )


def reply(ticket, author, body="hello", **fields):
    services.post_message(ticket=ticket, author=author, body=body, at=timezone.now(), **fields)


def kinds(client, query=""):
    return [row["kind"] for row in client.get(URL + query).json()["results"]]


def test_a_customer_is_told_what_happened_newest_first(as_user, alice, sam, ticket):
    reply(ticket, sam)
    client = as_user(alice)
    assert kinds(client) == ["replied", "opened"]
    row = client.get(URL).json()["results"][0]
    assert set(row) == {"id", "kind", "ticket", "created_at", "read_at"}
    assert row["ticket"] == {
        "id": ticket.pk,
        "number": f"SD-{ticket.pk}",
        "subject": "Printer is broken",
    }
    assert row["read_at"] is None


def test_nobody_is_told_of_their_own_doing_or_of_a_note(as_user, alice, sam, ticket):
    reply(ticket, alice)
    reply(ticket, sam, is_internal=True)
    assert kinds(as_user(alice)) == ["opened"]


def test_the_assignee_is_told_of_the_ticket_the_reply_and_the_note(
    as_user, alice, sam, bob, ticket
):
    services.assign(ticket=ticket, to=bob, actor=sam, at=timezone.now())
    reply(ticket, alice)
    reply(ticket, sam, is_internal=True)
    assert kinds(as_user(bob)) == ["noted", "replied", "assigned"]


def test_some_are_marked_as_read_and_then_all(as_user, alice, sam, ticket):
    reply(ticket, sam)
    client = as_user(alice)
    first, second = (row["id"] for row in client.get(URL).json()["results"])
    assert client.post(f"{URL}read", {"ids": [first, first, 999_999]}).status_code == 204
    assert [row["id"] for row in client.get(f"{URL}?unread=true").json()["results"]] == [second]
    read_at = Notification.objects.get(pk=first).read_at
    assert client.post(f"{URL}read", {"ids": "all"}).status_code == 204
    assert kinds(client, "?unread=true") == []
    assert kinds(client, "?unread=false") == ["replied", "opened"]
    assert Notification.objects.get(pk=first).read_at == read_at


def test_nobody_reads_for_somebody_else(as_user, alice, charlie, ticket):
    ids = list(Notification.objects.filter(user=alice).values_list("pk", flat=True))
    client = as_user(charlie)
    assert kinds(client) == []
    assert client.post(f"{URL}read", {"ids": ids}).status_code == 204
    assert client.post(f"{URL}read", {"ids": "all"}).status_code == 204
    assert not Notification.objects.filter(user=alice).exclude(read_at=None).exists()


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": None}, {"ids": "some"}, {"ids": 1}, {"ids": ["1"]}, {"ids": [0]}, {"ids": [-1]},
     {"ids": [2**63]}, {"ids": list(range(1, 1002))}, {"ids": {}}, {"all": True}],
)  # fmt: skip
def test_what_is_no_list_of_ids_is_400(as_user, alice, body):
    assert as_user(alice).post(f"{URL}read", body).status_code == 400


@pytest.mark.parametrize("value", ["", "1", "yes", "True", "a%00"])
def test_unread_is_true_or_false(as_user, alice, value):
    assert as_user(alice).get(f"{URL}?unread={value}").status_code == 400


def test_the_list_costs_the_same_whatever_its_length(as_user, alice, sam, ticket):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(f"{URL}?page_size=100")
        return len(captured)

    client = as_user(alice)
    reply(ticket, sam)
    before = queries()
    for _ in range(18):
        reply(ticket, sam)
    assert queries() == before


# --- Categories -----------------------------------------------------------------------


def test_everybody_reads_categories_and_supervisors_make_them(as_user, alice, bob, sam, team, vpn):
    body = {"name": "Remote work", "team": team.pk, "required_skills": ["VPN"]}
    made = as_user(sam).post("/api/categories/", body)
    assert made.status_code == 201
    assert made.json() == {
        "id": made.json()["id"],
        "name": "Remote work",
        "team": {"id": team.pk, "name": "Network"},
        "required_skills": ["vpn"],
        "handling_minutes": None,
    }
    for user in (alice, bob):
        assert as_user(user).get("/api/categories/").json()["results"] == [made.json()]
        assert as_user(user).post("/api/categories/", {"name": "x"}).status_code == 403
    assert Category.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/name"),
        ({"name": "remote WORK"}, 400, "/name"),
        ({"name": "a\nb"}, 400, "/name"),
        ({"name": "x" * 101}, 400, "/name"),
        ({"name": "x", "required_skills": ["magic"]}, 400, "/required_skills"),
        ({"name": "x", "team": "1"}, 400, "/team"),
        ({"name": "x", "color": "red"}, 400, "/color"),
        ({"name": "x", "team": 999_999}, 404, None),
    ],
)
def test_a_category_that_is_not_valid_is_not_made(as_user, sam, body, status, pointer):
    Category.objects.create(name="Remote work")
    response = as_user(sam).post("/api/categories/", body)
    assert response.status_code == status
    assert not pointer or response.json()["errors"][0]["pointer"] == pointer
    assert Category.objects.count() == 1


def test_the_categories_cost_the_same_whatever_their_number(as_user, alice, team, vpn):
    def fill(count):
        for _ in range(count):
            category = Category.objects.create(name=f"c{Category.objects.count()}", team=team)
            category.skills.add(vpn)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get("/api/categories/?page_size=100")
        return len(captured)

    client = as_user(alice)
    fill(2)
    before = queries()
    fill(18)
    assert queries() == before
    assert not Ticket.objects.exists()


def test_a_ticket_that_went_out_of_sight_takes_its_notifications_along(
    as_user, alice, bob, charlie, sam
):
    ticket = services.open_ticket(requester=alice, actor=alice, subject="Before", at=timezone.now())
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    services.post_message(ticket=ticket, author=bob, body="Hello", at=timezone.now())
    client = as_user(charlie)
    assert client.get("/api/notifications/").json()["results"]
    services.remove_participant(ticket=ticket, user_id=charlie.pk, actor=sam, at=timezone.now())
    services.update_ticket(
        ticket=ticket, actor=sam, fields={"subject": "SECRET"}, at=timezone.now()
    )
    assert client.get("/api/notifications/").json()["results"] == []
