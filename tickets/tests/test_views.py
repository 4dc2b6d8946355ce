"""Saved views: whose they are, which filters they take, and what the lists show of them."""

import time
from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Role
from agents.services import create_user, update_agent
from servicedesk.errors import FieldError
from tickets.admin.tickets import TicketAdmin
from tickets.admin.views import query_of
from tickets.lifecycle import Status
from tickets.models import Category, Priority, SavedView, Ticket
from tickets.services import views
from tickets.tests.test_admin import opened
from tickets.tests.test_races import at_once
from tickets.view_queries import checked, narrowed

URL = "/api/views/"
AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def view(actor, name="Mine", query="assignee=me", **fields):
    return views.create_view(name=name, query=query, actor=actor, at=AT, **fields)


def names(answer):
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()["results"]]


def refusal(answer):
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    return error["pointer"], error["detail"]


# --- Whose they are -------------------------------------------------------------------


def test_an_agent_makes_reads_changes_and_deletes_a_view(as_user, bob):
    client = as_user(bob)
    made = client.post(URL, {"name": "Urgent", "query": "priority=urgent,critical&team=mine"})
    assert made.status_code == 201
    row = made.json()
    assert row == {
        "id": row["id"],
        "name": "Urgent",
        "query": "priority=urgent,critical&team=mine",
        "shared": False,
        "position": 0,
    }
    assert client.get(f"{URL}{row['id']}/").json() == row
    assert client.get(URL).json()["results"] == [row]

    changed = client.patch(f"{URL}{row['id']}", {"name": "Now", "position": 7}).json()
    assert changed == {**row, "name": "Now", "position": 7}
    assert client.delete(f"{URL}{row['id']}/").status_code == 204
    assert client.delete(f"{URL}{row['id']}/").status_code == 404


def test_one_sees_ones_own_and_the_shared(as_user, bob, dana, sam):
    view(bob, "Bob's"), view(dana, "Dana's"), view(sam, "Sam's")
    view(sam, "Everybody's", shared=True)
    assert names(as_user(bob).get(URL)) == ["Bob's", "Everybody's"]
    assert names(as_user(sam).get(URL)) == ["Sam's", "Everybody's"]
    with CaptureQueriesContext(connection) as queries:
        found = views.for_user(dana)
    assert [row.name for row in found] == ["Everybody's", "Dana's"]
    assert len(queries) == 1


def test_customers_have_none(as_user, anonymous, alice, sam):
    row = view(sam, shared=True)
    for path in (URL, f"{URL}{row.pk}/"):
        assert as_user(alice).get(path).status_code == 403
        assert anonymous.get(path).status_code == 401
    assert as_user(alice).post(URL, {"name": "Mine", "query": ""}).status_code == 403
    assert views.for_user(alice) == []


def test_anothers_view_is_not_there_not_even_for_a_supervisor(as_user, bob, dana, sam):
    row = view(bob)
    before = list(SavedView.objects.values())
    for stranger in (dana, sam):
        client = as_user(stranger)
        for pk in (row.pk, 999_999):
            assert client.get(f"{URL}{pk}/").status_code == 404
            assert client.patch(f"{URL}{pk}/", {"name": "Taken"}).status_code == 404
            assert client.delete(f"{URL}{pk}/").status_code == 404
    assert list(SavedView.objects.values()) == before


def test_only_supervisors_share_and_change_what_is_shared(as_user, bob, sam):
    client, own = as_user(bob), view(bob)
    shared = view(sam, "Everybody's", shared=True)
    before = list(SavedView.objects.order_by("pk").values())
    assert client.post(URL, {"name": "x", "query": "", "shared": True}).status_code == 403
    assert client.patch(f"{URL}{own.pk}/", {"shared": True}).status_code == 403
    assert client.patch(f"{URL}{shared.pk}/", {"name": "Taken"}).status_code == 403
    assert client.patch(f"{URL}{shared.pk}/", {"shared": False}).status_code == 403
    assert client.delete(f"{URL}{shared.pk}/").status_code == 403
    assert list(SavedView.objects.order_by("pk").values()) == before


def test_any_supervisor_manages_what_is_shared(as_user, sam):
    shared = view(sam, "Everybody's", shared=True)
    ruth = create_user(
        username="ruth", name="Ruth", email="ruth@desk.example", role=Role.SUPERVISOR
    )
    client = as_user(ruth)
    assert client.patch(f"{URL}{shared.pk}/", {"name": "All"}).json()["shared"] is True
    assert client.patch(f"{URL}{shared.pk}/", {"shared": False}).json()["shared"] is False
    shared.refresh_from_db()
    assert shared.owner == ruth
    assert client.patch(f"{URL}{shared.pk}/", {"shared": True}).json()["shared"] is True
    assert client.delete(f"{URL}{shared.pk}/").status_code == 204


# --- Names, order, bounds -------------------------------------------------------------


def test_a_name_is_given_once_by_each_and_once_among_the_shared(as_user, bob, dana, sam):
    view(bob, "Late"), view(dana, "Late"), view(sam, "Late", shared=True), view(sam, "Late")
    body = {"name": "LATE", "query": ""}
    assert refusal(as_user(bob).post(URL, body)) == ("/name", "You have a view of this name.")
    assert refusal(as_user(sam).post(URL, {**body, "shared": True})) == (
        "/name",
        "There is a shared view of this name.",
    )
    assert SavedView.objects.count() == 4


def test_new_views_come_last_unless_they_say_where(bob, sam):
    assert [view(bob, name).position for name in "abc"] == [0, 1, 2]
    assert view(bob, "first", position=0).position == 0
    assert view(bob, "far", position=views.MAX_POSITION).position == views.MAX_POSITION
    assert view(bob, "beyond").position == views.MAX_POSITION
    assert view(sam, "other").position == 0
    assert [row.name for row in views.for_user(bob)] == ["a", "first", "b", "c", "far", "beyond"]


def test_there_are_so_many_and_no_more(as_user, bob, sam):
    for owner, whose in ((bob, "You have 50 views"), (None, "There are 50 shared views")):
        SavedView.objects.bulk_create(
            SavedView(name=f"View {number}", owner=owner) for number in range(views.MAX_VIEWS)
        )
        client = as_user(owner or sam)
        answer = client.post(URL, {"name": "One more", "query": "", "shared": owner is None})
        assert answer.status_code == 409
        assert answer.json()["code"] == "too_many_views"
        assert answer.json()["detail"].startswith(whose)
    assert SavedView.objects.count() == 2 * views.MAX_VIEWS
    # Of one's own there is room; for sharing it there is none.
    own = view(sam)
    assert as_user(sam).patch(f"{URL}{own.pk}/", {"shared": True}).status_code == 409
    assert as_user(sam).patch(f"{URL}{own.pk}/", {"name": "Renamed"}).status_code == 200


@pytest.mark.postgres
@pytest.mark.parametrize("protected", [True, False])
def test_many_at_once_find_room_for_one(bob, monkeypatch, protected):
    """Without the lock all of them do: so the test can fail."""
    SavedView.objects.bulk_create(
        SavedView(name=f"View {number}", owner=bob) for number in range(views.MAX_VIEWS - 1)
    )

    def slowly(query, *, at):
        # Between the count and the save.
        time.sleep(0.2)
        return checked(query, at=at)

    monkeypatch.setattr(views, "checked", slowly)
    if not protected:
        monkeypatch.setattr(views, "lock", lambda row: row)
    made = at_once(*(partial(view, bob, f"New {number}") for number in range(4)))

    room = 1 if protected else 4
    assert len([each for each in made if isinstance(each, SavedView)]) == room
    assert len([each for each in made if isinstance(each, views.TooManyViews)]) == 4 - room


# --- What it takes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("status=open", "status=open"),
        ("status=new%2Copen&assignee=me,none", "status=new,open&assignee=me,none"),
        ("sla=breached&q=", "sla=breached"),
        ("q=caf%C3%A9+bar%20%26", "q=caf%C3%A9+bar+%26"),
        ("escalated=true&team=mine,3&category=none", "escalated=true&team=mine,3&category=none"),
        ("created_after=2026-11-01T09:00Z", "created_after=2026-11-01T09%3A00Z"),
    ],
)
def test_filters_are_kept_one_way(db, given, kept):
    assert checked(given, at=AT) == kept
    assert checked(kept, at=AT) == kept


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("colour=red", "colour: There is no such filter."),
        ("colour=", "colour: There is no such filter."),
        ("open=yes", "open: There is no such filter."),
        ("status=lost", "status: Unknown: lost."),
        ("priority=3", "priority: Unknown: 3."),
        ("assignee=bob", "assignee: Not an id: bob."),
        ("category=mine", "category: Not an id: mine."),
        ("escalated=yes", "escalated: true or false."),
        ("created_after=yesterday", "created_after: "),
        ("sla=late", "sla: Unknown: late."),
        ("q=" + "x" * 201, "q: "),
        ("status=open&status=new", "Each filter once; several values by comma."),
        ("q=%00", "A filter holds no NUL."),
        ("status", "A query string, such as status=open,pending&assignee=me."),
        ("?status=open", "?status: There is no such filter."),
        ("&".join(f"a{number}=1" for number in range(99)), "A query string, such as"),
        ("cursor=abc", "cursor: a view says which tickets, not how they are shown."),
        ("ordering=-priority", "ordering: a view says which tickets"),
        ("q=" + "é" * 200 + "&tag=" + "é" * 500, "Ensure this value has at most 2000 characters"),
    ],
)
def test_what_is_no_filter_is_refused_with_a_sentence(as_user, bob, query, told):
    pointer, detail = refusal(as_user(bob).post(URL, {"name": "x", "query": query}))
    assert pointer == "/query"
    assert detail.startswith(told)
    own = view(bob)
    assert refusal(as_user(bob).patch(f"{URL}{own.pk}/", {"query": query}))[0] == "/query"
    assert list(SavedView.objects.values_list("query", flat=True)) == ["assignee=me"]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x" * 61}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"query": {"status": "open"}}, "/query"),
        ({"query": "q=one\ntwo"}, "/query"),
        ({"shared": "yes"}, "/shared"),
        ({"position": -1}, "/position"),
        ({"position": 2**31}, "/position"),
        ({"owner": 1}, "/owner"),
    ],
)
def test_what_makes_no_sense_is_refused(as_user, bob, wrong, pointer):
    answer = as_user(bob).post(URL, {"name": "x", "query": "", **wrong})
    assert refusal(answer)[0] == pointer
    assert not SavedView.objects.exists()


def test_the_services_refuse_what_the_api_refuses(bob):
    with pytest.raises(FieldError):
        view(bob, query="colour=red")
    assert not SavedView.objects.exists()


# --- What it shows --------------------------------------------------------------------


@pytest.fixture
def tickets(alice, bob, dana, team):
    """By name: two that somebody has, one in the queue of a team, one that has ended."""
    update_agent(agent=dana.agent, at=timezone.now(), teams=[team])
    category = Category.objects.create(name="VPN", team=team)
    made = {
        "bobs": opened(alice, "Bob's", priority=Priority.URGENT),
        "danas": opened(alice, "Dana's", tags=["laptop"]),
        "queued": opened(alice, "Queued", category=category),
        "ended": opened(alice, "Ended"),
    }
    rows = Ticket.objects.all()
    rows.filter(pk=made["danas"].pk).update(assignee=dana, status=Status.OPEN)
    rows.filter(pk=made["queued"].pk).update(assignee=None, status=Status.NEW)
    rows.filter(pk=made["ended"].pk).update(status=Status.CANCELLED, closed_at=AT)
    rows.filter(pk=made["bobs"].pk).update(assignee=bob, status=Status.PENDING)
    return {ticket.pk: name for name, ticket in made.items()}


SHOWN = [
    ("", "dana", {"bobs", "danas", "queued", "ended"}),
    ("assignee=me&status=new,open,pending", "dana", {"danas"}),
    ("assignee=me&status=new,open,pending", "bob", {"bobs"}),
    ("team=mine", "dana", {"queued"}),
    ("team=mine", "bob", set()),
    ("team=none,mine&status=new,open", "dana", {"danas", "queued"}),
    ("priority=urgent,critical", "bob", {"bobs"}),
    ("tag=LAPTOP", "bob", {"danas"}),
    ("q=queu", "dana", {"queued"}),
]


@pytest.mark.parametrize(("query", "who", "expected"), SHOWN)
def test_a_view_shows_what_the_list_of_the_api_shows(
    as_user, bob, dana, tickets, query, who, expected
):
    caller = {"bob": bob, "dana": dana}[who]
    row = view(caller, query=query)
    seen = Ticket.objects.visible_to(caller)
    found = narrowed(seen, row.query, user=caller, at=timezone.now())
    assert {tickets[ticket.pk] for ticket in found} == expected
    answer = as_user(caller).get(f"/api/tickets/?{row.query}").json()
    assert {tickets[ticket["id"]] for ticket in answer["results"]} == expected


def changelist(caller, **params):
    """The console's list as this person sees it under this address."""
    request = RequestFactory().get("/admin/tickets/ticket/", params)
    request.user = caller
    return TicketAdmin(Ticket, admin.site).get_changelist_instance(request)


@pytest.mark.parametrize(("query", "who", "expected"), SHOWN)
def test_the_console_shows_the_same(bob, dana, tickets, query, who, expected):
    caller = {"bob": bob, "dana": dana}[who]
    shown = changelist(caller, view=str(view(caller, query=query).pk))
    assert {tickets[ticket.pk] for ticket in shown.result_list} == expected


def test_the_consoles_filters_narrow_a_view_further(bob, dana, tickets):
    row = view(bob, query="status=new,open")
    shown = changelist(bob, view=str(row.pk), assignee=str(dana.pk))
    assert {tickets[ticket.pk] for ticket in shown.result_list} == {"danas"}


def test_a_view_that_is_not_ones_own_shows_nothing(bob, dana, tickets):
    row = view(bob, query="")
    for odd in (str(row.pk), "999999", "x", "9" * 19):
        assert list(changelist(dana, view=odd).result_list) == []


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({}, ""),
        ({"open": "yes", "assignee": "me"}, "status=new,open,pending,on_hold&assignee=me"),
        ({"open": "no"}, "status=resolved,closed,cancelled"),
        ({"open": "yes", "status__exact": "open"}, "status=open"),
        ({"priority__exact": "4"}, "priority=urgent"),
        ({"team": "mine", "sla": "at_risk", "o": "2"}, "sla=at_risk&team=mine"),
        ({"team": "network"}, "team={team}"),
        ({"assignee": "Dana"}, "assignee={dana}"),
        ({"q": "no light & sound"}, "q=no+light+%26+sound"),
        ({"view": "{view}"}, "status=open&tag=vpn"),
        ({"view": "{view}", "status__exact": "new"}, "status=new&tag=vpn"),
    ],
)
def test_the_list_can_be_saved_as_it_is(bob, dana, team, params, query):
    known = {
        "team": team.pk,
        "dana": dana.pk,
        "view": view(bob, "Kept", query="status=open&tag=vpn").pk,
    }
    given = {name: value.format(**known) for name, value in params.items()}
    written = query_of(changelist(bob, **given))
    assert written == query.format(**known)
    assert checked(written, at=AT) == written
