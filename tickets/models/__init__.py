from tickets.models.assignment import AssignmentDecision
from tickets.models.category import Category, Tag
from tickets.models.event import Kind, TicketEvent
from tickets.models.message import Message
from tickets.models.notification import Notification
from tickets.models.rating import Rating
from tickets.models.ticket import Channel, Participant, Priority, Ticket

__all__ = [
    "AssignmentDecision",
    "Category",
    "Channel",
    "Kind",
    "Message",
    "Notification",
    "Participant",
    "Priority",
    "Rating",
    "Tag",
    "Ticket",
    "TicketEvent",
]
