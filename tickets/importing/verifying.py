"""The file counted again and held against the database.

Of the import it shares only the reading of rows: what an incident came to is worked out anew,
from its last row and from what differs between its rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Q

from agents.models import User
from tickets.importing import people
from tickets.importing.incidents import Incident
from tickets.importing.mapping import UNKNOWN_CALLER, line_of
from tickets.importing.names import NAME_LENGTH, TAG_LENGTH
from tickets.importing.running import Progress, read_incidents
from tickets.importing.source import open_lines
from tickets.lifecycle import ENDED_STATUSES, Status
from tickets.models import Kind, Priority, Ticket

Facts = dict[str, Any]
DIFFERENCES_KEPT = 100
BATCH = 500
# What is also added up, for the whole file and for its tickets.
COUNTED = ("status", "priority", "team", "category", "agent")
SUMMED = ("reopenings", "moves", "assignments")


@dataclass
class Comparison:
    """`wrong` lists the first differences as {number, what, file, database}."""

    agreed: int = 0
    missing: int = 0
    left_out: int = 0
    differing: int = 0
    wrong: list[dict[str, Any]] = field(default_factory=list)
    file: dict[str, Counter[str]] = field(default_factory=dict)
    database: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        return not self.missing and not self.differing

    @property
    def incidents(self) -> int:
        return self.agreed + self.missing + self.differing

    def take(self, number: str, expected: Facts, found: Facts | None) -> None:
        """Compare one incident's facts with those of its ticket, None where there is none."""
        _tally(self.file, expected)
        if found is None:
            self.missing += 1
            return
        _tally(self.database, found)
        wrong = [
            {"number": number, "what": what, "file": expected[what], "database": found[what]}
            for what in expected
            if expected[what] != found[what]
        ]
        self.differing += bool(wrong)
        self.agreed += not wrong
        self.wrong += wrong[: DIFFERENCES_KEPT - len(self.wrong)]

    def figures(self) -> dict[str, Any]:
        """The members of the command's report, without the time it took."""
        return {
            "agrees": self.agrees,
            "handled": self.agreed,
            "skipped": self.left_out,
            "failed": self.missing + self.differing,
            "missing": self.missing,
            "differing": self.differing,
            "wrong": self.wrong,
            "file": self.file,
            "database": self.database,
        }


def verify_file(
    path: Path, *, zone: ZoneInfo, limit: int | None = None, progress: Progress
) -> Comparison:
    """Compare every whole incident of the file with its ticket. Raises NotAnExport."""
    comparison = Comparison()
    with open_lines(path) as lines:
        incidents = read_incidents(lines, zone, limit)
        while taken := list(islice(incidents, BATCH)):
            whole = [one for one in taken if isinstance(one, Incident)]
            comparison.left_out += len(taken) - len(whole)
            found = _in_database([incident.number for incident in whole])
            for incident in whole:
                expected = _in_file(incident)
                ticket = found.get(incident.number)
                facts = None if ticket is None else _of_ticket(ticket, expected)
                comparison.take(incident.number, expected, facts)
            progress(lines, comparison.incidents)
    return comparison


def _tally(tallies: dict[str, Counter[str]], facts: Facts) -> None:
    for what in COUNTED:
        tallies.setdefault(what, Counter())[str(facts[what])] += 1
    totals = tallies.setdefault("totals", Counter())
    for what in SUMMED:
        totals[what] += facts[what]


def _in_file(incident: Incident) -> Facts:
    last = incident.rows[-1]
    # Every ticket begins as new, in nobody's hands.
    states: list[Status] = [Status.NEW, *(row.status for row in incident.rows if row.status)]
    hands = ["", *(row.agent for row in incident.rows)]
    priorities = [row.priority for row in incident.rows if row.priority]
    moves = [(was, to) for was, to in pairwise(states) if was != to]
    return {
        "status": states[-1].value,
        "priority": (priorities[-1] if priorities else Priority.NORMAL).key,
        "team": line_of(last.team, NAME_LENGTH).lower(),
        "category": line_of(last.category, NAME_LENGTH).lower(),
        "tag": line_of(last.subcategory.lower(), TAG_LENGTH),
        "agent": last.agent,
        "caller": next((row.caller for row in reversed(incident.rows) if row.caller), "")
        or UNKNOWN_CALLER,
        "opened": incident.rows[0].opened_at,
        "reopenings": sum(w in ENDED_STATUSES and t not in ENDED_STATUSES for w, t in moves),
        "moves": len(moves),
        "assignments": sum(was != to for was, to in pairwise(hands)),
    }


def _in_database(numbers: Sequence[str]) -> dict[str, Any]:
    """The tickets of these incidents, with their events counted."""
    tickets = (
        Ticket.objects.filter(external_id__in=numbers)
        .order_by()
        .select_related("team", "category", "requester", "assignee")
        .prefetch_related("tags")
        .annotate(
            moves=Count("events", filter=Q(events__kind=Kind.STATUS_CHANGED)),
            assignments=Count("events", filter=Q(events__kind=Kind.ASSIGNED)),
        )
    )
    return {str(ticket.external_id): ticket for ticket in tickets}


def _of_ticket(ticket: Any, expected: Facts) -> Facts:
    return {
        "status": ticket.status,
        "priority": Priority(ticket.priority).key,
        "team": ticket.team.name.lower() if ticket.team else "",
        "category": ticket.category.name.lower() if ticket.category else "",
        "tag": ", ".join(tag.name for tag in ticket.tags.all()),
        "agent": _named(ticket.assignee, expected["agent"]),
        "caller": _named(ticket.requester, expected["caller"]),
        "opened": ticket.created_at,
        "reopenings": ticket.reopen_count,
        "moves": ticket.moves,
        "assignments": ticket.assignments,
    }


def _named(user: User | None, expected: str) -> str:
    """What the file calls this user, if it may well be them, else the username."""
    if user is None:
        return ""
    usernames = {people.username_of(expected, attempt) for attempt in range(3)} if expected else ()
    return expected if user.username.lower() in usernames else user.username
