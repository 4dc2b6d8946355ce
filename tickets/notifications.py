"""Whom to tell of an event, and by which template."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import Q

from agents.models import Role, User, has_desk_role
from tickets.lifecycle import ENDED_STATUSES, Status
from tickets.models import EscalationRule, Kind, Notification, Participant, Ticket, TicketEvent

Told = Notification.Kind
Recipient = EscalationRule.Recipient
NOBODY = Q(pk__in=[])


def create_for(event: TicketEvent) -> None:
    """The notification rows of an event. Twice is the same as once: a person per event is unique.

    Nobody is told of what they did themselves, and nobody of what they may not see.
    """
    kind, wanted = _audience(event)
    if kind is None:
        return
    people = User.objects.filter(wanted, is_active=True).distinct()
    if event.actor_id is not None:
        people = people.exclude(pk=event.actor_id)
    if event.public_seq is None:
        people = people.filter(has_desk_role())
    Notification.objects.bulk_create(_rows(event, kind, people), ignore_conflicts=True)


def _rows(
    event: TicketEvent, kind: Notification.Kind, people: Iterable[User]
) -> list[Notification]:
    mail = Notification.Mail
    return [
        Notification(
            user=person,
            ticket_id=event.ticket_id,
            event=event,
            kind=kind,
            created_at=event.at,
            mail=mail.PENDING if person.email else mail.NONE,
            mail_due_at=event.at,
        )
        for person in people
    ]


def _audience(event: TicketEvent) -> tuple[Notification.Kind | None, Q]:
    """What to tell, and whom."""
    ticket = event.ticket
    assignee = Q(pk=ticket.assignee_id)
    match event.kind:
        case Kind.OPENED:
            return Told.OPENED, Q(pk=ticket.requester_id)
        case Kind.ASSIGNED if event.data["to"] is not None:
            return Told.ASSIGNED, Q(pk=event.data["to"])
        # What came over with a merger has been told before; the merger itself is told once.
        case Kind.MESSAGE_CREATED if "merged_from" not in event.data:
            return _of_message(event, assignee)
        case Kind.MERGED if "into" in event.data:
            return Told.MERGED, _customers(ticket) | assignee
        case Kind.STATUS_CHANGED if ticket.merged_into_id is None:
            return _of_move(event, assignee)
        case Kind.ESCALATED:
            return Told.ESCALATED, _of_escalation(event, assignee)
        case Kind.SLA_WARNED | Kind.SLA_BREACHED:
            return _of_promise(event, assignee)
    return None, NOBODY


def _of_message(event: TicketEvent, assignee: Q) -> tuple[Notification.Kind, Q]:
    # A note is for whoever works on the ticket; a reply for everybody in the conversation.
    if event.public_seq is None:
        return Told.NOTED, assignee
    return Told.REPLIED, _customers(event.ticket) | assignee


def _of_move(event: TicketEvent, assignee: Q) -> tuple[Notification.Kind | None, Q]:
    if event.data["to"] == Status.RESOLVED:
        return Told.RESOLVED, _customers(event.ticket)
    return (Told.REOPENED, assignee) if _is_reopening(event) else (None, NOBODY)


def _of_promise(event: TicketEvent, assignee: Q) -> tuple[Notification.Kind, Q]:
    if event.kind == Kind.SLA_WARNED:
        return Told.SLA_WARNED, assignee
    return Told.SLA_BREACHED, assignee | _lead(event.ticket)


def _of_escalation(event: TicketEvent, assignee: Q) -> Q:
    """A rule says whom it tells; a person's escalation tells all who should act."""
    named = {
        Recipient.ASSIGNEE: assignee,
        Recipient.TEAM_LEAD: _lead(event.ticket),
        Recipient.SUPERVISORS: _supervisors(event.ticket),
    }
    wanted = event.data.get("notifies", [Recipient.ASSIGNEE, Recipient.SUPERVISORS])
    return reduce(or_, (named[Recipient(name)] for name in wanted), Q(pk__in=[]))


def _lead(ticket: Ticket) -> Q:
    return Q(pk__in=[ticket.team.lead_id] if ticket.team and ticket.team.lead_id else [])


def _customers(ticket: Ticket) -> Q:
    """By their ids: as a join or a subquery under an OR it would read every user there is."""
    taking_part = Participant.objects.filter(ticket=ticket.pk).values_list("user_id", flat=True)
    return Q(pk__in=[ticket.requester_id, *taking_part])


def _is_reopening(event: TicketEvent) -> bool:
    return event.data["to"] == Status.OPEN and event.data["from"] in ENDED_STATUSES


def _supervisors(ticket: Ticket) -> Q:
    """Those of the ticket's team where it has some, else all."""
    supervisors = Q(role=Role.SUPERVISOR)
    if ticket.team_id:
        of_team = User.objects.filter(supervisors, is_active=True, agent__teams=ticket.team_id)
        if ids := list(of_team.values_list("pk", flat=True)):
            return Q(pk__in=ids)
    return supervisors
