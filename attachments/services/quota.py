"""How much a person uploads in a day (UTC)."""

from datetime import UTC, date, datetime

from django.db import transaction
from django.db.models import F

from agents.models import User
from attachments import policy
from attachments.models import DailyUse
from attachments.policy import Category, megabytes
from attachments.refusals import QuotaExceeded

ALL = ""


def open_day(user: User, at: datetime) -> None:
    """Make the rows of today, so that `use` finds them."""
    categories = [each.name for each in policy.current().categories if each.daily_bytes]
    rows = [DailyUse(user=user, day=_day(at), category=name) for name in (ALL, *categories)]
    DailyUse.objects.bulk_create(rows, ignore_conflicts=True)


@transaction.atomic
def use(user: User, category: Category, size: int, at: datetime) -> None:
    """Count `size` bytes, or raise QuotaExceeded and count nothing: one conditional UPDATE for each
    limit.

    It holds up whoever uploads for the same user until the transaction around it ends, and what
    that rolls back was not used.
    """
    today = DailyUse.objects.filter(user=user, day=_day(at))
    # What counts for everything first: whoever holds it up holds up the rest.
    for scope, most in _limits(category).items():
        has_room = today.filter(category=scope, used__lte=most - size)
        if not has_room.update(used=F("used") + size):
            raise _exceeded(most)


def refusals(user: User, category: Category, size: int, at: datetime) -> list[QuotaExceeded]:
    """Whether `use` would refuse it now."""
    limits = _limits(category)
    today = DailyUse.objects.filter(user=user, day=_day(at), category__in=limits)
    used = dict(today.values_list("category", "used"))
    full = [most for scope, most in limits.items() if used.get(scope, 0) + size > most]
    return [_exceeded(most) for most in full[:1]]


def _limits(category: Category) -> dict[str, int]:
    limits = {ALL: policy.current().daily_bytes}
    if category.daily_bytes is not None:
        limits[category.name] = category.daily_bytes
    return limits


def _exceeded(most: int) -> QuotaExceeded:
    sentence = f"You may upload {megabytes(most)} a day; it begins anew at midnight UTC."
    return QuotaExceeded(sentence)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
