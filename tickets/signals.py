"""Who listens to what: assignment and notification are fired here.

A receiver is a few lines, may run twice for one event, and changes state only by calling a
service. Where one fails, the request has succeeded all the same and a sweep repairs it.
"""

from datetime import datetime
from typing import Any

from agents.models import AgentProfile
from agents.signals import availability_changed
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
        services.hand_back_unstarted(agent=agent, at=at)


def connect() -> None:
    ticket_event.connect(assign_on_open, dispatch_uid="assign_on_open")
    ticket_event.connect(notify_on_event, dispatch_uid="notify_on_event")
    availability_changed.connect(hand_back_on_away, dispatch_uid="hand_back_on_away")
