from collections.abc import Iterable
from typing import Any, TypedDict, Unpack

from django.db import transaction

from agents.models import Team
from agents.saving import save_clean
from servicedesk.errors import FieldError
from tickets.models import Category, EscalationRule, Priority
from tickets.services.setup.locking import hold, lock
from tickets.sla import revision

Trigger, Recipient = EscalationRule.Trigger, EscalationRule.Recipient
# Those of the service levels, which may be about one of the three.
OF_METRICS = frozenset({Trigger.SLA_WARNING, Trigger.SLA_BREACHED})
# What does not happen by itself, but when enough time has passed.
OF_TIME = frozenset({Trigger.NO_FIRST_RESPONSE, Trigger.UNASSIGNED})
CONDITIONS = ("categories", "teams")


class RuleFields(TypedDict, total=False):
    """What a rule is made of. `after_seconds` are of the policy's working time."""

    name: str
    is_active: bool
    trigger: str
    metric: str
    after_seconds: int
    reopen_count: int | None
    categories: Iterable[Category]
    teams: Iterable[Team]
    min_priority: Priority | None
    level: int | None
    raises_priority: bool
    reassigns: bool
    notifies: Iterable[str]


@transaction.atomic
def create_rule(**fields: Unpack[RuleFields]) -> EscalationRule:
    """A new rule; needs a name, a trigger and something to do. Raises FieldError, NothingThere."""
    return _save(EscalationRule(), fields)


@transaction.atomic
def update_rule(*, rule: EscalationRule, **fields: Unpack[RuleFields]) -> EscalationRule:
    """Change what is given; lists replace. Raises FieldError, NothingThere and Http404."""
    return _save(lock(rule), fields)


def _save(rule: EscalationRule, fields: RuleFields) -> EscalationRule:
    given: dict[str, Any] = {**fields}
    conditions = {name: list(given.pop(name)) for name in CONDITIONS if name in given}
    for name, rows in conditions.items():
        hold(name, rows)
    for name, value in given.items():
        setattr(rule, name, list(value) if name == "notifies" else value)
    check_rule(rule)
    rule.notifies = [str(one) for one in Recipient if one in set(rule.notifies)]
    save_clean(rule)
    for name, rows in conditions.items():
        getattr(rule, name).set(rows)
    revision.bump()
    return rule


def check_rule(rule: EscalationRule) -> None:
    """What holds between the fields. Raises FieldError."""
    _check_trigger(rule)
    if set(rule.notifies) - set(Recipient):
        raise FieldError("notifies", f"Nobody but {', '.join(Recipient)} can be notified.")
    if not (rule.level or rule.raises_priority or rule.reassigns or rule.notifies):
        raise FieldError(
            "level",
            "A rule does something: raise the level or the priority, reassign, or notify.",
            "required",
        )


def _check_trigger(rule: EscalationRule) -> None:
    """Nothing stays unsaid that the trigger needs, and nothing is said that it ignores."""
    if rule.metric and rule.trigger not in OF_METRICS:
        raise FieldError("metric", "Only a warning and a breach are about a service level.")
    is_reopened = rule.trigger == Trigger.REOPENED
    if is_reopened and not rule.reopen_count:
        raise FieldError("reopen_count", "From which reopening on? The first is 1.", "required")
    if not is_reopened and rule.reopen_count is not None:
        raise FieldError("reopen_count", "Only a reopening is counted.")
    if is_reopened and rule.after_seconds:
        raise FieldError("after_seconds", "A reopening is acted on at once.")
    if rule.trigger in OF_TIME and not rule.after_seconds:
        raise FieldError("after_seconds", "After how long? More than nothing.", "required")
