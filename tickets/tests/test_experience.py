"""What agents learn by resolving tickets, and since when a ticket waits in the queue."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from agents.models import Availability
from agents.services import set_availability
from tickets import services
from tickets.assignment.scoring import PARTS
from tickets.lifecycle import Status
from tickets.models import AssignmentDecision, Category, CategoryExperience, Ticket


@pytest.fixture
def at():
    return timezone.now()


@pytest.fixture
def printing(db) -> Category:
    return Category.objects.create(name="Printing")


def opened(requester, at, **fields) -> Ticket:
    made = services.open_ticket(
        requester=requester, actor=requester, subject="Help", at=at, **fields
    )
    made.refresh_from_db()
    return made


def resolve(ticket, actor, at) -> Ticket:
    return services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=actor, at=at, resolution="Turned it on."
    )


def experience() -> dict[tuple[str, str], int]:
    rows = CategoryExperience.objects.values_list("agent__username", "category__name", "resolved")
    return {(agent, category): resolved for agent, category, resolved in rows}


# --- Experience -----------------------------------------------------------------------


def test_each_resolved_ticket_of_a_category_is_learnt_from(alice, bob, printing, at) -> None:
    for _ in range(3):
        resolve(opened(alice, at, category=printing), bob, at)
    resolve(opened(alice, at), bob, at)

    assert experience() == {("bob", "Printing"): 3}


def test_the_assignee_learns_though_somebody_else_resolves(alice, bob, sam, printing, at) -> None:
    resolve(opened(alice, at, category=printing), sam, at)

    assert experience() == {("bob", "Printing"): 1}


def test_who_resolves_what_nobody_has_learns_from_it(alice, sam, printing, at) -> None:
    resolve(opened(alice, at, category=printing), sam, at)

    assert experience() == {("sam", "Printing"): 1}


def test_nothing_is_learnt_by_other_moves(alice, bob, printing, at) -> None:
    ticket = opened(alice, at, category=printing)
    services.change_status(ticket=ticket, to=Status.ON_HOLD, actor=bob, at=at)
    services.change_status(
        ticket=ticket, to=Status.CANCELLED, actor=bob, at=at, comment="A duplicate."
    )

    assert experience() == {}


def test_a_ticket_that_is_resolved_again_teaches_nothing_new(alice, bob, printing, at) -> None:
    ticket = resolve(opened(alice, at, category=printing), bob, at)
    services.change_status(
        ticket=ticket, to=Status.OPEN, actor=alice, at=at, comment="It is off again."
    )
    resolve(ticket, bob, at)

    assert experience() == {("bob", "Printing"): 1}


def test_what_was_cancelled_by_mistake_still_teaches(alice, bob, sam, printing, at) -> None:
    ticket = opened(alice, at, category=printing)
    services.change_status(ticket=ticket, to=Status.CANCELLED, actor=alice, at=at)
    services.change_status(ticket=ticket, to=Status.OPEN, actor=sam, at=at)
    resolve(ticket, bob, at)

    assert experience() == {("bob", "Printing"): 1}


def test_the_next_such_ticket_goes_to_who_resolved_the_last(
    alice, bob, dana, charlie, printing, at
) -> None:
    for agent in (bob, dana):
        set_availability(user=agent, availability=Availability.AVAILABLE, at=at)
    first = opened(charlie, at, category=printing)
    learnt = first.assignee
    resolve(first, learnt, at)

    second = opened(alice, at + timedelta(hours=2), category=printing)

    assert second.assignee == learnt
    decision = AssignmentDecision.objects.filter(ticket=second).get()
    assert decision.weights == settings.ASSIGNMENT_WEIGHTS
    assert set(decision.candidates[0]["parts"]) == set(PARTS)
    assert decision.candidates[0]["parts"]["skill"] > decision.candidates[1]["parts"]["skill"]
    assert "Resolved 1 like it" in decision.candidates[0]["summary"]


# --- In the queue ---------------------------------------------------------------------


def waits_since(ticket):
    return Ticket.objects.values_list("queued_at", flat=True).get(pk=ticket.pk)


def test_a_ticket_waits_since_it_was_opened_until_somebody_has_it(alice, dana, sam, at) -> None:
    ticket = opened(alice, at)
    assert waits_since(ticket) == at

    services.assign(ticket=ticket, to=dana, actor=sam, at=at, force=True)

    assert waits_since(ticket) is None


def test_a_ticket_given_back_waits_since_then(alice, bob, sam, at) -> None:
    ticket, later = opened(alice, at), at + timedelta(hours=1)
    assert waits_since(ticket) is None

    services.assign(ticket=ticket, to=None, actor=sam, at=later)

    assert waits_since(ticket) == later


def test_what_its_agent_leaves_behind_waits_since_they_left(alice, bob, at) -> None:
    ticket, later = opened(alice, at), at + timedelta(hours=1)

    set_availability(user=bob, availability=Availability.AWAY, reassign=True, at=later)

    assert waits_since(ticket) == later


def test_resolving_what_nobody_has_ends_its_waiting(alice, sam, at) -> None:
    ticket = opened(alice, at)

    resolve(ticket, sam, at)

    assert waits_since(ticket) is None


def test_what_comes_back_to_nobody_waits_since_then(alice, sam, at) -> None:
    ticket, later = opened(alice, at), at + timedelta(hours=1)
    services.change_status(
        ticket=ticket, to=Status.CANCELLED, actor=sam, at=at, comment="A mistake."
    )

    services.change_status(
        ticket=ticket, to=Status.OPEN, actor=sam, at=later, comment="It was none."
    )

    assert waits_since(ticket) == later
