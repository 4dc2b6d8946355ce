"""The escalation path: from the agent to the team lead, from there to a supervisor."""

from datetime import datetime

from django.db.models import Exists, OuterRef

from agents.models import AgentProfile, Availability, Role, User
from tickets.models import AssignmentDecision, Ticket
from tickets.services.assign import as_seen, hand_over, take_place

# How many supervisors are asked whether they have room.
TRIED = 20


def pass_up(ticket: Ticket, *, actor: User | None, at: datetime) -> bool:
    """Hand the ticket, locked, to the next on its path who is there and has room.

    False where there is nobody: then it stays with whoever has it.
    """
    for agent in _path_of(ticket):
        seen = as_seen(ticket, agent, at)
        if take_place(ticket, agent.pk, at):
            method = AssignmentDecision.Method.ESCALATION
            hand_over(ticket, agent.pk, method, actor, at, *seen)
            return True
    return False


def _path_of(ticket: Ticket) -> list[User]:
    """Who comes after the present assignee, the next one first; nobody after a supervisor."""
    assignee = ticket.assignee
    if assignee is not None and assignee.is_supervisor:
        return []
    lead = ticket.team.lead if ticket.team else None
    return [*([lead] if lead and lead != assignee else []), *_supervisors(ticket, lead)]


def _supervisors(ticket: Ticket, lead: User | None) -> list[User]:
    """Those who are there, of the ticket's team first, the least busy first."""
    of_team = AgentProfile.objects.filter(pk=OuterRef("pk"), teams=ticket.team)
    found = User.objects.filter(
        role=Role.SUPERVISOR, is_active=True, agent__availability=Availability.AVAILABLE
    )
    if lead is not None:
        found = found.exclude(pk=lead.pk)
    ordered = found.alias(is_near=Exists(of_team)).order_by("-is_near", "agent__open_load", "pk")
    return list(ordered[:TRIED])
