"""Settings by which the desk could not choose anybody, found before it starts."""

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


def _is_weight(weight: Any) -> bool:
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return is_number and isfinite(weight) and weight >= 0
