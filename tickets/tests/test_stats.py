"""/api/tickets/stats: figures over what the caller sees."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.services import update_agent
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Priority, Ticket

URL = "/api/tickets/stats"


@pytest.fixture
def make(alice):
    def make_one(**fields):
        fields = {"requester": alice, "subject": "x", "at": timezone.now(), **fields}
        return services.open_ticket(actor=fields["requester"], **fields)

    return make_one


def test_an_empty_desk_has_figures_too(as_user, sam):
    assert as_user(sam).get(URL).json() == {
        "total": 0,
        "open": 0,
        "unassigned": 0,
        "by_status": dict.fromkeys(Status.values, 0),
        "by_priority": {priority.key: 0 for priority in Priority},
        "sla": {"at_risk": 0, "breached": 0},
        "created_today": 0,
        "resolved_today": 0,
        "avg_first_response_seconds": None,
        "avg_resolution_seconds": None,
        "agents": [],
    }


def test_the_figures_add_up(as_user, sam, dana, make):
    now = timezone.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    earlier = midnight - timedelta(days=2)
    make(priority=Priority.URGENT)
    assigned = make()
    answered = make(at=earlier)
    cancelled = make()
    services.assign(ticket=assigned, to=dana, actor=sam, at=now, force=True)
    reply_at = earlier + timedelta(seconds=90)
    services.post_message(ticket=answered, author=sam, body="hi", at=reply_at)
    services.change_status(
        ticket=answered, to=Status.RESOLVED, actor=sam, at=earlier + timedelta(seconds=300)
    )
    services.change_status(ticket=cancelled, to=Status.CANCELLED, actor=cancelled.requester, at=now)
    body = as_user(sam).get(URL).json()
    assert (body["total"], body["open"], body["unassigned"]) == (4, 2, 1)
    counted = {key: n for key, n in body["by_status"].items() if n}
    assert counted == {"new": 1, "open": 1, "resolved": 1, "cancelled": 1}
    assert {key: n for key, n in body["by_priority"].items() if n} == {"urgent": 1, "normal": 3}
    assert (body["created_today"], body["resolved_today"]) == (3, 0)
    assert body["avg_first_response_seconds"] == 90
    assert body["avg_resolution_seconds"] == 300
    assert body["agents"] == [
        {
            "agent": {"id": dana.pk, "name": "Dana"},
            "open": 1,
            "capacity": 10,
            "utilisation": 0.1,
        }
    ]


def test_what_took_no_time_took_zero_seconds(as_user, sam, make):
    now = timezone.now()
    ticket = make(at=now)
    services.change_status(ticket=ticket, to=Status.RESOLVED, actor=sam, at=now, comment="at once")
    body = as_user(sam).get(URL).json()
    assert (body["avg_first_response_seconds"], body["avg_resolution_seconds"]) == (0, 0)
    assert body["resolved_today"] == 1


def test_everybody_counts_what_they_see_and_customers_no_agents(
    as_user, alice, charlie, dana, sam, team, make
):
    make()
    make(team=team)
    make(requester=charlie, team=team)
    Ticket.objects.filter(requester=alice).update(assignee=None)
    totals = {alice: 2, charlie: 1, dana: 1, sam: 3}
    for user, total in totals.items():
        assert as_user(user).get(URL).json()["total"] == total, user
    Ticket.objects.update(assignee=dana)
    assert as_user(alice).get(URL).json()["agents"] == []
    assert b"@" not in as_user(sam).get(URL).content


def test_the_figures_are_narrowed_by_time_and_team(as_user, sam, team, make):
    now = timezone.now()
    make(at=now - timedelta(days=10))
    make(at=now - timedelta(days=5), team=team)
    make(at=now)
    client = as_user(sam)

    def total(query):
        return client.get(f"{URL}?{query}").json()["total"]

    week = (now - timedelta(days=7)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert total(f"since={week}") == 2
    assert total(f"until={week}") == 1
    assert total(f"since={week}&until={week}") == 0
    assert total(f"team={team.pk}") == 1
    assert total(f"team={team.pk},999") == 1


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "until=x", "team=x", "status=new", "nope=1", "since=a%00",
     "since=9999-12-31T23:59:59-14:00"],
)  # fmt: skip
def test_an_unknown_parameter_or_value_is_400(as_user, sam, query):
    response = as_user(sam).get(f"{URL}?{query}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"


def test_the_figures_cost_the_same_whatever_there_is(as_user, sam, bob, dana, make):
    client = as_user(sam)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get(URL).status_code == 200
        return len(captured)

    make()
    before = queries()
    update_agent(agent=dana.agent, at=timezone.now(), availability="available")
    for _ in range(8):
        make()
    assert queries() == before


def test_today_begins_at_midnight_in_utc(as_user, sam, make, time_machine):
    time_machine.move_to(datetime(2026, 3, 1, 0, 30, tzinfo=UTC), tick=False)
    make(at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    make(at=datetime(2026, 3, 1, 0, 0, tzinfo=UTC))
    assert as_user(sam).get(URL).json()["created_today"] == 1
