"""Whom to tell of an event, and by which template."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from django.db.models import Q
from django.dispatch import Signal

from agents.models import User, has_desk_role
from tickets.lifecycle import ENDED_STATUSES, Status
from tickets.models import EscalationRule, Kind, Notification, Participant, Ticket, TicketEvent

Told = Notification.Kind
Recipient = EscalationRule.Recipient
NOBODY = Q(pk__in=[])

# People have something to read. Sent again where the event is announced again.
# Provides: notifications (list of Notification, stored).
notified = Signal()


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
    rows = _rows(event, kind, people)
    Notification.objects.bulk_create(rows, ignore_conflicts=True)
    if rows and notified.has_listeners():
        stored = list(Notification.objects.filter(event=event))
        notified.send_robust(sender=Notification, notifications=stored)


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
    """A warning is for whoever can still keep the promise; where nobody works on the ticket, for
    the lead, and without one for the supervisors."""
    kind = Told.SLA_WARNED if event.kind == Kind.SLA_WARNED else Told.SLA_BREACHED
    ticket, lead = event.ticket, _lead(event.ticket)
    if ticket.assignee_id is None:
        return kind, lead or _supervisors(ticket)
    return kind, assignee if kind == Told.SLA_WARNED else assignee | lead


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
    """False (no condition at all) where nobody leads the team, or who did has left."""
    lead = ticket.team.lead if ticket.team else None
    return Q(pk=lead.pk) if lead and lead.is_desk_staff else Q()


def _customers(ticket: Ticket) -> Q:
    """By their ids: as a join or a subquery under an OR it would read every user there is."""
    taking_part = Participant.objects.filter(ticket=ticket.pk).values_list("user_id", flat=True)
    return Q(pk__in=[ticket.requester_id, *taking_part])


def _is_reopening(event: TicketEvent) -> bool:
    return event.data["to"] == Status.OPEN and event.data["from"] in ENDED_STATUSES


def _supervisors(ticket: Ticket) -> Q:
    """Those of the ticket's team where it has some, else all."""
    everybody = User.objects.supervisors().values_list("pk", flat=True)
    of_team = everybody.filter(agent__teams=ticket.team_id) if ticket.team_id else everybody.none()
    return Q(pk__in=list(of_team) or list(everybody))
