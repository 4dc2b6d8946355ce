"""A desk with weights that choose nobody does not start."""

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tickets.assignment.checks import check_weights


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
