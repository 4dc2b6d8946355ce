"""Calendars, policies and escalation rules: what may be set up, and that it is counted."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from threading import Barrier, BrokenBarrierError

import pytest
from django.db import connections
from django.http import Http404
from django.utils import timezone

from agents.models import Team
from agents.services import InUse, create_team, delete_named, update_team, update_user
from servicedesk.api.fields import NothingThere
from servicedesk.errors import FieldError
from tickets.models import (
    Calendar,
    CalendarDate,
    Category,
    EscalationRule,
    Priority,
    SlaPolicy,
    SlaTarget,
    Ticket,
)
from tickets.services import setup
from tickets.services.setup import Day, Target, calendars
from tickets.sla import holidays, revision

WEEK = {"monday": ["09:00-12:00", "13:00-17:30"], "friday": ["09:00-12:00"]}
CHRISTMAS, EVE = date(2026, 12, 25), date(2026, 12, 24)
HOUR = 3600
ALL = [Target(Priority.HIGH, HOUR, None, 8 * HOUR)]

pytestmark = pytest.mark.usefixtures("db")


def calendar(name="Office hours", **fields):
    return setup.create_calendar(name=name, week=WEEK, **fields)


def policy(name="Standard", **fields):
    return setup.create_policy(**{"name": name, "targets": ALL, **fields})


def rule(name="Breach", **fields):
    return setup.create_rule(
        **{"name": name, "trigger": "sla_breached", "notifies": ["supervisors"], **fields}
    )


def dates_of(row):
    return list(row.dates.values_list("date", "name", "windows"))


def targets_of(row):
    return list(
        row.targets.values_list("priority", "first_response", "next_response", "resolution")
    )


def refusal(call, *args, **kwargs):
    """Pointer and code of the first error."""
    with pytest.raises(FieldError) as refused:
        call(*args, **kwargs)
    error = refused.value.extra["errors"][0]
    return error["pointer"], error["code"]


def pointer(call, *args, **kwargs):
    return refusal(call, *args, **kwargs)[0]


# --- Calendars ------------------------------------------------------------------------


def test_a_week_has_at_least_an_hour():
    """Else a due time lies centuries ahead, and every year on the way is worked out."""
    for week in ({"monday": ["09:00-09:59"]}, {"monday": ["09:00-09:30"], "friday": ["9:00-9:01"]}):
        assert pointer(setup.create_calendar, name="Rare", week=week) in ("/week", "/week/friday")
    row = setup.create_calendar(name="Rare", week={"monday": ["09:00-10:00"]})
    assert pointer(setup.update_calendar, calendar=row, week={"monday": ["09:00-09:30"]}) == "/week"


def test_the_capital_of_a_sign_is_no_country():
    row = calendar()
    assert pointer(setup.import_holidays, calendar=row, country="ß", years=[2026]) == "/country"


def test_a_calendar_is_kept_as_it_was_written_in_order():
    row = setup.create_calendar(
        name="Office",
        time_zone="Europe/Berlin",
        week={"friday": ["13:00-17:00", "09:00-12:00"], "monday": ["22:00-06:00"], "sunday": []},
        holidays=[Day(CHRISTMAS, "Christmas")],
        special_days=[Day(EVE, "Eve", ("12:00-14:00", "09:00-11:00"))],
    )

    row.refresh_from_db()
    assert row.week == {"monday": ["22:00-06:00"], "friday": ["09:00-12:00", "13:00-17:00"]}
    assert list(row.week) in (["monday", "friday"], ["friday", "monday"])
    assert dates_of(row) == [
        (EVE, "Eve", ["09:00-11:00", "12:00-14:00"]),
        (CHRISTMAS, "Christmas", []),
    ]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"time_zone": "Europe/Nowhere"}, "/time_zone"),
        ({"time_zone": ""}, "/time_zone"),
        ({"week": {"funday": ["09:00-12:00"]}}, "/week"),
        ({"week": {}}, "/week"),
        ({"week": {"monday": []}}, "/week"),
        ({"week": {"monday": ["09:00-25:00"]}}, "/week/monday"),
        ({"week": {"monday": ["09:00-12:00", "11:00-13:00"]}}, "/week/monday"),
        ({"week": {"monday": ["22:00-06:00"], "tuesday": ["05:00-08:00"]}}, "/week/tuesday"),
        ({"holidays": [Day(EVE), Day(EVE)]}, "/holidays/1/date"),
        ({"holidays": [Day(date(1969, 12, 31))]}, "/holidays/0/date"),
        ({"holidays": [Day(date(2101, 1, 1))]}, "/holidays/0/date"),
        ({"holidays": [Day(EVE, "a\u202eb")]}, "/holidays/0/name"),
        ({"holidays": [Day(EVE, "x" * 101)]}, "/holidays/0/name"),
        ({"special_days": [Day(EVE)]}, "/special_days/0/windows"),
        (
            {"special_days": [Day(EVE, "", ("09:00-12:00",)), Day(CHRISTMAS, "", ("9-12",))]},
            "/special_days/1/windows",
        ),
        (
            {"holidays": [Day(EVE)], "special_days": [Day(EVE, "", ("09:00-12:00",))]},
            "/special_days/0/date",
        ),
        ({"name": "two\nlines"}, "/name"),
        ({"name": ""}, "/name"),
    ],
)
def test_what_is_wrong_with_a_calendar_is_told_where_it_stands(wrong, where):
    fields = {"name": "Office", "week": WEEK, **wrong}
    assert pointer(setup.create_calendar, **fields) == where
    assert not Calendar.objects.exists()
    assert revision.current() == 0


def test_a_change_leaves_alone_what_it_does_not_name():
    row = calendar(
        holidays=[Day(CHRISTMAS, "Christmas")], special_days=[Day(EVE, "Eve", ("09:00-11:00",))]
    )

    setup.update_calendar(calendar=row, name="Renamed", time_zone="Asia/Tokyo")
    setup.update_calendar(calendar=row, holidays=[Day(date(2027, 1, 1))])

    row.refresh_from_db()
    assert (row.name, row.time_zone, row.week) == ("Renamed", "Asia/Tokyo", WEEK)
    assert dates_of(row) == [(EVE, "Eve", ["09:00-11:00"]), (date(2027, 1, 1), "", [])]


def test_a_date_changes_from_a_holiday_to_a_special_day_and_keeps_its_row():
    row = calendar(holidays=[Day(EVE, "Eve")])
    before = CalendarDate.objects.get().pk

    setup.update_calendar(
        calendar=row, holidays=[], special_days=[Day(EVE, "Half", ("09:00-11:00",))]
    )

    assert CalendarDate.objects.get().pk == before
    assert dates_of(row) == [(EVE, "Half", ["09:00-11:00"])]


def test_a_holiday_on_a_special_day_that_stays_is_refused():
    row = calendar(special_days=[Day(EVE, "", ("09:00-11:00",))])
    assert pointer(setup.update_calendar, calendar=row, holidays=[Day(EVE)]) == (
        "/special_days/0/date"
    )


def test_a_calendar_holds_two_thousand_dates_and_no_more(monkeypatch):
    monkeypatch.setattr(calendars, "MAX_DATES", 3)
    days = [Day(date(2026, 1, number)) for number in range(1, 5)]
    row = calendar(holidays=days[:3])

    assert pointer(setup.update_calendar, calendar=row, holidays=days) == "/holidays"
    assert pointer(
        setup.update_calendar, calendar=row, special_days=[Day(EVE, "", ("09:00-10:00",))]
    ) == ("/holidays")
    assert pointer(setup.import_holidays, calendar=row, country="DE", years=[2026]) == "/years"
    assert row.dates.count() == 3


def test_two_calendars_have_two_names():
    calendar("Office")
    assert refusal(calendar, "OFFICE") == ("/name", "unique")


# --- Holidays -------------------------------------------------------------------------


def test_a_countrys_holidays_are_added_to_what_is_there():
    row = calendar(special_days=[Day(CHRISTMAS, "We work", ("09:00-10:00",))])

    setup.import_holidays(calendar=row, country="de", subdivision="BY", years=[2026])
    setup.import_holidays(calendar=row, country="DE", subdivision="BY", years=[2026])

    found = {day: (name, windows) for day, name, windows in dates_of(row)}
    assert found[CHRISTMAS] == ("We work", ["09:00-10:00"])
    assert found[date(2026, 1, 6)] == ("Epiphany", [])
    assert date(2026, 10, 3) in found
    assert {day.year for day in found} == {2026}


def test_a_subdivision_has_holidays_of_its_own():
    bavaria = holidays.public_holidays("DE", subdivision="BY", years=[2026])
    berlin = holidays.public_holidays("DE", subdivision="BE", years=[2026])
    assert date(2026, 1, 6) in bavaria
    assert date(2026, 1, 6) not in berlin
    assert holidays.public_holidays("DE", subdivision="Bayern", years=[2026]) == bavaria


def test_names_do_not_depend_on_the_machines_language(monkeypatch):
    for language in ("de_DE", "fr_FR"):
        monkeypatch.setenv("LANGUAGE", language)
        assert holidays.public_holidays("DE", years=[2026])[CHRISTMAS] == "Christmas Day"
        assert "Noël" not in holidays.public_holidays("FR", years=[2026]).values()


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"country": "XX"}, "/country"),
        ({"country": ""}, "/country"),
        ({"country": "DEU"}, "/country"),
        ({"country": "DE", "subdivision": "ZZ"}, "/subdivision"),
        ({"country": "DE", "years": [1969]}, "/years"),
        ({"country": "DE", "years": [2026, 2101]}, "/years"),
        ({"country": "DE", "years": [1980]}, "/years"),
    ],
)
def test_holidays_that_nobody_knows_are_refused(asked, where):
    row = calendar()
    assert pointer(setup.import_holidays, calendar=row, **{"years": [2026], **asked}) == where
    assert not row.dates.exists()


def test_every_country_has_a_name_and_holidays():
    known = holidays.countries()
    assert (known["DE"], known["BA"], known["US"]) == (
        "Germany", "Bosnia and Herzegovina", "United States",
    )  # fmt: skip
    assert list(known.values()) == sorted(known.values())
    assert len(known) > 200


# --- Policies -------------------------------------------------------------------------


def test_a_policy_is_kept_with_all_that_belongs_to_it(alice, team):
    category = Category.objects.create(name="VPN")
    hours = calendar()
    row = policy(
        calendar=hours,
        position=3,
        pauses=["on_hold", "on_hold"],
        categories=[category],
        teams=[team],
        requesters=[alice],
    )

    row.refresh_from_db()
    assert (row.name, row.is_active, row.position, row.calendar) == ("Standard", True, 3, hours)
    assert row.pauses == ["on_hold"]
    assert (row.categories.get(), row.teams.get(), row.requesters.get()) == (category, team, alice)
    assert targets_of(row) == [(Priority.HIGH, HOUR, None, 8 * HOUR)]


def test_a_new_policy_pauses_wherever_clocks_may(db):
    assert policy().pauses == ["pending", "on_hold"]


def test_a_change_of_targets_replaces_them_and_nothing_else(team):
    row = policy(teams=[team])

    setup.update_policy(
        policy=row,
        targets=[Target(Priority.HIGH, resolution=60), Target(Priority.LOW, next_response=5)],
    )
    setup.update_policy(policy=row, is_active=False, calendar=None)

    row.refresh_from_db()
    assert targets_of(row) == [(Priority.HIGH, None, None, 60), (Priority.LOW, None, 5, None)]
    assert (row.is_active, row.teams.get()) == (False, team)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"targets": []}, "/targets"),
        ({"targets": [Target(Priority.LOW)]}, "/targets/0"),
        ({"targets": [*ALL, *ALL]}, "/targets/1/priority"),
        ({"targets": [Target(Priority.LOW, resolution=0)]}, "/targets/0/resolution"),
        ({"targets": [Target(Priority.LOW, first_response=-1)]}, "/targets/0/first_response"),
        (
            {"targets": [Target(Priority.LOW, next_response=366 * 24 * HOUR + 1)]},
            "/targets/0/next_response",
        ),
        ({"pauses": ["open"]}, "/pauses"),
        ({"position": -1}, "/position"),
        ({"name": ""}, "/name"),
    ],
)
def test_what_is_wrong_with_a_policy_is_told_where_it_stands(wrong, where):
    row = policy()
    counted = revision.current()
    assert pointer(policy, **{"name": "Another", **wrong}) == where
    assert pointer(setup.update_policy, policy=row, **wrong) == where
    assert SlaPolicy.objects.count() == 1
    assert targets_of(row) == [(Priority.HIGH, HOUR, None, 8 * HOUR)]
    assert revision.current() == counted


def test_a_policy_without_targets_is_refused_when_they_are_not_even_named():
    assert pointer(setup.create_policy, name="Empty") == "/targets"


# --- Escalation rules -----------------------------------------------------------------


def test_a_rule_is_kept_with_all_that_belongs_to_it(team):
    category = Category.objects.create(name="VPN")
    row = rule(
        metric="resolution",
        after_seconds=60,
        categories=[category],
        teams=[team],
        min_priority=Priority.HIGH,
        level=2,
        raises_priority=True,
        reassigns=True,
        notifies=["supervisors", "assignee", "supervisors"],
    )

    row.refresh_from_db()
    assert (row.metric, row.after_seconds, row.min_priority, row.level) == ("resolution", 60, 3, 2)
    assert (row.categories.get(), row.teams.get()) == (category, team)
    assert row.notifies == ["assignee", "supervisors"]
    setup.update_rule(rule=row, teams=[], metric="", is_active=False)
    row.refresh_from_db()
    assert (row.teams.count(), row.categories.count(), row.metric) == (0, 1, "")
    assert not row.is_active


@pytest.mark.parametrize(
    "fields",
    [
        {"trigger": "sla_warning", "metric": "first_response"},
        {"trigger": "sla_breached", "after_seconds": 0},
        {"trigger": "unassigned", "after_seconds": 1800},
        {"trigger": "no_first_response", "after_seconds": 1},
        {"trigger": "reopened", "reopen_count": 1},
        {"notifies": [], "level": 1},
        {"notifies": [], "raises_priority": True},
        {"notifies": [], "reassigns": True},
    ],
)
def test_a_rule_that_makes_sense_is_taken(fields):
    assert rule(**fields).pk


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"trigger": "unassigned", "after_seconds": 60, "metric": "resolution"}, "/metric"),
        ({"trigger": "reopened", "reopen_count": 1, "metric": "resolution"}, "/metric"),
        ({"trigger": "reopened"}, "/reopen_count"),
        ({"trigger": "reopened", "reopen_count": 0}, "/reopen_count"),
        ({"trigger": "reopened", "reopen_count": 101}, "/reopen_count"),
        ({"reopen_count": 2}, "/reopen_count"),
        ({"trigger": "reopened", "reopen_count": 1, "after_seconds": 5}, "/after_seconds"),
        ({"trigger": "unassigned"}, "/after_seconds"),
        ({"trigger": "no_first_response", "after_seconds": 0}, "/after_seconds"),
        ({"trigger": "unassigned", "after_seconds": 366 * 24 * HOUR + 1}, "/after_seconds"),
        ({"trigger": "full_moon"}, "/trigger"),
        ({"metric": "happiness"}, "/metric"),
        ({"notifies": []}, "/level"),
        ({"notifies": ["everybody"]}, "/notifies"),
        ({"level": 4}, "/level"),
        ({"min_priority": 9}, "/min_priority"),
        ({"name": ""}, "/name"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_where_it_stands(wrong, where):
    row = rule()
    assert pointer(rule, **{"name": "Another", **wrong}) == where
    assert pointer(setup.update_rule, rule=row, **wrong) == where
    assert EscalationRule.objects.count() == 1


# --- Counting, referring, deleting ----------------------------------------------------


def test_every_change_is_counted_once_it_is_made(team):
    row, promised, reaction = calendar(), policy(), rule()
    changes = [
        lambda: calendar("Another"),
        lambda: setup.update_calendar(calendar=row, time_zone="Asia/Tokyo"),
        lambda: setup.import_holidays(calendar=row, country="DE", years=[2026]),
        lambda: policy("Another"),
        lambda: setup.update_policy(policy=promised, position=2),
        lambda: rule("Another"),
        lambda: setup.update_rule(rule=reaction, level=2),
        lambda: setup.delete(reaction),
        lambda: setup.delete(promised),
        lambda: setup.delete(row),
    ]
    for change in changes:
        before = revision.current()
        change()
        assert revision.current() > before


def test_a_calendar_of_a_policy_stays_and_takes_its_dates_along_when_it_goes():
    row = calendar(holidays=[Day(CHRISTMAS)])
    promised = policy(calendar=row)
    with pytest.raises(InUse):
        setup.delete(row)

    setup.delete(promised)
    assert not SlaTarget.objects.exists()
    setup.delete(row)
    assert not CalendarDate.objects.exists()
    with pytest.raises(Http404):
        setup.delete(row)


def test_a_policy_of_a_ticket_stays(alice):
    promised = policy()
    ticket = Ticket.objects.create(requester=alice, subject="x", sla_policy=promised)
    with pytest.raises(InUse):
        setup.delete(promised)

    Ticket.objects.filter(pk=ticket.pk).update(sla_policy=None)
    setup.delete(promised)


@pytest.mark.parametrize("make", [policy, rule])
def test_a_team_and_a_category_that_somebody_points_to_stay(make, team):
    category = Category.objects.create(name="VPN")
    row = make(teams=[team], categories=[category])
    for used in (team, category):
        with pytest.raises(InUse):
            delete_named(used)

    setup.delete(row)
    delete_named(category)
    delete_named(team)


@pytest.mark.parametrize("make", [policy, rule])
def test_nothing_points_to_what_was_deleted_meanwhile(make, team):
    gone = Category.objects.create(name="VPN")
    row = make("First")
    Category.objects.filter(pk=gone.pk).delete()
    gone.pk = 999

    with pytest.raises(NothingThere):
        make("Second", categories=[gone], teams=[team])
    change = setup.update_policy if make is policy else setup.update_rule
    with pytest.raises(NothingThere):
        change(**{"policy" if make is policy else "rule": row, "categories": [gone]})


def test_a_policy_gets_no_calendar_that_was_deleted_meanwhile():
    gone = calendar()
    Calendar.objects.all().delete()
    with pytest.raises(NothingThere):
        policy(calendar=gone)


def test_what_was_deleted_meanwhile_cannot_be_changed():
    row = calendar()
    Calendar.objects.all().delete()
    with pytest.raises(Http404):
        setup.update_calendar(calendar=row, name="x")


# --- Who leads a team -----------------------------------------------------------------


def test_a_lead_works_here(alice, bob, sam):
    team = create_team(name="Network", lead=bob)
    assert refusal(update_team, team=team, lead=alice) == ("/lead", "invalid")
    update_user(user=sam, at=timezone.now(), is_active=True)

    update_team(team=team, lead=sam)
    team.refresh_from_db()
    assert (team.name, team.lead) == ("Network", sam)
    update_team(team=team, lead=None)
    team.refresh_from_db()
    assert team.lead is None


def test_a_team_whose_lead_has_left_can_still_be_renamed(bob, sam):
    team = create_team(name="Network", lead=bob)
    update_user(user=bob, at=timezone.now(), is_active=False)

    assert update_team(team=team, name="Networks", lead=bob).name == "Networks"
    assert pointer(create_team, name="Another", lead=bob) == "/lead"


# --- Two supervisors at once, on PostgreSQL -------------------------------------------

both_ways = pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)


def at_once(*calls):
    start = Barrier(len(calls))

    def run(call):
        try:
            start.wait(20)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def meet_after_reading(monkeypatch, module, parties=2):
    """Take the row's lock away, and let all of them read before any of them writes."""
    meeting = Barrier(parties)

    def look(row):
        found = type(row).objects.get(pk=row.pk)
        with suppress(BrokenBarrierError):
            meeting.wait(10)
        return found

    monkeypatch.setattr(module, "lock", look)


@pytest.mark.postgres
@both_ways
def test_of_two_who_change_parts_of_a_calendar_neither_undoes_the_other(protected, monkeypatch):
    row = calendar()
    if not protected:
        meet_after_reading(monkeypatch, calendars)

    at_once(
        lambda: setup.update_calendar(
            calendar=row, time_zone="Asia/Tokyo", holidays=[Day(CHRISTMAS)]
        ),
        lambda: setup.update_calendar(
            calendar=row, name="Renamed", special_days=[Day(EVE, "", ("09:00-11:00",))]
        ),
    )

    row.refresh_from_db()
    both = (row.name, row.time_zone, row.dates.count()) == ("Renamed", "Asia/Tokyo", 2)
    assert both == protected


@pytest.mark.postgres
@both_ways
def test_whoever_points_to_a_team_that_is_being_deleted_is_refused(protected, monkeypatch):
    if not protected:
        monkeypatch.setattr("tickets.services.setup.rules.hold", lambda field, rows: None)
    answers: list[str | None] = []

    def attempt(call):
        try:
            call()
            answers.append(None)
        except Exception as exc:
            answers.append(type(exc).__name__)

    for number in range(20):
        fresh = Team.objects.create(name=f"Team {number}")
        at_once(
            lambda fresh=fresh: attempt(lambda: delete_named(fresh)),
            lambda fresh=fresh, n=number: attempt(lambda: rule(f"Rule {n}", teams=[fresh])),
        )
    assert ("IntegrityError" in answers) == (not protected)
    assert set(answers) <= {None, "InUse", "NothingThere", "IntegrityError"}
