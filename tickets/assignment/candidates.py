"""Who could take a ticket: the facts that scoring needs, in a fixed number of queries."""

from collections import Counter, defaultdict
from datetime import datetime

from django.conf import settings
from django.db.models import F, QuerySet

from agents.models import AgentProfile, AgentSkill, Availability, has_desk_role
from tickets.assignment.scoring import Candidate, Rules, Work, rested_since
from tickets.models import Kind, Ticket, TicketEvent

# How far back an agent's history with a requester is read.
REMEMBERED_TICKETS = 50


def rules() -> Rules:
    return Rules(settings.ASSIGNMENT_WEIGHTS, settings.ASSIGNMENT_FULL_REST)


def work_of(ticket: Ticket) -> Work:
    return Work(
        team_id=ticket.team_id,
        skills={skill.pk: skill.name for skill in ticket.required_skills.all()},
        weight=max(1, ticket.weight),
        excluded=_taken_from(ticket),
    )


def everybody() -> QuerySet[AgentProfile]:
    """All who work on tickets, for people who ask why somebody is not chosen."""
    return AgentProfile.objects.select_related("user").filter(has_desk_role("user__"))


def available() -> QuerySet[AgentProfile]:
    """Those whom a decision chooses from."""
    return everybody().filter(availability=Availability.AVAILABLE, user__is_active=True)


def anybody_has_room() -> bool:
    """Whether it is worth looking at the queue at all."""
    return available().filter(open_load__lt=F("capacity")).exists()


def candidates_for(ticket: Ticket, at: datetime, among: QuerySet[AgentProfile]) -> list[Candidate]:
    """These agents with load, teams, skills and history with the requester. Five queries."""
    skills = _skills(ticket)
    members = set(ticket.team.agents.values_list("pk", flat=True)) if ticket.team else set()
    history = _history(ticket)
    return [
        Candidate(
            id=profile.pk,
            name=profile.user.display_name,
            is_active=profile.user.is_active,
            is_available=profile.availability == Availability.AVAILABLE,
            capacity=profile.capacity,
            load=profile.open_load - (ticket.weight if ticket.assignee_id == profile.pk else 0),
            teams=(ticket.team_id,) if profile.pk in members and ticket.team_id else (),
            skills=skills[profile.pk],
            rested=rested_since(profile.last_assigned_at, at),
            shared_history=history[profile.pk],
        )
        for profile in among
    ]


def _skills(ticket: Ticket) -> dict[int, dict[int, int]]:
    """Levels in the skills that this ticket needs, by agent."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    wanted = [skill.pk for skill in ticket.required_skills.all()]
    rows = AgentSkill.objects.filter(skill__in=wanted).values_list("agent_id", "skill_id", "level")
    for agent_id, skill_id, level in rows:
        found[agent_id][skill_id] = level
    return found


def _history(ticket: Ticket) -> Counter[int | None]:
    """How many of the requester's latest tickets each agent has had."""
    latest = Ticket.objects.filter(requester=ticket.requester_id).exclude(pk=ticket.pk)
    ids = latest.order_by("-public_updated_at", "-pk").values_list("assignee", flat=True)
    return Counter(ids[:REMEMBERED_TICKETS])


def _taken_from(ticket: Ticket) -> tuple[int, ...]:
    """The agent from whom the ticket was last taken back into the queue, if it lies there."""
    if ticket.assignee_id is not None or ticket.last_seq <= 1:
        return ()
    last = TicketEvent.objects.filter(ticket=ticket, kind=Kind.ASSIGNED).order_by("-seq").first()
    if last is None or last.data["to"] is not None or last.data["from"] is None:
        return ()
    return (last.data["from"],)
