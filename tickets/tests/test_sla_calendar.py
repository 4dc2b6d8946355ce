"""Business time, against its laws and against a walk through the minutes."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, groupby, pairwise
from threading import Barrier
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickets.sla import calendar
from tickets.sla.calendar import (
    ALWAYS,
    WEEKDAYS,
    BusinessCalendar,
    CalendarError,
    Window,
)
from tickets.sla.hours import parse, window_text

pytestmark = pytest.mark.once

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ZERO = timedelta(0)
OFFICE = {day: ["09:00-12:00", "13:00-17:30"] for day in WEEKDAYS[:5]}
ALL_DAY = {day: ["00:00-24:00"] for day in WEEKDAYS}

# Where each zone changes its clocks, and an ordinary day of each.
ANCHORS = {
    "UTC": ["2024-02-29 12:00", "2025-12-31 23:00"],
    "Europe/Berlin": ["2026-03-29 01:00", "2026-10-25 01:00", "2026-12-31 23:00"],
    "America/New_York": ["2026-03-08 07:00", "2026-11-01 06:00", "2026-07-01 00:00"],
    "Australia/Lord_Howe": ["2026-04-04 15:00", "2026-10-03 15:30", "2026-06-01 00:00"],
    "Asia/Kathmandu": ["2026-01-01 00:00", "1985-12-31 18:30"],
    "Pacific/Apia": ["2011-12-30 10:00", "2012-04-01 14:00", "2020-01-01 00:00"],
    "America/Sao_Paulo": ["2018-02-18 02:00", "2018-11-04 03:00", "2026-05-01 00:00"],
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def hours(start: str, end: str) -> tuple[datetime, datetime]:
    return utc(start), utc(end)


@dataclass(frozen=True)
class Desk:
    """A calendar to be tried, with what it was made of, and a moment worth looking at."""

    zone: str
    week: Mapping[int, Sequence[Window]]
    exceptions: Mapping[date, Sequence[Window]]
    start: datetime

    @property
    def calendar(self) -> BusinessCalendar:
        return BusinessCalendar(self.zone, self.week, self.exceptions)

    def shifts(self, day: date) -> Sequence[Window]:
        return self.exceptions.get(day, self.week.get(day.weekday(), ()))

    def reads_as_working(self, at: datetime) -> bool:
        """The oracle: looks at the clock on the wall, and knows nothing of offsets."""
        wall = at.astimezone(ZoneInfo(self.zone))
        today, minute = wall.date(), wall.hour * 60 + wall.minute
        return any(
            shift.start <= minute and (minute < shift.end or shift.end <= shift.start)
            for shift in self.shifts(today)
        ) or any(
            minute < shift.end <= shift.start  # last night's
            for shift in self.shifts(today - DAY)
        )


@st.composite
def shifts(draw: st.DrawFn, *, least: int = 0) -> list[Window]:
    """Split windows on the quarter hours; the last may run overnight."""
    edges = st.lists(st.integers(0, 96), min_size=2 * least, max_size=6, unique=True)
    cuts = sorted(edge * 15 for edge in draw(edges))
    windows = [Window(start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=False)]
    if draw(st.booleans()):
        start = draw(st.integers(60, 95)) * 15
        windows.append(Window(start, draw(st.integers(1, 40)) * 15))
    return windows


@st.composite
def desks(draw: st.DrawFn) -> Desk:
    zone = draw(st.sampled_from(sorted(ANCHORS)))
    anchor = utc(draw(st.sampled_from(ANCHORS[zone])))
    week = draw(st.dictionaries(st.integers(0, 6), shifts(), max_size=7))
    week[draw(st.integers(0, 6))] = draw(shifts(least=1))
    days = st.integers(-4, 6).map(lambda days: (anchor + days * DAY).date())
    exceptions = draw(st.dictionaries(days, st.one_of(st.just([]), shifts()), max_size=4))
    start = anchor + draw(st.integers(-2 * 1440, 240)) * MINUTE
    return Desk(zone, week, exceptions, start)


amounts = st.timedeltas(ZERO, timedelta(days=20))
moments = st.timedeltas(ZERO, timedelta(days=6))
laws = settings(max_examples=120, deadline=None)


# The laws.


@laws
@given(desks(), moments, amounts)
def test_exactly_the_added_time_has_been_worked_when_it_is_due(desk, later, amount):
    start = desk.start + later
    assert desk.calendar.working(start, desk.calendar.add(start, amount)) == amount


@laws
@given(desks(), moments, amounts)
def test_a_due_time_is_the_earliest_that_there_is(desk, later, amount):
    business, start = desk.calendar, desk.start + later
    due = business.add(start, amount)
    assert due == start or business.working(start, due - timedelta.resolution) < amount


@laws
@given(desks(), moments, amounts, amounts)
def test_adding_in_two_steps_is_adding_at_once(desk, later, one, other):
    business, start = desk.calendar, desk.start + later
    assert business.add(business.add(start, one), other) == business.add(start, one + other)


@laws
@given(desks(), moments, moments, amounts, amounts)
def test_a_later_start_or_a_longer_target_is_never_due_earlier(desk, one, other, short, more):
    business = desk.calendar
    first, second = desk.start + min(one, other), desk.start + max(one, other)
    assert business.add(first, short) <= business.add(second, short)
    assert business.add(first, short) <= business.add(first, short + more)


@laws
@given(desks(), st.lists(moments, min_size=3, max_size=3))
def test_working_time_of_parts_sums_up(desk, cuts):
    business = desk.calendar
    one, two, three = sorted(desk.start + cut for cut in cuts)
    assert business.working(one, two) + business.working(two, three) == business.working(one, three)
    assert ZERO <= business.working(one, three) <= three - one


@laws
@given(desks(), amounts, st.lists(moments, min_size=2, max_size=2))
def test_a_pause_moves_the_due_time_by_exactly_its_working_time(desk, target, pause):
    business, start = desk.calendar, desk.start
    due = business.add(start, target)
    begin, end = sorted(start + cut for cut in pause)
    paused = business.working(begin, end)
    moved = business.add(start, target + paused)
    assert business.working(due, moved) == paused
    if begin < due:
        left = target - business.working(start, begin)
        assert moved == business.add(end, left), "what was left at the pause is left after it"


@laws
@given(desks(), moments, moments)
def test_the_intervals_are_apart_and_sum_up_to_the_working_time(desk, one, other):
    business = desk.calendar
    start, end = desk.start + min(one, other), desk.start + max(one, other)
    found = business.intervals(start, end)
    assert sum((stop - begin for begin, stop in found), ZERO) == business.working(start, end)
    assert all(start <= begin < stop <= end for begin, stop in found)
    assert all(one[1] < other[0] for one, other in pairwise(found))
    assert business.intervals(start, end, limit=2) == found[:2]


# The oracle.


@settings(max_examples=100, deadline=None)
@given(desks(), st.data())
def test_it_agrees_with_a_walk_through_the_minutes(desk, data):
    business, length = desk.calendar, 4 * 1440
    minutes = [desk.start + number * MINUTE for number in range(length)]
    readings = [desk.reads_as_working(at) for at in minutes]
    worked = list(accumulate(readings, initial=0))

    runs = [list(run) for works, run in groupby(range(length), readings.__getitem__) if works]
    assert business.intervals(desk.start, desk.start + length * MINUTE) == [
        (minutes[run[0]], minutes[run[-1]] + MINUTE) for run in runs
    ]
    for _ in range(12):
        one, other = sorted(data.draw(st.lists(st.integers(0, length), min_size=2, max_size=2)))
        begin, end = desk.start + one * MINUTE, desk.start + other * MINUTE
        assert business.working(begin, end) == (worked[other] - worked[one]) * MINUTE
        if one < length:
            assert business.is_working(begin) == readings[one]
        if worked[other] > worked[one]:
            due = desk.start + worked.index(worked[other]) * MINUTE
            assert business.add(begin, business.working(begin, end)) == due


# The clocks change.


def test_the_day_of_the_spring_has_23_hours_and_that_of_the_autumn_25():
    berlin = parse("Europe/Berlin", ALL_DAY)
    for day, length in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)):
        midnight = local("Europe/Berlin", day)
        assert berlin.working(midnight, midnight + DAY) == length * HOUR


def test_half_an_hour_is_changed_on_lord_howe_island():
    island = parse("Australia/Lord_Howe", {"sunday": ["01:00-03:00"]})
    april, october = utc("2026-04-03"), utc("2026-10-02")
    assert island.working(april, april + 3 * DAY) == 2.5 * HOUR
    assert island.working(october, october + 3 * DAY) == 1.5 * HOUR


def test_a_window_inside_the_repeated_hour_comes_twice():
    berlin = parse("Europe/Berlin", {"sunday": ["02:15-02:45"]})
    assert berlin.intervals(utc("2026-10-25"), utc("2026-10-26")) == [
        hours("2026-10-25 00:15", "2026-10-25 00:45"),
        hours("2026-10-25 01:15", "2026-10-25 01:45"),
    ]


def test_a_window_that_begins_in_the_repeated_hour_has_a_part_of_its_own():
    berlin = parse("Europe/Berlin", {"sunday": ["02:30-04:00"]})
    assert berlin.intervals(utc("2026-10-25"), utc("2026-10-26")) == [
        hours("2026-10-25 00:30", "2026-10-25 01:00"),
        hours("2026-10-25 01:30", "2026-10-25 03:00"),
    ]


def test_a_window_that_begins_in_the_skipped_hour_begins_after_it():
    berlin = parse("Europe/Berlin", {"sunday": ["02:30-04:00"]})
    assert berlin.intervals(utc("2026-03-29"), utc("2026-03-30")) == [
        hours("2026-03-29 01:00", "2026-03-29 02:00")
    ]


def test_a_window_that_ends_in_the_skipped_hour_ends_before_it():
    berlin = parse("Europe/Berlin", {"sunday": ["01:00-02:30"]})
    assert berlin.intervals(utc("2026-03-29"), utc("2026-03-30")) == [
        hours("2026-03-29 00:00", "2026-03-29 01:00")
    ]


def test_a_window_inside_the_skipped_hour_does_not_come():
    berlin = parse("Europe/Berlin", {"sunday": ["02:15-02:45"]})
    assert berlin.intervals(utc("2026-03-29"), utc("2026-03-30")) == []


def test_a_midnight_that_is_skipped_opens_the_day_at_one():
    sao_paulo = parse("America/Sao_Paulo", {"sunday": ["00:00-02:00"]})
    assert sao_paulo.intervals(utc("2018-11-03"), utc("2018-11-05")) == [
        hours("2018-11-04 03:00", "2018-11-04 04:00")
    ]


def test_a_change_at_midnight_utc_is_seen_to_the_second():
    casablanca = parse("Africa/Casablanca", {"sunday": ["00:00-02:00"]})
    assert casablanca.intervals(utc("2008-05-31"), utc("2008-06-02")) == [
        hours("2008-06-01 00:00", "2008-06-01 01:00")
    ]


def test_a_day_that_never_was_has_no_working_time():
    apia = parse("Pacific/Apia", {"thursday": ["09:00-17:00"], "friday": ["09:00-17:00"]})
    start = local("Pacific/Apia", "2011-12-29 16:00")
    assert apia.add(start, 2 * HOUR) == local("Pacific/Apia", "2012-01-05 10:00")


def test_a_working_instant_is_the_same_in_every_zone():
    office = parse("Europe/Berlin", OFFICE)
    at = utc("2026-07-01 09:59")
    assert office.is_working(at)
    assert office.is_working(at.astimezone(ZoneInfo("Asia/Kathmandu")))
    assert not office.is_working(at + MINUTE), "the window's end is outside"
    assert office.add(at.astimezone(ZoneInfo("Asia/Kathmandu")), HOUR).tzinfo is UTC


# Nights, holidays and special days.

NIGHTS = {"monday": ["22:00-06:00"], "tuesday": ["22:00-06:00"]}
MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)
MONDAY_NIGHT = hours("2026-11-23 22:00", "2026-11-24 06:00")
TUESDAY_NIGHT = hours("2026-11-24 22:00", "2026-11-25 06:00")


@pytest.mark.parametrize(
    ("exceptions", "expected"),
    [
        ({}, [MONDAY_NIGHT, TUESDAY_NIGHT]),
        ({MONDAY: []}, [TUESDAY_NIGHT]),
        ({TUESDAY: []}, [MONDAY_NIGHT]),
        (
            {TUESDAY: ["05:00-07:00"]},
            [hours("2026-11-23 22:00", "2026-11-24 07:00")],
        ),
        (
            {MONDAY: ["10:00-11:00", "23:00-01:00"]},
            [
                hours("2026-11-23 10:00", "2026-11-23 11:00"),
                hours("2026-11-23 23:00", "2026-11-24 01:00"),
                TUESDAY_NIGHT,
            ],
        ),
    ],
    ids=["no exception", "holiday before", "holiday after", "early start", "another shift"],
)
def test_a_night_belongs_to_the_date_on_which_it_begins(exceptions, expected):
    nights = parse("UTC", NIGHTS, exceptions)
    assert nights.intervals(utc("2026-11-22"), utc("2026-11-28")) == expected


def test_a_day_to_24_00_and_the_next_from_00_00_are_one_interval():
    round_the_weekend = parse("UTC", {"saturday": ["12:00-24:00"], "sunday": ["00:00-08:00"]})
    assert round_the_weekend.intervals(utc("2026-11-23"), utc("2026-11-30")) == [
        hours("2026-11-28 12:00", "2026-11-29 08:00")
    ]


def test_a_night_over_the_new_year_is_one_interval():
    nights = parse("UTC", {"thursday": ["22:00-06:00"]})
    assert nights.intervals(utc("2026-12-30"), utc("2027-01-03")) == [
        hours("2026-12-31 22:00", "2027-01-01 06:00")
    ]


def test_a_target_that_ends_with_the_window_is_due_at_its_end():
    office = parse("UTC", OFFICE)
    friday = utc("2026-11-27 17:00")
    assert office.add(friday, HOUR / 2) == utc("2026-11-27 17:30")
    assert office.add(friday, HOUR / 2 + timedelta.resolution) == utc("2026-11-30 09:00:00.000001")


def test_no_time_is_due_at_once_even_at_night():
    assert parse("UTC", OFFICE).add(utc("2026-11-28 03:00"), ZERO) == utc("2026-11-28 03:00")


# Bounds.


def test_round_the_clock_every_instant_counts():
    start, target = utc("2026-11-22 12:34:56.789"), timedelta(days=366, microseconds=1)
    assert ALWAYS.add(start, target) == start + target
    assert ALWAYS.working(start, start + target) == target
    assert ALWAYS.intervals(start, start + 3 * target) == [(start, start + 3 * target)]
    assert ALWAYS.intervals(start, start) == []
    assert ALWAYS.is_working(start)


def test_a_quarter_of_an_hour_a_week_still_reaches_a_year_of_working_time():
    rare = parse("Europe/Berlin", {"monday": ["09:00-09:15"]})
    due = rare.add(utc("2026-11-22"), timedelta(days=366))
    assert due == utc("2700-04-09 07:15")


def test_intervals_are_computed_only_as_far_as_the_limit(monkeypatch):
    office = parse("UTC", OFFICE)
    office.intervals(utc("2026-11-23"), utc("2026-11-24"))
    monkeypatch.setattr(calendar, "_offset", None)
    assert office.intervals(utc("2026-11-23"), utc("9000-01-01"), limit=1) == [
        hours("2026-11-23 09:00", "2026-11-23 12:00")
    ]


@pytest.mark.parametrize(
    "ask",
    [
        lambda office: office.add(utc("9998-12-30"), timedelta(days=30)),
        lambda office: office.working(utc("2026-01-01"), utc("9999-01-02")),
        lambda office: office.is_working(utc("0001-06-01")),
    ],
)
def test_beyond_the_last_year_is_said_in_a_sentence(ask):
    with pytest.raises(OverflowError, match=r"known for the years 2 to 9998\."):
        ask(parse("Europe/Berlin", OFFICE))


def test_a_negative_duration_a_reversed_span_and_a_naive_instant_are_refused():
    office, noon = parse("UTC", OFFICE), utc("2026-11-23 12:00")
    with pytest.raises(ValueError, match="cannot be taken back"):
        office.add(noon, -MINUTE)
    for ask in (office.working, office.intervals):
        with pytest.raises(ValueError, match="end lies before the start"):
            ask(noon, noon - MINUTE)
    with pytest.raises(ValueError, match="needs a time zone"):
        office.is_working(noon.replace(tzinfo=None))


def test_a_warm_calendar_asks_the_zone_nothing(monkeypatch):
    office, start = parse("Europe/Berlin", OFFICE), utc("2026-11-22")
    cold = office.add(start, 500 * HOUR)
    monkeypatch.setattr(calendar, "_offset", None)
    assert office.add(start, 500 * HOUR) == cold
    assert office.working(start, cold) == 500 * HOUR


def test_forgotten_years_are_computed_again(monkeypatch):
    monkeypatch.setattr(calendar, "MAX_YEARS", 2)
    office, start = parse("Europe/Berlin", OFFICE), utc("2020-01-01")
    due = office.add(start, timedelta(days=366))
    assert office.working(start, due) == timedelta(days=366)
    assert len(office._years) <= 2


def test_threads_that_meet_on_a_cold_calendar_agree():
    cold, start = parse("America/New_York", OFFICE), utc("2026-01-01")
    targets = [timedelta(days=days) for days in range(0, 160, 20)]
    expected = [parse("America/New_York", OFFICE).add(start, target) for target in targets]
    barrier = Barrier(len(targets))

    def ask(target: timedelta) -> datetime:
        barrier.wait(timeout=10)
        return cold.add(start, target)

    with ThreadPoolExecutor(len(targets)) as pool:
        assert list(pool.map(ask, targets)) == expected


# Reading what people write.


@given(st.integers(0, 1439), st.integers(1, 1440))
@example(0, 1440)
def test_a_window_is_read_as_it_is_written(start, end):
    if start == end:
        return
    written = window_text(Window(start, end))
    read = parse("UTC", {"wednesday": [written]})
    midnight = utc("2026-11-25")
    stop = end if end > start else end + 1440
    assert read.intervals(midnight, midnight + 3 * DAY) == [
        (midnight + start * MINUTE, midnight + stop * MINUTE)
    ]


def test_a_window_to_midnight_may_be_written_both_ways():
    for text in ("22:00-00:00", "22:00-24:00"):
        assert parse("UTC", {"monday": [text]}).intervals(utc("2026-11-23"), utc("2026-11-25")) == [
            hours("2026-11-23 22:00", "2026-11-24 00:00")
        ]


def test_every_public_zone_is_known():
    for zone in available_timezones() - {"localtime", "Factory"}:
        BusinessCalendar(zone, {0: [Window(0, 1440)]})


@pytest.mark.parametrize(
    "zone",
    [
        *("", "../x", "Europe/../UTC", "/usr/share/zoneinfo/UTC", "UTC\0", "UTC\n", "\udc80"),
        *("localtime", "Factory", "posixrules", "posix/UTC", "right/UTC", "Europe", "Mars/Olympus"),
        *("leapseconds", "x" * 5000, None, 7, ["UTC"]),
    ],
    ids=lambda zone: repr(zone)[:30],
)
def test_what_is_not_a_zone_is_refused(zone):
    with pytest.raises(CalendarError) as refused:
        parse(zone, OFFICE)
    assert refused.value.field == "time_zone"
    assert refused.value.detail.endswith("is not a time zone; write a name such as Europe/Berlin.")
    assert len(refused.value.detail) < 120


@pytest.mark.parametrize(
    ("week", "field", "detail"),
    [
        ({}, "week", "A calendar needs at least one window."),
        ({"monday": []}, "week", "A calendar needs at least one window."),
        ([], "week", "Write days, each with a list of windows."),
        ({"Monday": []}, "week", "'Monday' is not a weekday, monday to sunday."),
        ({0: []}, "week", "0 is not a weekday, monday to sunday."),
        (
            {"monday": "09:00-17:00"},
            "week.monday",
            "Write a list of windows such as 09:00-17:30.",
        ),
        ({"monday": None}, "week.monday", "Write a list of windows such as 09:00-17:30."),
        (
            {"friday": ["24:00-06:00"]},
            "week.friday",
            "'24:00-06:00' begins at 24:00, which is only an end.",
        ),
        (
            {"friday": ["09:00-09:00"]},
            "week.friday",
            "'09:00-09:00' ends where it begins; write 00:00-24:00 for the whole day.",
        ),
        (
            {"friday": ["00:00-00:00"]},
            "week.friday",
            "'00:00-00:00' ends where it begins; write 00:00-24:00 for the whole day.",
        ),
        (
            {"monday": ["11:00-13:00", "09:00-12:00"]},
            "week.monday",
            "09:00-12:00 and 11:00-13:00 overlap.",
        ),
        (
            {"monday": ["20:00-02:00", "23:00-24:00"]},
            "week.monday",
            "20:00-02:00 and 23:00-24:00 overlap.",
        ),
        (
            {"monday": ["22:00-06:00", "09:00-12:00"], "tuesday": ["13:00-15:00", "05:00-09:00"]},
            "week.tuesday",
            "05:00-09:00 overlaps 22:00-06:00 of the day before.",
        ),
        (
            {"monday": ["05:00-09:00"], "sunday": ["22:00-06:00"]},
            "week.monday",
            "05:00-09:00 overlaps 22:00-06:00 of the day before.",
        ),
    ],
)
def test_a_week_that_cannot_be_is_refused_with_its_reason(week, field, detail):
    with pytest.raises(CalendarError) as refused:
        parse("Europe/Berlin", week)
    assert (refused.value.field, refused.value.detail) == (field, detail)
    assert str(refused.value) == f"{field}: {detail}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "9:00-17:00", "09:00", "09:00-25:00", "09:60-10:00", "09:00-24:01", "09:00 - 10:00"),
        *("09:00-10:00\n", "٠٩:٠٠-١٠:٠٠", "09:00\N{EN DASH}10:00", "-09:00-10:00"),  # noqa: RUF001
        *(None, 540, ["09:00", "10:00"]),
    ],
)
def test_what_is_not_a_window_is_refused(text):
    with pytest.raises(CalendarError) as refused:
        parse("UTC", {"monday": [text]})
    assert refused.value.field == "week.monday"
    assert refused.value.detail == (
        f"{text!r} is not a window; write 09:00-17:30, or overnight 22:00-06:00."
    )


def test_windows_that_touch_are_no_overlap():
    touching = {"monday": ["09:00-12:00", "12:00-13:00", "22:00-06:00"], "tuesday": ["06:00-07:00"]}
    found = parse("UTC", touching).intervals(utc("2026-11-23"), utc("2026-11-25"))
    assert found == [
        hours("2026-11-23 09:00", "2026-11-23 13:00"),
        hours("2026-11-23 22:00", "2026-11-24 07:00"),
    ]


@pytest.mark.parametrize(
    ("exceptions", "field", "detail"),
    [
        (
            {MONDAY: ["09:00-12:00", "11:00-13:00"]},
            "exceptions.2026-11-23",
            "09:00-12:00 and 11:00-13:00 overlap.",
        ),
        (
            {MONDAY: "closed"},
            "exceptions.2026-11-23",
            "Write a list of windows such as 09:00-17:30.",
        ),
        ({"2026-11-23": []}, "exceptions", "'2026-11-23' is not a date."),
        ([MONDAY], "exceptions", "Write days, each with a list of windows."),
    ],
)
def test_an_exception_that_cannot_be_is_refused_with_its_reason(exceptions, field, detail):
    with pytest.raises(CalendarError) as refused:
        parse("UTC", OFFICE, exceptions)
    assert (refused.value.field, refused.value.detail) == (field, detail)


def test_a_moment_is_not_a_date_of_an_exception():
    with pytest.raises(CalendarError, match="is not a date"):
        parse("UTC", OFFICE, {utc("2026-11-23"): []})


@pytest.mark.parametrize(("start", "end"), [(-1, 60), (1440, 60), (0, 0), (0, 1441)])
def test_a_window_lies_within_a_day(start, end):
    with pytest.raises(ValueError, match="A window lies within a day"):
        Window(start, end)


def test_a_calendar_takes_no_later_changes():
    week = {0: [Window(540, 600)]}
    office = BusinessCalendar("UTC", week)
    week[0].append(Window(600, 660))
    week[1] = [Window(540, 600)]
    assert office.working(utc("2026-11-23"), utc("2026-11-30")) == HOUR
