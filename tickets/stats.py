"""The figures of a set of tickets, in a fixed number of queries."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, F, Q
from django.utils import timezone

from agents.models import AgentProfile, User
from tickets.lifecycle import OPEN_STATUSES, Status
from tickets.models import Priority
from tickets.models.ticket import TicketQuerySet
from tickets.sla.standing import SlaState, in_state

# A merged ticket was resolved by moving its question elsewhere.
WORKED_OUT = Q(merged_into=None)


def stats(tickets: TicketQuerySet, *, caller: User, at: datetime) -> dict[str, Any]:
    """Counts and mean durations (seconds) over `tickets`; agents only for staff.

    "Today" is the day of `at` in UTC. `sla` counts those that stand so at `at`, ended or not.
    """
    midnight = at.astimezone(timezone.get_default_timezone()).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    tickets = tickets.order_by()
    figures = tickets.aggregate(
        total=Count("pk"),
        open=Count("pk", filter=Q(status__in=OPEN_STATUSES)),
        unassigned=Count("pk", filter=Q(status__in=OPEN_STATUSES, assignee=None)),
        created_today=Count("pk", filter=Q(created_at__gte=midnight)),
        resolved_today=Count("pk", filter=Q(resolved_at__gte=midnight) & WORKED_OUT),
        at_risk=Count("pk", filter=in_state(SlaState.AT_RISK, at)),
        breached=Count("pk", filter=in_state(SlaState.BREACHED, at)),
        first_response=Avg(F("first_responded_at") - F("created_at")),
        resolution=Avg(F("resolved_at") - F("created_at"), filter=WORKED_OUT),
    )
    first_response, resolution = figures.pop("first_response"), figures.pop("resolution")
    sla = {state: figures.pop(state) for state in ("at_risk", "breached")}
    return {
        **figures,
        "sla": sla,
        "by_status": {**dict.fromkeys(Status.values, 0), **_counted(tickets, "status")},
        "by_priority": _by_priority(tickets),
        "avg_first_response_seconds": _seconds(first_response),
        "avg_resolution_seconds": _seconds(resolution),
        "agents": _agents(tickets) if caller.is_desk_staff else [],
    }


def _seconds(mean: timedelta | None) -> float | None:
    return None if mean is None else mean.total_seconds()


def _counted(tickets: TicketQuerySet, field: str) -> dict[Any, int]:
    return dict(tickets.values_list(field).annotate(n=Count("pk")))


def _by_priority(tickets: TicketQuerySet) -> dict[str, int]:
    counts = _counted(tickets, "priority")
    return {priority.key: counts.get(priority, 0) for priority in Priority}


def _agents(tickets: TicketQuerySet) -> list[dict[str, Any]]:
    """Open tickets of this set by agent, with the agent's capacity and whole utilisation."""
    mine = _counted(tickets.filter(status__in=OPEN_STATUSES).exclude(assignee=None), "assignee")
    agents = AgentProfile.objects.select_related("user").filter(pk__in=mine).order_by("pk")
    return [
        {
            "agent": {"id": agent.pk, "name": agent.user.display_name},
            "open": mine[agent.pk],
            "capacity": agent.capacity,
            "utilisation": agent.utilisation,
        }
        for agent in agents
    ]
