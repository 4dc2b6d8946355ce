"""Whatever people, the desk and the clock do, in any order: what must hold, holds after each step.

`STATE_MACHINE_EXAMPLES=1000` looks for longer, and elsewhere every time.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agents.models import AgentProfile, Availability, Role, User
from agents.services import create_user, set_availability, update_agent, update_user
from conftest import wipe
from servicedesk import sweeps as worker
from servicedesk.errors import DomainError
from tickets import events, lifecycle, services
from tickets.lifecycle import OPEN_STATUSES, Status
from tickets.models import EscalationRule, Kind, Priority, Ticket
from tickets.services import messages, move
from tickets.sla import clocks, timeline
from tickets.tests import promises
from tickets.tests.clockwork import assert_clocks_follow
from tickets.tests.state import counted_loads, folded, loads, present

EXAMPLES = int(os.environ.get("STATE_MACHINE_EXAMPLES", "20"))
HOW = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize="STATE_MACHINE_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
MOST_TICKETS = 4
# No worker, one that runs, and single jobs of it.
SWEPT = [[], list(worker.registered()), *([name] for name in worker.registered())]

WHICH = st.integers(0, MOST_TICKETS - 1)
# Dana works here, and may be the one who asks.
ASKER = st.sampled_from(["alice", "alice", "charlie", "dana"])
AGENT = st.sampled_from(["bob", "dana"])
STAFF = st.sampled_from(["bob", "dana", "sam"])
ANYBODY = st.sampled_from(["alice", "charlie", "bob", "dana", "sam"])
WORDS = st.sampled_from(["", "Hear me."])


class Desk(RuleBasedStateMachine):
    """A small desk: two agents with two places each, a supervisor, two customers.

    A rule is something that may happen, refused or not; an invariant is looked at after each. To
    add one, add a method: `attempt` carries a command out, `self.changed` holds the tickets that
    are not as they were at the last look.
    """

    def __init__(self) -> None:
        super().__init__()
        wipe()
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        self.people = {name: create_user(username=name).pk for name in ("alice", "charlie")}
        self.people["sam"] = create_user(username="sam", role=Role.SUPERVISOR).pk
        for name in ("bob", "dana"):
            agent = create_user(username=name, role=Role.AGENT).agent
            self.people[name] = agent.pk
            update_agent(agent=agent, at=self.now, capacity=2, availability=Availability.AVAILABLE)
        self.promise()
        self.commands = 0
        self.seen: dict[int, Any] = {}
        self.changed: list[Ticket] = []

    def promise(self) -> None:
        """Answers and solutions within hours, but nothing for what is low; and rules."""
        promises.policy(
            targets={
                priority: (3600 * hours, 7200 * hours, 36_000 * hours)
                for priority, hours in zip(list(Priority)[1:], (8, 4, 2, 1), strict=True)
            }
        )
        late = EscalationRule.Trigger.SLA_BREACHED
        promises.rule("Late", trigger=late, level=1, raises_priority=True, reassigns=True)
        promises.rule("Back", trigger=EscalationRule.Trigger.REOPENED, reopen_count=2, level=2)

    def teardown(self) -> None:
        """In the end nobody comes back, and the worker catches up."""
        try:
            self.time_passes(24 * 30, list(worker.registered()))
            self.look()
        finally:
            wipe()

    # --- How ---

    def person(self, name: str) -> User:
        return User.objects.select_related("agent").get(pk=self.people[name])

    def ticket(self, which: int) -> Ticket:
        """One that there is, by its number."""
        ids = sorted(self.seen)
        return Ticket.objects.get(pk=ids[which % len(ids)])

    def attempt(self, command: Callable[..., Any], *, by: str, **arguments: Any) -> None:
        """Carry a command out a minute later. What is refused has changed nothing.

        Every third one has waited for its lock, and comes with a clock that is behind.
        """
        self.now += timedelta(minutes=1)
        self.commands += 1
        at = self.now - timedelta(seconds=0 if self.commands % 3 else 90)
        actor = self.person(by)
        if not actor.is_active:
            return
        try:
            command(actor=actor, at=at, **arguments)
        except DomainError:
            assert rows() == self.seen

    # --- What people do ---

    @initialize(priority=st.sampled_from(Priority))
    def start(self, priority: Priority) -> None:
        self.open("alice", priority)
        self.look()
        self.open("charlie", priority)

    @precondition(lambda self: len(self.seen) < MOST_TICKETS)
    @rule(asker=ASKER, priority=st.sampled_from(Priority))
    def open(self, asker: str, priority: Priority) -> None:
        requester = self.person(asker)
        self.attempt(
            services.open_ticket, by=asker, requester=requester, subject="x", priority=priority
        )

    @rule(which=WHICH)
    def ask(self, which: int) -> None:
        ticket = self.ticket(which)
        names = {pk: name for name, pk in self.people.items()}
        self.say(ticket, names[ticket.requester_id])

    @rule(which=WHICH, author=ANYBODY, is_internal=st.booleans())
    def speak(self, which: int, author: str, is_internal: bool) -> None:
        self.say(self.ticket(which), author, is_internal)

    def say(self, ticket: Ticket, author: str, is_internal: bool = False) -> None:
        self.attempt(
            lambda actor, at: services.post_message(
                ticket=ticket, author=actor, body="x", at=at, is_internal=is_internal
            ),
            by=author,
        )

    @rule(which=WHICH, by=STAFF, choice=st.integers(0, 4), comment=WORDS, resolution=WORDS)
    def move(self, which: int, by: str, choice: int, comment: str, resolution: str) -> None:
        """One that the table has; the guards may want more."""
        ticket = self.ticket(which)
        targets = [move.target for move in lifecycle.moves_from(Status(ticket.status))]
        to = targets[choice % len(targets)]
        fix = resolution if to == Status.RESOLVED else ""
        self.attempt(
            services.change_status, by=by, ticket=ticket, to=to, comment=comment, resolution=fix
        )

    @rule(which=WHICH, hours=st.sampled_from([0, 1, 5]))
    def wait_for_somebody(self, which: int, hours: int) -> None:
        """A pause from its beginning to its end."""
        ticket = self.ticket(which)
        self.attempt(services.change_status, by="sam", ticket=ticket, to=Status.ON_HOLD)
        self.look()
        self.now += timedelta(hours=hours)
        self.attempt(services.change_status, by="sam", ticket=ticket, to=Status.OPEN)

    @rule(which=WHICH, by=ANYBODY, to=st.sampled_from(Status), is_internal=st.booleans())
    def try_a_move(self, which: int, by: str, to: Status, is_internal: bool) -> None:
        """Whatever, by whomever."""
        ticket, said = self.ticket(which), {"comment": "x", "is_internal": is_internal}
        self.attempt(services.change_status, by=by, ticket=ticket, to=to, **said)

    @rule(which=WHICH, by=STAFF, to=st.sampled_from(["bob", "dana", "queue", "best", "me", "me"]))
    def assign(self, which: int, by: str, to: str) -> None:
        ticket = self.ticket(which)
        match to:
            case "best":
                self.attempt(services.assign_automatically, by=by, ticket=ticket)
            case "me":
                self.attempt(
                    lambda actor, at: services.claim(ticket=ticket, agent=actor, at=at), by=by
                )
            case _:
                agent = None if to == "queue" else self.person(to)
                self.attempt(services.assign, by=by, ticket=ticket, to=agent, force=by == "sam")

    @rule(
        which=WHICH,
        by=STAFF,
        how=st.sampled_from(["raise", "escalate", "rate", "join", "leave", "merge"]),
        other=WHICH,
    )
    def touch(self, which: int, by: str, how: str, other: int) -> None:
        """What has its own rules for when it may happen."""
        ticket, charlie = self.ticket(which), self.person("charlie")
        match how:
            case "raise":
                to = list(Priority)[other]
                self.attempt(services.change_priority, by=by, ticket=ticket, to=to)
            case "escalate":
                self.attempt(services.escalate, by=by, ticket=ticket, reason="x")
            case "rate":
                self.attempt(services.rate, by="alice", ticket=ticket, score=4)
            case "join":
                self.attempt(services.add_participant, by=by, ticket=ticket, user=charlie)
            case "leave":
                gone = {"ticket": ticket, "user_id": charlie.pk}
                self.attempt(services.remove_participant, by=by, **gone)
            case "merge":
                self.attempt(services.merge, by=by, source=ticket, into=self.ticket(other))

    @rule(who=AGENT, to=st.sampled_from([*Availability, "available", "gone"]), hands=st.booleans())
    def come_and_go(self, who: str, to: str, hands: bool) -> None:
        """Of agents, for the day or for good."""
        user = self.person(who)
        if to == "gone" or not user.is_active:
            self.attempt(update_user, by="sam", user=user, is_active=to != "gone")
            return
        self.attempt(
            lambda actor, at: set_availability(
                user=actor, availability=Availability(to), at=at, reassign=hands
            ),
            by=who,
        )

    # --- What time and the desk do ---

    @rule(hours=st.sampled_from([0, 1, 24, 24 * 5, 24 * 15]), sweeps=st.sampled_from(SWEPT))
    def time_passes(self, hours: int, sweeps: list[str]) -> None:
        """And a worker, if there is one, does its rounds."""
        self.now += timedelta(hours=hours)
        for name in sweeps:
            self.sweep(name)

    def sweep(self, name: str) -> None:
        """Each does all there is to do, and fails at nothing."""
        job = worker.registered()[name]
        with time_machine.travel(self.now, tick=False):
            assert worker.drain(job, batch=3).failed == 0
            assert job(batch=3).handled == 0
        self.assert_swept(name)

    def assert_swept(self, name: str) -> None:
        match name:
            case "close_resolved_tickets":
                long_ago = self.now - timedelta(days=5)
                left = Ticket.objects.filter(status="resolved", resolved_at__lte=long_ago)
                assert not left.exists()
            case "escalate_tickets":
                assert not Ticket.objects.filter(next_sla_at__lte=self.now).exists()
            case "hand_back_stranded":
                gone = AgentProfile.objects.filter(user__is_active=False).values("pk")
                left = Ticket.objects.filter(assignee__in=gone, status__in=OPEN_STATUSES)
                assert not left.exists()

    # --- What always holds ---

    @invariant()
    def look(self) -> None:
        """First of all, by its name: what has changed since the last look."""
        now = rows()
        changed = [pk for pk in now if now[pk] != self.seen.get(pk)]
        self.changed = list(Ticket.objects.prefetch_related("events").filter(pk__in=changed))
        self.seen = now
        for ticket in self.changed:
            self.stays_on_the_table(ticket)
            self.is_told_by_its_log(ticket)
            self.has_a_whole_log(ticket)
            assert_clocks_follow(ticket)
            # In the queue is what nobody has.
            assert (ticket.queued_at is None) is (ticket.assignee_id is not None)

    @invariant()
    def loads_are_counts(self) -> None:
        assert loads() == counted_loads()

    @invariant()
    def everything_was_heard(self) -> None:
        assert not Ticket.objects.exclude(announced_seq=F("last_seq")).exists()
        assert not events._delivery.waiting

    def stays_on_the_table(self, ticket: Ticket) -> None:
        moves = [event.data for event in ticket.events.all() if event.kind == Kind.STATUS_CHANGED]
        assert all((move["from"], move["to"]) in lifecycle.TABLE for move in moves)

    def is_told_by_its_log(self, ticket: Ticket) -> None:
        assert folded(ticket) == present(ticket)

    def has_a_whole_log(self, ticket: Ticket) -> None:
        """Numbered without a gap for both audiences, in the order of time, the last one now."""
        log = list(ticket.events.all())
        public = [event.public_seq for event in log if event.public_seq is not None]
        times = [event.at for event in log]
        assert [event.seq for event in log] == list(range(1, ticket.last_seq + 1))
        assert public == list(range(1, ticket.last_public_seq + 1))
        assert times == sorted(times)
        assert (times[0], times[-1]) == (ticket.created_at, ticket.updated_at)


def rows() -> dict[int, Any]:
    """Every ticket's row."""
    return {row["id"]: row for row in Ticket.objects.order_by("pk").values()}


def test_whatever_happens_all_that_must_hold_holds(db) -> None:
    run_state_machine_as_test(Desk, settings=HOW)


def forget_the_load(monkeypatch) -> None:
    monkeypatch.setattr(move, "reweigh", lambda agent_id, by: None)


def move_off_the_table(monkeypatch) -> None:
    monkeypatch.setattr(lifecycle, "check", lambda now, target, part: None)


def take_any_reply_for_an_answer(monkeypatch) -> None:
    monkeypatch.setattr(messages, "is_agent_reply", lambda author, ticket: True)


def forget_the_pauses(monkeypatch) -> None:
    monkeypatch.setattr(timeline.Timeline, "pauses", lambda self, since, until: [])


def forget_that_it_was_told(monkeypatch) -> None:
    monkeypatch.setattr(clocks, "breach", lambda clock: None)


BUGS = [
    forget_the_load,
    move_off_the_table,
    take_any_reply_for_an_answer,
    forget_the_pauses,
    forget_that_it_was_told,
]


@pytest.mark.once
@pytest.mark.parametrize("bug", BUGS, ids=[bug.__name__ for bug in BUGS])
def test_the_machine_finds_a_bug(db, monkeypatch, bug) -> None:
    """Else it would prove nothing."""
    bug(monkeypatch)
    with pytest.raises((AssertionError, IntegrityError)):
        run_state_machine_as_test(
            Desk, settings=settings(HOW, phases=[Phase.generate], print_blob=False)
        )
