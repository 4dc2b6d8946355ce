"""A desk with settings by which it could not work does not start."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tickets.assignment.checks import BOUNDS, check_bounds, check_weights


def found(settings, weights) -> list[str]:
    settings.ASSIGNMENT_WEIGHTS = weights
    return [str(message.id) for message in check_weights()]


def test_the_weights_that_the_desk_comes_with_are_right() -> None:
    assert check_weights() == []


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"skill": 1}, []),
        ({"skill": 1, "headroom": 0}, []),
        ({"skill": 1, "slack": 1}, ["tickets.E001"]),
        ({"skill": 1, "headroom": -0.1}, ["tickets.E002"]),
        ({"skill": 1, "headroom": "0.1"}, ["tickets.E002"]),
        ({"skill": 1, "headroom": float("nan")}, ["tickets.E002"]),
        ({"skill": 1, "headroom": True}, ["tickets.E002"]),
        ({"skill": 0, "headroom": 0.0}, ["tickets.E003"]),
        ({}, ["tickets.E003"]),
        ({"slack": 1}, ["tickets.E001", "tickets.E003"]),
    ],
)
def test_weights_that_are_wrong_are_named(settings, weights, expected) -> None:
    assert found(settings, weights) == expected


def test_the_check_is_one_of_those_that_the_desk_makes_before_it_starts(settings) -> None:
    settings.ASSIGNMENT_WEIGHTS = {"slack": 1}

    assert {"tickets.E001"} <= {message.id for message in run_checks()}
    with pytest.raises(SystemCheckError, match="'slack', which is no part of the score"):
        call_command("check")


NAN, NONE = float("nan"), timedelta()
LEAST = timedelta(microseconds=1)
WRONG = {
    "SLA_WARNING_AT": [0, 1, 1.5, -0.1, NAN, None, True, "0.75", timedelta(hours=1)],
    "ASSIGNMENT_QUEUE_BURST": [0, -1, 2.5, None, True, "5"],
    "ASSIGNMENT_QUEUE_WINDOW": [NONE, -LEAST, 60, None],
    "ASSIGNMENT_HANDLING": [NONE, -LEAST, 60, None],
    "ASSIGNMENT_FULL_REST": [NONE, -LEAST, 60, None],
    "REBALANCE_MIN_GAIN": [0, -0.1, NAN, None, True, "0.05"],
    "REBALANCE_MOVES_PER_AGENT": [0, -1, 2.5, None, True, "3"],
    "AUTO_CLOSE_AFTER": [-LEAST, 0, None],
    "REOPEN_WINDOW": [-LEAST, 0, None],
}
RIGHT = {
    "SLA_WARNING_AT": [0.01, 0.5, 0.99],
    "ASSIGNMENT_QUEUE_BURST": [1, 100],
    "ASSIGNMENT_QUEUE_WINDOW": [LEAST],
    "ASSIGNMENT_HANDLING": [LEAST],
    "ASSIGNMENT_FULL_REST": [LEAST],
    "REBALANCE_MIN_GAIN": [0.001, 1],
    "REBALANCE_MOVES_PER_AGENT": [1, 100],
    "AUTO_CLOSE_AFTER": [NONE, LEAST],
    "REOPEN_WINDOW": [NONE, LEAST],
}


def each(values):
    return [(name, value) for name, some in values.items() for value in some]


def test_the_bounds_hold_for_the_settings_that_the_desk_comes_with() -> None:
    assert check_bounds() == []
    assert BOUNDS.keys() == WRONG.keys() == RIGHT.keys()


@pytest.mark.parametrize(("name", "value"), each(WRONG))
def test_a_setting_out_of_its_bounds_is_named_with_what_it_must_be(settings, name, value) -> None:
    setattr(settings, name, value)

    [error] = check_bounds()

    assert error.id == "tickets.E004"
    assert error.msg.startswith(f"{name} must be a ")
    assert repr(value) in error.msg
    assert error in run_checks()


@pytest.mark.parametrize(("name", "value"), each(RIGHT))
def test_a_setting_within_its_bounds_is_right(settings, name, value) -> None:
    setattr(settings, name, value)

    assert check_bounds() == []
