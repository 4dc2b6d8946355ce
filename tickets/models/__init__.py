from tickets.models.assignment import AssignmentDecision
from tickets.models.canned_reply import CannedReply
from tickets.models.category import Category, Tag
from tickets.models.escalation import Alert, EscalationRule
from tickets.models.event import Kind, TicketEvent
from tickets.models.experience import CategoryExperience
from tickets.models.message import Message
from tickets.models.notification import Notification
from tickets.models.rating import Rating
from tickets.models.saved_view import SavedView
from tickets.models.sla import (
    Calendar,
    CalendarDate,
    Metric,
    SlaClock,
    SlaPolicy,
    SlaRevision,
    SlaTarget,
)
from tickets.models.ticket import Channel, Participant, Priority, SlaStanding, Ticket

__all__ = [
    "Alert",
    "AssignmentDecision",
    "Calendar",
    "CalendarDate",
    "CannedReply",
    "Category",
    "CategoryExperience",
    "Channel",
    "EscalationRule",
    "Kind",
    "Message",
    "Metric",
    "Notification",
    "Participant",
    "Priority",
    "Rating",
    "SavedView",
    "SlaClock",
    "SlaPolicy",
    "SlaRevision",
    "SlaStanding",
    "SlaTarget",
    "Tag",
    "Ticket",
    "TicketEvent",
]
