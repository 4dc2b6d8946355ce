"""How often calendars, policies and escalation rules were changed."""

from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from tickets.models import SlaRevision

ONLY = 1


def current() -> int:
    """The number that a ticket's clocks should carry; 0 where nothing was ever set up."""
    return SlaRevision.objects.filter(pk=ONLY).values_list("number", flat=True).first() or 0


def bump() -> None:
    """To be called in the transaction of every change; a sweep then works out the clocks anew.

    Microseconds of the time, so that no number is ever used twice, not even after a restore.
    """
    now = int(timezone.now().timestamp() * 1_000_000)
    SlaRevision.objects.get_or_create(pk=ONLY)
    SlaRevision.objects.filter(pk=ONLY).update(number=Greatest(F("number") + 1, Value(now)))
