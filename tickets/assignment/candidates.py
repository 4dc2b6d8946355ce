"""Who could take a ticket, and what it asks for."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet

from agents.models import AgentProfile, Availability, has_desk_role
from tickets.assignment.facts import Facts
from tickets.assignment.scoring import Candidate, Rules, Work
from tickets.models import Kind, Ticket, TicketEvent


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
    facts = Facts.of([ticket], [work], among, at, from_queue=from_queue)
    return facts.candidates(ticket, work)


def _taken_from(ticket: Ticket) -> tuple[int, ...]:
    """The agent from whom the ticket was last taken back into the queue, if it lies there."""
    if ticket.assignee_id is not None or ticket.last_seq <= 1:
        return ()
    last = TicketEvent.objects.filter(ticket=ticket, kind=Kind.ASSIGNED).order_by("-seq").first()
    if last is None or last.data["to"] is not None or last.data["from"] is None:
        return ()
    return (last.data["from"],)
