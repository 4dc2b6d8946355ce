"""What the migrations make of a desk that is older than they are."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from agents.models import Role
from agents.services import create_user
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Ticket

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def migrate(*targets: tuple[str, str]) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(list(targets) or executor.loader.graph.leaf_nodes())


@pytest.fixture
def upgraded(db):
    """A desk that had no `queued_at` and `waiting_since`, and is brought up to date."""

    def upgrade() -> None:
        try:
            migrate(("tickets", "0002_service_levels"))
            Ticket.objects.update(queued_at=None, waiting_since=None)
        finally:
            migrate()

    return upgrade


def kept() -> dict[int, tuple[datetime | None, bool]]:
    """Who waits since when, and which tickets are in the queue."""
    rows = Ticket.objects.values_list("pk", "waiting_since", "queued_at")
    return {pk: (waiting, queued is not None) for pk, waiting, queued in rows}


def say(ticket, author, at, **fields) -> None:
    services.post_message(ticket=ticket, author=author, body="text", at=at, **fields)


def live_through(ticket: Ticket, people, chance: random.Random) -> None:
    charlie, bob, dana, sam = people
    at = NINE
    for _ in range(chance.randint(0, 8)):
        at += MINUTE
        ticket.refresh_from_db()
        is_open = ticket.status not in ("resolved", "closed", "cancelled")
        match chance.choice(["ask", "join in", "answer", "note", "resolve", "reopen", "pass"]):
            case "ask" if ticket.status != "cancelled":
                say(ticket, ticket.requester, at)
            case "join in" if ticket.status != "cancelled":
                say(ticket, charlie, at)
            case "answer":
                say(ticket, bob if ticket.requester != bob else dana, at)
            case "note":
                say(ticket, dana, at, is_internal=True)
            case "resolve" if is_open:
                services.change_status(
                    ticket=ticket, to=Status.RESOLVED, actor=dana, at=at, resolution="Done."
                )
            case "reopen" if ticket.status == "resolved":
                services.change_status(
                    ticket=ticket, to=Status.OPEN, actor=dana, at=at, comment="?", is_internal=True
                )
            case "pass" if is_open:
                to = None if ticket.assignee_id else dana
                services.assign(ticket=ticket, to=to, actor=sam, at=at, force=True)


def test_an_older_desk_is_brought_to_where_the_services_would_have_kept_it(
    upgraded, alice, charlie, bob, dana, sam
) -> None:
    chance = random.Random(11)
    for number in range(80):
        asker = bob if number % 5 == 0 else alice
        ticket = services.open_ticket(requester=asker, actor=asker, subject="x", at=NINE)
        services.add_participant(ticket=ticket, user=charlie, actor=dana, at=NINE)
        live_through(ticket, (charlie, bob, dana, sam), chance)
    before = kept()
    assert len(set(before.values())) > 8
    upgraded()
    assert kept() == before


def test_an_answer_stays_one_when_its_author_has_left(upgraded, alice, sam) -> None:
    agent = create_user(username="gone", email="gone@desk.example", role=Role.AGENT)
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=NINE)
    say(ticket, agent, NINE + MINUTE)
    agent.is_active = False
    agent.save(update_fields=["is_active"])
    upgraded()
    assert kept() == {ticket.pk: (None, True)}


def test_what_nobody_has_is_queued_since_its_opening(upgraded, alice) -> None:
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=NINE)
    services.change_status(ticket=ticket, to=Status.CANCELLED, actor=alice, at=NINE + MINUTE)
    upgraded()
    assert list(Ticket.objects.values_list("queued_at", "waiting_since")) == [(NINE, None)]
