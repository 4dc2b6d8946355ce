"""Every lock of the app. Tickets before agents, each in the order of their ids.

Rows are locked FOR NO KEY UPDATE: the plain lock would also hold up every insert that only names
the row (a message of the ticket, a session of the agent's user). On SQLite, which has one writer
at a time, the transaction itself (BEGIN IMMEDIATE) is the lock, and Django leaves these out.
"""

from collections.abc import Collection

from django.db import connection, transaction
from django.http import Http404

from agents.models import AgentProfile
from servicedesk.api.preconditions import VersionConflict
from tickets.models import Ticket

# Any number that no other advisory lock of this database has.
IMPORTS = 0x1D2016


def lock_ticket(pk: int, expected: Collection[int] | None = None) -> Ticket:
    """The ticket, fresh and locked until the transaction ends.

    `expected` holds the versions that the caller has seen (If-Match). Raises Http404 where there
    is no such ticket and VersionConflict where it has another version.
    """
    ticket = _locked(pk)
    if ticket is None:
        raise Http404
    refuse_stale(ticket, expected)
    return ticket


def lock_free_ticket(pk: int) -> Ticket | None:
    """The same for a sweep, which leaves what somebody has locked for its next round."""
    return _locked(pk, skip_locked=True)


def _locked(pk: int, *, skip_locked: bool = False) -> Ticket | None:
    # Not the assignee: PostgreSQL joins what it read before it waited for the lock, and would
    # give a ticket that was handed over meanwhile nobody's object.
    tickets = Ticket.objects.select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
    return tickets.select_related("requester").filter(pk=pk).first()


def refuse_stale(ticket: Ticket, expected: Collection[int] | None) -> None:
    if expected is not None and ticket.version not in expected:
        raise VersionConflict(
            f"The ticket has version {ticket.version} now.", version=ticket.version
        )


def lock_tickets(*pks: int) -> list[Ticket]:
    """Several tickets, in the order asked for; locked in that of their ids, so that of two who want
    the same ones neither waits for the other. Raises Http404."""
    locked = {pk: lock_ticket(pk) for pk in sorted(set(pks))}
    return [locked[pk] for pk in pks]


def lock_survivor(pk: int) -> Ticket:
    """The ticket that goes on in this one's place, which is mostly this one itself.

    A lock on a ticket that was merged is let go (with its savepoint) before the next one is taken:
    whoever merges locks by ids, which along a chain may go either way.
    """
    while True:
        with transaction.atomic():
            ticket = lock_ticket(pk)
            if ticket.merged_into_id is None:
                return ticket
            transaction.set_rollback(True)
        pk = ticket.merged_into_id


def lock_agents(ids: Collection[int | None]) -> None:
    """Lock agents whose load is about to change, so that two hand-overs cannot deadlock."""
    wanted = sorted(pk for pk in set(ids) if pk is not None)
    agents = AgentProfile.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    list(agents.order_by("pk").values("pk"))


def lock_imports() -> None:
    """One batch of an import at a time, until the transaction ends: two would find the same
    people missing, and count the same work twice."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORTS])
