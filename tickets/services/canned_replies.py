from datetime import datetime
from typing import TypedDict, Unpack

from django.db import transaction

from agents.models import Team, User
from agents.saving import save_clean
from tickets.canned import fill
from tickets.models import CannedReply, Ticket
from tickets.services.setup.locking import hold, lock


class CannedReplyFields(TypedDict, total=False):
    """What a canned reply is made of; of no team, it is everybody's."""

    title: str
    body: str
    team: Team | None
    is_active: bool


@transaction.atomic
def create_canned_reply(
    *, actor: User, at: datetime, **fields: Unpack[CannedReplyFields]
) -> CannedReply:
    """A new canned reply; needs a title and a body. Raises FieldError, NothingThere."""
    return _save(CannedReply(created_by=actor, created_at=at), actor, at, fields)


@transaction.atomic
def update_canned_reply(
    *, reply: CannedReply, actor: User, at: datetime, **fields: Unpack[CannedReplyFields]
) -> CannedReply:
    """Change what is given. Raises FieldError, NothingThere and Http404."""
    return _save(lock(reply), actor, at, fields)


@transaction.atomic
def delete_canned_reply(*, reply: CannedReply) -> None:
    """What was answered with it stays as it was sent. Raises Http404."""
    lock(reply).delete()


def fill_in(reply: CannedReply, *, ticket: Ticket, agent: User) -> str:
    """The reply's text for this agent to send on this ticket, whose people are loaded."""
    requester = ticket.requester.display_name
    values = {
        "requester.name": requester,
        "requester.first_name": requester.strip().partition(" ")[0],
        "ticket.number": ticket.number,
        "ticket.title": ticket.subject,
        "agent.name": agent.display_name,
        "team.name": ticket.team.name if ticket.team else "",
    }
    return fill(reply.body, values)


def _save(reply: CannedReply, actor: User, at: datetime, fields: CannedReplyFields) -> CannedReply:
    team = fields.get("team")
    hold("team", [team] if team else [])
    for name, value in fields.items():
        setattr(reply, name, value)
    reply.updated_by, reply.updated_at = actor, at
    save_clean(reply)
    return reply
