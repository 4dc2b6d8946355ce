"""Settings by which the desk could not do its work, found before it starts."""

from collections.abc import Callable
from datetime import timedelta
from math import isfinite
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from tickets.assignment.scoring import PARTS


@register
def check_weights(**kwargs: Any) -> list[CheckMessage]:
    """ASSIGNMENT_WEIGHTS names parts of the score, weighs none below nothing and some above it."""
    weights = settings.ASSIGNMENT_WEIGHTS
    found: list[CheckMessage] = [
        Error(
            f"ASSIGNMENT_WEIGHTS names {name!r}, which is no part of the score.",
            hint=f"The parts are {', '.join(PARTS)}.",
            id="tickets.E001",
        )
        for name in weights
        if name not in PARTS
    ]
    wrong = [name for name, weight in weights.items() if not _is_weight(weight)]
    found += [
        Error(f"ASSIGNMENT_WEIGHTS[{name!r}] is no number from 0 on.", id="tickets.E002")
        for name in wrong
    ]
    if not wrong and not any(weights.get(name) for name in PARTS):
        found.append(
            Error(
                "ASSIGNMENT_WEIGHTS gives no part of the score any weight.",
                hint="Everybody would score the same.",
                id="tickets.E003",
            )
        )
    return found


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and isfinite(value)


def _is_weight(weight: Any) -> bool:
    return _is_number(weight) and weight >= 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_time(value: Any) -> bool:
    return isinstance(value, timedelta) and value > timedelta()


def _is_time_or_none(value: Any) -> bool:
    return isinstance(value, timedelta) and value >= timedelta()


SHARE = (lambda value: _is_number(value) and 0 < value < 1), "a number between 0 and 1"
GAIN = (lambda value: _is_number(value) and value > 0), "a number above 0"
COUNT = _is_count, "a whole number from 1 on"
TIME = _is_time, "a timedelta above 0"
TIME_FROM_0 = _is_time_or_none, "a timedelta from 0 on"
BOUNDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "SLA_WARNING_AT": SHARE,
    "ASSIGNMENT_QUEUE_BURST": COUNT,
    "ASSIGNMENT_QUEUE_WINDOW": TIME,
    "ASSIGNMENT_HANDLING": TIME,
    "ASSIGNMENT_FULL_REST": TIME,
    "REBALANCE_MIN_GAIN": GAIN,
    "REBALANCE_MOVES_PER_AGENT": COUNT,
    "AUTO_CLOSE_AFTER": TIME_FROM_0,
    "REOPEN_WINDOW": TIME_FROM_0,
}


@register
def check_bounds(**kwargs: Any) -> list[CheckMessage]:
    """Each of the BOUNDS holds."""
    return [
        Error(f"{name} must be {words}, not {getattr(settings, name)!r}.", id="tickets.E004")
        for name, (holds, words) in BOUNDS.items()
        if not holds(getattr(settings, name))
    ]
