"""How busy the teams are."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from agents.models import AgentProfile, Availability, Team


def teams_load(agents: Iterable[AgentProfile]) -> list[dict[str, Any]]:
    """Load and capacity by team, over the given agents (their teams loaded). An agent of two
    teams counts in both."""
    members: dict[Team, list[AgentProfile]] = defaultdict(list)
    for agent in agents:
        for team in agent.teams.all():
            members[team].append(agent)
    return [_load_of(team, members[team]) for team in sorted(members, key=lambda t: t.name)]


def _load_of(team: Team, agents: list[AgentProfile]) -> dict[str, Any]:
    capacity = sum(agent.capacity for agent in agents)
    load = sum(agent.open_load for agent in agents)
    return {
        "team": team,
        "agents": len(agents),
        "available": sum(agent.availability == Availability.AVAILABLE for agent in agents),
        "capacity": capacity,
        "open_tickets": load,
        "utilisation": round(load / capacity, 3) if capacity else 0.0,
    }
