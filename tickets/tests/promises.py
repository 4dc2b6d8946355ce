"""What the desk of a test promises: calendars, policies and rules in one line each."""

from collections.abc import Sequence
from typing import Any

from tickets.models import Calendar, EscalationRule, Priority, SlaPolicy, SlaTarget
from tickets.sla import revision

HOUR = 3600
OFFICE = {day: ["09:00-17:00"] for day in ("monday", "tuesday", "wednesday", "thursday", "friday")}


def calendar(name: str = "Office", **fields: Any) -> Calendar:
    made = Calendar.objects.create(name=name, **{"week": OFFICE, **fields})
    revision.bump()
    return made


def policy(
    name: str = "Standard",
    *,
    targets: dict[Priority, tuple[int | None, int | None, int | None]] | None = None,
    teams: Sequence[Any] = (),
    categories: Sequence[Any] = (),
    requesters: Sequence[Any] = (),
    **fields: Any,
) -> SlaPolicy:
    """First response, next response and resolution in seconds, by priority; for all priorities
    1, 2 and 8 hours where none are given."""
    made = SlaPolicy.objects.create(name=name, **fields)
    for priority, (first, following, whole) in (targets or same(1, 2, 8)).items():
        SlaTarget.objects.create(
            policy=made,
            priority=priority,
            first_response=first,
            next_response=following,
            resolution=whole,
        )
    made.teams.set(teams)
    made.categories.set(categories)
    made.requesters.set(requesters)
    revision.bump()
    return made


def same(*hours: float | None) -> dict[Priority, Any]:
    """The same targets for every priority, in hours."""
    seconds = tuple(None if hour is None else int(hour * HOUR) for hour in hours)
    return dict.fromkeys(Priority, seconds)


def rule(name: str = "Rule", *, teams: Sequence[Any] = (), **fields: Any) -> EscalationRule:
    made = EscalationRule.objects.create(name=name, **fields)
    made.teams.set(teams)
    revision.bump()
    return made
