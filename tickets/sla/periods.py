"""When a ticket stood still, read from its log: the one place that knows its past statuses."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from tickets.lifecycle import Status
from tickets.models import Kind, Ticket, TicketEvent


@dataclass(frozen=True)
class Period:
    """A stretch of time in one status; `until` is None for the one that lasts."""

    status: str
    since: datetime
    until: datetime | None


def periods(ticket: Ticket, unrecorded: Collection[tuple[str, datetime]] = ()) -> list[Period]:
    """The ticket's statuses in order, without a gap or an overlap; one query.

    `unrecorded` are moves (status, at) that are about to be recorded.
    """
    moves: list[tuple[str, datetime]] = [(Status.NEW.value, ticket.created_at)]
    if ticket.last_seq and not ticket._state.adding:
        events = TicketEvent.objects.filter(ticket=ticket, kind=Kind.STATUS_CHANGED)
        recorded = events.order_by("seq").values_list("data", "at")
        moves += [(data["to"], at) for data, at in recorded]
    moves += unrecorded
    ends = [at for _, at in moves[1:]]
    return [
        Period(status, since, until)
        for (status, since), until in zip(moves, [*ends, None], strict=True)
    ]


def merged(
    found: Collection[Period], statuses: Collection[str], since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """The stretches of `found` in one of `statuses`, between the two instants, joined where they
    touch; in order, without an overlap."""
    spans: list[tuple[datetime, datetime]] = []
    for period in found:
        begin, end = max(period.since, since), min(period.until or until, until)
        if period.status not in statuses or begin >= end:
            continue
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans
