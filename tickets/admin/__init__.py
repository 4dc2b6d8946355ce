"""Tickets and categories in the console."""

from tickets.admin.categories import CategoryAdmin
from tickets.admin.tickets import TicketAdmin

__all__ = ["CategoryAdmin", "TicketAdmin"]
