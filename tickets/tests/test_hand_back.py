"""Whose tickets go back into the queue, and that no crash forgets one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import AgentProfile, Availability, Role, User
from agents.services import create_user, set_availability, update_agent, update_user
from agents.signals import availability_changed, left_service
from servicedesk import sweeps
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Kind, Ticket, TicketEvent
from tickets.services.assign import AgentUnavailable
from tickets.signals import connect
from tickets.tests.state import assert_consistent

GONE = pytest.mark.parametrize("change", [{"is_active": False}, {"role": Role.CUSTOMER}])


@pytest.fixture(autouse=True)
def _consistent_afterwards(db):
    yield
    assert_consistent()


@pytest.fixture
def at():
    return timezone.now()


@pytest.fixture
def deaf():
    """The process dies right after the commit: no receiver hears of it."""
    availability_changed.disconnect(dispatch_uid="hand_back_on_away")
    left_service.disconnect(dispatch_uid="hand_back_on_leaving")
    yield
    connect()


@pytest.fixture
def held(alice, bob, at) -> list[Ticket]:
    """Three tickets in bob's hands: not started, on hold, and resolved."""
    made = [
        services.open_ticket(requester=alice, subject=name, actor=alice, at=at) for name in "abc"
    ]
    services.change_status(ticket=made[1], to=Status.ON_HOLD, actor=bob, at=at)
    services.change_status(
        ticket=made[2], to=Status.RESOLVED, actor=bob, at=at, resolution="Restarted it."
    )
    return made


def available(name: str, at) -> User:
    user = create_user(username=name, role=Role.AGENT)
    update_agent(agent=user.agent, at=at, availability=Availability.AVAILABLE)
    return user


def holders(tickets: list[Ticket]) -> list[str | None]:
    rows = Ticket.objects.in_bulk([ticket.pk for ticket in tickets])
    people = dict(User.objects.values_list("pk", "username"))
    return [people.get(rows[ticket.pk].assignee_id or 0) for ticket in tickets]


def wishes() -> int:
    return AgentProfile.objects.filter(hands_back=True).count()


@GONE
def test_who_works_here_no_longer_leaves_all_open_tickets_to_others(change, bob, held, at) -> None:
    available("erin", at)

    update_user(user=bob, at=at, **change)

    # What waits for a third party has no agent until it moves again.
    assert holders(held) == ["erin", None, "bob"]
    for ticket in held[:2]:
        taken = TicketEvent.objects.filter(ticket=ticket, kind=Kind.ASSIGNED, data__to=None).get()
        assert (taken.data["from"], taken.actor) == (bob.pk, None)


@GONE
def test_the_sweep_hands_back_what_a_dead_process_did_not(change, bob, held, at, deaf) -> None:
    update_user(user=bob, at=at, **change)
    assert holders(held) == ["bob", "bob", "bob"]

    assert services.hand_back_stranded(batch=1).handled == 2
    assert holders(held) == [None, None, "bob"]
    assert services.hand_back_stranded(batch=1) == sweeps.SweepResult()


def test_the_wish_to_hand_back_outlives_the_process(bob, held, at, deaf) -> None:
    set_availability(user=bob, availability=Availability.AWAY, at=at, reassign=True)
    # Going on from away to offline takes nothing back.
    set_availability(user=bob, availability=Availability.OFFLINE, at=at)
    available("erin", at)

    services.hand_back_stranded()

    assert holders(held) == ["erin", "bob", "bob"]
    assert wishes() == 0


@pytest.mark.parametrize("how", ["by themselves", "by a supervisor"])
def test_who_is_back_keeps_what_they_have(how, bob, held, at, deaf) -> None:
    set_availability(user=bob, availability=Availability.AWAY, at=at, reassign=True)
    assert wishes() == 1
    if how == "by themselves":
        set_availability(user=bob, availability=Availability.AVAILABLE, at=at)
    else:
        update_agent(agent=bob.agent, at=at, availability=Availability.AVAILABLE)

    assert services.hand_back_stranded() == sweeps.SweepResult()
    assert holders(held) == ["bob", "bob", "bob"]
    assert wishes() == 0


def test_one_ticket_that_fails_does_not_keep_the_others(alice, bob, at, monkeypatch) -> None:
    first, second = (
        services.open_ticket(requester=alice, subject=name, actor=alice, at=at) for name in "ab"
    )
    back_to_queue = services.hand_back.__globals__["back_to_queue"]

    def broken(ticket, *args):
        if ticket.pk == first.pk:
            raise RuntimeError
        return back_to_queue(ticket, *args)

    with monkeypatch.context() as patch:
        patch.setitem(services.hand_back.__globals__, "back_to_queue", broken)
        set_availability(user=bob, availability=Availability.AWAY, at=at, reassign=True)
        assert holders([first, second]) == ["bob", None]
        assert services.hand_back_stranded() == sweeps.SweepResult(failed=1)
        assert wishes() == 1

    assert services.hand_back_stranded().handled == 1
    assert holders([first, second]) == [None, None]
    assert wishes() == 0


def test_finding_nobody_else_does_not_undo_the_handing_back(bob, held, at, monkeypatch) -> None:
    def broken(**kwargs):
        raise RuntimeError

    monkeypatch.setitem(services.hand_back.__globals__, "assign_if_possible", broken)

    update_user(user=bob, at=at, is_active=False)

    assert holders(held) == [None, None, "bob"]


def test_nobody_is_forced_on_an_inactive_account(alice, bob, sam, at) -> None:
    update_user(user=bob, at=at, is_active=False)
    ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=at)
    gone = User.objects.get(pk=bob.pk)

    with pytest.raises(AgentUnavailable):
        services.assign(ticket=ticket, to=gone, actor=sam, at=at, force=True)

    assert holders([ticket]) == [None]


def test_the_worker_hands_back_before_it_looks_at_the_queue(bob, held, at, deaf) -> None:
    update_user(user=bob, at=at, is_active=False)
    names = list(sweeps.registered())
    assert names.index("hand_back_stranded") < names.index("assign_tickets")

    results = sweeps.run_round(batch=10)

    assert results["hand_back_stranded"].handled == 2


@pytest.mark.postgres
def test_tickets_and_agents_are_locked_without_their_keys(bob, dana, sam, held, at) -> None:
    with CaptureQueriesContext(connection) as queries:
        services.assign(ticket=held[0], to=dana, actor=sam, at=at, force=True)

    locks = [query["sql"] for query in queries if " FOR " in query["sql"]]
    assert len(locks) == 2
    assert all("FOR NO KEY UPDATE" in lock for lock in locks)
