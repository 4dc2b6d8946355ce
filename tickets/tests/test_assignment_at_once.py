"""The queue's limit and the agents' experience when many write at once, on PostgreSQL.

As in test_races, each race has a twin without its protection.
"""

import time
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from agents.models import AgentProfile
from tickets import services
from tickets.assignment.experience import learn
from tickets.lifecycle import Status
from tickets.models import Category, CategoryExperience, Ticket
from tickets.tests.state import assert_consistent
from tickets.tests.test_races import (
    agent,
    at_once,
    both_ways,
    everywhere,
    waiting_tickets,
)

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("db")]
BURST = settings.ASSIGNMENT_QUEUE_BURST
MANY = 12


def read_then_write(agent_id: int, *, weight: int, at: Any, from_queue: bool = False) -> bool:
    """`claim_place` as one would write it at first."""
    profile = AgentProfile.objects.get(pk=agent_id)
    if from_queue and profile.queue_burst >= BURST:
        return False
    time.sleep(0.05)
    AgentProfile.objects.filter(pk=agent_id).update(
        open_load=profile.open_load + weight,
        queue_burst=profile.queue_burst + 1,
        queue_burst_at=profile.queue_burst_at or at,
    )
    return True


@pytest.mark.parametrize("protection", ["both", "the predicate", "neither"])
def test_however_many_sweep_at_once_an_agent_gets_one_burst(alice, protection, monkeypatch) -> None:
    one = agent("one", capacity=100)
    tickets = waiting_tickets(alice, 4 * MANY)
    if protection != "both":
        everywhere(monkeypatch, "lock_agents", lambda ids: None)
    if protection == "neither":
        everywhere(monkeypatch, "claim_place", read_then_write)
    now = timezone.now()

    def sweep(share: list[Ticket]) -> int:
        taken = 0
        for ticket in share:
            try:
                taken += services.assign_waiting(ticket=ticket, at=now, from_queue=True)
            except services.NoAgentAvailable:
                continue
        return taken

    counts = at_once(*(lambda share=tickets[n::MANY]: sweep(share) for n in range(MANY)))

    if protection == "neither":
        assert sum(counts) > BURST
        return
    assert sum(counts) == BURST
    profile = AgentProfile.objects.get(pk=one.pk)
    assert (profile.open_load, profile.queue_burst, profile.queue_burst_at) == (BURST, BURST, now)


def count_in_memory(*, agent_id: int, category_id: int) -> None:
    """`learn` as one would write it at first."""
    key: dict[str, Any] = {"agent_id": agent_id, "category_id": category_id}
    known = CategoryExperience.objects.filter(**key).first()
    time.sleep(0.05)
    resolved = known.resolved + 1 if known else 1
    CategoryExperience.objects.update_or_create(defaults={"resolved": resolved}, **key)


@both_ways
@pytest.mark.parametrize("known", [True, False], ids=["the row is there", "the first"])
def test_no_resolved_ticket_is_lost_from_the_experience(alice, known, protected, monkeypatch):
    one, category = agent("one", capacity=100), Category.objects.create(name="Printing")
    tickets = waiting_tickets(alice, MANY)
    Ticket.objects.update(category=category)
    now = timezone.now()
    for ticket in tickets:
        services.claim(ticket=ticket, agent=one, at=now)
    if known:
        learn(agent_id=one.pk, category_id=category.pk)
    if not protected:
        # The agent's row, whose load changes, would make them wait for each other, too.
        everywhere(monkeypatch, "reweigh", lambda agent_id, *, by: None)
        everywhere(monkeypatch, "learn", count_in_memory)

    answers = at_once(
        *(
            lambda t=ticket: services.change_status(
                ticket=t, to=Status.RESOLVED, actor=one, at=now, resolution="Done."
            )
            for ticket in tickets
        )
    )

    found = CategoryExperience.objects.get(agent=one, category=category).resolved
    if not protected:
        assert found < MANY + known
        return
    assert all(isinstance(answer, Ticket) for answer in answers)
    assert found == MANY + known
    assert_consistent(announced=False)


@both_ways
def test_those_who_are_the_first_to_learn_at_once_all_count(alice, protected, monkeypatch) -> None:
    one, category = agent("one"), Category.objects.create(name="Printing")
    teach = learn if protected else count_in_memory

    at_once(*(lambda: teach(agent_id=one.pk, category_id=category.pk) for _ in range(MANY)))

    found = CategoryExperience.objects.get(agent=one, category=category).resolved
    assert (found == MANY) is protected
