"""Histories into the database, a batch a transaction. Nothing is announced, mailed or assigned.

The rows are inserted in bulk and past the services: these lock, check and announce one change
at a time, and everything here has long happened. `replay` has made of it what they would have.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from agents.models import AgentProfile
from tickets.assignment.claim import reweigh
from tickets.importing.directory import Directory, look_up
from tickets.importing.replay import Happened, History
from tickets.importing.skills import DONE, learn
from tickets.locks import lock_imports
from tickets.models import Kind, Ticket, TicketEvent

# Rows an INSERT; on SQLite Django makes it less.
ROWS = 1000


@dataclass
class Written:
    """What one batch, or a whole run, brought in. `refused` counts moves by (from, to)."""

    tickets: int = 0
    skipped: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Written") -> None:
        self.tickets += other.tickets
        self.skipped += other.skipped
        self.counts += other.counts
        self.refused += other.refused


@transaction.atomic
def write(histories: Sequence[History]) -> Written:
    """Insert those incidents that are not here yet, all of them or (on an error) none."""
    lock_imports()
    fresh = _not_here_yet(histories)
    written = Written(tickets=len(fresh), skipped=len(histories) - len(fresh))
    if not fresh:
        return written
    ids = look_up(fresh, written.counts)
    tickets = Ticket.objects.bulk_create([_ticket(one, ids) for one in fresh], batch_size=ROWS)
    events = list(_events(tickets, fresh, ids))
    TicketEvent.objects.bulk_create(events, batch_size=ROWS)
    written.counts["events"] += len(events)
    _tag(tickets, fresh, ids)
    _join_teams(fresh, ids)
    _weigh(tickets)
    written.counts["skills"] += learn(_resolved(tickets))
    _count_moves(fresh, written)
    return written


def _not_here_yet(histories: Sequence[History]) -> list[History]:
    numbers = [history.number for history in histories]
    there = set(
        Ticket.objects.filter(external_id__in=numbers).values_list("external_id", flat=True)
    )
    return [history for history in histories if history.number not in there]


def _resolved(tickets: Iterable[Ticket]) -> set[tuple[int, int]]:
    """Who has resolved something of which category, as ids."""
    return {
        (ticket.assignee_id, ticket.category_id)
        for ticket in tickets
        if ticket.assignee_id and ticket.category_id and ticket.status in DONE
    }


def _ticket(history: History, ids: Directory) -> Ticket:
    heads = dict.fromkeys(("last_seq", "last_public_seq", "announced_seq"), len(history.events))
    return Ticket(
        external_id=history.number,
        subject=history.subject,
        description=history.description,
        status=history.status,
        priority=history.priority,
        channel=history.channel,
        category_id=ids.categories.get(history.category),
        team_id=ids.teams.get(history.team),
        requester_id=ids.customers[history.caller],
        assignee_id=ids.agents.get(history.agent),
        reopen_count=history.reopen_count,
        resolution=history.resolution,
        queued_at=None if history.agent else history.created_at,
        created_at=history.created_at,
        updated_at=history.updated_at,
        public_updated_at=history.updated_at,
        resolved_at=history.resolved_at,
        closed_at=history.closed_at,
        version=history.version,
        # All announced: nothing is mailed or assigned for what is long over.
        **heads,
    )


def _events(
    tickets: Sequence[Ticket], histories: Sequence[History], ids: Directory
) -> Iterator[TicketEvent]:
    """The log of each ticket. All that an import knows of is public, so both sequences agree."""
    for ticket, history in zip(tickets, histories, strict=True):
        for seq, happened in enumerate(history.events, start=1):
            public = _public(happened, ids)
            yield TicketEvent(
                ticket=ticket,
                seq=seq,
                public_seq=seq,
                kind=happened.kind,
                # The log does not say which of our people changed something later.
                actor_id=ticket.requester_id if happened.kind is Kind.OPENED else None,
                data={**public, **happened.internal},
                public_data=public,
                at=happened.at,
            )


def _public(happened: Happened, ids: Directory) -> dict[str, object]:
    if happened.kind is not Kind.ASSIGNED:
        return happened.public
    who = {end: ids.agents.get(happened.public[end]) for end in ("from", "to")}
    return {**happened.public, **who}


def _tag(tickets: Sequence[Ticket], histories: Sequence[History], ids: Directory) -> None:
    through = Ticket.tags.through
    through.objects.bulk_create(
        [
            through(ticket_id=ticket.pk, tag_id=ids.tags[history.tag])
            for ticket, history in zip(tickets, histories, strict=True)
            if history.tag
        ],
        batch_size=ROWS,
    )


def _join_teams(histories: Iterable[History], ids: Directory) -> None:
    through = AgentProfile.teams.through
    worked = {
        (ids.agents[agent], ids.teams[team])
        for history in histories
        for agent, team in history.worked
    }
    through.objects.bulk_create(
        [through(agentprofile_id=agent, team_id=team) for agent, team in sorted(worked)],
        ignore_conflicts=True,
    )


def _weigh(tickets: Iterable[Ticket]) -> None:
    """Add what is still in work to its agents' load, in the order in which all lock agents."""
    load = Counter(ticket.assignee_id for ticket in tickets if ticket.assignee_id and ticket.weight)
    for agent_id in sorted(load):
        reweigh(agent_id, by=load[agent_id])


def _count_moves(histories: Iterable[History], written: Written) -> None:
    for history in histories:
        for happened in history.events:
            if happened.kind is Kind.STATUS_CHANGED:
                written.counts["moves"] += 1
                if happened.internal:
                    written.refused[happened.public["from"], happened.public["to"]] += 1
