"""What the desk has promised and how it escalates, as the clocks read it: compiled once for each
revision and process, so that a change of a ticket costs one small query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import structlog

from tickets.models import Calendar, EscalationRule, Metric, SlaPolicy, SlaTarget, Ticket
from tickets.sla import revision
from tickets.sla.calendar import ALWAYS, BusinessCalendar, CalendarError
from tickets.sla.hours import parse

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Scope:
    """Which tickets something is about. An empty set is no condition."""

    categories: frozenset[int] = frozenset()
    teams: frozenset[int] = frozenset()
    requesters: frozenset[int] = frozenset()
    min_priority: int = 0

    def holds(self, ticket: Ticket) -> bool:
        return (
            (not self.categories or ticket.category_id in self.categories)
            and (not self.teams or ticket.team_id in self.teams)
            and (not self.requesters or ticket.requester_id in self.requesters)
            and ticket.priority >= self.min_priority
        )


@dataclass(frozen=True)
class Policy:
    """A service level: its targets by priority and metric, in working time of its calendar."""

    id: int
    name: str
    scope: Scope
    calendar: BusinessCalendar
    pauses: frozenset[str]
    targets: Mapping[int, Mapping[str, timedelta]]

    def target(self, ticket: Ticket, metric: str) -> timedelta | None:
        return self.targets.get(ticket.priority, {}).get(metric)


@dataclass(frozen=True)
class Rule:
    """An escalation rule; see models.EscalationRule for what the members mean."""

    id: int
    name: str
    scope: Scope
    trigger: str
    metric: str
    after: timedelta
    reopen_count: int
    level: int
    raises_priority: bool
    reassigns: bool
    notifies: tuple[str, ...]


@dataclass(frozen=True)
class Configuration:
    """All active policies, the one to be tried first in front, and all active rules."""

    revision: int
    policies: tuple[Policy, ...] = ()
    rules: tuple[Rule, ...] = ()

    def policy_for(self, ticket: Ticket) -> Policy | None:
        return next((policy for policy in self.policies if policy.scope.holds(ticket)), None)

    def rules_for(self, ticket: Ticket) -> list[Rule]:
        return [rule for rule in self.rules if rule.scope.holds(ticket)]


def current() -> Configuration:
    """The configuration as it is now.

    The revision is read first: where somebody changes the rest meanwhile, it is the older of the
    two, and tickets that carry it are worked out anew.
    """
    return _compiled(revision.current())


@lru_cache(maxsize=4)
def _compiled(number: int) -> Configuration:
    if not number:
        return Configuration(0)
    policies = SlaPolicy.objects.filter(is_active=True).select_related("calendar")
    policies = policies.prefetch_related(
        "targets", "categories", "teams", "requesters", "calendar__dates"
    )
    rules = EscalationRule.objects.filter(is_active=True).order_by("id")
    return Configuration(
        number,
        tuple(policy for row in policies if (policy := _policy(row)) is not None),
        tuple(_rule(row) for row in rules.prefetch_related("categories", "teams")),
    )


def _policy(row: SlaPolicy) -> Policy | None:
    """None where its calendar cannot be read: such a policy promises nothing, rather than
    holding up every change of a ticket."""
    try:
        calendar = compiled_calendar(row.calendar) if row.calendar else ALWAYS
    except CalendarError:
        log.exception("calendar_unreadable", policy=row.pk, calendar=row.calendar_id)
        return None
    return Policy(
        id=row.pk,
        name=row.name,
        scope=_scope(row, requesters=_ids(row.requesters.all())),
        calendar=calendar,
        pauses=frozenset(row.pauses),
        targets={target.priority: _durations(target) for target in row.targets.all()},
    )


def compiled_calendar(row: Calendar) -> BusinessCalendar:
    """The calendar's working time. Raises CalendarError."""
    return parse(row.time_zone, row.week, {day.date: day.windows for day in row.dates.all()})


def _durations(target: SlaTarget) -> dict[str, timedelta]:
    seconds = {str(metric): getattr(target, metric) for metric in Metric}
    return {metric: timedelta(seconds=value) for metric, value in seconds.items() if value}


def _rule(row: EscalationRule) -> Rule:
    return Rule(
        id=row.pk,
        name=row.name,
        scope=_scope(row, min_priority=row.min_priority or 0),
        trigger=row.trigger,
        metric=row.metric,
        after=timedelta(seconds=row.after_seconds),
        reopen_count=row.reopen_count or 0,
        level=row.level or 0,
        raises_priority=row.raises_priority,
        reassigns=row.reassigns,
        notifies=tuple(row.notifies),
    )


def _scope(row: SlaPolicy | EscalationRule, **rest: Any) -> Scope:
    return Scope(categories=_ids(row.categories.all()), teams=_ids(row.teams.all()), **rest)


def _ids(rows: Iterable[Any]) -> frozenset[int]:
    return frozenset(row.pk for row in rows)
