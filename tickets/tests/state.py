"""The state of the desk as tests compare it, and what must hold of it at any time."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Model, Q

from agents.models import AgentProfile, Role
from tickets.models import (
    AssignmentDecision,
    Kind,
    Message,
    Notification,
    Priority,
    Ticket,
    TicketEvent,
)


def kinds(ticket: Ticket) -> list[str]:
    """What has happened to a ticket, in order."""
    return list(ticket.events.order_by("seq").values_list("kind", flat=True))


def snapshot(*tickets: Ticket) -> dict[Any, Any]:
    """Everything a service could have changed about these tickets and about the agents."""
    found: dict[Any, Any] = {
        ("counts",): _counts(Ticket, Message, AssignmentDecision, Notification),
        ("agents",): set(AgentProfile.objects.values_list("pk", "open_load", "last_assigned_at")),
    }
    for ticket in tickets:
        found["ticket", ticket.pk] = Ticket.objects.filter(pk=ticket.pk).values().get()
        found["ticket", ticket.pk, "log"] = list(ticket.events.order_by("seq").values())
        found["ticket", ticket.pk, "tags"] = sorted(ticket.tags.values_list("name", flat=True))
        found["ticket", ticket.pk, "people"] = sorted(
            ticket.participants.values_list("pk", flat=True)
        )
    return found


def _counts(*models: type[Model]) -> tuple[int, ...]:
    """How many rows each has, in one statement."""
    counts = [f"(SELECT count(*) FROM {model._meta.db_table})" for model in models]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(counts)}")
        return tuple(cursor.fetchone())


def loads() -> dict[int, int]:
    """What the agents' counters say."""
    return dict(AgentProfile.objects.values_list("pk", "open_load"))


def counted_loads() -> dict[int, int]:
    """What the tickets say: how many each agent has in work."""
    counts = dict.fromkeys(AgentProfile.objects.values_list("pk", flat=True), 0)
    worked = Ticket.objects.filter(status__in=("new", "open"), assignee__agent__isnull=False)
    for pk in worked.values_list("assignee", flat=True):
        counts[pk] += 1
    return counts


def assert_consistent(*, announced: bool = True) -> None:
    """Loads are counts, what nobody has and nothing else is queued, logs have no gap, and (unless
    told otherwise) everything was heard."""
    assert loads() == counted_loads()
    for ticket in Ticket.objects.all():
        assert (ticket.queued_at is None) is (ticket.assignee_id is not None), ticket.pk
        events = list(TicketEvent.objects.filter(ticket=ticket).order_by("seq"))
        public = [event.public_seq for event in events if event.public_seq is not None]
        assert [event.seq for event in events] == list(range(1, ticket.last_seq + 1))
        assert public == list(range(1, ticket.last_public_seq + 1))
    if announced:
        assert not Ticket.objects.exclude(announced_seq=F("last_seq")).exists()


def folded(ticket: Ticket) -> dict[str, Any]:
    """What the events alone say about a ticket."""
    state: dict[str, Any] = {"participants": set(), "messages": 0, "notes": 0, "merged_into": None}
    state |= {"first_responded_at": None, "resolved_at": None, "closed_at": None}
    answers = _answers(ticket)
    for event in ticket.events.all():
        data = event.data
        match event.kind:
            case Kind.OPENED:
                state |= {"status": "new", "assignee": None, "level": 0, "reopened": 0}
                state["priority"] = data["priority"]
            case Kind.STATUS_CHANGED:
                assert data["from"] == state["status"]
                state |= _moved(state, data["to"], event.at)
            case Kind.ASSIGNED:
                assert data["from"] == state["assignee"]
                state["assignee"] = data["to"]
            case Kind.PRIORITY_CHANGED:
                assert data["from"] == state["priority"]
                state["priority"] = data["to"]
            case Kind.ESCALATED:
                assert data["from_priority"] == state["priority"]
                state |= {"priority": data["to_priority"], "level": data["level"]}
            case Kind.PARTICIPANTS_CHANGED:
                state["participants"] |= set(data["added"])
                state["participants"] -= set(data["removed"])
            case Kind.MESSAGE_CREATED:
                state |= _said(state, event, answers)
            case Kind.MERGED if "into" in data:
                # The conversation goes on over there.
                state |= {"merged_into": data["into"], "messages": 0, "notes": 0}
    return state


def _moved(state: dict[str, Any], to: str, at: datetime) -> dict[str, Any]:
    """What follows from a move of the status."""
    is_reopened = state["status"] in ("resolved", "closed", "cancelled") and to == "open"
    resolved_at = state["resolved_at"] if to == "closed" else None
    return {
        "status": to,
        "reopened": state["reopened"] + is_reopened,
        "resolved_at": at if to == "resolved" else resolved_at,
        "closed_at": at if to in ("closed", "cancelled") else None,
    }


def _said(
    state: dict[str, Any], event: TicketEvent, answers: dict[int, datetime]
) -> dict[str, Any]:
    """What follows from a message. What was said in a ticket that was merged was said there, and
    answers this one if this one was there already."""
    kind = "messages" if event.public_seq else "notes"
    answered_at = answers.get(event.data["message"])
    return {
        kind: state[kind] + 1,
        "first_responded_at": state["first_responded_at"] or answered_at,
    }


def _answers(ticket: Ticket) -> dict[int, datetime]:
    """The messages by which the desk spoke to its customer, also where they were moved away, and
    when. Whoever asked for a merged ticket was its customer."""
    log = [event for event in ticket.events.all() if event.kind == Kind.MESSAGE_CREATED]
    moved = [event.data["message"] for event in log if "merged_from" in event.data]
    public = Message.objects.filter(
        pk__in=[event.data["message"] for event in log], is_internal=False
    )
    by_desk = public.exclude(author__role=Role.CUSTOMER).exclude(author=ticket.requester_id)
    too_early = Q(created_at__lte=ticket.created_at) | Q(author=F("merged_from__requester"))
    by_desk = by_desk.exclude(Q(pk__in=moved) & too_early)
    return dict(by_desk.values_list("pk", "created_at"))


def present(ticket: Ticket) -> dict[str, Any]:
    """What the rows say."""
    return {
        "status": ticket.status,
        "assignee": ticket.assignee_id,
        "level": ticket.escalation_level,
        "reopened": ticket.reopen_count,
        "priority": Priority(ticket.priority).key,
        "merged_into": ticket.merged_into_id,
        "first_responded_at": ticket.first_responded_at,
        "resolved_at": ticket.resolved_at,
        "closed_at": ticket.closed_at,
        "participants": set(ticket.participants.values_list("pk", flat=True)),
        "messages": ticket.messages.filter(is_internal=False).count(),
        "notes": ticket.messages.filter(is_internal=True).count(),
    }
