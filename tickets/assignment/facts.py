"""What is known of agents with regard to tickets, read in a fixed number of queries."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from agents.models import AgentProfile, AgentSkill, Availability
from tickets.assignment.claim import burst_has_room
from tickets.assignment.scoring import Candidate, Work, rested_since
from tickets.models import CategoryExperience, Ticket

# How far back an agent's history with a requester is read.
REMEMBERED_TICKETS = 50
NOTHING: dict[int, int] = {}


class AgentFacts(NamedTuple):
    """An agent, whatever the ticket, in the order of AGENT_COLUMNS."""

    id: int
    name: str
    username: str
    is_active: bool
    availability: str
    capacity: int
    load: int
    last_assigned_at: datetime | None
    burst_has_room: bool = True  # read where tickets come out of the queue


AGENT_COLUMNS = (
    "pk",
    "user__name",
    "user__username",
    "user__is_active",
    "availability",
    "capacity",
    "open_load",
    "last_assigned_at",
)
# As the database has it: comparing with the enum's member costs more, a thousand times.
AVAILABLE = Availability.AVAILABLE.value


@dataclass(frozen=True)
class Facts:
    """What is known of agents with regard to some tickets at some moment."""

    at: datetime
    handling: timedelta  # of a ticket in hand
    agents: Sequence[AgentFacts]
    members: dict[int, set[int]]  # by team
    levels: dict[int, dict[int, int]]  # by agent, by skill
    learnt: dict[int, dict[int, int]]  # by category, by agent
    history: dict[int, Counter[int]]  # by requester, by agent: their latest tickets

    @classmethod
    def of(
        cls,
        tickets: Collection[Ticket],
        works: Collection[Work],
        among: QuerySet[AgentProfile],
        at: datetime,
        *,
        from_queue: bool = False,
    ) -> "Facts":
        columns: tuple[str, ...] = AGENT_COLUMNS
        if from_queue:
            among = among.annotate(burst_has_room=burst_has_room(at))
            columns = (*AGENT_COLUMNS, "burst_has_room")
        return cls(
            at=at,
            handling=settings.ASSIGNMENT_HANDLING,
            agents=[AgentFacts(*row) for row in among.order_by().values_list(*columns)],
            members=_members({work.team_id for work in works if work.team_id is not None}),
            levels=_levels({skill for work in works for skill in work.skills}),
            learnt=_learnt({work.category_id for work in works if work.category_id is not None}),
            history=_history({ticket.requester_id for ticket in tickets}),
        )

    def candidates(self, ticket: Ticket, work: Work) -> list[Candidate]:
        """The agents as they stand towards one of the tickets."""
        found = []
        for agent in self.agents:
            load, shared = self.apart_from(ticket, agent.id, agent.load)
            found.append(self.candidate(agent, work, load, shared))
        return found

    def apart_from(self, ticket: Ticket, agent_id: int, load: int) -> tuple[int, int]:
        """An agent's load and history with the requester without the ticket itself."""
        shared = self.history[ticket.requester_id].get(agent_id, 0)
        if agent_id != ticket.assignee_id:
            return load, shared
        # It may be older than what is remembered of the requester.
        return load - ticket.weight, max(0, shared - 1)

    def candidate(self, agent: AgentFacts, work: Work, load: int, shared: int) -> Candidate:
        """An agent with this load and this history with the requester."""
        team, members = work.team_id, self.members
        return Candidate(
            id=agent.id,
            name=agent.name or agent.username,
            is_active=agent.is_active,
            is_available=agent.availability == AVAILABLE,
            capacity=agent.capacity,
            load=load,
            teams=(team,) if team is not None and agent.id in members.get(team, ()) else (),
            skills=self.levels.get(agent.id, NOTHING),
            rested=rested_since(agent.last_assigned_at, self.at),
            shared_history=shared,
            learnt=self.learnt.get(work.category_id or 0, NOTHING).get(agent.id, 0),
            open_work=load * self.handling,
            is_flooded=not agent.burst_has_room,
        )


def _members(teams: Collection[int]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    through = AgentProfile.teams.through.objects.filter(team__in=teams)
    for team_id, agent_id in _rows(through, teams, "team_id", "agentprofile_id"):
        found[team_id].add(agent_id)
    return found


def _levels(skills: Collection[int]) -> dict[int, dict[int, int]]:
    """Levels in the skills that are needed, by agent."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    known = AgentSkill.objects.filter(skill__in=skills)
    for agent_id, skill_id, level in _rows(known, skills, "agent_id", "skill_id", "level"):
        found[agent_id][skill_id] = level
    return found


def _learnt(categories: Collection[int]) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = defaultdict(dict)
    rows = CategoryExperience.objects.filter(category__in=categories)
    for category_id, agent_id, count in _rows(
        rows, categories, "category_id", "agent_id", "resolved"
    ):
        found[category_id][agent_id] = count
    return found


def _rows(rows: QuerySet[Any], keys: Collection[int], *names: str) -> Iterable[tuple[Any, ...]]:
    return rows.order_by().values_list(*names) if keys else ()


def _history(requesters: Collection[int]) -> dict[int, Counter[int]]:
    """How many of each requester's latest tickets each agent has had. One query."""
    found: dict[int, Counter[int]] = {pk: Counter() for pk in requesters}
    for requester_id, assignee_id in _latest(requesters):
        if assignee_id is not None:
            found[requester_id][assignee_id] += 1
    return found


def _latest(requesters: Collection[int]) -> Iterable[tuple[int, int | None]]:
    """Requester and assignee of the REMEMBERED_TICKETS that last changed, of each requester."""
    tickets = Ticket.objects.filter(requester__in=requesters)
    newest_first = ("-public_updated_at", "-pk")
    if len(requesters) == 1:
        # A LIMIT stops in the index; to number the rows, SQLite reads all that somebody ever asked.
        rows = tickets.order_by(*newest_first).values_list("requester_id", "assignee_id")
        return rows[:REMEMBERED_TICKETS]
    place = Window(RowNumber(), partition_by=F("requester_id"), order_by=newest_first)
    numbered = tickets.order_by().annotate(place=place).filter(place__lte=REMEMBERED_TICKETS)
    return numbered.values_list("requester_id", "assignee_id")
