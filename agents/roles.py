"""What each role may do, by names that front ends show and hide buttons by.

The rules themselves stand where they are enforced (lifecycle, services, permission classes); a
test holds this list against them.
"""

from agents.models import Role, User

CUSTOMER = ("tickets.open", "tickets.reply", "tickets.reopen", "tickets.cancel", "tickets.close")
AGENT = (
    "tickets.open",
    "tickets.open_for_others",
    "tickets.reply",
    "tickets.note",
    "tickets.edit",
    "tickets.move",
    "tickets.assign",
    "tickets.claim",
    "tickets.escalate",
    "agents.view",
    "agents.own_availability",
)
SUPERVISOR = (
    *AGENT,
    "tickets.view_all",
    "tickets.force_assign",
    "agents.manage",
    "users.manage",
    "teams.manage",
    "skills.manage",
    "categories.manage",
    "calendars.manage",
    "sla_policies.manage",
    "escalation_rules.manage",
    "canned_replies.manage",
    "views.share",
)


def permissions_of(user: User) -> list[str]:
    if user.is_supervisor:
        return list(SUPERVISOR)
    return list(AGENT if user.role == Role.AGENT else CUSTOMER)
