"""Merging a ticket into another, which goes on in its place."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from agents.models import User
from servicedesk.errors import DomainError, FieldError
from tickets import files
from tickets.events import Entry, record
from tickets.lifecycle import FINAL_STATUSES, Status
from tickets.locks import lock_agents, lock_tickets, refuse_stale
from tickets.models import Kind, Participant, Tag, Ticket
from tickets.models.category import MAX_TAGS
from tickets.parts import require_staff
from tickets.services.assign import TicketEnded
from tickets.services.messages import move_messages
from tickets.services.move import STATUS_FIELDS, move_by_itself


class TicketMerged(DomainError):
    code = "ticket_merged"
    title = "This ticket was merged into another"


def refuse_merged(ticket: Ticket) -> None:
    """Nothing happens to a merged ticket any more; its survivor is the one to turn to."""
    if ticket.merged_into_id is not None:
        raise TicketMerged(
            f"{ticket.number} was merged into SD-{ticket.merged_into_id}.",
            merged_into=ticket.merged_into_id,
        )


@transaction.atomic
def merge(
    *,
    source: Ticket,
    into: Ticket,
    actor: User,
    at: datetime,
    expected: Collection[int] | None = None,
) -> Ticket:
    """Let `into` go on in the place of `source`; answers the source, which is closed.

    Its messages, its opening text, its files, its people and its tags go over, and so does the
    wait for an answer: it opens a survivor that is pending or resolved again. `expected` are
    versions of the source. Neither may have been merged before (TicketMerged), nor the survivor be
    finished (TicketEnded): so no chain of mergers ever comes round to where it began.
    """
    require_staff(actor)
    if source.pk == into.pk:
        raise FieldError("into", "A ticket cannot be merged into itself.")
    source, survivor = lock_tickets(source.pk, into.pk)
    refuse_stale(source, expected)
    refuse_merged(source)
    refuse_merged(survivor)
    if survivor.status in FINAL_STATUSES:
        raise TicketEnded(f"{survivor.number} is {survivor.status}; reopen it first.")
    if source.status == Status.CANCELLED:
        raise TicketEnded(f"{source.number} is cancelled; there is nothing to go on with.")
    lock_agents([source.assignee_id, survivor.assignee_id])
    _take_over(source, survivor, actor, at)
    source.merged_into = survivor
    moves = _close(source, survivor, at)
    into_data = {"into": survivor.pk}
    record(
        source,
        *moves,
        Entry(Kind.MERGED, into_data, into_data),
        actor=actor,
        at=at,
        changed={"merged_into", *STATUS_FIELDS},
    )
    return source


def _close(source: Ticket, survivor: Ticket, at: datetime) -> list[Entry]:
    """By the desk itself, step by step as its table has it."""
    if source.status == Status.CLOSED:
        return []
    entries = []
    if source.status != Status.RESOLVED:
        source.resolution = f"Merged into {survivor.number}."
        entries.append(move_by_itself(source, Status.RESOLVED, at=at))
    return [*entries, move_by_itself(source, Status.CLOSED, at=at)]


def _take_over(source: Ticket, survivor: Ticket, actor: User, at: datetime) -> None:
    """All that the survivor gets, and the events that say so."""
    entries, changed = move_messages(source, survivor)
    entries += files.kept().move(source, survivor)
    if people := _new_people(source, survivor, at):
        added = {"added": people, "removed": []}
        entries.append(Entry(Kind.PARTICIPANTS_CHANGED, added, added))
    if _add_tags(source, survivor):
        fields = {"fields": ["tags"]}
        entries.append(Entry(Kind.UPDATED, fields, fields))
    # Internal: whose customers saw the one ticket do not all see the other.
    entries.append(Entry(Kind.MERGED, {"from": source.pk}))
    if source.waiting_since is not None and survivor.status in (Status.PENDING, Status.RESOLVED):
        # As a customer's reply would: somebody has to answer.
        entries.append(move_by_itself(survivor, Status.OPEN, at=at))
        changed |= set(STATUS_FIELDS)
    record(survivor, *entries, actor=actor, at=at, changed={"version", *changed})


def _new_people(source: Ticket, survivor: Ticket, at: datetime) -> list[int]:
    """Who asked for or took part in the source takes part in the survivor."""
    of_source = Q(pk=source.requester_id) | Q(participations__ticket=source.pk)
    there = Participant.objects.filter(ticket=survivor.pk).values("user")
    new = User.objects.filter(of_source).exclude(pk__in=there).exclude(pk=survivor.requester_id)
    ids = sorted(set(new.values_list("pk", flat=True)))
    rows = [Participant(ticket=survivor, user_id=pk, added_at=at) for pk in ids]
    Participant.objects.bulk_create(rows)
    return ids


def _add_tags(source: Ticket, survivor: Ticket) -> list[Tag]:
    """The source's tags, as many as one ticket may have."""
    own = set(survivor.tags.all())
    new = [tag for tag in source.tags.all() if tag not in own][: max(MAX_TAGS - len(own), 0)]
    survivor.tags.add(*new)
    return new
