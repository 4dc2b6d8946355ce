"""Calendars, policies and escalation rules over HTTP; leads of teams and handling times."""

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Team
from tickets.models import Calendar, Category, EscalationRule, Priority, SlaPolicy, Ticket
from tickets.services import setup

CALENDARS, POLICIES, RULES = "/api/calendars/", "/api/sla-policies/", "/api/escalation-rules/"
HOUR = 3600
CALENDAR: dict[str, Any] = {
    "name": "Office hours",
    "time_zone": "Europe/Berlin",
    "week": {"monday": ["09:00-12:00", "13:00-17:30"], "saturday": ["22:00-06:00"]},
    "holidays": [{"date": "2026-12-25", "name": "Christmas"}],
    "special_days": [{"date": "2026-12-24", "name": "Eve", "windows": ["10:00-14:00"]}],
}
POLICY: dict[str, Any] = {
    "name": "Standard",
    "targets": [{"priority": "high", "first_response": HOUR, "resolution": 8 * HOUR}],
}
RULE: dict[str, Any] = {
    "name": "Breach",
    "trigger": "sla_breached",
    "level": 1,
    "notifies": ["supervisors"],
}
EACH = pytest.mark.parametrize(
    ("url", "body", "model"),
    [(CALENDARS, CALENDAR, Calendar), (POLICIES, POLICY, SlaPolicy), (RULES, RULE, EscalationRule)],
)


@pytest.fixture
def client(as_user, sam):
    return as_user(sam)


def made(client, url, body, **changes):
    answer = client.post(url, {**body, **changes})
    assert answer.status_code == 201, answer.content
    return answer.json()


def pointers(answer, status=400):
    assert answer.status_code == status, answer.content
    if status == 400:
        assert answer.json()["code"] == "validation_failed"
    return [error["pointer"] for error in answer.json()["errors"]]


# --- All three ------------------------------------------------------------------------


@EACH
def test_a_supervisor_makes_reads_lists_changes_and_deletes(client, url, body, model):
    row = made(client, url, body)
    address = f"{url}{row['id']}/"
    assert client.get(address).json() == row
    assert client.get(url).json()["results"] == [row]

    changed = client.patch(address, {"name": "Renamed"}).json()
    assert changed == {**row, "name": "Renamed"}
    assert client.patch(address.rstrip("/"), {}).json() == changed

    assert client.delete(address).status_code == 204
    assert not model.objects.exists()
    for method in (client.get, client.delete, lambda at: client.patch(at, {"name": "x"})):
        assert method(address).status_code == 404


@EACH
def test_nobody_else_sees_or_changes_anything(client, as_user, alice, bob, url, body, model):
    row = made(client, url, body)
    before = list(model.objects.values())
    for user in (alice, bob):
        stranger = as_user(user)
        for address in (f"{url}{row['id']}/", f"{url}999/"):
            assert stranger.get(address).status_code == 403
            assert stranger.patch(address, {"name": "Mine"}).status_code == 403
            assert stranger.delete(address).status_code == 403
        assert stranger.get(url).status_code == 403
        assert stranger.post(url, {**body, "name": "Mine"}).status_code == 403
    address = f"{CALENDARS}{row['id']}/holidays"
    assert as_user(bob).post(address, {"country": "DE", "years": [2026]}).status_code == 403
    assert list(model.objects.values()) == before


@EACH
def test_what_makes_no_sense_is_refused(client, url, body, model):
    made(client, url, body)
    for wrong, where in (
        ({"name": "standard" if model is SlaPolicy else body["name"].upper()}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"colour": "red"}, "/colour"),
    ):
        assert pointers(client.post(url, {**body, "name": "Another", **wrong})) == [where]
    assert client.post(url, {**body, "name": "\x00"}).status_code == 400
    assert model.objects.count() == 1


@EACH
def test_a_list_costs_the_same_however_long_it_is(client, url, body, model, team):
    made(client, url, body)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for number in range(5):
        made(client, url, body, name=f"Number {number}")
    with CaptureQueriesContext(connection) as many:
        assert len(client.get(url).json()["results"]) == 6
    assert len(many) == len(few)


@EACH
def test_the_same_key_makes_one_row(client, url, body, model):
    answers = [client.post(url, body, HTTP_IDEMPOTENCY_KEY="once") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert model.objects.count() == 1


# --- Calendars ------------------------------------------------------------------------


def test_a_calendar_is_shown_with_every_weekday(client):
    row = made(client, CALENDARS, CALENDAR)
    week: dict[str, list[str]] = {
        day: [] for day in ("tuesday", "wednesday", "thursday", "friday", "sunday")
    }
    assert row == {**CALENDAR, "id": row["id"], "week": {**week, **CALENDAR["week"]}}
    least = made(client, CALENDARS, {"name": "Least", "week": {"sunday": ["00:00-24:00"]}})
    assert (least["time_zone"], least["holidays"], least["special_days"]) == ("UTC", [], [])


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"week": {"funday": []}}, "/week/funday"),
        ({"week": {}}, "/week"),
        ({"week": {"monday": "09:00-12:00"}}, "/week/monday"),
        ({"week": {"monday": ["9-12"]}}, "/week/monday"),
        ({"week": {"monday": ["09:00-12:00", "11:59-13:00"]}}, "/week/monday"),
        ({"week": {"monday": ["09:00-12:00 and more"]}}, "/week/monday/0"),
        ({"week": {"monday": ["09:00-12:00"] * 25}}, "/week/monday"),
        ({"week": None}, "/week"),
        ({"week": []}, "/week"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"time_zone": "localtime"}, "/time_zone"),
        ({"holidays": [{"date": "2026-02-30"}]}, "/holidays/0/date"),
        ({"holidays": [{"date": "20261224"}]}, "/holidays/0/date"),
        ({"holidays": [{"date": "2026-W52-4"}]}, "/holidays/0/date"),
        ({"holidays": [{"date": 20261224}]}, "/holidays/0/date"),
        ({"holidays": [{"date": "1969-12-31"}]}, "/holidays/0/date"),
        ({"holidays": [{"date": "2101-01-01"}]}, "/holidays/0/date"),
        ({"holidays": [{"name": "When?"}]}, "/holidays/0/date"),
        ({"holidays": [{"date": "2026-05-01", "windows": []}]}, "/holidays/0/windows"),
        ({"holidays": [{"date": "2026-05-01"}] * 2}, "/holidays/1/date"),
        ({"holidays": [{"date": "2026-05-01"}] * 2001}, "/holidays"),
        ({"special_days": [{"date": "2026-05-01", "windows": []}]}, "/special_days/0/windows"),
        (
            {"special_days": [{"date": "2026-05-01", "windows": ["10:00-10:00"]}]},
            "/special_days/0/windows",
        ),
    ],
)
def test_what_is_wrong_with_a_calendar_is_pointed_at(client, wrong, where):
    assert pointers(client.post(CALENDARS, {**CALENDAR, **wrong})) == [where]
    row = made(client, CALENDARS, CALENDAR)
    assert pointers(client.patch(f"{CALENDARS}{row['id']}/", wrong)) == [where]
    assert client.get(f"{CALENDARS}{row['id']}/").json() == row


def test_a_calendar_in_use_is_not_deleted(client):
    row = made(client, CALENDARS, CALENDAR)
    made(client, POLICIES, POLICY, calendar=row["id"])
    answer = client.delete(f"{CALENDARS}{row['id']}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert Calendar.objects.exists()


def test_holidays_are_imported_and_what_was_set_by_hand_stays(client):
    row = made(client, CALENDARS, CALENDAR)
    address = f"{CALENDARS}{row['id']}/holidays"

    answer = client.post(address, {"country": "de", "subdivision": "BE", "years": [2026, 2027]})

    assert answer.status_code == 200
    dates = {day["date"]: day["name"] for day in answer.json()["holidays"]}
    assert dates["2026-12-25"] == "Christmas"
    assert dates["2027-12-25"] == "Christmas Day"
    assert dates["2026-03-08"] == "Women's Day"
    assert answer.json()["special_days"] == row["special_days"]
    again = client.post(address, {"country": "DE", "subdivision": "BE", "years": [2026]})
    assert again.json() == answer.json()


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"country": "XX"}, "/country"),
        ({"country": "Germany"}, "/country"),
        ({"country": None}, "/country"),
        ({"subdivision": "ZZ"}, "/subdivision"),
        ({"years": []}, "/years"),
        ({"years": [1969]}, "/years/0"),
        ({"years": [2026, 2101]}, "/years/1"),
        ({"years": ["2026"]}, "/years/0"),
        ({"years": [1975]}, "/years"),
        ({"years": list(range(2000, 2021))}, "/years"),
        ({"years": 2026}, "/years"),
    ],
)
def test_an_import_of_what_nobody_knows_is_refused(client, wrong, where):
    row = made(client, CALENDARS, CALENDAR)
    body = {"country": "DE", "years": [2026], **wrong}
    assert pointers(client.post(f"{CALENDARS}{row['id']}/holidays", body)) == [where]
    assert client.get(f"{CALENDARS}{row['id']}/").json() == row


def test_an_import_into_no_calendar_is_not_found(client):
    answer = client.post(f"{CALENDARS}999/holidays", {"country": "DE", "years": [2026]})
    assert answer.status_code == 404


# --- Policies -------------------------------------------------------------------------


def test_a_policy_is_shown_as_it_was_made(client, alice, team):
    category = Category.objects.create(name="VPN")
    hours = made(client, CALENDARS, CALENDAR)["id"]
    body = {
        "name": "Gold",
        "is_active": False,
        "position": 7,
        "calendar": hours,
        "pauses": ["on_hold"],
        "categories": [category.pk],
        "teams": [team.pk],
        "requesters": [alice.pk],
        "targets": [
            {"priority": "critical", "first_response": 900, "next_response": 900,
             "resolution": 4 * HOUR},
            {"priority": "low", "first_response": None, "next_response": None,
             "resolution": 40 * HOUR},
        ],
    }  # fmt: skip
    row = made(client, POLICIES, body)
    assert row == {**body, "id": row["id"]}

    address = f"{POLICIES}{row['id']}/"
    changed = client.patch(address, {"targets": POLICY["targets"], "teams": []}).json()
    assert changed["targets"] == [
        {"priority": "high", "first_response": HOUR, "next_response": None, "resolution": 8 * HOUR}
    ]
    assert (changed["teams"], changed["categories"]) == ([], [category.pk])
    assert client.patch(address, {"calendar": None, "pauses": []}).json()["pauses"] == []


def test_a_policy_with_the_least_said_runs_around_the_clock_and_pauses(client):
    row = made(client, POLICIES, POLICY)
    assert (row["calendar"], row["is_active"], row["position"]) == (None, True, 100)
    assert row["pauses"] == ["pending", "on_hold"]
    assert (row["categories"], row["teams"], row["requesters"]) == ([], [], [])


def test_policies_are_listed_in_the_order_in_which_they_are_tried(client):
    for name, position in (("Last", 30), ("First", 10), ("Middle", 20)):
        made(client, POLICIES, POLICY, name=name, position=position)
    names = [row["name"] for row in client.get(POLICIES).json()["results"]]
    assert names == ["First", "Middle", "Last"]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"targets": []}, "/targets"),
        ({"targets": [{"priority": "low"}]}, "/targets/0"),
        ({"targets": [{"priority": "low", "resolution": None}]}, "/targets/0"),
        ({"targets": POLICY["targets"] * 2}, "/targets/1/priority"),
        ({"targets": [{"priority": "low", "resolution": 0}]}, "/targets/0/resolution"),
        ({"targets": [{"priority": "low", "resolution": -5}]}, "/targets/0/resolution"),
        ({"targets": [{"priority": "low", "resolution": "5"}]}, "/targets/0/resolution"),
        ({"targets": [{"priority": "low", "resolution": 1.5}]}, "/targets/0/resolution"),
        ({"targets": [{"priority": "low", "resolution": 31_622_401}]}, "/targets/0/resolution"),
        ({"targets": [{"priority": "soon", "resolution": 5}]}, "/targets/0/priority"),
        ({"targets": [{"resolution": 5}]}, "/targets/0/priority"),
        ({"targets": POLICY["targets"] * 21}, "/targets"),
        ({"targets": {}}, "/targets"),
        ({"pauses": ["open"]}, "/pauses/0"),
        ({"pauses": "pending"}, "/pauses"),
        ({"position": -1}, "/position"),
        ({"position": 2**31}, "/position"),
        ({"is_active": "yes"}, "/is_active"),
        ({"calendar": "1"}, "/calendar"),
        ({"teams": ["1"]}, "/teams/0"),
    ],
)
def test_what_is_wrong_with_a_policy_is_pointed_at(client, wrong, where):
    assert pointers(client.post(POLICIES, {**POLICY, **wrong})) == [where]
    row = made(client, POLICIES, POLICY)
    assert pointers(client.patch(f"{POLICIES}{row['id']}/", wrong)) == [where]
    assert client.get(f"{POLICIES}{row['id']}/").json() == row


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        (POLICIES, POLICY, "calendar"),
        (POLICIES, POLICY, "categories"),
        (POLICIES, POLICY, "teams"),
        (POLICIES, POLICY, "requesters"),
        (RULES, RULE, "categories"),
        (RULES, RULE, "teams"),
    ],
)
def test_what_is_referred_to_is_there(client, url, body, field):
    for missing in (999, 2**63 - 1):
        wrong = {field: missing if field == "calendar" else [missing]}
        assert pointers(client.post(url, {**body, **wrong}), 404) == [f"/{field}"]
    assert client.get(url).json()["results"] == []


def test_a_policy_in_use_is_made_inactive_and_not_deleted(client, alice):
    row = made(client, POLICIES, POLICY)
    Ticket.objects.create(requester=alice, subject="x", sla_policy_id=row["id"])
    address = f"{POLICIES}{row['id']}/"
    answer = client.delete(address)
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert client.patch(address, {"is_active": False}).json()["is_active"] is False


# --- Escalation rules -----------------------------------------------------------------


def test_a_rule_is_shown_as_it_was_made(client, team):
    category = Category.objects.create(name="VPN")
    body = {
        "name": "Late answers",
        "is_active": False,
        "trigger": "sla_warning",
        "metric": "first_response",
        "after_seconds": 60,
        "reopen_count": None,
        "categories": [category.pk],
        "teams": [team.pk],
        "min_priority": "high",
        "level": 2,
        "raises_priority": True,
        "reassigns": True,
        "notifies": ["assignee", "team_lead", "supervisors"],
    }
    row = made(client, RULES, body)
    assert row == {**body, "id": row["id"]}
    address = f"{RULES}{row['id']}/"
    assert client.patch(address, {"metric": None, "min_priority": None}).json() == {
        **row, "metric": None, "min_priority": None,
    }  # fmt: skip


def test_a_rule_with_the_least_said_is_about_every_ticket(client):
    row = made(client, RULES, RULE)
    assert row == {
        "id": row["id"],
        **RULE,
        "is_active": True,
        "metric": None,
        "after_seconds": 0,
        "reopen_count": None,
        "categories": [],
        "teams": [],
        "min_priority": None,
        "raises_priority": False,
        "reassigns": False,
    }


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"trigger": "unassigned", "after_seconds": 60, "metric": "resolution"}, "/metric"),
        ({"trigger": "unassigned"}, "/after_seconds"),
        ({"trigger": "no_first_response", "after_seconds": 0}, "/after_seconds"),
        ({"trigger": "reopened"}, "/reopen_count"),
        ({"reopen_count": 1}, "/reopen_count"),
        ({"trigger": "reopened", "reopen_count": 0}, "/reopen_count"),
        ({"trigger": "full_moon"}, "/trigger"),
        ({"trigger": None}, "/trigger"),
        ({"metric": "happiness"}, "/metric"),
        ({"after_seconds": -1}, "/after_seconds"),
        ({"after_seconds": 31_622_401}, "/after_seconds"),
        ({"level": 4}, "/level"),
        ({"level": 0}, "/level"),
        ({"level": None, "notifies": []}, "/level"),
        ({"notifies": ["everybody"]}, "/notifies/0"),
        ({"notifies": [["assignee"]]}, "/notifies/0"),
        ({"min_priority": 3}, "/min_priority"),
        ({"raises_priority": 1}, "/raises_priority"),
    ],
)
def test_what_is_wrong_with_a_rule_is_pointed_at(client, wrong, where):
    assert pointers(client.post(RULES, {**RULE, **wrong})) == [where]
    row = made(client, RULES, RULE)
    assert pointers(client.patch(f"{RULES}{row['id']}/", wrong)) == [where]
    assert client.get(f"{RULES}{row['id']}/").json() == row


def test_a_trigger_changes_together_with_what_it_needs(client):
    row = made(client, RULES, RULE, metric="resolution")
    address = f"{RULES}{row['id']}/"
    assert pointers(client.patch(address, {"trigger": "reopened", "reopen_count": 2})) == (
        ["/metric"]
    )
    body = {"trigger": "reopened", "reopen_count": 2, "metric": None}
    assert client.patch(address, body).json()["reopen_count"] == 2


# --- Leads of teams, handling times, permissions --------------------------------------


def test_a_team_has_a_lead(client, as_user, alice, bob):
    team = made(client, "/api/teams/", {"name": "Network", "lead": bob.pk})
    assert team == {"id": team["id"], "name": "Network", "lead": {"id": bob.pk, "name": "Bob"}}
    assert made(client, "/api/teams/", {"name": "Payroll"})["lead"] is None
    for user in (alice, bob):
        assert as_user(user).get("/api/teams/").json()["results"][0] == team

    address = f"/api/teams/{team['id']}"
    assert client.patch(address, {"name": "Networks"}).json() == {**team, "name": "Networks"}
    assert client.patch(f"{address}/", {"lead": None}).json()["lead"] is None


def test_a_lead_is_somebody_who_works_here(client, alice, team):
    address = f"/api/teams/{team.pk}"
    assert pointers(client.patch(address, {"lead": alice.pk})) == ["/lead"]
    assert pointers(client.patch(address, {"lead": 999}), 404) == ["/lead"]
    assert pointers(client.post("/api/teams/", {"name": "x", "lead": "bob"})) == ["/lead"]
    Team.objects.create(name="Taken")
    assert pointers(client.patch(address, {"name": "TAKEN"})) == ["/name"]
    assert client.patch("/api/teams/999", {"name": "x"}).status_code == 404


def test_only_supervisors_change_teams(as_user, alice, bob, team):
    for user in (alice, bob):
        assert as_user(user).patch(f"/api/teams/{team.pk}", {"name": "x"}).status_code == 403
    assert Team.objects.get().name == team.name


def test_a_category_says_how_long_its_tickets_take(client):
    made(client, "/api/categories/", {"name": "VPN", "handling_minutes": 45})
    made(client, "/api/categories/", {"name": "Wi-Fi"})
    rows = client.get("/api/categories/").json()["results"]
    assert [row["handling_minutes"] for row in rows] == [45, None]
    for wrong in (0, -1, "45", 60 * 24 * 366 + 1):
        answer = client.post("/api/categories/", {"name": "x", "handling_minutes": wrong})
        assert pointers(answer) == ["/handling_minutes"]


def test_supervisors_are_told_what_they_may_set_up(as_user, bob, sam):
    named = {"calendars.manage", "sla_policies.manage", "escalation_rules.manage"}
    assert named <= set(as_user(sam).get("/api/auth/me").json()["permissions"])
    assert not named & set(as_user(bob).get("/api/auth/me").json()["permissions"])


def test_what_the_api_made_is_what_the_services_read(client):
    row = made(client, CALENDARS, CALENDAR)
    calendar = Calendar.objects.get(pk=row["id"])
    assert calendar.dates.get(date=date(2026, 12, 24)).windows == ["10:00-14:00"]
    policy = SlaPolicy.objects.get(pk=made(client, POLICIES, POLICY)["id"])
    assert policy.targets.get().priority == Priority.HIGH
    setup.update_policy(policy=policy, calendar=calendar)
    assert client.get(f"{POLICIES}{policy.pk}/").json()["calendar"] == calendar.pk
