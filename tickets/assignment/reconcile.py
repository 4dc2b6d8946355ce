"""Does each agent's load equal the tickets in their hands? It must; this finds out."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from agents.models import AgentProfile
from tickets.lifecycle import WORKED_STATUSES
from tickets.locks import lock_agents
from tickets.models import Ticket


@dataclass(frozen=True)
class Drift:
    """An agent whose counter and tickets disagree, both in load units."""

    agent_id: int
    counted: int
    actual: int


def find_drift() -> list[Drift]:
    """Every agent whose `open_load` is not the number of their new and open tickets.

    Both are read in one statement's snapshot each; a change in between shows as drift that is
    gone when one looks again.
    """
    actual = _actual_loads()
    counters = AgentProfile.objects.order_by("pk").values_list("pk", "open_load")
    return [
        Drift(agent_id, counted, actual.get(agent_id, 0))
        for agent_id, counted in counters
        if counted != actual.get(agent_id, 0)
    ]


@transaction.atomic
def mend(agent_id: int) -> None:
    """Set an agent's load to what is in their hands, while nobody can change it."""
    lock_agents([agent_id])
    load = _actual_loads(agent_id).get(agent_id, 0)
    AgentProfile.objects.filter(pk=agent_id).update(open_load=load)


def _actual_loads(*agents: int) -> dict[int, int]:
    in_work = Ticket.objects.filter(status__in=WORKED_STATUSES).exclude(assignee=None)
    if agents:
        in_work = in_work.filter(assignee__in=agents)
    return dict(in_work.order_by().values_list("assignee").annotate(n=Count("pk")))
