"""The event log: recording is announcing.

`record` writes the ticket's changes, the events and, once the transaction has committed, sends
`ticket_event` for each. Delivery is in the order of the log and never nested: a receiver that
calls a service makes further events, which wait until every receiver has heard the current one.

The ticket must have been locked (tickets.locks) before it was read: the lock is what makes the
order of the sequence the order of the commits.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.dispatch import Signal

from agents.models import User
from tickets.models import Kind, Ticket, TicketEvent
from tickets.sla.keeping import keep_time

LOG_FIELDS = ("last_seq", "updated_at")
PUBLIC_LOG_FIELDS = ("last_public_seq", "public_updated_at")

# Sent once for every recorded event, after its commit and in the order of the log; again after a
# crash, so a receiver does the same thing twice as once. Provides: event (TicketEvent, its ticket
# loaded).
ticket_event = Signal()

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Entry:
    """One event to be recorded. Without `public` it is internal: customers never see it."""

    kind: Kind
    data: dict[str, Any] = field(default_factory=dict)
    public: dict[str, Any] | None = None


def next_seqs(ticket: Ticket, *, is_public: bool) -> tuple[int, int | None]:
    """The places that the next recorded entry will take in the two sequences."""
    return ticket.last_seq + 1, ticket.last_public_seq + 1 if is_public else None


def record(
    ticket: Ticket,
    *entries: Entry,
    actor: User | None,
    at: datetime,
    changed: Iterable[str] = (),
    warns: bool = False,
) -> list[TicketEvent]:
    """Save the ticket's `changed` fields (all, if it is new) and append the entries to its log.

    The clocks of service levels follow, and what they notice is appended too; without entries
    that is all that happens. One UPDATE (or INSERT) of the ticket, one INSERT whatever the number
    of entries, and a statement for each clock that changes. Time never runs backwards in a log:
    who waited for the lock took their clock before they got it.
    """
    is_new = ticket._state.adding
    at = at if is_new else max(at, ticket.updated_at)
    moves = [(entry.data["to"], at) for entry in entries if entry.kind is Kind.STATUS_CHANGED]
    kept = keep_time(ticket, at, moves=moves, warns=warns)
    events = [_numbered(ticket, entry, actor, at) for entry in entries]
    events += [_numbered(ticket, Entry(kind, data), None, at) for kind, data in kept.news]
    if not events:
        if kept.fields:
            ticket.save(update_fields=kept.fields)
        kept.save()
        return []
    is_public = any(event.public_seq is not None for event in events)
    ticket.updated_at = at
    if is_public:
        ticket.public_updated_at = at
    fields = set(changed)
    if is_new:
        ticket.save(force_insert=True)
    else:
        if fields:
            ticket.version += 1
            fields.add("version")
        log_fields = (*LOG_FIELDS, *(PUBLIC_LOG_FIELDS if is_public else ()))
        ticket.save(update_fields={*fields, *kept.fields, *log_fields})
    kept.save()
    for event in events:
        event.ticket = ticket
    TicketEvent.objects.bulk_create(events)
    _announce_after_commit(events)
    return events


def _numbered(ticket: Ticket, entry: Entry, actor: User | None, at: datetime) -> TicketEvent:
    seq, public_seq = next_seqs(ticket, is_public=entry.public is not None)
    ticket.last_seq = seq
    ticket.last_public_seq = public_seq or ticket.last_public_seq
    return TicketEvent(
        seq=seq,
        public_seq=public_seq,
        kind=entry.kind,
        actor=actor,
        data=entry.data,
        public_data=entry.public,
        at=at,
    )


class _Delivery(threading.local):
    """The events of this thread that receivers have not heard yet."""

    def __init__(self) -> None:
        self.waiting: deque[list[TicketEvent]] = deque()
        self.is_running = False


_delivery = _Delivery()


def _announce_after_commit(events: list[TicketEvent]) -> None:
    """Queue the events at the commit, and deliver once everything of the transaction is queued.

    A transaction may record twice (a follow-up is opened and replied to). Delivered one by one,
    the first would let its receivers make events that overtake the second. So there is one hook
    that delivers, always the last of the list; it outlives a savepoint that is rolled back.
    """
    transaction.on_commit(partial(_delivery.waiting.append, events))
    connection = transaction.get_connection()
    if not connection.in_atomic_block:
        deliver_waiting()
        return
    hooks = [hook for hook in connection.run_on_commit if hook[1] is not deliver_waiting]
    connection.run_on_commit = [*hooks, (set(), deliver_waiting, False)]


def announce(events: list[TicketEvent]) -> None:
    """Send the signal for events of one ticket, after those that this thread already sends."""
    _delivery.waiting.append(events)
    deliver_waiting()


def deliver_waiting() -> None:
    """Send what this thread has queued, unless that is what it is doing already."""
    if _delivery.is_running:
        return
    _delivery.is_running = True
    try:
        while _delivery.waiting:
            _deliver(_delivery.waiting.popleft())
    finally:
        _delivery.is_running = False
        _delivery.waiting.clear()


def _deliver(events: list[TicketEvent]) -> None:
    heard = True
    for event in events:
        heard &= _send(event)
    if heard:
        _mark_announced(events)


def _send(event: TicketEvent) -> bool:
    """False where a receiver failed: it is logged, and the sweep sends the event again."""
    heard = True
    for receiver, result in ticket_event.send_robust(sender=TicketEvent, event=event):
        if isinstance(result, Exception):
            heard = False
            log.error(
                "receiver_failed",
                receiver=getattr(receiver, "__name__", str(receiver)),
                ticket=event.ticket_id,
                seq=event.seq,
                exc_info=result,
            )
    return heard


def _mark_announced(events: list[TicketEvent]) -> None:
    """Move the mark over these events, but never over a gap.

    An earlier event may have committed in a process that has not delivered it yet, and may not
    live to do so. Then the mark stays and the sweep sends again from there.
    """
    first, last = events[0], events[-1]
    reached = Ticket.objects.filter(pk=first.ticket_id, announced_seq=first.seq - 1)
    try:
        reached.update(announced_seq=last.seq)
    except DatabaseError:
        # The change is made and the receivers have heard of it; the sweep will say it again.
        log.exception("mark_failed", ticket=first.ticket_id, seq=last.seq)
