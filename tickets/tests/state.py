"""The state of the desk as tests compare it, and what must hold of it at any time."""

from typing import Any

from django.db.models import F

from agents.models import AgentProfile
from tickets.models import AssignmentDecision, Message, Notification, Ticket, TicketEvent


def kinds(ticket: Ticket) -> list[str]:
    """What has happened to a ticket, in order."""
    return list(ticket.events.order_by("seq").values_list("kind", flat=True))


def snapshot(*tickets: Ticket) -> dict[Any, Any]:
    """Everything a service could have changed about these tickets and about the agents."""
    found: dict[Any, Any] = {
        ("tickets", "count"): Ticket.objects.count(),
        ("messages", "count"): Message.objects.count(),
        ("decisions", "count"): AssignmentDecision.objects.count(),
        ("notifications", "count"): Notification.objects.count(),
        ("loads",): dict(AgentProfile.objects.values_list("pk", "open_load")),
        ("assigned_at",): dict(AgentProfile.objects.values_list("pk", "last_assigned_at")),
    }
    for ticket in tickets:
        found["ticket", ticket.pk] = Ticket.objects.filter(pk=ticket.pk).values().get()
        found["ticket", ticket.pk, "log"] = list(ticket.events.order_by("seq").values())
        found["ticket", ticket.pk, "tags"] = sorted(ticket.tags.values_list("name", flat=True))
        found["ticket", ticket.pk, "people"] = sorted(
            ticket.participants.values_list("pk", flat=True)
        )
    return found


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
    """Loads are counts, logs have no gap, and (unless told otherwise) everything was heard."""
    assert loads() == counted_loads()
    for ticket in Ticket.objects.all():
        events = list(TicketEvent.objects.filter(ticket=ticket).order_by("seq"))
        public = [event.public_seq for event in events if event.public_seq is not None]
        assert [event.seq for event in events] == list(range(1, ticket.last_seq + 1))
        assert public == list(range(1, ticket.last_public_seq + 1))
    if announced:
        assert not Ticket.objects.exclude(announced_seq=F("last_seq")).exists()
