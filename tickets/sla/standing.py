"""How a ticket stands at an instant: by what its row says, whether a sweep has looked or not.

`Ticket.sla_standing` changes when something happens to the ticket. Between two sweeps time alone
turns what runs into what is at risk or broken; here that is worked out, for what is shown and for
what is looked for alike.
"""

from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Coalesce

from tickets.models import Ticket
from tickets.models.ticket import NO_DUE_TIME, SlaStanding, TicketQuerySet

DUE_ORDER = "due_order"


class SlaState(models.TextChoices):
    """A ticket's service level as people read it."""

    ON_TRACK = "on_track", "On track"
    AT_RISK = "at_risk", "At risk"
    BREACHED = "breached", "Breached"
    PAUSED = "paused", "Paused"
    MET = "met", "Met"
    NONE = "none", "None"


# What a list can be asked for.
SOUGHT_STATES = [state for state in SlaState if state != SlaState.NONE]


def state_of(ticket: Ticket, at: datetime) -> SlaState:
    """How the ticket stands at `at`. At the due time itself the time is over."""
    if ticket.sla_standing != SlaStanding.RUNNING:
        return SlaState(ticket.sla_standing)
    # Nothing is broken yet, so that both times are of clocks that run.
    if _is_reached(ticket.sla_due_at, at):
        return SlaState.BREACHED
    return SlaState.AT_RISK if _is_reached(ticket.sla_warn_at, at) else SlaState.ON_TRACK


def _is_reached(moment: datetime | None, at: datetime) -> bool:
    return moment is not None and moment <= at


def in_state(state: str, at: datetime) -> Q:
    """The tickets of which `state_of` says so at `at`."""
    running = Q(sla_standing=SlaStanding.RUNNING)
    # Due is only what is at risk: said again, because there is an index of that.
    late = running & Q(sla_warn_at__lte=at, sla_due_at__lte=at)
    match state:
        case SlaState.ON_TRACK:
            return running & Q(sla_warn_at__gt=at)
        case SlaState.AT_RISK:
            return running & Q(sla_warn_at__lte=at, sla_due_at__gt=at)
        case SlaState.BREACHED:
            return Q(sla_standing=SlaStanding.BREACHED) | late
        case _:
            return Q(sla_standing=state)


def in_any_state(states: list[str], at: datetime) -> Q:
    """The tickets in one of these states at `at`; no condition for no state."""
    return reduce(or_, (in_state(state, at) for state in states), Q())


class _Never(Value):
    """The due time of what has none, written out: SQLite would not see in a parameter that it
    asks for exactly what tickets_by_due_time is about."""

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        sql, params = self.as_sql(compiler, connection, **context)
        return sql % f"'{params[0]}'", []


def due_order() -> Coalesce:
    """The expression that tickets_by_due_time is an index of: what has no due time comes last."""
    return Coalesce("sla_due_at", _Never(NO_DUE_TIME))


def with_due_order(tickets: TicketQuerySet) -> TicketQuerySet:
    """The tickets with `due_order`, by which a list can be ordered and paged."""
    return tickets.annotate(**{DUE_ORDER: due_order()})
