"""The console's start page: what waits for whoever looks at it. Reads only, in a number of queries
that does not grow, and never more rows than it shows, but for counts that an index bounds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count

from agents import presence
from agents.models import AgentProfile, Availability, Team, User
from agents.workload import teams_load
from tickets.admin.service_level import due_words
from tickets.lifecycle import OPEN_STATUSES
from tickets.models import Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.sla.standing import DUE_ORDER, SlaState, in_state, state_of, with_due_order

ROWS_SHOWN = 8
PEOPLE_SHOWN = 24
QUEUES_SHOWN = 24


@dataclass(frozen=True)
class Row:
    """A ticket in one of the lists."""

    ticket: Ticket
    state: SlaState
    due: str

    @property
    def clock(self) -> str:
        """The state in which its time runs, empty where it does not."""
        is_running = self.state in (SlaState.ON_TRACK, SlaState.AT_RISK)
        return str(self.state) if is_running and self.ticket.sla_due_at else ""


@dataclass(frozen=True)
class Rows:
    """The first of some tickets, and whether there are more."""

    rows: list[Row]
    has_more: bool


@dataclass(frozen=True)
class Queue:
    """A team, or None for the tickets of no team, and what waits there."""

    team: Team | None
    waiting: int
    at_risk: int
    available: int
    agents: int
    load: int
    capacity: int


@dataclass(frozen=True)
class Colleague:
    agent: AgentProfile
    presence: str


def context_of(caller: User, at: datetime) -> dict[str, Any]:
    """The page's template context."""
    seen = Ticket.objects.visible_to(caller).select_related("requester", "team", "assignee")
    agents = _agents(caller)
    return {
        "mine": _mine(caller, at),
        "breaching": _rows(
            seen.filter(in_state(SlaState.AT_RISK, at)).order_by("sla_due_at", "id"), at
        ),
        "unassigned": _rows(seen.unassigned().order_by("-priority", "created_at", "id"), at),
        "queues": _queues(caller, agents, at),
        "colleagues": _colleagues(agents),
        "more_colleagues": max(len(agents) - PEOPLE_SHOWN, 0),
    }


def _rows(tickets: TicketQuerySet, at: datetime) -> Rows:
    found = list(tickets[: ROWS_SHOWN + 1])
    rows = [Row(ticket, state_of(ticket, at), due_words(ticket, at)) for ticket in found]
    return Rows(rows[:ROWS_SHOWN], len(rows) > ROWS_SHOWN)


def _mine(caller: User, at: datetime) -> Rows:
    """What is in the caller's hands and open, the most urgent first."""
    held = Ticket.objects.filter(assignee=caller, status__in=OPEN_STATUSES)
    people = held.select_related("requester", "team", "assignee")
    return _rows(with_due_order(people).order_by(DUE_ORDER, "id"), at)


def _agents(caller: User) -> list[AgentProfile]:
    """Supervisors see everybody, agents those who share a team with them, and themselves."""
    agents = AgentProfile.objects.in_service().filter(user__is_active=True)
    if not caller.is_supervisor:
        own_teams = Team.objects.filter(agents=caller.pk).values("pk")
        agents = (agents.filter(teams__in=own_teams) | agents.filter(pk=caller.pk)).distinct()
    return list(agents.order_by("user__name", "pk"))


def _colleagues(agents: list[AgentProfile]) -> list[Colleague]:
    """Who could take something now stands first, the least busy before the others."""
    order = [Availability.AVAILABLE, Availability.AWAY, Availability.OFFLINE]
    agents = sorted(agents, key=lambda agent: order.index(Availability(agent.availability)))
    shown = agents[:PEOPLE_SHOWN]
    states = presence.states([agent.pk for agent in shown])
    return [Colleague(agent, states[agent.pk]) for agent in shown]


def _queues(caller: User, agents: list[AgentProfile], at: datetime) -> list[Queue]:
    """A line for each of the caller's teams (each of all teams, for supervisors) and one for what
    is nobody's, those with something in them first."""
    teams = Team.objects.all() if caller.is_supervisor else Team.objects.filter(agents=caller.pk)
    waiting = _by_team(Ticket.objects.unassigned())
    at_risk = _by_team(Ticket.objects.filter(in_state(SlaState.AT_RISK, at)))
    load = {each["team"]: each for each in teams_load(agents)}
    queues = [_queue(team, waiting, at_risk, load.get(team, {})) for team in teams.order_by("name")]
    if waiting[None] or at_risk[None]:
        queues.append(_queue(None, waiting, at_risk, {}))
    queues.sort(key=lambda queue: not (queue.waiting or queue.at_risk))
    return queues[:QUEUES_SHOWN]


def _by_team(tickets: TicketQuerySet) -> Counter[int | None]:
    rows: Iterable[tuple[int | None, int]] = (
        tickets.order_by().values_list("team").annotate(n=Count("pk"))
    )
    return Counter(dict(rows))


def _queue(
    team: Team | None,
    waiting: Counter[int | None],
    at_risk: Counter[int | None],
    load: dict[str, Any],
) -> Queue:
    key = team.pk if team else None
    return Queue(
        team=team,
        waiting=waiting[key],
        at_risk=at_risk[key],
        available=load.get("available", 0),
        agents=load.get("agents", 0),
        load=load.get("open_tickets", 0),
        capacity=load.get("capacity", 0),
    )
