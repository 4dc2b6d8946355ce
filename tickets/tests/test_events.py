"""The log: recorded is announced, in order, never nested, and in the end always."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Availability, Role, User
from agents.services import create_user, set_availability, update_agent
from conftest import wipe
from servicedesk.errors import DomainError
from tickets import events, services
from tickets.events import Entry, record, ticket_event
from tickets.lifecycle import Status
from tickets.locks import lock_ticket
from tickets.models import Kind, Notification, Priority, Ticket, TicketEvent
from tickets.sweeps import GIVEN_UP_AFTER, GRACE, announce_events
from tickets.tests.state import (
    assert_consistent,
    counted_loads,
    folded,
    kinds,
    loads,
    present,
)

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def listening(receiver: Any) -> Iterator[None]:
    """A further receiver of the log, for a while."""
    ticket_event.connect(receiver, weak=False)
    try:
        yield
    finally:
        ticket_event.disconnect(receiver)


def heard_by(name: str, heard: list[tuple[str, str]]) -> Any:
    def receiver(*, event: TicketEvent, **kwargs: Any) -> None:
        heard.append((name, event.kind))

    return receiver


def open_one(alice: User, **more: Any) -> Ticket:
    more = {"subject": "No mail", "at": timezone.now(), **more}
    return services.open_ticket(requester=alice, actor=alice, **more)


def fresh(ticket: Ticket) -> Ticket:
    return Ticket.objects.get(pk=ticket.pk)


# --- Delivery -------------------------------------------------------------------------


def test_every_receiver_hears_the_opening_before_the_assignment_it_causes(alice, bob) -> None:
    heard: list[tuple[str, str]] = []

    # `assign_on_open` stands before both of them and calls a service.
    with listening(heard_by("one", heard)), listening(heard_by("two", heard)):
        open_one(alice)

    assert heard == [
        ("one", Kind.OPENED),
        ("two", Kind.OPENED),
        ("one", Kind.ASSIGNED),
        ("two", Kind.ASSIGNED),
        ("one", Kind.STATUS_CHANGED),
        ("two", Kind.STATUS_CHANGED),
    ]


def test_delivery_is_never_nested(alice, bob) -> None:
    depth, deepest = 0, 0

    def calls_a_service(*, event: TicketEvent, **kwargs: Any) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        if event.kind == Kind.OPENED:
            for body in ("One", "Two"):
                services.post_message(
                    ticket=event.ticket, author=bob, body=body, at=event.at, is_internal=True
                )
            assert depth == 1
        depth -= 1

    with listening(calls_a_service):
        ticket = open_one(alice)

    assert deepest == 1
    assert kinds(ticket).count(Kind.MESSAGE_CREATED) == 2
    assert_consistent()


def test_two_records_of_one_transaction_are_not_overtaken(alice, bob) -> None:
    heard: list[tuple[str, str]] = []

    with listening(heard_by("", heard)), transaction.atomic():
        ticket = open_one(alice)
        services.post_message(ticket=ticket, author=alice, body="And this.", at=timezone.now())

    assert [kind for _, kind in heard] == kinds(ticket)
    assert kinds(ticket)[:3] == [Kind.OPENED, Kind.MESSAGE_CREATED, Kind.ASSIGNED]
    assert_consistent()


def test_what_a_savepoint_took_back_is_not_announced(alice, bob) -> None:
    heard: list[tuple[str, str]] = []

    with listening(heard_by("", heard)), transaction.atomic():
        ticket = open_one(alice)
        with suppress(ZeroDivisionError), transaction.atomic():
            services.post_message(ticket=ticket, author=alice, body="No.", at=timezone.now())
            raise ZeroDivisionError

    assert ("", Kind.MESSAGE_CREATED) not in heard
    assert [kind for _, kind in heard] == kinds(ticket)
    assert_consistent()


def test_what_was_rolled_back_is_not_announced_with_the_next(alice) -> None:
    heard: list[tuple[str, str]] = []
    with listening(heard_by("", heard)):
        with suppress(ZeroDivisionError), transaction.atomic():
            open_one(alice)
            raise ZeroDivisionError
        assert heard == []

        open_one(alice)

    assert heard == [("", Kind.OPENED)]


def test_nothing_is_announced_before_the_commit(alice) -> None:
    heard: list[tuple[str, str]] = []
    with listening(heard_by("", heard)), transaction.atomic():
        open_one(alice)
        assert heard == []

    assert heard == [("", Kind.OPENED)]


def test_a_receiver_is_given_the_event_with_its_ticket(alice, django_assert_num_queries) -> None:
    seen = []

    def receiver(*, event: TicketEvent, **kwargs: Any) -> None:
        with django_assert_num_queries(0):
            seen.append((event.pk is not None, event.ticket.subject, event.ticket.last_seq))

    with listening(receiver):
        open_one(alice)

    assert seen == [(True, "No mail", 1)]


# --- Failing, and being repaired ------------------------------------------------------


class Broken(Exception):
    pass


@contextmanager
def failing_on(kind: str) -> Iterator[list[int]]:
    """A receiver that fails on events of this kind."""
    failed: list[int] = []

    def broken_receiver(*, event: TicketEvent, **kwargs: Any) -> None:
        if event.kind == kind:
            failed.append(event.seq)
            raise Broken

    with listening(broken_receiver):
        yield failed


def later(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def sweep_in(time_machine_, seconds: float) -> Any:
    with time_machine_.travel(later(seconds)):
        return announce_events()


@pytest.fixture
def clock():
    import time_machine

    return time_machine


def test_a_failing_receiver_is_logged_stops_nobody_and_holds_the_mark(
    alice, bob, clock, caplog
) -> None:
    heard: list[tuple[str, str]] = []
    with failing_on(Kind.OPENED), listening(heard_by("", heard)):
        ticket = open_one(alice)

    assert "receiver_failed" in caplog.text
    assert heard[0] == ("", Kind.OPENED)
    # The other receivers worked, the request succeeded, and the mark has not moved over it.
    assert fresh(ticket).assignee == bob
    assert fresh(ticket).announced_seq == 0

    assert sweep_in(clock, 0).handled == 0, "its own process may still be at it"
    again: list[tuple[str, str]] = []
    with listening(heard_by("", again)):
        result = sweep_in(clock, GRACE.total_seconds() + 1)

    assert (result.handled, result.failed) == (1, 0)
    assert [kind for _, kind in again] == kinds(ticket)
    assert_consistent()
    # Twice is the same as once.
    assert Notification.objects.count() == Notification.objects.values("event", "user").count()
    assert kinds(ticket) == [Kind.OPENED, Kind.ASSIGNED, Kind.STATUS_CHANGED]
    assert sweep_in(clock, 60).handled == 0


def test_the_sweep_does_what_the_receiver_failed_to_do(alice, bob, clock, monkeypatch) -> None:
    def down(**kwargs: Any) -> bool:
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(services, "assign_if_possible", down)
        ticket = open_one(alice)
    assert fresh(ticket).assignee is None

    sweep_in(clock, 20)

    assert fresh(ticket).assignee == bob
    assert_consistent()


def test_the_mark_stays_before_what_was_not_heard_and_never_jumps_it(alice, clock) -> None:
    ticket = open_one(alice)
    with failing_on(Kind.PRIORITY_CHANGED):
        admin = create_user(username="root", role=Role.SUPERVISOR)
        change: dict[str, Any] = {"ticket": ticket, "actor": admin, "at": timezone.now()}
        services.change_priority(to=Priority.HIGH, **change)
        services.escalate(reason="x", **change)
        services.post_message(ticket=ticket, author=alice, body="Hm", at=timezone.now())
        assert (fresh(ticket).announced_seq, fresh(ticket).last_seq) == (1, 4)

        result = sweep_in(clock, 20)
        assert (result.handled, result.failed) == (0, 1)
        assert fresh(ticket).announced_seq == 1

    sweep_in(clock, 20)
    assert fresh(ticket).announced_seq == 4


def test_an_event_of_another_process_that_is_not_delivered_yet_is_a_gap(alice, clock) -> None:
    ticket = open_one(alice)
    with nobody_delivers():
        services.post_message(ticket=ticket, author=alice, body="One", at=timezone.now())

    services.post_message(ticket=ticket, author=alice, body="Two", at=timezone.now())
    assert (fresh(ticket).announced_seq, fresh(ticket).last_seq) == (1, 3)

    heard: list[tuple[str, str]] = []
    with listening(heard_by("", heard)):
        sweep_in(clock, 20)

    assert len(heard) == 2, "the one that was lost, and the one after it once more"
    assert_consistent()


@contextmanager
def nobody_delivers() -> Iterator[None]:
    """The process dies between COMMIT and delivery: what was to run on commit is lost."""
    run_hooks = connection.run_and_clear_commit_hooks

    def die() -> None:
        connection.run_on_commit = []

    connection.run_and_clear_commit_hooks = die  # type: ignore[method-assign]
    try:
        yield
    finally:
        connection.run_and_clear_commit_hooks = run_hooks  # type: ignore[method-assign]


def test_what_a_dead_process_left_is_announced_by_the_sweep(alice, bob, clock) -> None:
    with nobody_delivers():
        ticket = open_one(alice)
    assert fresh(ticket).assignee is None
    assert not Notification.objects.exists()

    sweep_in(clock, 20)

    assert fresh(ticket).assignee == bob
    assert not Notification.objects.filter(user=alice).exists(), "she knows that she asked"
    assert Notification.objects.filter(user=bob, kind="assigned").count() == 1
    assert_consistent()


def test_a_mark_that_cannot_be_written_does_not_fail_the_request(
    alice, bob, clock, monkeypatch
) -> None:
    from tickets.models.ticket import TicketQuerySet

    update = TicketQuerySet.update

    def refuse_the_mark(self: Any, **values: Any) -> int:
        if "announced_seq" in values:
            raise DatabaseError("lock timeout")
        return update(self, **values)

    with monkeypatch.context() as patch:
        patch.setattr(TicketQuerySet, "update", refuse_the_mark)
        ticket = open_one(alice)

    assert fresh(ticket).assignee == bob, "what waited behind it was delivered all the same"
    assert fresh(ticket).announced_seq == 0
    sweep_in(clock, 20)
    assert_consistent()


def test_what_fails_for_too_long_is_given_up_and_said_so(alice, clock, caplog) -> None:
    with failing_on(Kind.OPENED) as failed:
        ticket = open_one(alice)
        result = sweep_in(clock, GIVEN_UP_AFTER.total_seconds() + 60)

    assert (result.handled, result.failed) == (0, 1)
    assert "announcing_given_up" in caplog.text
    assert failed == [1]
    assert fresh(ticket).announced_seq == 1


# --- The log is only ever appended to -------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tickets_ticketevent SET data = '{}'",
        "UPDATE tickets_ticketevent SET seq = seq + 100 WHERE ticket_id = (SELECT max(id) "
        "FROM tickets_ticket)",
        "DELETE FROM tickets_ticketevent",
        "DELETE FROM tickets_ticketevent WHERE seq = 1",
    ],
)
def test_the_database_refuses_to_change_the_log(statement, alice, bob) -> None:
    open_one(alice)
    before = list(TicketEvent.objects.values())
    assert before

    refused = pytest.raises(DatabaseError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert list(TicketEvent.objects.values()) == before


def test_the_models_cannot_change_the_log_either(alice) -> None:
    ticket = open_one(alice)
    event = ticket.events.get()
    for change in (event.save, event.delete, ticket.events.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()

    assert ticket.events.count() == 1


def test_two_events_never_have_one_place(alice) -> None:
    ticket = open_one(alice)

    with pytest.raises(DatabaseError), transaction.atomic():
        TicketEvent.objects.create(ticket=ticket, seq=1, kind=Kind.UPDATED)
    with pytest.raises(DatabaseError), transaction.atomic():
        TicketEvent.objects.create(
            ticket=ticket, seq=2, public_seq=1, public_data={}, kind=Kind.UPDATED
        )
    with pytest.raises(DatabaseError), transaction.atomic():
        TicketEvent.objects.create(ticket=ticket, seq=2, public_seq=2, kind=Kind.UPDATED)

    assert ticket.events.count() == 1


def test_several_entries_are_one_version_and_one_insert(
    alice, bob, django_assert_max_num_queries
) -> None:
    ticket = open_one(alice)
    entries = [Entry(Kind.UPDATED, {"fields": []}, {"fields": []}) for _ in range(20)]
    version, seq = fresh(ticket).version, fresh(ticket).last_seq
    heard: list[tuple[str, str]] = []
    with listening(heard_by("", heard)), transaction.atomic():
        locked = lock_ticket(ticket.pk)
        # Besides, whether anything is promised at all.
        with django_assert_max_num_queries(3):
            record(locked, *entries, actor=bob, at=timezone.now(), changed=["subject"])

    assert fresh(ticket).version == version + 1
    assert fresh(ticket).last_seq == seq + 20
    assert len(heard) == 20
    assert_consistent()


# --- One writer of the status ---------------------------------------------------------

# Where a `status` is not a ticket's: a preview's, or HTTP's own in the API's floor and middleware.
OTHER_STATUS = (
    "attachments/services/previewing.py",
    "servicedesk/api/",
    "servicedesk/middleware.py",
)
WRITERS = ("tickets/services/move.py", "tickets/importing/")
BULK_WRITES = {"update", "aupdate"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for app in ("agents", "attachments", "realtime", "servicedesk", "tickets"):
        for path in sorted((ROOT / app).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/tests/" not in name and "/migrations/" not in name:
                yield name, ast.parse(path.read_text(), name)


def status_writes(tree: ast.Module) -> Iterator[int]:
    """The lines that write an attribute or a column `status`, however they do it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "status":
            if isinstance(node.ctx, ast.Store | ast.Del):
                yield node.lineno
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = [a.value for a in ast.walk(node) if isinstance(a, ast.Constant)]
            named = any(keyword.arg == "status" for keyword in node.keywords)
            if name in BULK_WRITES and named:
                yield node.lineno
            if name in ("setattr", "bulk_update", "bulk_create") and "status" in texts:
                yield node.lineno


def test_the_search_for_writers_finds_each_way_of_writing() -> None:
    found = """
ticket.status = "open"
ticket.status: str = "open"
ticket.status += "x"
ticket.status, other = 1, 2
for ticket.status in statuses: pass
setattr(ticket, "status", "open")
Ticket.objects.filter(pk=1).update(status="open")
Ticket.objects.bulk_update(rows, ["status"])
with x() as ticket.status: pass
"""
    innocent = """
print(ticket.status)
Ticket.objects.filter(status="open").update(priority=1)
status = ticket.status
"""
    assert set(status_writes(ast.parse(found))) == set(range(2, 11))
    assert list(status_writes(ast.parse(innocent))) == []


def test_only_the_move_service_and_the_importer_write_a_status() -> None:
    writes = {
        f"{name}:{line}"
        for name, tree in sources()
        for line in status_writes(tree)
        if not name.startswith((*WRITERS, *OTHER_STATUS))
    }
    assert writes == set()
    move = ast.parse((ROOT / "tickets/services/move.py").read_text())
    assert len(list(status_writes(move))) == 1


# --- Replaying the log ----------------------------------------------------------------


WHO = st.sampled_from(["alice", "charlie", "bob", "dana", "sam"])
STAFF = st.sampled_from(["bob", "dana", "sam"])
DAYS = st.sampled_from([0, 0, 0, 1, 20])
MESSAGE = st.tuples(st.just("post"), WHO, st.booleans())
MOVE = st.tuples(st.just("move"), WHO, st.sampled_from(Status))
COMMAND = st.one_of(
    MESSAGE,
    MOVE,
    MOVE,
    st.tuples(st.just("assign"), STAFF, st.sampled_from(["bob", "dana", "sam", None])),
    st.tuples(st.just("auto"), STAFF, st.none()),
    st.tuples(st.just("claim"), STAFF, st.none()),
    st.tuples(st.just("escalate"), STAFF, st.none()),
    st.tuples(st.just("priority"), STAFF, st.sampled_from(Priority)),
    st.tuples(st.just("join"), STAFF, st.just("charlie")),
    st.tuples(st.just("leave"), STAFF, st.just("charlie")),
    st.tuples(st.just("edit"), STAFF, st.sampled_from(["One", "Two"])),
    st.tuples(st.just("rate"), WHO, st.integers(1, 5)),
    st.tuples(st.just("go"), STAFF, st.sampled_from(Availability)),
)


def run(command: tuple[str, str, Any], people: dict[str, User], ticket: Ticket, at: datetime):
    """Carry out one command; what the rules refuse is refused."""
    name, who, what = command
    actor = people[who]
    change: dict[str, Any] = {"ticket": ticket, "actor": actor, "at": at}
    calls = {
        "post": lambda: services.post_message(
            ticket=ticket, author=actor, body="x", at=at, is_internal=what
        ),
        "move": lambda: services.change_status(
            to=what,
            comment="Why.",
            resolution="Done." if what == Status.RESOLVED else "",
            **change,
        ),
        "assign": lambda: services.assign(to=people.get(what), force=who == "sam", **change),
        "auto": lambda: services.assign_automatically(**change),
        "claim": lambda: services.claim(ticket=ticket, agent=actor, at=at),
        "escalate": lambda: services.escalate(reason="x", **change),
        "priority": lambda: services.change_priority(to=what, **change),
        "join": lambda: services.add_participant(user=people[what], **change),
        "leave": lambda: services.remove_participant(user_id=people[what].pk, **change),
        "edit": lambda: services.update_ticket(fields={"subject": what}, tags=[what], **change),
        "rate": lambda: services.rate(ticket=ticket, score=what, actor=actor, at=at),
        "go": lambda: set_availability(user=actor, availability=what, at=at, reassign=True),
    }
    calls[name]()


def the_cast() -> dict[str, User]:
    """Everybody anew, with two places each, so that capacity matters."""
    at = timezone.now()
    people = {name: create_user(username=name) for name in ("alice", "charlie")}
    people["sam"] = create_user(username="sam", role=Role.SUPERVISOR)
    for name in ("bob", "dana"):
        people[name] = create_user(username=name, role=Role.AGENT)
        update_agent(
            agent=people[name].agent, at=at, capacity=2, availability=Availability.AVAILABLE
        )
    return people


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    commands=st.lists(
        st.tuples(COMMAND, st.integers(0, 1), DAYS, st.booleans()), min_size=3, max_size=14
    )
)
def test_replaying_the_log_gives_the_present_state(db, commands) -> None:
    wipe()
    people = the_cast()
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    both = [open_one(people["alice"], at=at) for _ in range(2)]

    for command, which, days, in_one_transaction in commands:
        at += timedelta(days=days, minutes=1)
        try:
            if in_one_transaction:  # as under an Idempotency-Key
                with transaction.atomic():
                    run(command, people, both[which], at)
            else:
                run(command, people, both[which], at)
        except DomainError:
            pass
        assert loads() == counted_loads()

    assert_consistent()
    for ticket in Ticket.objects.all():
        assert folded(ticket) == present(ticket)
        customers = ticket.events.filter(public_seq__isnull=False)
        assert not any("reason" in (event.public_data or {}) for event in customers)
    assert not events._delivery.waiting
