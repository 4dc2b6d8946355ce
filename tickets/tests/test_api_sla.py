"""Service levels over HTTP: in lists and details, explained, and in the log."""

import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Team
from tickets import services
from tickets.lifecycle import Status
from tickets.models import SlaClock, Ticket
from tickets.sweeps.escalation import escalate_tickets, recompute_clocks
from tickets.tests import promises
from tickets.tests.exports import export, update

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOTHING = {"policy": None, "state": "none", "next_due_at": None}
LIST = "/api/tickets/"


def opened(requester, at: datetime = NINE, **fields) -> Ticket:
    return services.open_ticket(
        requester=requester, actor=requester, subject="VPN", at=at, **fields
    )


def pend(ticket: Ticket, bob, at: datetime) -> None:
    services.change_status(ticket=ticket, to=Status.PENDING, actor=bob, at=at, comment="Which?")


@pytest.fixture
def get(as_user):
    """Reads an address as somebody, at some time."""

    def get_one(user, url, at=NINE, status=200):
        with time_machine.travel(at, tick=False):
            response = as_user(user).get(url)
        assert response.status_code == status, response.content
        return response.json()

    return get_one


def detail(ticket: Ticket) -> str:
    return f"{LIST}{ticket.pk}/"


# --- In the detail --------------------------------------------------------------------


def test_without_a_policy_there_is_nothing_to_say(get, alice) -> None:
    ticket = opened(alice)
    assert get(alice, detail(ticket))["sla"] == {**NOTHING, "clocks": []}
    assert get(alice, LIST)["results"][0]["sla"] == NOTHING


def test_a_running_ticket_shows_its_clocks_as_of_now(get, alice, sam) -> None:
    promises.policy(calendar=promises.calendar())
    ticket = opened(alice)
    wanted = {
        "policy": "Standard",
        "state": "on_track",
        "next_due_at": "2026-11-23T10:00:00Z",
        "clocks": [
            {
                "metric": "first_response",
                "state": "running",
                "target_seconds": 3600,
                "elapsed_seconds": 1800,
                "due_at": "2026-11-23T10:00:00Z",
                "met_at": None,
                "breached_at": None,
            },
            {
                "metric": "resolution",
                "state": "running",
                "target_seconds": 28800,
                "elapsed_seconds": 1800,
                "due_at": "2026-11-23T17:00:00Z",
                "met_at": None,
                "breached_at": None,
            },
        ],
    }
    for user in (alice, sam):
        assert get(user, detail(ticket), NINE + 30 * MINUTE)["sla"] == wanted
        row = get(user, LIST, NINE + 30 * MINUTE)["results"][0]["sla"]
        assert row == {key: wanted[key] for key in ("policy", "state", "next_due_at")}


@pytest.mark.parametrize(
    ("later", "state"),
    [(44, "on_track"), (45, "at_risk"), (59, "at_risk"), (60, "breached"), (600, "breached")],
)
def test_time_passes_between_sweeps(get, alice, later, state) -> None:
    promises.policy(targets=promises.same(1, None, None))
    ticket = opened(alice)
    at = NINE + later * MINUTE
    assert get(alice, LIST, at)["results"][0]["sla"]["state"] == state
    shown = get(alice, detail(ticket), at)["sla"]
    (clock,) = shown["clocks"]
    is_late = state == "breached"
    assert shown["state"] == state
    assert clock["state"] == ("breached" if is_late else "running")
    assert clock["breached_at"] == ("2026-11-23T10:00:00Z" if is_late else None)
    assert clock["elapsed_seconds"] == later * 60
    assert SlaClock.objects.get().state == "running", "reading writes nothing"


def test_a_paused_clock_has_no_due_time_and_does_not_go_on(get, alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    pend(ticket, bob, NINE + HOUR)
    shown = get(alice, detail(ticket), NINE + 5 * HOUR)["sla"]
    assert (shown["state"], shown["next_due_at"]) == ("paused", None)
    first, whole = shown["clocks"]
    assert (first["state"], first["met_at"]) == ("met", "2026-11-23T10:00:00Z")
    assert (whole["state"], whole["due_at"], whole["elapsed_seconds"]) == ("paused", None, 3600)


def test_a_resolved_ticket_has_met_what_it_met_and_keeps_what_it_took(get, alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=bob, at=NINE + 30 * MINUTE, resolution="Done."
    )
    shown = get(alice, detail(ticket), NINE + 9 * DAY)["sla"]
    assert (shown["state"], shown["next_due_at"]) == ("met", None)
    assert [(c["state"], c["elapsed_seconds"]) for c in shown["clocks"]] == [("met", 1800)] * 2


def test_the_answer_to_a_change_shows_the_clocks_after_it(as_user, alice, bob) -> None:
    promises.policy()
    with time_machine.travel(NINE, tick=False):
        made = as_user(alice).post(LIST, {"subject": "VPN"}).json()
    assert [clock["due_at"] for clock in made["sla"]["clocks"]] == [
        "2026-11-23T10:00:00Z",
        "2026-11-23T17:00:00Z",
    ]
    with time_machine.travel(NINE + HOUR / 2, tick=False):
        moved = as_user(bob).put(
            f"{LIST}{made['id']}/status", {"status": "pending", "comment": "Which one?"}
        )
    assert moved.json()["sla"]["state"] == "paused"


# --- What it costs --------------------------------------------------------------------


def cost(client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def test_a_list_costs_the_same_however_many_tickets_and_policies(as_user, alice, sam) -> None:
    promises.policy()
    opened(alice)
    client = as_user(sam)
    few = cost(client, LIST)
    for number in range(4):
        team = Team.objects.create(name=f"Team {number}")
        promises.policy(f"Policy {number}", position=number, teams=[team])
        for _ in range(3):
            opened(alice, team=team)
    rows = client.get(LIST).json()["results"]
    assert len({row["sla"]["policy"] for row in rows}) == 5
    assert cost(client, LIST) == few


def test_a_ticket_costs_the_same_however_long_its_story(as_user, alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    client = as_user(alice)
    client.get(detail(ticket))
    short = cost(client, detail(ticket)), cost(client, f"{LIST}{ticket.pk}/sla")
    for hour in range(4):
        pend(ticket, bob, NINE + hour * HOUR)
        services.post_message(
            ticket=ticket, author=alice, body="That", at=NINE + hour * HOUR + MINUTE
        )
    assert (cost(client, detail(ticket)), cost(client, f"{LIST}{ticket.pk}/sla")) == short


# --- Explained ------------------------------------------------------------------------


def test_a_deadline_is_explained_interval_by_interval(get, alice, bob) -> None:
    policy = promises.policy(calendar=promises.calendar(), targets=promises.same(None, None, 8))
    ticket = opened(alice)
    pend(ticket, bob, NINE + HOUR)
    services.post_message(ticket=ticket, author=alice, body="That", at=NINE + 3 * HOUR)
    for user in (alice, bob):
        assert get(user, f"{LIST}{ticket.pk}/sla", NINE + 4 * HOUR) == {
            "policy": {"id": policy.pk, "name": "Standard"},
            "calendar": {"name": "Office", "time_zone": "UTC"},
            "at": "2026-11-23T13:00:00Z",
            "clocks": [
                {
                    "metric": "resolution",
                    "cycle": 1,
                    "state": "running",
                    "target_seconds": 28800,
                    "elapsed_seconds": 7200,
                    "remaining_seconds": 21600,
                    "started_at": "2026-11-23T09:00:00Z",
                    "warn_at": "2026-11-23T17:00:00Z",
                    "due_at": "2026-11-24T11:00:00Z",
                    "met_at": None,
                    "breached_at": None,
                    "ended_at": None,
                    "pauses": [
                        {
                            "from": "2026-11-23T10:00:00Z",
                            "to": "2026-11-23T12:00:00Z",
                            "status": "pending",
                            "working_seconds": 7200,
                        }
                    ],
                    "intervals": [
                        {
                            "from": "2026-11-23T09:00:00Z",
                            "to": "2026-11-23T10:00:00Z",
                            "seconds": 3600,
                        },
                        {
                            "from": "2026-11-23T12:00:00Z",
                            "to": "2026-11-23T17:00:00Z",
                            "seconds": 18000,
                        },
                        {
                            "from": "2026-11-24T09:00:00Z",
                            "to": "2026-11-24T11:00:00Z",
                            "seconds": 7200,
                        },
                    ],
                    "truncated": False,
                    "exact": True,
                }
            ],
        }


def test_without_a_policy_the_explanation_is_empty(get, alice) -> None:
    ticket = opened(alice)
    body = get(alice, f"{LIST}{ticket.pk}/sla")
    assert (body["policy"], body["calendar"], body["clocks"]) == (None, None, [])


def test_a_policy_that_runs_around_the_clock_has_no_calendar(get, alice) -> None:
    promises.policy()
    body = get(alice, f"{LIST}{opened(alice).pk}/sla")
    assert (body["policy"]["name"], body["calendar"]) == ("Standard", None)


def test_each_question_has_a_clock_of_its_own_in_the_explanation(get, alice, bob) -> None:
    promises.policy(targets=promises.same(None, 2, None))
    ticket = opened(alice)
    for hour in range(3):
        services.post_message(ticket=ticket, author=bob, body="!", at=NINE + hour * HOUR)
        services.post_message(
            ticket=ticket, author=alice, body="?", at=NINE + hour * HOUR + 10 * MINUTE
        )
    clocks = get(alice, f"{LIST}{ticket.pk}/sla", NINE + 3 * HOUR)["clocks"]
    assert [(c["metric"], c["cycle"], c["state"]) for c in clocks] == [
        ("next_response", 1, "met"),
        ("next_response", 2, "met"),
        ("next_response", 3, "running"),
    ]
    assert clocks[0]["remaining_seconds"] is None
    assert clocks[0]["ended_at"] == clocks[0]["met_at"] == "2026-11-23T10:00:00Z"


def test_who_does_not_see_the_ticket_does_not_see_its_deadline(
    get, alice, charlie, bob, team, anonymous
) -> None:
    promises.policy()
    ticket = opened(alice, team=team)
    get(charlie, f"{LIST}{ticket.pk}/sla", status=404)
    get(bob, f"{LIST}{ticket.pk}/sla", status=404)
    get(charlie, f"{LIST}999999/sla", status=404)
    assert anonymous.get(f"{LIST}{ticket.pk}/sla").status_code == 401


# --- In the log -----------------------------------------------------------------------


def test_the_log_tells_staff_what_ran_out_and_customers_nothing(get, alice, sam) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    services.escalate_due(ticket_id=ticket.pk, at=NINE + 6 * HOUR)
    services.escalate_due(ticket_id=ticket.pk, at=NINE + 9 * HOUR)
    events = get(sam, f"{LIST}{ticket.pk}/events", NINE + 9 * HOUR)["results"]
    told = [(one["event"], one["data"], one["actor"]) for one in events[1:]]
    data = {"metric": "resolution", "due_at": "2026-11-23T17:00:00Z"}
    assert told == [("sla.warned", data, None), ("sla.breached", data, None)]
    kinds = [one["event"] for one in get(alice, f"{LIST}{ticket.pk}/events")["results"]]
    assert kinds == ["ticket.opened"]


# --- Imported -------------------------------------------------------------------------


def imported(folder, *rows) -> Ticket:
    path = export(folder, [update("INC1", *row) for row in rows])
    call_command("import_incidents", path, stdout=io.StringIO())
    return Ticket.objects.get(external_id="INC1")


def test_an_open_imported_ticket_gets_clocks_from_its_own_opening_and_its_own_pauses(
    db, tmp_path, get, sam
) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    rows = ("New", "08:10"), ("Awaiting User Info", "10:00"), ("Active", "12:00")
    ticket = imported(tmp_path, *rows)
    assert ticket.created_at == datetime(2016, 3, 1, 8, 0, tzinfo=UTC)
    assert (ticket.sla_standing, ticket.next_sla_at) == ("none", None), "an import decides nothing"
    assert not SlaClock.objects.exists()
    assert recompute_clocks().handled == 1
    clock = SlaClock.objects.get()
    assert (clock.state, clock.started_at) == ("running", ticket.created_at)
    assert clock.due_at == ticket.created_at + 10 * HOUR
    explained = get(sam, f"{LIST}{ticket.pk}/sla")["clocks"][0]
    assert explained["exact"]
    assert [pause["working_seconds"] for pause in explained["pauses"]] == [7200]


def test_the_next_sweep_finds_what_of_the_imported_is_overdue(db, tmp_path) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = imported(tmp_path, ("New", "08:10"), ("Active", "09:00"))
    assert recompute_clocks().handled == 1
    assert escalate_tickets().handled == 1
    clock = SlaClock.objects.get()
    assert (clock.state, clock.breached_at) == ("breached", ticket.created_at + 8 * HOUR)
    assert (recompute_clocks().handled, escalate_tickets().handled) == (0, 0)


def test_an_imported_ticket_that_is_over_gets_no_clocks(db, tmp_path) -> None:
    promises.policy()
    imported(tmp_path, ("New", "08:10"), ("Closed", "09:00"))
    assert recompute_clocks().handled == 0
    assert not SlaClock.objects.exists()
