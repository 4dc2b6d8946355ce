"""The escalation path: from the agent to the team lead, from there to a supervisor."""

from datetime import datetime

from django.db.models import Case, Exists, F, FloatField, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, NullIf

from agents.models import AgentProfile, Availability, User, supervises
from tickets.models import AssignmentDecision, Ticket
from tickets.services.assign import as_seen, hand_over, take_place

# How many of those who have room are asked: whoever is not the first was overtaken by the others.
TRIED = 5


def pass_up(ticket: Ticket, *, actor: User | None, at: datetime) -> bool:
    """Hand the ticket, locked, to the next on its path who is there and has room.

    False where there is nobody: then it stays with whoever has it.
    """
    assignee = ticket.assignee
    if assignee is not None and assignee.is_supervisor:
        # Nobody comes after a supervisor.
        return False
    for agent_id in _path_of(ticket).values_list("pk", flat=True)[:TRIED]:
        seen = as_seen(ticket, agent_id, at)
        if take_place(ticket, agent_id, at):
            method = AssignmentDecision.Method.ESCALATION
            hand_over(ticket, agent_id, method, actor, at, *seen)
            return True
    return False


def _path_of(ticket: Ticket) -> QuerySet[User]:
    """Who comes after the present assignee and could take the ticket, in this order: the lead, the
    supervisors of the team, the other ones; the least utilised first. One query."""
    lead_id = ticket.team.lead_id if ticket.team else None
    # Compared with a number: nobody has none.
    is_lead = Q(pk=lead_id or 0)
    of_team = AgentProfile.objects.filter(pk=OuterRef("pk"), teams=ticket.team_id or 0)
    found = User.objects.desk_staff().filter(
        is_lead | supervises(),
        agent__availability=Availability.AVAILABLE,
        agent__open_load__lte=F("agent__capacity") - ticket.weight,
    )
    load = Cast("agent__open_load", FloatField()) / NullIf("agent__capacity", Value(0))
    ordered = found.alias(
        place=Case(When(is_lead, then=0), When(Exists(of_team), then=1), default=2),
        utilisation=load,
    ).order_by("place", "utilisation", "pk")
    return ordered.exclude(pk=ticket.assignee_id) if ticket.assignee_id else ordered
