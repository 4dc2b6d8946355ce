"""Calendars, SLA policies and escalation rules: every change of what the desk promises.

Each service is one transaction and keyword-only. It locks the row before it looks, and counts the
change (`sla.revision.bump`), so that a sweep works out the open tickets' clocks anew.
"""

from tickets.services.setup.calendars import (
    Day,
    check_calendar,
    create_calendar,
    import_holidays,
    update_calendar,
)
from tickets.services.setup.deletion import delete
from tickets.services.setup.policies import Target, check_targets, create_policy, update_policy
from tickets.services.setup.rules import check_rule, create_rule, update_rule

__all__ = [
    "Day",
    "Target",
    "check_calendar",
    "check_rule",
    "check_targets",
    "create_calendar",
    "create_policy",
    "create_rule",
    "delete",
    "import_holidays",
    "update_calendar",
    "update_policy",
    "update_rule",
]
