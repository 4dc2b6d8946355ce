"""Buckets: whatever the clock does between two words, nobody gets more than they may."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime import limits
from realtime.limits import (
    FRAMES_AT_ONCE,
    MESSAGES_AT_ONCE,
    REFUSALS_AT_ONCE,
    Bucket,
    FrameBudget,
    MessageBudget,
    RateAbuse,
)

rates = st.floats(0.1, 100)
sizes = st.floats(1, 100)
laws = settings(deadline=None)
pauses = st.lists(st.floats(0, 10), max_size=100)


@laws
@given(rates, sizes, pauses)
def test_within_any_time_no_more_is_taken_than_size_and_rate_allow(rate, size, pauses) -> None:
    bucket, now, taken = Bucket(rate, size, 0), 0.0, []
    for pause in pauses:
        now += pause
        if not bucket.take(now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = size + (taken[last] - taken[first]) * rate
            assert last - first + 1 <= allowed + 1e-6


@laws
@given(rates, sizes, pauses)
def test_who_waits_as_long_as_they_were_told_is_let_through(rate, size, pauses) -> None:
    bucket, now = Bucket(rate, size, 0), 0.0
    for pause in pauses:
        now += pause
        if wait := bucket.take(now):
            # It is told in whole milliseconds.
            now += (wait + 1) / 1000
            assert bucket.take(now) == 0


@laws
@given(rates, st.integers(1, 50))
def test_a_full_bucket_holds_its_size_and_no_more(rate, size) -> None:
    bucket = Bucket(rate, size, 0)
    # However long it has stood.
    assert [bucket.take(1_000_000) for _ in range(size)] == [0] * size
    assert bucket.take(1_000_000) > 0


def test_a_socket_may_say_forty_things_at_once_and_is_refused_a_hundred() -> None:
    budget = FrameBudget(0)
    answers = [budget.take(0) for _ in range(int(FRAMES_AT_ONCE + REFUSALS_AT_ONCE))]
    assert answers.count(0) == FRAMES_AT_ONCE
    assert set(answers) == {0, 50}
    with pytest.raises(RateAbuse):
        budget.take(0)


@laws
@given(st.integers(1, 20), st.integers(1, 120))
def test_who_keeps_to_the_rate_is_never_refused(rate, seconds) -> None:
    budget = FrameBudget(0)
    assert not any(budget.take(nth / rate) for nth in range(rate * seconds))


def test_each_user_has_a_budget_of_their_own() -> None:
    budget = MessageBudget()
    assert [budget.take(1, 0) for _ in range(int(MESSAGES_AT_ONCE))] == [0] * 5
    assert budget.take(1, 0) == 200
    assert budget.take(2, 0) == 0


def test_budgets_of_who_was_not_heard_for_longest_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 2)
    budget = MessageBudget()
    for _ in range(int(MESSAGES_AT_ONCE)):
        for user in (1, 2):
            budget.take(user, 0)
    budget.take(3, 0)
    assert budget.take(2, 0) > 0
    assert budget.take(1, 0) == 0
