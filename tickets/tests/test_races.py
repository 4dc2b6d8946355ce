"""What many do at once, on PostgreSQL.

Every race has a twin (`protected=False`) that takes away what decides it, and shows that the bug is
there then: so each test is proved to be able to fail. The twins widen the gap between reading
and writing by letting the threads wait there for each other.
"""

import importlib
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth import authenticate
from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.models import F
from django.utils import timezone

from agents import services as people
from agents import sessions, sign_in
from agents.models import AgentProfile, Availability, Role, Session, SignInFailures, User
from agents.services import LastSupervisor, create_user, update_agent, update_user
from agents.sessions import TokenNotValid, TokenPair
from conftest import DeskClient
from servicedesk.api import idempotency
from servicedesk.models import IdempotencyKey
from servicedesk.tests import contract
from tickets import services
from tickets.lifecycle import Status
from tickets.locks import lock_ticket
from tickets.models import Message, Ticket
from tickets.models.ticket import TicketQuerySet
from tickets.services.assign import AgentAtCapacity, AlreadyAssigned, NoAgentAvailable
from tickets.sweeps import announce_events
from tickets.tests.state import assert_consistent, counted_loads, loads

# The package has a function of this name in front of the module.
assigning = importlib.import_module("tickets.services.assign")

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("db")]
both_ways = pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True, scope="module")
def _document() -> None:
    """Clients hold answers against the OpenAPI document, which must not be made by many at once."""
    contract.document()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls answer, each in a thread of its own, started together. A refusal or a
    failure is an answer too."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            start.wait(20)
            return call()
        except Exception as exc:
            return exc
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def until_waited_for(count: int) -> None:
    """Return once so many others wait for a lock, in the database of this test process."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(query)
            if cursor.fetchone()[0] >= count:
                return
        time.sleep(0.01)
    raise TimeoutError(f"{count} did not come to wait")


class Meeting:
    """Where threads wait for each other, so that a race surely happens; nobody waits for long,
    and where they meet `once`, each of them only the first time."""

    def __init__(self, parties: int, seconds: float = 12, *, once: bool = False) -> None:
        self._barrier, self._seconds = threading.Barrier(parties), seconds
        self._once, self._been = once, set[int]()

    def wait(self) -> None:
        if self._once and threading.get_ident() in self._been:
            return
        self._been.add(threading.get_ident())
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(self._seconds)


def everywhere(monkeypatch, name: str, replacement: Any) -> None:
    """Replace a function in every module of the tickets app that uses it."""
    for module in list(sys.modules.values()):
        mine = getattr(module, "__name__", "").startswith("tickets.")
        if mine and "tests" not in module.__name__ and hasattr(module, name):
            monkeypatch.setattr(module, name, replacement)


def look_without_locking(monkeypatch, parties: int) -> None:
    """Take the lock of tickets away: so many read a ticket before the first of them writes."""
    meeting = Meeting(parties)

    def look(pk: int, expected: Any = None) -> Ticket:
        ticket = lock_ticket(pk, expected)
        meeting.wait()
        return ticket

    monkeypatch.setattr(TicketQuerySet, "select_for_update", lambda rows, **options: rows.all())
    everywhere(monkeypatch, "lock_ticket", look)


def client_of(user: User | None = None) -> DeskClient:
    """A client that answers 500 as a front end would see it."""
    return DeskClient(user, raise_request_exception=False)


def agent(name: str, capacity: int = 10) -> User:
    user = create_user(username=name, role=Role.AGENT)
    update_agent(
        agent=user.agent,
        at=timezone.now(),
        capacity=capacity,
        availability=Availability.AVAILABLE,
    )
    return User.objects.get(pk=user.pk)


@pytest.fixture
def waiting(alice) -> Ticket:
    return services.open_ticket(requester=alice, subject="x", actor=alice, at=timezone.now())


def assert_settled() -> None:
    """All is right, also the mark of what was heard, once the sweep has been round.

    Where two events are delivered at once, the mark waits for the sweep before the gap.
    """
    assert_consistent(announced=False)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        announce_events()
    assert_consistent()


def statuses(answers: list[Any]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


# --- One ticket, many hands -----------------------------------------------------------


@both_ways
def test_of_twenty_who_claim_at_once_exactly_one_wins(waiting, protected, monkeypatch) -> None:
    clients = [client_of(agent(f"agent{number}")) for number in range(20)]
    if not protected:
        look_without_locking(monkeypatch, 20)

    answers = at_once(
        *(lambda c=client: c.post(f"/api/tickets/{waiting.pk}/claim") for client in clients)
    )

    # The log gives each place once, so that even without the lock nobody wins twice.
    assert statuses(answers)[200] == 1
    assert_settled()
    if not protected:
        assert statuses(answers)[500] > 0, "the others run into the log's unique places"
        return
    losers = [answer.json() for answer in answers if answer.status_code == 409]
    [winner] = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(losers) == 19
    assert {loser["code"] for loser in losers} == {"already_assigned"}
    assert {loser["assignee"] for loser in losers} == {winner["assignee"]["id"]}
    assert sum(loads().values()) == 1


@both_ways
def test_the_desk_takes_no_ticket_from_whoever_has_just_claimed_it(
    waiting, protected, monkeypatch
) -> None:
    one, _two = agent("one", capacity=100), agent("two", capacity=1000)
    if not protected:
        look_without_locking(monkeypatch, 2)
    now = timezone.now()

    claimed, assigned = at_once(
        lambda: services.claim(ticket=waiting, agent=one, at=now),
        lambda: services.assign_if_possible(ticket=waiting, at=now),
    )

    assert_settled()
    has_it = Ticket.objects.get(pk=waiting.pk).assignee
    if not protected:
        assert isinstance(claimed, IntegrityError) or isinstance(assigned, IntegrityError)
    elif isinstance(claimed, AlreadyAssigned):
        assert assigned is True
    else:
        assert (assigned, has_it) == (False, one)


@both_ways
@pytest.mark.parametrize(("if_match", "loser"), [(True, 412), (False, 409)])
def test_of_two_moves_at_once_one_is_made(alice, bob, if_match, loser, protected, monkeypatch):
    ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=timezone.now())
    ticket.refresh_from_db()
    tag = {"HTTP_IF_MATCH": f'"{ticket.version}"'} if if_match else {}
    address = f"/api/tickets/{ticket.pk}/status"
    if not protected:
        look_without_locking(monkeypatch, 2)

    answers = at_once(
        *(
            lambda c=client, b=body: c.put(address, b, **tag)
            for client, body in (
                (client_of(bob), {"status": "resolved", "resolution": "Done."}),
                (client_of(bob), {"status": "cancelled", "comment": "A duplicate."}),
            )
        )
    )

    assert statuses(answers) == ({200: 1, loser: 1} if protected else {200: 1, 500: 1})
    moved = ticket.events.filter(kind="ticket.status_changed", data__from="open")
    assert moved.count() == 1
    assert_settled()


@both_ways
def test_one_message_sent_eight_times_at_once_is_said_once(waiting, alice, protected, monkeypatch):
    body = {"body": "Hello?", "client_msg_id": "m1"}
    clients = [client_of(alice) for _ in range(8)]
    if not protected:
        look_without_locking(monkeypatch, 8)

    answers = at_once(
        *(lambda c=c: c.post(f"/api/tickets/{waiting.pk}/messages", body) for c in clients)
    )

    assert Message.objects.count() == 1
    if protected:
        assert statuses(answers) == {201: 1, 200: 7}
        assert len({answer.json()["id"] for answer in answers}) == 1
    else:
        assert statuses(answers)[500] > 0


def test_a_ticket_that_was_waited_for_names_its_new_assignee(waiting) -> None:
    """PostgreSQL reads the locked row anew after waiting, but not what it is joined with."""
    erin = agent("erin")
    is_locked = threading.Event()

    def hand_over() -> None:
        with transaction.atomic():
            services.claim(ticket=waiting, agent=erin, at=timezone.now())
            is_locked.set()
            until_waited_for(2)

    def wait_for(*joined: str) -> User | None:
        is_locked.wait(20)
        with transaction.atomic():
            if not joined:
                return lock_ticket(waiting.pk).assignee
            rows = Ticket.objects.select_for_update(of=("self",)).select_related(*joined)
            return rows.get(pk=waiting.pk).assignee

    _, found, stale = at_once(hand_over, wait_for, lambda: wait_for("requester", "assignee"))

    assert found == erin
    assert stale is None, "why lock_ticket does not join the assignee"


# --- The log --------------------------------------------------------------------------

WRITERS, POSTS = 8, 6


def draw_numbers_before_the_lock(monkeypatch, ticket: Ticket) -> None:
    """As with a database's sequence: the order of the numbers is not that of the commits."""
    numbers = itertools.count(Ticket.objects.get(pk=ticket.pk).last_seq)

    def look(pk: int, expected: Any = None) -> Ticket:
        found = Ticket.objects.get(pk=pk)
        number = next(numbers)
        found.last_seq = found.last_public_seq = number
        time.sleep(0.03 * (number % 2))
        return found

    everywhere(monkeypatch, "lock_ticket", look)


@both_ways
def test_a_reader_who_follows_the_log_never_sees_a_hole(waiting, alice, protected, monkeypatch):
    address = f"/api/tickets/{waiting.pk}"
    head = Ticket.objects.get(pk=waiting.pk).last_public_seq
    are_done = threading.Event()
    left = itertools.count(1)
    if not protected:
        draw_numbers_before_the_lock(monkeypatch, waiting)

    def write(client: DeskClient) -> list[int]:
        found = [
            client.post(f"{address}/messages", {"body": "x"}).status_code for _ in range(POSTS)
        ]
        if next(left) == WRITERS:
            are_done.set()
        return found

    def follow(client: DeskClient) -> list[int]:
        """The sequence numbers as somebody sees them who asks for what comes after the last."""
        seen = [head]
        while True:
            was_done = are_done.is_set()
            page = client.get(f"{address}/events", {"after": seen[-1], "limit": 7}).json()
            seen += [event["seq"] for event in page.get("results", [])]
            if was_done and not page.get("results"):
                return seen

    clients = [client_of(alice) for _ in range(WRITERS + 2)]
    *written, one, two = at_once(
        *(lambda c=client: write(c) for client in clients[2:]),
        *(lambda c=client: follow(c) for client in clients[:2]),
    )

    whole = list(range(head, head + WRITERS * POSTS + 1))
    if not protected:
        assert one != whole or two != whole
        return
    assert written == [[201] * POSTS] * WRITERS
    assert one == two == whole
    assert_settled()
    messages = Message.objects.order_by("id").values_list("seq", flat=True)
    assert list(messages) == whole[1:]


@both_ways
def test_eight_who_write_at_once_take_places_one_after_the_other(
    waiting, alice, protected, monkeypatch
) -> None:
    if not protected:
        look_without_locking(monkeypatch, WRITERS)
    clients = [client_of(alice) for _ in range(WRITERS)]

    answers = at_once(
        *(lambda c=c: c.post(f"/api/tickets/{waiting.pk}/messages", {"body": "x"}) for c in clients)
    )

    if protected:
        assert statuses(answers) == {201: WRITERS}
        assert sorted(a.json()["seq"] for a in answers) == list(range(2, WRITERS + 2))
    else:
        assert statuses(answers)[500] > 0, "two drew the same place"
    assert_settled()


# --- Places in the agents' capacity ---------------------------------------------------


def read_then_write(agent_id: int, *, weight: int, at: Any, from_queue: bool = False) -> bool:
    """`claim_place` as one would write it at first."""
    profile = AgentProfile.objects.get(pk=agent_id)
    if profile.open_load + weight > profile.capacity:
        return False
    time.sleep(0.01)
    AgentProfile.objects.filter(pk=agent_id).update(open_load=profile.open_load + weight)
    return True


def waiting_tickets(requester: User, count: int) -> list[Ticket]:
    now = timezone.now()
    rows = [
        Ticket(requester=requester, subject=f"Ticket {number}", queued_at=now)
        for number in range(count)
    ]
    return Ticket.objects.bulk_create(rows)


@pytest.mark.parametrize("protection", ["both", "the predicate", "neither"])
def test_ten_agents_with_ten_places_take_a_hundred_tickets(alice, protection, monkeypatch) -> None:
    for number in range(10):
        agent(f"agent{number}")
    tickets = waiting_tickets(alice, 400 if protection == "both" else 150)
    if protection != "both":
        everywhere(monkeypatch, "lock_agents", lambda ids: None)
    if protection == "neither":
        everywhere(monkeypatch, "claim_place", read_then_write)

    def assign(share: list[Ticket]) -> int:
        now = timezone.now()
        return sum(services.assign_if_possible(ticket=ticket, at=now) for ticket in share)

    counts = at_once(*(lambda share=tickets[n::8]: assign(share) for n in range(8)))

    assigned = Ticket.objects.exclude(assignee=None).count()
    if protection == "neither":
        assert assigned > 100
        assert loads() != counted_loads()
        return
    assert sum(counts) == assigned == 100
    assert set(loads().values()) == {10}
    assert_settled()


@both_ways
def test_an_agent_who_claims_many_at_once_gets_as_many_as_they_have_room_for(
    alice, protected, monkeypatch
) -> None:
    one = agent("one", capacity=5)
    if not protected:
        everywhere(monkeypatch, "claim_place", read_then_write)
    now = timezone.now()

    answers = at_once(
        *(
            lambda t=ticket: services.claim(ticket=t, agent=one, at=now)
            for ticket in waiting_tickets(alice, 20)
        )
    )

    claimed = Ticket.objects.filter(assignee=one).count()
    if not protected:
        assert claimed > 5
        assert loads() != counted_loads()
        return
    assert Counter(type(answer) for answer in answers) == {Ticket: 5, AgentAtCapacity: 15}
    assert (claimed, loads()) == (5, {one.pk: 5})
    assert_settled()


@both_ways
def test_agents_who_turn_out_to_be_full_do_not_stay_locked(alice, protected, monkeypatch) -> None:
    """Two assignments try two agents in opposite orders, and both are full by then."""
    one, two = agent("one"), agent("two")
    first, second = waiting_tickets(alice, 2)
    rank, meeting = assigning._rank, Meeting(2, once=True)

    def rank_in_opposite_orders(ticket: Ticket, at: Any, among: Any, **kwargs: Any) -> Any:
        work, ranked = rank(ticket, at, among, **kwargs)
        return work, sorted(ranked, key=lambda s: s.candidate.id, reverse=ticket.pk == second.pk)

    def full(*args: Any, **kwargs: Any) -> bool:
        meeting.wait()
        return False

    def keep_the_lock(ticket: Ticket, agent_id: int, at: Any, **kwargs: Any) -> bool:
        assigning.lock_agents([agent_id])
        return full()

    monkeypatch.setattr(assigning, "_rank", rank_in_opposite_orders)
    monkeypatch.setattr(assigning, "claim_place", full)
    if not protected:
        monkeypatch.setattr(assigning, "take_place", keep_the_lock)
    now = timezone.now()

    answers = at_once(
        *(
            lambda t=ticket: services.assign_automatically(ticket=t, actor=one, at=now)
            for ticket in (first, second)
        )
    )

    deadlocks = [answer for answer in answers if isinstance(answer, OperationalError)]
    assert bool(deadlocks) is not protected
    if protected:
        assert [type(answer) for answer in answers] == [NoAgentAvailable, NoAgentAvailable]
    assert set(loads().values()) == {0}
    assert two.pk in loads()


@both_ways
def test_handing_over_in_both_directions_does_not_deadlock(alice, sam, protected, monkeypatch):
    one, two = agent("one"), agent("two")
    first, second = waiting_tickets(alice, 2)
    now = timezone.now()

    def give(ticket: Ticket, to: User) -> Ticket:
        return services.assign(ticket=ticket, to=to, actor=sam, at=now)

    give(first, one)
    give(second, two)
    if not protected:
        # In the second round there may be nobody left to meet.
        claim_place, meeting = assigning.claim_place, Meeting(2, seconds=5)

        def claim_and_wait(*args: Any, **kwargs: Any) -> bool:
            claimed: bool = claim_place(*args, **kwargs)
            meeting.wait()
            return claimed

        everywhere(monkeypatch, "lock_agents", lambda ids: None)
        everywhere(monkeypatch, "claim_place", claim_and_wait)

    answers = []
    for to_first, to_second in ((two, one), (one, two)) * (10 if protected else 1):
        answers += at_once(partial(give, first, to_first), partial(give, second, to_second))

    deadlocks = [answer for answer in answers if isinstance(answer, OperationalError)]
    assert bool(deadlocks) is not protected
    if protected:
        assert all(isinstance(answer, Ticket) for answer in answers)
        assert set(Ticket.objects.values_list("assignee", flat=True)) == {one.pk, two.pk}
    assert_settled()


# --- Idempotency-Key ------------------------------------------------------------------


@both_ways
def test_one_post_sent_sixteen_times_at_once_is_done_once(alice, bob, protected, monkeypatch):
    clients = [client_of(alice) for _ in range(16)]
    if not protected:
        kept, meeting = idempotency._kept, Meeting(16)

        def look_and_wait(*args: Any) -> Any:
            found = kept(*args)
            meeting.wait()
            return found

        monkeypatch.setattr(idempotency, "_hold", lambda *args: None)
        monkeypatch.setattr(idempotency, "_kept", look_and_wait)

    def post(client: DeskClient) -> Any:
        return client.post("/api/tickets/", {"subject": "Once"}, HTTP_IDEMPOTENCY_KEY="k1")

    answers = at_once(*(lambda c=client: post(c) for client in clients))

    # The key stands in the transaction of the effect: even without the lock, both come once.
    assert Ticket.objects.count() == IdempotencyKey.objects.count() == 1
    assert_settled()
    if not protected:
        assert statuses(answers)[500] > 0, "the others run into the unique key"
        return
    assert set(statuses(answers)) <= {201, 409}
    done = [answer for answer in answers if answer.status_code == 201]
    first = [answer for answer in done if "Idempotency-Replayed" not in answer]
    assert len(first) == 1
    assert first[0].json()["assignee"] == {"id": bob.pk, "name": "Bob"}
    for answer in [*done, post(clients[0])]:
        assert answer.json() == first[0].json()
        assert answer["ETag"] == first[0]["ETag"]
        assert answer is first[0] or answer["Idempotency-Replayed"] == "true"
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_in_progress"
            assert answer["Retry-After"]


# --- Signing in -----------------------------------------------------------------------


@both_ways
def test_of_sixteen_refreshes_with_one_token_one_gets_a_pair(alice, protected, monkeypatch) -> None:
    pair = sessions.start(user=alice, at=timezone.now())
    if not protected:
        meeting = Meeting(16)

        def look_then_write(session: Session, *, used: str, new: str, at: Any) -> bool:
            is_good = Session.objects.filter(pk=session.pk, refresh_jti=used).exists()
            meeting.wait()
            return is_good and bool(
                Session.objects.filter(pk=session.pk).update(refresh_jti=new, refreshed_at=at)
            )

        monkeypatch.setattr(sessions, "_advance", look_then_write)

    answers = at_once(
        *[lambda: sessions.refresh(token=pair.refresh, at=timezone.now()) for _ in range(16)]
    )

    pairs = [answer for answer in answers if isinstance(answer, TokenPair)]
    if not protected:
        assert len(pairs) > 1
        return
    assert len(pairs) == 1
    assert Counter(type(a) for a in answers) == {TokenPair: 1, TokenNotValid: 15}
    # One of the sixteen may be a thief: the session is over, for all of them.
    assert Session.objects.get().revoked_at is not None
    with pytest.raises(TokenNotValid):
        sessions.verify(pairs[0].access)
    with pytest.raises(TokenNotValid):
        sessions.refresh(token=pairs[0].refresh, at=timezone.now())


def sign_in_as_carol(password: str) -> Any:
    body = {"username": "carol", "password": password}
    return client_of().post("/api/auth/token", body)


@pytest.fixture
def carol():
    return create_user(username="carol", password=PASSWORD)


@both_ways
def test_of_thirty_guesses_at_once_five_are_checked(carol, protected, monkeypatch) -> None:
    checked = []

    def check(**credentials: Any) -> Any:
        checked.append(credentials)
        return authenticate(**credentials)

    monkeypatch.setattr(sign_in, "authenticate", check)
    if not protected:
        take_place, meeting = sign_in._take_place, Meeting(30)

        def look_then_count(key: str, at: Any) -> None:
            row = SignInFailures.objects.filter(pk=key).first()
            meeting.wait()
            if row is not None and row.failed >= 5:
                take_place(key, at)  # refuses
            sign_in._count_from(key, at + settings.SIGN_IN_LOCK)
            SignInFailures.objects.filter(pk=key).update(pending=F("pending") + 1)

        monkeypatch.setattr(sign_in, "_take_place", look_then_count)

    answers = at_once(*[lambda n=n: sign_in_as_carol(f"guess {n}") for n in range(30)])

    if not protected:
        assert len(checked) > 5
        return
    assert statuses(answers) == {401: 5, 429: 25}
    assert len(checked) == 5
    refused = sign_in_as_carol(PASSWORD)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 15 * 60
    assert len(checked) == 5
    assert not Session.objects.exists()


@both_ways
def test_twelve_who_sign_in_rightly_at_once_all_succeed(carol, protected, monkeypatch) -> None:
    was_refused = threading.Event()

    def slowly(**credentials: Any) -> Any:
        # Without patience: as long as it takes until somebody found no place.
        if protected:
            time.sleep(0.1)
        else:
            was_refused.wait(20)
        return authenticate(**credentials)

    def sign_in_and_tell() -> Any:
        answer = sign_in_as_carol(PASSWORD)
        if answer.status_code == 429:
            was_refused.set()
        return answer

    monkeypatch.setattr(sign_in, "authenticate", slowly)
    # Seconds to wait for those before; many more than they need, or none.
    monkeypatch.setattr(sign_in, "PATIENCE", 30 if protected else 0)

    answers = at_once(*[sign_in_and_tell] * 12)

    assert (statuses(answers) == {200: 12}) is protected
    if protected:
        row = SignInFailures.objects.get()
        assert (row.failed, row.pending) == (0, 0)
    else:
        assert statuses(answers)[429] > 0


# --- People ---------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("change", [{"role": Role.AGENT}, {"is_active": False}])
def test_two_supervisors_who_demote_each_other_leave_one(change, protected, monkeypatch) -> None:
    two = [create_user(username=name, role=Role.SUPERVISOR) for name in ("sue", "tom")]
    if not protected:
        meeting = Meeting(2)

        def look(user: User) -> tuple[User, list[User]]:
            others = list(User.objects.filter(role=Role.SUPERVISOR).exclude(pk=user.pk))
            meeting.wait()
            return User.objects.get(pk=user.pk), others

        monkeypatch.setattr(people, "_lock_with_supervisors", look)

    answers = at_once(
        *(lambda u=user: update_user(user=u, at=timezone.now(), **change) for user in two)
    )

    left = User.objects.filter(role=Role.SUPERVISOR, is_active=True).count()
    assert left == (1 if protected else 0)
    if protected:
        assert Counter(type(answer) for answer in answers) == {User: 1, LastSupervisor: 1}


def test_two_who_escalate_at_once_climb_two_levels(waiting, sam) -> None:
    now = timezone.now()

    at_once(
        *[
            lambda: services.escalate(ticket=waiting, reason="x", actor=sam, at=now)
            for _ in range(2)
        ]
    )

    assert Ticket.objects.get(pk=waiting.pk).escalation_level == 2
    assert Ticket.objects.get(pk=waiting.pk).status == Status.NEW
    assert_settled()
