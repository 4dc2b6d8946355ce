"""Who could take a ticket: the facts that scoring needs, in a fixed number of queries."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet

from agents.models import AgentProfile, AgentSkill, Availability, has_desk_role
from tickets.assignment.scoring import Candidate, Rules, Work, rested_since
from tickets.models import CategoryExperience, Kind, Ticket, TicketEvent

# How far back an agent's history with a requester is read.
REMEMBERED_TICKETS = 50
NOTHING: dict[int, int] = {}
AGENT_FACTS = (
    "pk",
    "user__name",
    "user__username",
    "user__is_active",
    "availability",
    "capacity",
    "open_load",
    "last_assigned_at",
    "queue_burst_at",
    "queue_burst",
)


def rules() -> Rules:
    return Rules(settings.ASSIGNMENT_WEIGHTS, settings.ASSIGNMENT_FULL_REST)


def work_of(ticket: Ticket, at: datetime) -> Work:
    """What the ticket asks for at this moment. Its slack is wall-clock time."""
    minutes = ticket.category.handling_minutes if ticket.category else None
    return Work(
        team_id=ticket.team_id,
        skills={skill.pk: skill.name for skill in ticket.required_skills.all()},
        weight=max(1, ticket.weight),
        excluded=_taken_from(ticket),
        category_id=ticket.category_id,
        handling=timedelta(minutes=minutes) if minutes else settings.ASSIGNMENT_HANDLING,
        slack=ticket.sla_due_at - at if ticket.sla_due_at else None,
    )


def everybody() -> QuerySet[AgentProfile]:
    """All who work on tickets, for people who ask why somebody is not chosen."""
    return AgentProfile.objects.filter(has_desk_role("user__"))


def available() -> QuerySet[AgentProfile]:
    """Those whom a decision chooses from."""
    return everybody().filter(availability=Availability.AVAILABLE, user__is_active=True)


def anybody_has_room() -> bool:
    """Whether it is worth looking at the queue at all."""
    return available().filter(open_load__lt=F("capacity")).exists()


def candidates_for(
    ticket: Ticket,
    work: Work,
    at: datetime,
    among: QuerySet[AgentProfile],
    *,
    from_queue: bool = False,
) -> list[Candidate]:
    """These agents with load, teams, skills and history. Five queries."""
    return Facts.of([ticket], [work], among).candidates(ticket, work, at, from_queue=from_queue)


@dataclass(frozen=True)
class Facts:
    """What is known of agents with regard to some tickets."""

    agents: Sequence[tuple[Any, ...]]  # AGENT_FACTS of each
    members: dict[int, set[int]]  # by team
    levels: dict[int, dict[int, int]]  # by agent, by skill
    learnt: dict[tuple[int | None, int], int]  # by category and agent
    history: dict[int, Counter[int]]  # by requester, by agent: their latest tickets

    @classmethod
    def of(
        cls, tickets: Collection[Ticket], works: Collection[Work], among: QuerySet[AgentProfile]
    ) -> "Facts":
        return cls(
            agents=list(among.values_list(*AGENT_FACTS)),
            members=_members({work.team_id for work in works if work.team_id is not None}),
            levels=_levels({skill for work in works for skill in work.skills}),
            learnt=_learnt({work.category_id for work in works if work.category_id is not None}),
            history={pk: _history(pk) for pk in {ticket.requester_id for ticket in tickets}},
        )

    def candidates(
        self,
        ticket: Ticket,
        work: Work,
        at: datetime,
        *,
        from_queue: bool = False,
        loads: Mapping[int, int] | None = None,
    ) -> list[Candidate]:
        """The agents as they stand towards one of the tickets, or would with other `loads`."""
        members = self.members.get(work.team_id, set()) if work.team_id is not None else set()
        history = self.history[ticket.requester_id].copy()
        if ticket.assignee_id is not None:
            # This ticket is no history of itself.
            history[ticket.assignee_id] -= 1
        own, weight, handling = ticket.assignee_id, ticket.weight, settings.ASSIGNMENT_HANDLING
        teams = () if work.team_id is None else (work.team_id,)
        found = []
        for (
            pk,
            name,
            username,
            is_active,
            availability,
            capacity,
            load,
            last_at,
            since,
            burst,
        ) in self.agents:
            whole_load = load if loads is None else loads[pk]
            own_load = whole_load - (weight if pk == own else 0)
            found.append(
                Candidate(
                    id=pk,
                    name=name or username,
                    is_active=is_active,
                    is_available=availability == Availability.AVAILABLE,
                    capacity=capacity,
                    load=own_load,
                    teams=teams if pk in members else (),
                    skills=self.levels.get(pk, NOTHING),
                    rested=rested_since(last_at, at),
                    shared_history=max(0, history[pk]),
                    learnt=self.learnt.get((work.category_id, pk), 0),
                    open_work=own_load * handling,
                    is_flooded=from_queue and _is_flooded(since, burst, at),
                )
            )
        return found


def _is_flooded(since: datetime | None, count: int, at: datetime) -> bool:
    """What the claim of a place asks, too (tickets.assignment.claim)."""
    return (
        since is not None
        and since > at - settings.ASSIGNMENT_QUEUE_WINDOW
        and count >= settings.ASSIGNMENT_QUEUE_BURST
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


def _learnt(categories: Collection[int]) -> dict[tuple[int | None, int], int]:
    rows = CategoryExperience.objects.filter(category__in=categories)
    names = ("category_id", "agent_id", "resolved")
    return {(one, agent): count for one, agent, count in _rows(rows, categories, *names)}


def _rows(rows: QuerySet[Any], keys: Collection[int], *names: str) -> Iterable[tuple[Any, ...]]:
    return rows.order_by().values_list(*names) if keys else ()


def _history(requester_id: int) -> Counter[int]:
    """How many of the requester's latest tickets each agent has had."""
    latest = Ticket.objects.filter(requester=requester_id).order_by("-public_updated_at", "-pk")
    ids = latest.values_list("assignee", flat=True)[:REMEMBERED_TICKETS]
    return Counter(pk for pk in ids if pk is not None)


def _taken_from(ticket: Ticket) -> tuple[int, ...]:
    """The agent from whom the ticket was last taken back into the queue, if it lies there."""
    if ticket.assignee_id is not None or ticket.last_seq <= 1:
        return ()
    last = TicketEvent.objects.filter(ticket=ticket, kind=Kind.ASSIGNED).order_by("-seq").first()
    if last is None or last.data["to"] is not None or last.data["from"] is None:
        return ()
    return (last.data["from"],)
