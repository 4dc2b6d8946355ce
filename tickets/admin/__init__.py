"""Tickets in the console, and what decides about them: categories, promises, rules."""

from tickets.admin.calendars import CalendarAdmin
from tickets.admin.canned_replies import CannedReplyAdmin
from tickets.admin.categories import CategoryAdmin
from tickets.admin.policies import SlaPolicyAdmin
from tickets.admin.rules import EscalationRuleAdmin
from tickets.admin.tickets import TicketAdmin

__all__ = [
    "CalendarAdmin",
    "CannedReplyAdmin",
    "CategoryAdmin",
    "EscalationRuleAdmin",
    "SlaPolicyAdmin",
    "TicketAdmin",
]
