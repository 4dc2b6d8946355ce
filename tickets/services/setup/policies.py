from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Team, User
from agents.saving import save_clean
from servicedesk.errors import FieldError
from tickets.lifecycle import PAUSING_STATUSES
from tickets.models import Calendar, Category, Metric, Priority, SlaPolicy, SlaTarget
from tickets.services.setup.locking import hold, lock
from tickets.sla import revision

PLAIN = ("name", "is_active", "position", "calendar")
CONDITIONS = ("categories", "teams", "requesters")
METRICS = [str(metric) for metric in Metric]


@dataclass(frozen=True)
class Target:
    """What tickets of a priority are promised, in seconds of working time; None: nothing."""

    priority: Priority
    first_response: int | None = None
    next_response: int | None = None
    resolution: int | None = None


class PolicyFields(TypedDict, total=False):
    """What a policy is made of. No calendar: around the clock. No conditions: every ticket."""

    name: str
    is_active: bool
    position: int
    calendar: Calendar | None
    pauses: Iterable[str]
    categories: Iterable[Category]
    teams: Iterable[Team]
    requesters: Iterable[User]
    targets: Sequence[Target]


@transaction.atomic
def create_policy(**fields: Unpack[PolicyFields]) -> SlaPolicy:
    """A new policy; needs a name and targets. Raises FieldError and NothingThere."""
    return _save(SlaPolicy(), {**fields, "targets": fields.get("targets", ())})


@transaction.atomic
def update_policy(*, policy: SlaPolicy, **fields: Unpack[PolicyFields]) -> SlaPolicy:
    """Change what is given; lists replace. Raises FieldError, NothingThere and Http404."""
    return _save(lock(policy), fields)


def _save(policy: SlaPolicy, fields: PolicyFields) -> SlaPolicy:
    if "targets" in fields:
        check_targets(fields["targets"])
    if "pauses" in fields:
        policy.pauses = _pauses(fields["pauses"])
    given: dict[str, Any] = {**fields}
    hold("calendar", [calendar] if (calendar := fields.get("calendar")) else [])
    conditions = {name: list(given[name]) for name in CONDITIONS if name in given}
    for name, rows in conditions.items():
        hold(name, rows)
    for name in PLAIN:
        if name in given:
            setattr(policy, name, given[name])
    save_clean(policy)
    for name, rows in conditions.items():
        getattr(policy, name).set(rows)
    if "targets" in fields:
        _replace_targets(policy, fields["targets"])
    revision.bump()
    return policy


def _pauses(statuses: Iterable[str]) -> list[str]:
    """Each once, in the order of the workflow. Raises FieldError."""
    wanted = set(statuses)
    if wanted - set(PAUSING_STATUSES):
        raise FieldError("pauses", f"Clocks may pause in {' and '.join(PAUSING_STATUSES)} only.")
    return [str(status) for status in PAUSING_STATUSES if status in wanted]


def check_targets(targets: Sequence[Target]) -> None:
    """Raises FieldError, by paths such as `targets/0/resolution`."""
    if not targets:
        raise FieldError("targets", "A policy needs at least one target.", "required")
    seen = set()
    for number, target in enumerate(targets):
        if target.priority in seen:
            label = Priority(target.priority).label
            raise FieldError(f"targets/{number}/priority", f"{label} has a target already.")
        seen.add(target.priority)
        _check_target(f"targets/{number}", target)


def _check_target(path: str, target: Target) -> None:
    values = asdict(target)
    if not any(values[metric] is not None for metric in METRICS):
        raise FieldError(path, "A target promises at least one of the three.", "required")
    try:
        SlaTarget(**values).clean_fields(exclude=["policy"])
    except ValidationError as broken:
        field, [sentence, *_] = next(iter(broken.message_dict.items()))
        raise FieldError(f"{path}/{field}", sentence) from broken


def _replace_targets(policy: SlaPolicy, targets: Sequence[Target]) -> None:
    policy.targets.exclude(priority__in=[target.priority for target in targets]).delete()
    SlaTarget.objects.bulk_create(
        [SlaTarget(policy=policy, **asdict(target)) for target in targets],
        update_conflicts=True,
        unique_fields=["policy", "priority"],
        update_fields=METRICS,
    )
