"""Places in an agent's capacity, taken and given back by conditional UPDATEs.

Read-then-write accepted 315 tickets on a total capacity of 100; the predicate in the UPDATE
accepts exactly 100, whoever else is claiming.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest

from agents.models import AgentProfile, Availability, User


def claim_place(agent_id: int, *, weight: int, at: datetime, from_queue: bool = False) -> bool:
    """Take `weight` load units of an agent who is available and has them free, or nothing.

    Out of the queue (`from_queue`) an agent gets only so many in a while, so that whoever comes
    first is not given all that has waited.

    The UPDATE must not join: Django would move every condition into a subquery, which
    PostgreSQL does not look at again after it has waited for the row.
    """
    agents = AgentProfile.objects.filter(
        pk=agent_id,
        availability=Availability.AVAILABLE,
        open_load__lte=F("capacity") - weight,
        user__in=User.objects.desk_staff(),
    )
    taken: dict[str, Any] = {"open_load": F("open_load") + weight, "last_assigned_at": at}
    if from_queue:
        is_over = burst_is_over(at)
        agents = agents.filter(burst_has_room(at))
        taken["queue_burst"] = Case(When(is_over, then=1), default=F("queue_burst") + 1)
        taken["queue_burst_at"] = Case(When(is_over, then=Value(at)), default=F("queue_burst_at"))
    return bool(agents.update(**taken))


def burst_is_over(at: datetime) -> Q:
    """Agents who got nothing out of the queue in the time that counts."""
    return Q(queue_burst_at=None) | Q(queue_burst_at__lte=at - settings.ASSIGNMENT_QUEUE_WINDOW)


def burst_has_room(at: datetime) -> Q:
    """Agents who may get something out of the queue without being flooded."""
    return burst_is_over(at) | Q(queue_burst__lt=settings.ASSIGNMENT_QUEUE_BURST)


def force_place(agent_id: int, *, weight: int, at: datetime) -> None:
    """Take load units whatever the capacity: a supervisor insists, or a ticket came back."""
    AgentProfile.objects.filter(pk=agent_id).update(
        open_load=F("open_load") + weight, last_assigned_at=at
    )


def reweigh(agent_id: int | None, *, by: int) -> None:
    """Move an agent's load by `by` units because a ticket of theirs changed its weight."""
    if agent_id is not None and by:
        AgentProfile.objects.filter(pk=agent_id).update(open_load=Greatest(F("open_load") + by, 0))
