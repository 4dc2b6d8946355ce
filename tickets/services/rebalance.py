"""Spreading work more evenly: what would change hands, and doing it."""

from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction

from agents.models import Team, User
from servicedesk.errors import NotAllowed
from tickets.assignment.balancing import UNSTARTED, Limits, Move, Proposal, propose, spread_of
from tickets.locks import lock_ticket
from tickets.models import AssignmentDecision, Ticket
from tickets.services.assign import as_seen, hand_over, take_place

log = structlog.get_logger(__name__)


def propose_moves(*, team: Team | None, at: datetime) -> Proposal:
    """What `rebalance` would do. Changes nothing."""
    limits = Limits(settings.REBALANCE_MIN_GAIN, settings.REBALANCE_MOVES_PER_AGENT)
    return propose(team=team, at=at, limits=limits)


def rebalance(*, team: Team | None, actor: User | None, at: datetime) -> Proposal:
    """Make the moves, each in a transaction and under the claim of every assignment.

    Answers those that were made: whoever answered, took or ended a ticket meanwhile keeps it so.
    """
    if actor is not None and not actor.is_supervisor:
        raise NotAllowed("Only supervisors rebalance the desk.")
    proposal = propose_moves(team=team, at=at)
    made = [move for move in proposal.moves if _is_made(move, actor, at)]
    return Proposal(made, proposal.before, spread_of(team))


def _is_made(move: Move, actor: User | None, at: datetime) -> bool:
    try:
        return _make(move, actor, at)
    except Exception:
        log.exception("rebalance_failed", ticket=move.ticket.pk)
        return False


@transaction.atomic
def _make(move: Move, actor: User | None, at: datetime) -> bool:
    """False where the ticket or the agent is not as it was when the move was proposed."""
    ticket = lock_ticket(move.ticket.pk)
    is_movable = Ticket.objects.filter(UNSTARTED, pk=ticket.pk, assignee=move.giver.id).exists()
    taker = User.objects.get(pk=move.taker.id)
    if not is_movable:
        return False
    work, ranked = as_seen(ticket, taker, at)
    if not ranked or not ranked[0].is_eligible or not take_place(ticket, taker.pk, at):
        return False
    hand_over(ticket, taker.pk, AssignmentDecision.Method.REBALANCE, actor, at, work, ranked)
    return True
