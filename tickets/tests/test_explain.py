"""Why a clock is due when it is: the explanation adds up, whatever the calendar and the pauses."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tickets import services
from tickets.lifecycle import Status
from tickets.models import Priority, SlaClock, Ticket
from tickets.sla import clocks as turn
from tickets.sla import explain, revision
from tickets.sla.configuration import Policy, Scope
from tickets.sla.explain import Explanation, explain_clocks
from tickets.sla.periods import Period
from tickets.sla.timeline import Timeline
from tickets.tests import promises
from tickets.tests.test_sla_calendar import Desk, desks

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZERO = timedelta()
PAUSING = ("pending", "on_hold")


@dataclass(frozen=True)
class Story:
    """A ticket's clock on some desk, and when somebody asks about it."""

    timeline: Timeline
    clock: SlaClock
    target: timedelta
    at: datetime


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A clock that has gone through up to six statuses; none of them ends it."""
    desk: Desk = draw(desks())
    business = desk.calendar

    def later(at: datetime) -> datetime:
        """At any time within two days, or after a little working time: in the midst of it."""
        if draw(st.booleans()):
            return at + draw(st.timedeltas(timedelta(microseconds=1), 2 * DAY))
        return business.add(at, timedelta(microseconds=draw(st.integers(1, 1800 * 10**6))))

    start = later(desk.start)
    moves = [("new", start)]
    for _ in range(draw(st.integers(0, 5))):
        status = draw(st.sampled_from(["open", *PAUSING, "resolved"]))
        moves.append((status, later(moves[-1][1])))
    if moves[-1][0] == "resolved":
        moves.append(("open", later(moves[-1][1])))
    at = moves[-1][1] + draw(st.timedeltas(ZERO, 2 * DAY))
    ends = [*(since for _, since in moves[1:]), None]
    periods = [
        Period(status, since, until) for (status, since), until in zip(moves, ends, strict=True)
    ]
    policy = Policy(1, "Standard", Scope(), business, frozenset(PAUSING), {})
    # Few enough for the list: no calendar here has less than a quarter of an hour a week.
    target = timedelta(seconds=draw(st.integers(1, 8 * 3600)))
    clock = SlaClock(metric="resolution", started_at=start)
    return Story(Timeline(policy, periods, at), clock, target, at)


def told(story: Story) -> Explanation:
    """The clock as the desk would keep it at that time, explained."""
    if story.timeline.periods[-1].status in PAUSING:
        turn.pause(story.clock, story.timeline, story.target)
    else:
        turn.start(story.clock, story.timeline, story.target)
    return explain.explain(story.clock, story.timeline, story.at)


laws = settings(max_examples=60, deadline=None)


@laws
@given(stories())
def test_the_intervals_of_a_running_clock_add_up_to_its_target_and_end_when_it_is_due(story):
    found = told(story)
    if story.clock.due_at is None:
        return
    assert found.is_exact
    assert not found.is_truncated
    assert sum(interval.seconds for interval in found.intervals) == story.clock.target_seconds
    assert sum((one.until - one.since for one in found.intervals), ZERO) == story.target
    assert found.intervals[-1].until == story.clock.due_at


@laws
@given(stories())
def test_the_intervals_of_a_paused_clock_add_up_to_what_has_elapsed(story):
    found = told(story)
    if story.clock.due_at is not None:
        return
    assert found.is_exact
    assert sum(interval.seconds for interval in found.intervals) == found.reading.elapsed
    assert found.pauses[-1].until is None


@laws
@given(stories())
def test_the_intervals_of_an_ended_clock_add_up_to_what_was_noted_at_its_end(story):
    told(story)
    turn.meet(story.clock, story.timeline, story.at)
    found = explain.explain(story.clock, story.timeline, story.at + DAY)
    assert found.is_exact
    assert sum(interval.seconds for interval in found.intervals) == story.clock.elapsed_seconds
    assert found.reading.remaining is None
    assert all(pause.until is not None for pause in found.pauses)


@laws
@given(stories())
def test_what_has_elapsed_and_what_remains_is_the_target(story):
    reading = told(story).reading
    assert reading.elapsed is not None
    assert reading.remaining is not None
    assert reading.elapsed + reading.remaining == story.clock.target_seconds
    if story.clock.due_at is not None:
        assert (reading.state == "breached") == (story.clock.due_at <= story.at)
        assert (reading.state == "breached") == (reading.remaining <= 0)


@laws
@given(stories())
def test_what_counted_and_what_did_not_never_overlap(story):
    found = told(story)
    pauses = [(pause.since, pause.until or story.at) for pause in found.pauses]
    assert all(one[1] <= other[0] for one, other in pairwise(pauses))
    assert all(one.until <= other.since for one, other in pairwise(found.intervals))
    assert all(one.since < one.until for one in found.intervals)
    for one in found.intervals:
        assert not any(begin < one.until and one.since < end for begin, end in pauses)
    policy = story.timeline.policy
    for (begin, end), pause in zip(pauses, found.pauses, strict=True):
        whole = policy.calendar.working(begin, end)
        assert pause.working_seconds == whole // timedelta(seconds=1)


# What people read.


def opened(alice, at: datetime = NINE) -> Ticket:
    return services.open_ticket(requester=alice, actor=alice, subject="VPN", at=at)


def explained(ticket: Ticket, at: datetime, metric: str = "resolution") -> Explanation:
    found = explain_clocks(Ticket.objects.get(pk=ticket.pk), at)
    return next(one for one in found if one.reading.clock.metric == metric)


def spans(found: Explanation) -> list[tuple[datetime, datetime, int]]:
    return [(one.since, one.until, one.seconds) for one in found.intervals]


def test_a_pause_over_a_night_is_told_with_the_working_time_that_it_cost(alice, bob) -> None:
    promises.policy(calendar=promises.calendar())
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.PENDING, actor=bob, at=NINE + HOUR, comment="Which one?"
    )
    services.post_message(ticket=ticket, author=alice, body="That one.", at=NINE + DAY + 2 * HOUR)
    found = explained(ticket, NINE + DAY + 3 * HOUR)
    assert spans(found) == [
        (NINE, NINE + HOUR, 3600),
        (NINE + DAY + 2 * HOUR, NINE + DAY + 8 * HOUR, 6 * 3600),
        (NINE + 2 * DAY, NINE + 2 * DAY + HOUR, 3600),
    ]
    (pause,) = found.pauses
    assert (pause.since, pause.until) == (NINE + HOUR, NINE + DAY + 2 * HOUR)
    assert (pause.status, pause.working_seconds) == ("pending", 9 * 3600)
    assert (found.reading.elapsed, found.reading.remaining) == (2 * 3600, 6 * 3600)


def test_each_status_of_a_pause_is_told_by_itself(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.PENDING, actor=bob, at=NINE + HOUR, comment="Which one?"
    )
    services.change_status(ticket=ticket, to=Status.ON_HOLD, actor=bob, at=NINE + 2 * HOUR)
    found = explained(ticket, NINE + 5 * HOUR)
    assert [(one.status, one.since, one.until, one.working_seconds) for one in found.pauses] == [
        ("pending", NINE + HOUR, NINE + 2 * HOUR, 3600),
        ("on_hold", NINE + 2 * HOUR, None, 3 * 3600),
    ]
    assert spans(found) == [(NINE, NINE + HOUR, 3600)]


def test_the_time_between_a_resolution_and_a_reopening_is_a_pause(alice, bob) -> None:
    promises.policy()
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=bob, at=NINE + HOUR, resolution="Rebooted."
    )
    services.post_message(ticket=ticket, author=alice, body="Again.", at=NINE + 3 * HOUR)
    found = explained(ticket, NINE + 4 * HOUR)
    assert [(one.status, one.working_seconds) for one in found.pauses] == [("resolved", 7200)]
    assert found.reading.elapsed == 2 * 3600


def test_a_clock_that_has_run_out_is_late_before_any_sweep_and_explained_up_to_its_due_time(
    alice,
) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    found = explained(ticket, NINE + 10 * HOUR)
    assert found.reading.clock.state == "running"
    assert (found.reading.state, found.reading.breached_at) == ("breached", NINE + 8 * HOUR)
    assert (found.reading.elapsed, found.reading.remaining) == (10 * 3600, -2 * 3600)
    assert spans(found) == [(NINE, NINE + 8 * HOUR, 8 * 3600)]


def test_a_calendar_changed_since_the_end_is_not_passed_off_as_what_was_counted(alice, bob) -> None:
    hours = promises.calendar()
    promises.policy(calendar=hours)
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=bob, at=NINE + 2 * HOUR, resolution="Done."
    )
    assert explained(ticket, NINE + DAY).is_exact
    hours.week = {"monday": ["10:00-17:00"]}
    hours.save()
    revision.bump()
    found = explained(ticket, NINE + DAY)
    assert not found.is_exact
    assert found.reading.elapsed == 2 * 3600, "history is not rewritten"
    assert spans(found) == [(NINE + HOUR, NINE + 2 * HOUR, 3600)]


def test_a_due_time_that_a_sweep_has_yet_to_move_is_not_passed_off_as_todays(alice) -> None:
    hours = promises.calendar()
    promises.policy(calendar=hours)
    ticket = opened(alice)
    hours.week = {"monday": ["10:00-17:00"]}
    hours.save()
    revision.bump()
    assert not explained(ticket, NINE + HOUR).is_exact
    services.recompute(ticket_id=ticket.pk, at=NINE + HOUR)
    assert explained(ticket, NINE + HOUR).is_exact


def test_of_a_policy_that_is_no_longer_in_force_only_what_was_noted_is_told(alice, bob) -> None:
    policy = promises.policy()
    ended, running = opened(alice), opened(alice)
    services.change_status(
        ticket=ended, to=Status.RESOLVED, actor=bob, at=NINE + 2 * HOUR, resolution="Done."
    )
    policy.is_active = False
    policy.save()
    revision.bump()
    found = explained(ended, NINE + DAY)
    assert (found.reading.elapsed, found.intervals, found.is_exact) == (2 * 3600, [], False)
    left = explained(running, NINE + DAY)
    assert (left.reading.elapsed, left.reading.remaining, left.is_exact) == (None, None, False)


def test_a_long_explanation_stops_at_a_hundred_intervals_and_says_so(alice) -> None:
    # An hour a week.
    weekly = promises.calendar(week={"monday": ["09:00-10:00"]})
    short, long = promises.same(None, None, 100), promises.same(None, None, 101)
    promises.policy(
        calendar=weekly,
        targets={Priority.NORMAL: short[Priority.NORMAL], Priority.HIGH: long[Priority.HIGH]},
    )
    ticket = opened(alice)
    whole = explained(ticket, NINE)
    assert (len(whole.intervals), whole.is_truncated) == (100, False)
    urgent = services.open_ticket(
        requester=alice, actor=alice, subject="x", at=NINE, priority=Priority.HIGH
    )
    cut = explained(urgent, NINE)
    assert (len(cut.intervals), cut.is_truncated, cut.is_exact) == (100, True, True)


def test_a_ticket_without_clocks_has_nothing_to_explain(alice, django_assert_num_queries) -> None:
    ticket = opened(alice)
    with django_assert_num_queries(1):
        assert explain_clocks(ticket, NINE) == []


def test_explaining_costs_three_queries_however_many_clocks_and_pauses(
    alice, bob, django_assert_num_queries
) -> None:
    promises.policy()
    ticket = opened(alice)
    for hour in range(5):
        at = NINE + hour * HOUR
        services.change_status(
            ticket=ticket, to=Status.PENDING, actor=bob, at=at, comment="Which one?"
        )
        services.post_message(ticket=ticket, author=alice, body="That", at=at + 10 * MINUTE)
    ticket = Ticket.objects.get(pk=ticket.pk)
    with django_assert_num_queries(3):
        assert len(explain_clocks(ticket, NINE + 6 * HOUR)) == 7
