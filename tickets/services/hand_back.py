"""Putting tickets that nobody will see through back into the queue.

Which ones follows from the data (the agent works here no longer, or wishes it), so whatever dies
on the way is made up for by the sweep.
"""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from agents.models import AgentProfile
from servicedesk.sweeps import SweepResult
from tickets.lifecycle import OPEN_STATUSES
from tickets.locks import lock_agents, lock_ticket
from tickets.models import Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.services.assign import assign_if_possible, back_to_queue

log = structlog.get_logger(__name__)


def hand_back(*, agent_id: int, at: datetime) -> SweepResult:
    """Hand back what this agent leaves behind, and look for somebody else at once.

    All that is open, if they work here no longer; what the customer has not heard of yet, if they
    asked for that when they left. Each ticket is a transaction of its own, and one that fails
    stays for the sweep.
    """
    result = SweepResult()
    agent = AgentProfile.objects.leaving().filter(pk=agent_id).first()
    if agent is None:
        return result
    for pk in list(_left_by(agent).order_by("pk").values_list("pk", flat=True)):
        result.add(_pass_on(pk, agent_id, at))
    _forget_wish(agent_id)
    return result


def hand_back_stranded(*, batch: int = 200) -> SweepResult:
    """The sweep that finishes what was left undone: agents until `batch` tickets are handed back.

    One whose tickets fail does not hold up the others.
    """
    result = SweepResult()
    in_hand = Ticket.objects.filter(assignee=OuterRef("pk"), status__in=OPEN_STATUSES)
    agents = AgentProfile.objects.leaving().filter(Q(hands_back=True) | Exists(in_hand))
    for agent_id in list(agents.order_by("pk").values_list("pk", flat=True)):
        result.add(hand_back(agent_id=agent_id, at=timezone.now()))
        if result.handled >= batch:
            break
    return result


def _left_by(agent: AgentProfile) -> TicketQuerySet:
    """What somebody else should have. The user is loaded."""
    tickets = Ticket.objects.filter(assignee=agent.pk)
    if not agent.user.is_desk_staff:
        return tickets.filter(status__in=OPEN_STATUSES)
    return tickets.unstarted() if agent.hands_back else tickets.none()


def _pass_on(ticket_id: int, agent_id: int, at: datetime) -> SweepResult:
    try:
        ticket = _hand_back(ticket_id, agent_id, at)
    except Exception:
        log.exception("hand_back_failed", ticket=ticket_id, agent=agent_id)
        return SweepResult(failed=1)
    if ticket is None:
        return SweepResult(skipped=1)
    try:
        assign_if_possible(ticket=ticket, at=at)
    except Exception:
        # It lies in the queue, and the sweep of the queue offers it again.
        log.exception("assign_failed", ticket=ticket_id)
    return SweepResult(handled=1)


@transaction.atomic
def _hand_back(ticket_id: int, agent_id: int, at: datetime) -> Ticket | None:
    """None where the agent is back, or has lost, ended or begun it, by now."""
    ticket = lock_ticket(ticket_id)
    lock_agents([agent_id])
    agent = AgentProfile.objects.leaving().filter(pk=agent_id).first()
    if agent is None or not _left_by(agent).filter(pk=ticket.pk).exists():
        return None
    return back_to_queue(ticket, None, at)


def _forget_wish(agent_id: int) -> None:
    """Unless something is left to do."""
    left = Ticket.objects.unstarted().filter(assignee=OuterRef("pk"))
    AgentProfile.objects.filter(~Exists(left), pk=agent_id, hands_back=True).update(
        hands_back=False
    )
