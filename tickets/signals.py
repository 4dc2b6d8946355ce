"""Who listens to what: assignment and notification are fired here.

A receiver is a few lines, may run twice for one event, and changes state only by calling a
service. Where one fails, the request has succeeded all the same and a sweep repairs it.
"""

from datetime import datetime
from typing import Any

from agents.models import AgentProfile, User
from agents.signals import availability_changed, left_service
from tickets import notifications, services
from tickets.events import ticket_event
from tickets.models import Kind, TicketEvent


def assign_on_open(*, event: TicketEvent, **kwargs: Any) -> None:
    if event.kind == Kind.OPENED:
        services.assign_if_possible(ticket=event.ticket, at=event.at)


def notify_on_event(*, event: TicketEvent, **kwargs: Any) -> None:
    notifications.create_for(event)


def hand_back_on_away(*, agent: AgentProfile, reassign: bool, at: datetime, **kwargs: Any) -> None:
    if reassign:
        services.hand_back(agent_id=agent.pk, at=at)


def hand_back_on_leaving(*, user: User, at: datetime, **kwargs: Any) -> None:
    services.hand_back(agent_id=user.pk, at=at)


def connect() -> None:
    ticket_event.connect(assign_on_open, dispatch_uid="assign_on_open")
    ticket_event.connect(notify_on_event, dispatch_uid="notify_on_event")
    availability_changed.connect(hand_back_on_away, dispatch_uid="hand_back_on_away")
    left_service.connect(hand_back_on_leaving, dispatch_uid="hand_back_on_leaving")
