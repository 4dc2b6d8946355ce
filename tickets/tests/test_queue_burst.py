"""Whoever comes online first is not flooded with all that has waited."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from agents.models import AgentProfile, Availability
from agents.services import set_availability, update_agent
from tickets import services, sweeps
from tickets.assignment.candidates import available, candidates_for, work_of
from tickets.assignment.claim import claim_place
from tickets.models import Ticket
from tickets.tests.test_races import waiting_tickets

BURST = settings.ASSIGNMENT_QUEUE_BURST
WINDOW = settings.ASSIGNMENT_QUEUE_WINDOW


@pytest.fixture
def waiting(alice) -> list[Ticket]:
    """Three times as many as somebody gets out of the queue at once."""
    return [opened(alice) for _ in range(3 * BURST)]


def opened(requester) -> Ticket:
    return services.open_ticket(
        requester=requester, actor=requester, subject="Help", at=timezone.now()
    )


def come(user, capacity=100):
    update_agent(
        agent=user.agent,
        at=timezone.now(),
        capacity=capacity,
        availability=Availability.AVAILABLE,
    )


def held(user) -> int:
    return Ticket.objects.filter(assignee=user).count()


def test_out_of_the_queue_an_agent_gets_so_many_at_once_and_more_later(waiting, dana) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        come(dana)
        assert sweeps.assign_tickets().handled == BURST
        assert sweeps.assign_tickets().handled == 0
        clock.shift(WINDOW - timedelta(microseconds=1))
        assert sweeps.assign_tickets().handled == 0
        clock.shift(timedelta(microseconds=1))
        assert sweeps.assign_tickets().handled == BURST
        assert held(dana) == 2 * BURST


def test_who_comes_a_moment_later_gets_their_share(waiting, bob, dana) -> None:
    set_availability(user=bob, availability=Availability.OFFLINE, at=timezone.now())
    come(dana)
    sweeps.assign_tickets()
    come(bob)

    sweeps.assign_tickets()

    assert (held(dana), held(bob)) == (BURST, BURST)


def test_the_desk_tells_why_somebody_with_room_gets_no_more(waiting, dana) -> None:
    come(dana)
    sweeps.assign_tickets()
    left = Ticket.objects.unassigned().first()
    assert left is not None

    with pytest.raises(services.NoAgentAvailable) as refused:
        services.assign_waiting(ticket=left, at=timezone.now(), from_queue=True)

    [candidate] = refused.value.members()["candidates"]
    assert candidate["gates"] == ["flooded"]


def test_nobody_is_kept_from_what_is_no_flood(waiting, alice, dana, sam) -> None:
    """What was just opened, what they take and what they are given is not limited."""
    come(dana)
    sweeps.assign_tickets()
    one, two, three = Ticket.objects.unassigned()[:3]
    now = timezone.now()

    services.claim(ticket=one, agent=dana, at=now)
    services.assign(ticket=two, to=dana, actor=sam, at=now)
    services.assign_automatically(ticket=three, actor=sam, at=now)
    opened(alice)

    assert held(dana) == BURST + 4
    [shown] = [
        seen
        for seen in services.recommend(ticket=opened(alice), at=now)
        if seen["agent"]["id"] == dana.pk
    ]
    assert shown["gates"] == []


def test_what_is_no_flood_does_not_count_as_one(alice, dana) -> None:
    come(dana)
    for _ in range(2 * BURST):
        opened(alice)

    profile = AgentProfile.objects.get(pk=dana.pk)

    assert held(dana) == 2 * BURST
    assert (profile.queue_burst, profile.queue_burst_at) == (0, None)


@pytest.mark.parametrize("count", [0, 1, BURST - 1, BURST, BURST + 1])
@pytest.mark.parametrize(
    "ago", [None, *(WINDOW + n * timedelta(microseconds=1) for n in (-1, 0, 1))]
)
def test_flooded_is_who_would_not_be_given_a_place(alice, dana, count, ago) -> None:
    come(dana)
    now, ticket = timezone.now(), waiting_tickets(alice, 1)[0]
    AgentProfile.objects.filter(pk=dana.pk).update(
        queue_burst=count, queue_burst_at=None if ago is None else now - ago
    )
    work = work_of(ticket, now)

    [seen] = candidates_for(ticket, work, now, available(), from_queue=True)

    assert seen.is_flooded is (count >= BURST and ago is not None and ago < WINDOW)
    assert seen.is_flooded is not claim_place(dana.pk, weight=1, at=now, from_queue=True)
    [asked] = candidates_for(ticket, work, now, available())
    assert not asked.is_flooded
