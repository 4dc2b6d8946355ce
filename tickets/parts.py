"""Which part a user plays in a ticket: what the lifecycle and the services ask for."""

from datetime import datetime

from django.conf import settings

from agents.models import User
from servicedesk.errors import NotAllowed
from tickets.lifecycle import Part, Situation
from tickets.models import Ticket


def part_of(user: User | None, ticket: Ticket) -> Part:
    """The caller has already passed `visible_to`; None is the desk itself."""
    if user is None:
        return Part.DESK
    if user.is_supervisor:
        return Part.SUPERVISOR
    if user.is_desk_staff:
        return Part.AGENT
    return Part.CUSTOMER if user.pk == ticket.requester_id else Part.PARTICIPANT


def is_agent_reply(author: User, ticket: Ticket) -> bool:
    """Whether a public message of this author is the desk speaking. Staff may also be asking."""
    return author.is_desk_staff and author.pk != ticket.requester_id


def require_staff(user: User) -> None:
    if not user.is_desk_staff:
        raise NotAllowed("Only agents and supervisors may do this.")


def situation_of(ticket: Ticket, at: datetime) -> Situation:
    """The facts that the lifecycle's guards look at."""
    return Situation(
        status=ticket.status,  # type: ignore[arg-type]
        is_assigned=ticket.assignee_id is not None,
        is_merged=ticket.merged_into_id is not None,
        has_public_agent_reply=ticket.first_responded_at is not None,
        has_resolution=False,
        closed_at=ticket.closed_at,
        at=at,
        reopen_window=settings.REOPEN_WINDOW,
    )
