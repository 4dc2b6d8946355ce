"""What a ticket's page shows. Reads only, in a number of queries that does not grow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from agents.models import AgentProfile, User
from tickets import files, lifecycle
from tickets.admin import decision, editing, service_level
from tickets.admin.actions import ACTIONS
from tickets.admin.base import TicketAction
from tickets.admin.history import history_of
from tickets.admin.shown_files import ShownFile, shown
from tickets.files import File
from tickets.models import Message, Rating, Ticket
from tickets.models.ticket import MAX_ESCALATION_LEVEL
from tickets.parts import part_of, situation_of
from tickets.rendering import render_markdown

# The newest of each; the rest on request.
MESSAGES_SHOWN = 50
EVENTS_SHOWN = 50
AGENTS_SUGGESTED = 50


@dataclass(frozen=True)
class Said:
    """One contribution to the conversation; the opening has no id."""

    id: int | None
    author: User
    is_staff: bool
    is_internal: bool
    at: datetime
    html: SafeString
    files: list[ShownFile] = field(default_factory=list)


@dataclass(frozen=True)
class MoveButton:
    """`refused` says why the move is barred; `asks` what else is wanted, such as a comment."""

    to: str
    label: str
    refused: str
    asks: str


def context_of(
    ticket: Ticket,
    *,
    caller: User,
    at: datetime,
    refused: TicketAction | None = None,
    is_whole: bool = False,
) -> dict[str, Any]:
    """The page's template context. `refused` is the form that was sent and not carried out."""
    ticket = Ticket.objects.with_people().prefetch_related("participants").get(pk=ticket.pk)
    said, earlier = _conversation(ticket, is_whole)
    moves = _moves(ticket, caller, at)
    events, older_events = history_of(ticket, caller, None if is_whole else EVENTS_SHOWN)
    return {
        "ticket": ticket,
        "original": ticket,
        "opening": _opening(ticket),
        "said": said,
        "earlier": earlier,
        "events": events,
        "older_events": older_events,
        "moves": moves,
        "hints": [move for move in moves if move.refused or move.asks],
        "sla": service_level.context_of(ticket, at),
        **decision.context_of(ticket),
        "agents": _agents(ticket),
        "rating": Rating.objects.filter(ticket=ticket).first(),
        "resolution": _html(ticket.resolution),
        "forms": _forms(ticket, caller, refused),
        "refused": refused,
        "can_merge": ticket.merged_into_id is None and ticket.status != lifecycle.Status.CANCELLED,
        "can_escalate": not ticket.is_ended and ticket.escalation_level < MAX_ESCALATION_LEVEL,
    }


def _html(text: str) -> SafeString:
    return mark_safe(render_markdown(text))  # noqa: S308 (sanitised there)


def _opening(ticket: Ticket) -> Said:
    """With the files that no message brought: they came with the ticket, or on their own."""
    return Said(
        id=None,
        author=ticket.requester,
        is_staff=False,
        is_internal=False,
        at=ticket.created_at,
        html=_html(ticket.description),
        files=shown(files.kept().without_message(ticket.pk)),
    )


def _conversation(ticket: Ticket, is_whole: bool) -> tuple[list[Said], bool]:
    """The newest messages, oldest first, and whether there are earlier ones."""
    messages = (
        Message.objects.filter(ticket=ticket)
        .select_related("author")
        .order_by("-created_at", "-id")
    )
    found = list(messages if is_whole else messages[: MESSAGES_SHOWN + 1])
    newest = found if is_whole else found[:MESSAGES_SHOWN]
    attached = files.kept().of_messages([message.pk for message in newest])
    said = [_said(each, ticket, attached.get(each.pk, ())) for each in reversed(newest)]
    return said, len(found) > len(newest)


def _said(message: Message, ticket: Ticket, attached: Sequence[File]) -> Said:
    author = message.author
    return Said(
        id=message.pk,
        author=author,
        is_staff=author.is_desk_staff and author.pk != ticket.requester_id,
        is_internal=message.is_internal,
        at=message.created_at,
        html=_html(message.body),
        files=shown(attached),
    )


def _moves(ticket: Ticket, caller: User, at: datetime) -> list[MoveButton]:
    now, part = situation_of(ticket, at), part_of(caller, ticket)
    return [
        _button(move, lifecycle.refusals(move, now, part))
        for move in lifecycle.moves_from(now.status)
    ]


def _button(move: lifecycle.Transition, reasons: list[lifecycle.Reason]) -> MoveButton:
    """What nothing that can be typed would mend bars the move for good."""
    return MoveButton(
        to=move.target,
        label=move.label,
        refused=_sentences([reason for reason in reasons if reason.asks_for is None]),
        asks=_sentences(reasons),
    )


def _sentences(reasons: list[lifecycle.Reason]) -> str:
    return " ".join(reason.detail for reason in reasons)


def _agents(ticket: Ticket) -> list[AgentProfile]:
    """Whom the box for the agent suggests: those of the team, if the ticket has one."""
    agents = AgentProfile.objects.in_service().prefetch_related(None)
    if ticket.team_id:
        agents = agents.filter(teams=ticket.team_id)
    return list(agents.filter(user__is_active=True).order_by("user__name", "pk")[:AGENTS_SUGGESTED])


def _forms(ticket: Ticket, caller: User, refused: TicketAction | None) -> dict[str, TicketAction]:
    """An empty form for each action, but the refused one as it was sent."""
    initial = {"edit": editing.initial_of(ticket), "priority": {"to": ticket.priority}}
    forms = {
        name: action(ticket=ticket, caller=caller, initial=initial.get(name))
        for name, action in ACTIONS.items()
    }
    return {**forms, refused.name: refused} if refused else forms
