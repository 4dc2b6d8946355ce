"""Whom to tell of an event, and by which template."""

from collections.abc import Iterable

from django.db.models import Q

from agents.models import Role, User
from tickets.lifecycle import ENDED_STATUSES, Status
from tickets.models import Kind, Message, Notification, Ticket, TicketEvent

Told = Notification.Kind


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
        people = people.exclude(role=Role.CUSTOMER, is_superuser=False)
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
    customers = Q(pk=ticket.requester_id) | Q(participations__ticket=ticket.pk)
    assignee = Q(pk=ticket.assignee_id)
    nobody = Q(pk__in=[])
    match event.kind:
        case Kind.OPENED:
            return Told.OPENED, Q(pk=ticket.requester_id)
        case Kind.ASSIGNED if event.data["to"] is not None:
            return Told.ASSIGNED, Q(pk=event.data["to"])
        case Kind.MESSAGE_CREATED:
            return _of_message(event, customers, assignee)
        case Kind.STATUS_CHANGED if event.data["to"] == Status.RESOLVED:
            return Told.RESOLVED, customers
        case Kind.STATUS_CHANGED if _is_reopening(event):
            return Told.REOPENED, assignee
        case Kind.ESCALATED:
            return Told.ESCALATED, assignee | _supervisors(ticket)
    return None, nobody


def _of_message(event: TicketEvent, customers: Q, assignee: Q) -> tuple[Notification.Kind, Q]:
    is_note = event.public_seq is None
    # A note is for whoever works on the ticket; a reply for everybody in the conversation.
    return (Told.NOTED, assignee) if is_note else (Told.REPLIED, customers | assignee)


def _is_reopening(event: TicketEvent) -> bool:
    return event.data["to"] == Status.OPEN and event.data["from"] in ENDED_STATUSES


def _supervisors(ticket: Ticket) -> Q:
    """Those of the ticket's team where it has some, else all."""
    supervisors = Q(role=Role.SUPERVISOR)
    if ticket.team_id:
        of_team = User.objects.filter(supervisors, is_active=True, agent__teams=ticket.team_id)
        if of_team.exists():
            return supervisors & Q(agent__teams=ticket.team_id)
    return supervisors


def message_told_by(notification: Notification) -> Message | None:
    """The message that a notification is about, for its mail."""
    pk = notification.event.data.get("message")
    return Message.objects.select_related("author").filter(pk=pk).first() if pk else None
