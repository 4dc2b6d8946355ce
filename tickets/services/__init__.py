"""Everything that can happen to a ticket. The only writers of status, assignee and log.

Each service is one transaction, keyword-only, and takes the moment as `at`. It locks the ticket,
checks the rules, saves, and records what happened; what follows from that (assigning, telling
people) is done by receivers after the commit.
"""

from tickets.services.assign import (
    NoAgentAvailable,
    assign,
    assign_automatically,
    assign_if_possible,
    assign_waiting,
    claim,
    recommend,
)
from tickets.services.bulk import Outcome, change_each
from tickets.services.canned_replies import (
    create_canned_reply,
    delete_canned_reply,
    fill_in,
    update_canned_reply,
)
from tickets.services.category import create_category, update_category
from tickets.services.close import close_resolved
from tickets.services.edit import change_priority, change_tags, update_ticket
from tickets.services.escalate import escalate, escalate_due
from tickets.services.hand_back import hand_back, hand_back_stranded
from tickets.services.merge import merge
from tickets.services.move import change_status
from tickets.services.open import open_ticket
from tickets.services.rate import rate
from tickets.services.read import mark_read
from tickets.services.rebalance import propose_moves, rebalance
from tickets.services.reply import Posted, post_message
from tickets.services.take_part import add_participant, remove_participant
from tickets.services.timekeeping import recompute

__all__ = [
    "NoAgentAvailable",
    "Outcome",
    "Posted",
    "add_participant",
    "assign",
    "assign_automatically",
    "assign_if_possible",
    "assign_waiting",
    "change_each",
    "change_priority",
    "change_status",
    "change_tags",
    "claim",
    "close_resolved",
    "create_canned_reply",
    "create_category",
    "delete_canned_reply",
    "escalate",
    "escalate_due",
    "fill_in",
    "hand_back",
    "hand_back_stranded",
    "mark_read",
    "merge",
    "open_ticket",
    "post_message",
    "propose_moves",
    "rate",
    "rebalance",
    "recommend",
    "recompute",
    "remove_participant",
    "update_canned_reply",
    "update_category",
    "update_ticket",
]
