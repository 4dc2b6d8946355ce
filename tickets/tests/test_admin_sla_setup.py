"""Calendars, policies and escalation rules in the console: what is typed, what comes of it."""

from datetime import date
from typing import Any

import pytest
from django import forms
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Team
from tickets.admin import spans
from tickets.admin.conditions import conditions
from tickets.admin.hours import Dates, windows_of
from tickets.models import Calendar, Category, EscalationRule, Priority, SlaPolicy, Ticket
from tickets.services import setup
from tickets.services.setup import Day, Target
from tickets.sla import revision

CALENDARS = "/admin/tickets/calendar/"
POLICIES = "/admin/tickets/slapolicy/"
RULES = "/admin/tickets/escalationrule/"
PAGES = (CALENDARS, POLICIES, RULES)
EVE = date(2026, 12, 24)
HOUR = 3600
HOURS = {"name": "Office", "time_zone": "Europe/Berlin", "monday": "9:00 - 12:00, 13:00-17:30"}
GRID = {"high_first_response": "1h 30m", "high_resolution": "16h", "low_resolution": "45m"}
POLICY: dict[str, Any] = {
    "name": "Gold",
    "is_active": "on",
    "position": "5",
    "pauses": ["on_hold"],
    **GRID,
}
RULE: dict[str, Any] = {
    "name": "Late", "is_active": "on", "trigger": "unassigned", "after_seconds": "30m",
    "level": "1", "notifies": ["team_lead", "supervisors"],
}  # fmt: skip


@pytest.fixture
def browser(console, sam):
    return console(sam)


def calendar(name="Office"):
    return setup.create_calendar(
        name=name,
        week={"monday": ["09:00-12:00"]},
        special_days=[Day(EVE, "Eve", ("09:00-10:00",))],
    )


def policy(name="Standard", **fields):
    return setup.create_policy(name=name, targets=[Target(Priority.HIGH, HOUR)], **fields)


def rule(name="Breach", **fields):
    return setup.create_rule(
        **{"name": name, "trigger": "sla_breached", "notifies": ["assignee"], **fields}
    )


def errors_of(answer):
    """By field, what the form that came back says."""
    assert answer.status_code == 200
    form = answer.context.get("form") or answer.context["adminform"].form
    return {name: list(found) for name, found in form.errors.items()}


def saved(answer, address):
    assert answer.status_code == 302, errors_of(answer)
    assert answer.url == address


# --- Who may --------------------------------------------------------------------------


def test_only_supervisors_see_what_is_promised(console, bob, alice, sam):
    row = calendar()
    for page in (*PAGES, f"{CALENDARS}{row.pk}/change/", f"{CALENDARS}{row.pk}/holidays/"):
        assert console(bob).get(page).status_code == 403
        assert console(alice).get(page).status_code == 302
        assert console(sam).get(page).status_code == 200
    body = {"country": "DE", "first_year": "2026", "last_year": "2026"}
    assert console(bob).post(f"{CALENDARS}{row.pk}/holidays/", body).status_code == 403
    assert row.dates.count() == 1


# --- Calendars ------------------------------------------------------------------------


def test_a_calendar_is_made_from_lines_of_text(browser):
    dates = (
        "2026-12-25 Christmas Day\r\n\r\n2026-12-24  Christmas Eve 9:00 \u2013 12:00, 13:00-14:00\n"
    )
    before = revision.current()

    saved(browser.post(f"{CALENDARS}add/", {**HOURS, "dates": dates}), CALENDARS)

    row = Calendar.objects.get()
    assert (row.name, row.time_zone) == ("Office", "Europe/Berlin")
    assert row.week == {"monday": ["09:00-12:00", "13:00-17:30"]}
    assert list(row.dates.values_list("date", "name", "windows")) == [
        (EVE, "Christmas Eve", ["09:00-12:00", "13:00-14:00"]),
        (date(2026, 12, 25), "Christmas Day", []),
    ]
    assert revision.current() > before


def test_the_page_shows_what_it_takes(browser):
    row = calendar()
    form = browser.get(f"{CALENDARS}{row.pk}/change/").context["adminform"].form
    shown = {field.name: field.value() for field in form}
    assert shown["dates"] == "2026-12-24 Eve 09:00-10:00"

    answer = browser.post(
        f"{CALENDARS}{row.pk}/change/", {n: v or "" for n, v in shown.items()} | {"name": "Renamed"}
    )

    saved(answer, CALENDARS)
    row.refresh_from_db()
    assert (row.name, row.week) == ("Renamed", {"monday": ["09:00-12:00"]})
    assert row.dates.get().windows == ["09:00-10:00"]
    assert LogEntry.objects.latest("pk").get_change_message() == "Changed Name."


def test_a_new_calendar_starts_with_office_hours(browser):
    form = browser.get(f"{CALENDARS}add/").context["adminform"].form
    assert form["monday"].value() == form["friday"].value() == "09:00-17:00"
    assert not form["saturday"].value()


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"monday": "9-12"}, "monday", "is not a window"),
        ({"monday": "09:00-12:00, 11:00-13:00"}, "monday", "overlap"),
        ({"monday": ""}, "__all__", "at least one window"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone", "is not a time zone"),
        ({"time_zone": "a\x00b"}, "time_zone", "Null characters"),
        ({"dates": "Christmas"}, "dates", "Line 1"),
        ({"dates": "2026-12-24\n2026-02-30 Never"}, "dates", "Line 2"),
        ({"dates": "2026-12-24 Eve 09:00-25:00"}, "dates", "2026-12-24: '09:00-25:00'"),
        ({"dates": "2026-12-24\n2026-12-24 Again"}, "dates", "in the calendar already"),
        ({"dates": "1969-12-31 Past"}, "dates", "1969-12-31: "),
        ({"dates": "2026-12-24 " + "x" * 101}, "dates", "2026-12-24: A name has"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_an_error_of_a_calendar_stands_next_to_its_field(browser, wrong, field, words):
    errors = errors_of(browser.post(f"{CALENDARS}add/", {**HOURS, **wrong}))
    assert list(errors) == [field]
    assert words in errors[field][0]
    assert not Calendar.objects.exists()


def test_holidays_are_imported_on_a_page_of_their_own(browser):
    row = calendar()
    address = f"{CALENDARS}{row.pk}/holidays/"
    assert address in browser.get(f"{CALENDARS}{row.pk}/change/").content.decode()
    body = {"country": "DE", "subdivision": "BY", "first_year": "2026", "last_year": "2027"}

    first = browser.post(address, body, follow=True)
    again = browser.post(address, body, follow=True)

    assert row.dates.filter(date=date(2027, 1, 6), name="Epiphany").exists()
    added = row.dates.count() - 1
    assert f"{added} holidays added." in first.content.decode()
    assert "in the calendar already" in again.content.decode()
    assert browser.get(f"{CALENDARS}999/holidays/").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"country": ""}, "country"),
        ({"country": "XX"}, "country"),
        ({"subdivision": "ZZ"}, "subdivision"),
        ({"first_year": "1980"}, "last_year"),
        ({"first_year": "1980", "last_year": "1981"}, "first_year"),
        ({"first_year": "2027", "last_year": "2026"}, "last_year"),
        ({"first_year": "1900"}, "first_year"),
        ({"last_year": "x"}, "last_year"),
    ],
)
def test_an_error_of_an_import_stands_next_to_its_field(browser, wrong, field):
    row = calendar()
    body = {"country": "DE", "first_year": "2026", "last_year": "2026", **wrong}
    assert list(errors_of(browser.post(f"{CALENDARS}{row.pk}/holidays/", body))) == [field]
    assert row.dates.count() == 1


def test_the_list_of_calendars_says_when_they_work(browser):
    row = calendar()
    week = {day: ["09:00-17:00"] for day in ("monday", "tuesday", "wednesday")}
    setup.update_calendar(calendar=row, week={**week, "sunday": ["10:00-11:00", "12:00-13:00"]})
    policy(calendar=row)
    page = browser.get(CALENDARS).content.decode()
    assert "Mon to Wed 09:00-17:00; Sun 10:00-11:00, 12:00-13:00" in page
    assert "Standard" in page


# --- Policies -------------------------------------------------------------------------


def test_a_policy_is_made_from_a_grid_of_spans(browser, alice, team):
    category, hours = Category.objects.create(name="VPN"), calendar()
    conditions = {"categories": [category.pk], "teams": [team.pk], "requesters": [alice.pk]}

    answer = browser.post(f"{POLICIES}add/", {**POLICY, **conditions, "calendar": hours.pk})

    saved(answer, POLICIES)
    row = SlaPolicy.objects.get()
    assert (row.name, row.position, row.calendar, row.pauses) == ("Gold", 5, hours, ["on_hold"])
    assert (row.categories.get(), row.teams.get(), row.requesters.get()) == (category, team, alice)
    targets = row.targets.values_list("priority", "first_response", "next_response", "resolution")
    assert list(targets) == [
        (Priority.HIGH, 90 * 60, None, 16 * HOUR), (Priority.LOW, None, None, 45 * 60),
    ]  # fmt: skip


def test_the_grid_shows_what_it_takes_and_a_change_replaces_it(browser):
    row = policy()
    address = f"{POLICIES}{row.pk}/change/"
    form = browser.get(address).context["adminform"].form
    assert [label for label, _ in form.grid()] == ["Critical", "Urgent", "High", "Normal", "Low"]
    assert form["high_first_response"].value() == "1h"
    assert 'name="high_first_response" value="1h"' in browser.get(address).content.decode()

    saved(browser.post(address, {**POLICY, "is_active": ""}), POLICIES)

    row.refresh_from_db()
    assert (row.name, row.is_active, row.targets.count()) == ("Gold", False, 2)
    assert "priority low" in LogEntry.objects.latest("pk").get_change_message()


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"high_resolution": "2 days"}, "high_resolution", "Hours and minutes"),
        ({"high_resolution": "0m"}, "high_resolution", "More than nothing"),
        ({"low_resolution": "99999h"}, "low_resolution", "At most 8,784 hours"),
        (dict.fromkeys(GRID, ""), "__all__", "at least one target"),
        ({"pauses": ["open"]}, "pauses", "Select a valid choice"),
        ({"teams": ["999"]}, "teams", "Select a valid choice"),
        ({"calendar": "999"}, "calendar", "Select a valid choice"),
        ({"position": "-1"}, "position", "greater than or equal to 0"),
        ({"name": "STANDARD"}, "name", "This name is taken"),
    ],
)
def test_an_error_of_a_policy_stands_next_to_its_field(browser, wrong, field, words):
    policy()
    answer = browser.post(f"{POLICIES}add/", {**POLICY, **wrong})
    errors = errors_of(answer)
    if wrong.get("name"):
        field = "__all__"
    assert list(errors) == [field]
    assert words in errors[field][0]
    assert words in answer.content.decode()
    assert SlaPolicy.objects.count() == 1


# --- Escalation rules -----------------------------------------------------------------


def test_a_rule_is_made_as_a_sentence(browser, team):
    saved(browser.post(f"{RULES}add/", {**RULE, "teams": [team.pk], "min_priority": "3"}), RULES)

    row = EscalationRule.objects.get()
    assert (row.trigger, row.after_seconds, row.level, row.min_priority) == (
        "unassigned", 30 * 60, 1, Priority.HIGH,
    )  # fmt: skip
    assert (row.notifies, row.teams.get()) == (["team_lead", "supervisors"], team)
    page = browser.get(RULES).content.decode()
    assert "Nobody has the ticket, after 30m" in page
    assert "Network; High and above" in page
    assert "level 1; notify team lead, supervisors" in page


def test_a_rule_is_changed_and_shown_again(browser):
    row = rule(metric="resolution")
    address = f"{RULES}{row.pk}/change/"
    form = browser.get(address).context["adminform"].form
    assert (form["after_seconds"].value(), form["notifies"].value()) == (None, ["assignee"])
    data = {"name": "Again", "trigger": "reopened", "reopen_count": "2", "reassigns": "on"}

    saved(browser.post(address, data), RULES)

    row.refresh_from_db()
    assert (row.name, row.trigger, row.metric, row.reopen_count) == ("Again", "reopened", "", 2)
    assert (row.is_active, row.after_seconds, row.level, row.notifies) == (False, 0, None, [])


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"metric": "resolution"}, "metric"),
        ({"after_seconds": ""}, "after_seconds"),
        ({"after_seconds": "soon"}, "after_seconds"),
        ({"reopen_count": "1"}, "reopen_count"),
        ({"trigger": "reopened", "after_seconds": ""}, "reopen_count"),
        ({"trigger": ""}, "trigger"),
        ({"level": "", "notifies": []}, "level"),
        ({"level": "4"}, "level"),
        ({"notifies": ["everybody"]}, "notifies"),
        ({"min_priority": "9"}, "min_priority"),
    ],
)
def test_an_error_of_a_rule_stands_next_to_its_field(browser, wrong, field):
    assert list(errors_of(browser.post(f"{RULES}add/", {**RULE, **wrong}))) == [field]
    assert not EscalationRule.objects.exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_list_costs_the_same_however_many(browser, page, alice):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page).status_code == 200
        return len(queries)

    def add(number):
        hours = calendar(f"Calendar {number}")
        about = {
            "teams": [Team.objects.create(name=f"Team {number}")],
            "categories": [Category.objects.create(name=f"Category {number}")],
        }
        policy(f"Policy {number}", calendar=hours, requesters=[alice], **about)
        rule(f"Rule {number}", **about)

    add(0)
    few = cost()
    for number in range(1, 6):
        add(number)
    assert cost() == few


# --- Deleting, teams, categories ------------------------------------------------------


def test_what_is_in_use_has_no_way_to_be_deleted(browser, alice):
    hours = calendar()
    promised = policy(calendar=hours)
    ticket = Ticket.objects.create(requester=alice, subject="x", sla_policy=promised)
    for address in (f"{CALENDARS}{hours.pk}/", f"{POLICIES}{promised.pk}/"):
        assert browser.post(f"{address}delete/", {"post": "yes"}).status_code == 403
        assert b"deletelink" not in browser.get(f"{address}change/").content
    Ticket.objects.filter(pk=ticket.pk).update(sla_policy=None)

    before = revision.current()
    for page, row in ((POLICIES, promised), (CALENDARS, hours), (RULES, rule())):
        assert browser.post(f"{page}{row.pk}/delete/", {"post": "yes"}).url == page
    assert not Calendar.objects.exists()
    assert not SlaPolicy.objects.exists()
    assert not EscalationRule.objects.exists()
    assert revision.current() > before


def test_a_team_gets_a_lead_who_works_here(browser, alice, bob, team):
    address = f"/admin/agents/team/{team.pk}/change/"
    errors = errors_of(browser.post(address, {"name": "Network", "lead": alice.pk}))
    assert errors == {"lead": ["Only active agents and supervisors lead a team."]}

    saved(browser.post(address, {"name": "Networks", "lead": bob.pk}), "/admin/agents/team/")
    team.refresh_from_db()
    assert (team.name, team.lead) == ("Networks", bob)
    assert "Bob" in browser.get("/admin/agents/team/").content.decode()
    saved(
        browser.post("/admin/agents/team/add/", {"name": "New", "lead": bob.pk}),
        ("/admin/agents/team/"),
    )
    assert Team.objects.get(name="New").lead == bob


def test_a_category_says_how_long_its_tickets_take(browser):
    address = "/admin/tickets/category/"
    data = {"name": "VPN", "handling_minutes": "45"}
    saved(browser.post(f"{address}add/", data), address)
    row = Category.objects.get()
    assert row.handling_minutes == 45
    saved(browser.post(f"{address}{row.pk}/change/", {**data, "handling_minutes": ""}), address)
    row.refresh_from_db()
    assert row.handling_minutes is None


# --- How people write it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4h", 14400), ("1h 30m", 5400), ("1H30M", 5400), ("90m", 5400), (" 45 m ", 2700), ("9s", 9)],
)
def test_a_span_is_read(text, seconds):
    assert spans.read(text) == seconds
    assert spans.read(spans.written(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "4", "h", "1d", "2 days", "1.5h", "-1h", "30m 1h", "٣h"])
def test_what_is_no_span_is_not_guessed_at(text):
    with pytest.raises(forms.ValidationError):
        spans.read(text)


def test_a_span_is_written_in_the_fewest_words():
    written = [spans.written(seconds) for seconds in (None, 0, 90, 5400, 7200)]
    assert written == ["", "0m", "1m 30s", "1h 30m", "2h"]


def test_hours_are_taken_from_the_end_of_a_line_only():
    [day] = Dates(rows=1).clean("2026-05-01 Shift 9 to 5 - in part 9:00-12:00,13:00 - 14:00")
    assert day == Day(date(2026, 5, 1), "Shift 9 to 5 - in part", ("09:00-12:00", "13:00-14:00"))
    assert windows_of("") == ()


def test_conditions_are_named_until_there_are_too_many():
    assert conditions([], []) == "every ticket"
    assert conditions(["a", "b"], [], ["c"]) == "a or b; c"
    assert conditions(list("abcde")) == "a or b or c or 2 more"
