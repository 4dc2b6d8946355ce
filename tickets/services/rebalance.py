"""Spreading work more evenly: what would change hands, and doing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import structlog
from django.conf import settings
from django.db import connection, transaction

from agents.models import Team, User
from servicedesk.errors import NotAllowed
from tickets.assignment.balancing import Limits, Move, Proposal, propose, spread_of
from tickets.locks import lock_agents, lock_ticket, lock_tickets
from tickets.models import AssignmentDecision
from tickets.services.assign import as_seen, hand_over, take_place

log = structlog.get_logger(__name__)


class Outcome(Enum):
    """What became of a move. Skipped: the ticket or the agents were not as they had been."""

    MADE = "made"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Rebalanced(Proposal):
    """The moves that were made, and how many of those proposed were not."""

    skipped: int = 0
    failed: int = 0


def propose_moves(*, team: Team | None, at: datetime) -> Proposal:
    """What `rebalance` would do. Changes nothing."""
    limits = Limits(settings.REBALANCE_MIN_GAIN, settings.REBALANCE_MOVES_PER_AGENT)
    return propose(team=team, at=at, limits=limits)


def rebalance(*, team: Team | None, actor: User | None, at: datetime) -> Rebalanced:
    """Make the moves, each in a transaction and under the claim of every assignment.

    Whoever answered, took or ended a ticket meanwhile keeps it so; a move that fails is logged and
    stops none of the others.
    """
    if actor is not None and not actor.is_supervisor:
        raise NotAllowed("Only supervisors rebalance the desk.")
    proposal = propose_moves(team=team, at=at)
    if connection.in_atomic_block:
        _lock_all(proposal.moves)
    in_order = sorted(proposal.moves, key=lambda move: move.ticket.pk)
    became = {move.ticket.pk: _outcome(move, actor, at) for move in in_order}
    made = [move for move in proposal.moves if became[move.ticket.pk] is Outcome.MADE]
    counts = list(became.values())
    return Rebalanced(
        made,
        proposal.before,
        spread_of(team),
        skipped=counts.count(Outcome.SKIPPED),
        failed=counts.count(Outcome.FAILED),
    )


def _lock_all(moves: Sequence[Move]) -> None:
    """In somebody's transaction (under an Idempotency-Key) no lock is let go between two moves: so
    all tickets come first and then all agents, as with everybody else, who else would wait for us
    while we wait for them."""
    lock_tickets(*[move.ticket.pk for move in moves])
    lock_agents([who.id for move in moves for who in (move.giver, move.taker)])


def _outcome(move: Move, actor: User | None, at: datetime) -> Outcome:
    try:
        return Outcome.MADE if _make(move, actor, at) else Outcome.SKIPPED
    except Exception:
        log.exception("rebalance_failed", ticket=move.ticket.pk)
        return Outcome.FAILED


@transaction.atomic
def _make(move: Move, actor: User | None, at: datetime) -> bool:
    """False where the ticket or the agent is not as it was when the move was proposed."""
    ticket = lock_ticket(move.ticket.pk)
    if ticket.assignee_id != move.giver.id or not ticket.is_unstarted:
        return False
    work, ranked = as_seen(ticket, move.taker.id, at)
    if not ranked or not ranked[0].is_eligible or not take_place(ticket, move.taker.id, at):
        return False
    hand_over(ticket, move.taker.id, AssignmentDecision.Method.REBALANCE, actor, at, work, ranked)
    return True
