"""Whatever connections do and however time passes: both stores answer what a small model says."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from realtime.presence import Change, Lease, MemoryPresence, PresenceStore, RedisPresence, Viewer

pytestmark = pytest.mark.once

HOW = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
USERS, TICKETS = (1, 2), (42, 43)
user = st.sampled_from(USERS)
ticket = st.sampled_from(TICKETS)
conn = st.sampled_from(["a", "b", "c"])
state = st.sampled_from(["online", "away"])
lease = st.builds(Lease, user, conn, state)
leases = st.lists(lease, max_size=5, unique_by=lambda lease: (lease.user, lease.conn))
# Also the very moment in which something ends, and the one before.
seconds = st.sampled_from([0.001, 1, 7.999, 8, 15, 44.999, 45, 60]) | st.floats(0, 50)


# Two of the three connections are of one person.
WHO = {
    "a": Viewer(1, "Alice", "customer"),
    "b": Viewer(7, "Bob", "agent"),
    "c": Viewer(7, "Bob", "agent"),
}


class Model:
    """Leases by (user, conn) as (state, end, is closed), and what was last announced of whom."""

    def __init__(self) -> None:
        self.leases: dict[tuple[int, str], tuple[str, int, bool]] = {}
        self.announced = dict.fromkeys(USERS, "offline")
        self.versions = dict.fromkeys(USERS, 0)
        # By (ticket, conn), as (person, end).
        self.views: dict[tuple[int, str], tuple[int, int]] = {}

    def open_connections(self, user: int, at: int) -> int:
        return sum(of == user and end > at + 25_000 for (of, _), (_, end, _) in self.leases.items())

    def state(self, user: int, at: int) -> str:
        wishes = {w for (of, _), (w, end, _) in self.leases.items() if of == user and end > at}
        return next((wish for wish in ("online", "away") if wish in wishes), "offline")

    def changes(self, users: set[int], at: int, act: Callable[[], Any]) -> set[Any]:
        before = {user: self.state(user, at) for user in users}
        for key in [
            key for key, (_, end, _) in self.leases.items() if key[0] in users and end <= at
        ]:
            del self.leases[key]
        act()
        changed = set()
        for user in users:
            after = self.state(user, at)
            if not before[user] == after == self.announced[user]:
                self.announced[user] = after
                self.versions[user] = max(self.versions[user] + 1, at)
                changed.add((user, after, self.versions[user]))
        return changed

    def people(self, ticket: int, at: int) -> set[int]:
        return {who for (of, _), (who, end) in self.views.items() if of == ticket and end > at}

    def looks(self, tickets: set[int], at: int, act: Callable[[], Any]) -> set[int]:
        known = {ticket: self.people(ticket, 0) for ticket in tickets}
        current = {ticket: self.people(ticket, at) for ticket in tickets}
        self.views = {
            key: view for key, view in self.views.items() if key[0] not in tickets or view[1] > at
        }
        act()
        return {
            each for each in tickets if not known[each] == current[each] == self.people(each, at)
        }


class Connections(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.prefix = f"{{test-{secrets.token_hex(6)}}}"
        self.stores: list[PresenceStore] = [MemoryPresence(), RedisPresence(self.url, self.prefix)]
        self.model = Model()
        self.now = 1_800_000_000.0

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        with redis.Redis.from_url(self.url) as client:
            if keys := client.keys(f"{self.prefix}*"):
                client.delete(*keys)

    @property
    def at(self) -> int:
        return round(self.now * 1000)

    def both(self, act: Callable[[PresenceStore], Awaitable[Any]]) -> Any:
        """What both stores answer, which is the same."""

        async def ask() -> list[Any]:
            return [await act(store) for store in self.stores]

        in_memory, in_redis = self.runner.run(ask())
        assert plain(in_memory) == plain(in_redis)
        return in_memory

    # --- Leases ---

    @rule(user=user, conn=conn, state=state)
    def touch(self, user, conn, state):
        change, count = self.both(lambda s: s.touch(Lease(user, conn, state), now=self.now))
        held = {(user, conn): (state, self.at + 45_000, False)}
        expected = self.model.changes({user}, self.at, lambda: self.model.leases.update(held))
        assert as_set(change) == expected
        assert count == self.model.open_connections(user, self.at)

    @rule(leases=leases)
    def refresh(self, leases):
        def act():
            for lease in leases:
                key = (lease.user, lease.conn)
                if not self.model.leases.get(key, (None, None, False))[2]:
                    self.model.leases[key] = (lease.state, self.at + 45_000, False)

        changes = self.both(lambda s: s.refresh(leases, now=self.now))
        users = {lease.user for lease in leases}
        assert as_set(*changes) == self.model.changes(users, self.at, act)

    @rule(user=user, conn=conn)
    def leave(self, user, conn):
        def act():
            wish, _, is_closed = self.model.leases.get((user, conn), ("", 0, True))
            if not is_closed:
                self.model.leases[user, conn] = (wish, self.at + 8_000, True)

        change = self.both(lambda s: s.leave(user, conn, now=self.now))
        expected = self.model.changes({user}, self.at, act)
        assert as_set(change) == expected

    @rule()
    def expire(self):
        due = {user for (user, _), (_, end, _) in self.model.leases.items() if end <= self.at}
        changes = self.both(lambda s: s.expire(now=self.now))
        assert as_set(*changes) == self.model.changes(due, self.at, lambda: None)

    # --- Views ---

    @rule(views=st.lists(st.tuples(ticket, conn), max_size=5, unique=True))
    def renew_views(self, views):
        def act():
            for each, conn in views:
                self.model.views[each, conn] = (WHO[conn].id, self.at + 45_000)

        given = [(each, conn, WHO[conn]) for each, conn in views]
        changed = self.both(lambda s: s.renew_views(given, now=self.now))
        tickets = {each for each, _ in views}
        assert set(changed) == self.model.looks(tickets, self.at, act)

    @rule(ticket=ticket, conn=conn)
    def view(self, ticket, conn):
        held = {(ticket, conn): (WHO[conn].id, self.at + 45_000)}
        changed = self.both(lambda s: s.view(ticket, conn, WHO[conn], now=self.now))
        expected = self.model.looks({ticket}, self.at, lambda: self.model.views.update(held))
        assert changed == bool(expected)

    @rule(ticket=ticket, conn=conn)
    def unview(self, ticket, conn):
        changed = self.both(lambda s: s.unview(ticket, conn, now=self.now))
        expected = self.model.looks(
            {ticket}, self.at, lambda: self.model.views.pop((ticket, conn), None)
        )
        assert changed == bool(expected)

    # --- Time, and what holds at any ---

    @rule(seconds=seconds)
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def states_and_viewers_are_those_of_the_model(self):
        found = self.both(lambda s: s.states(USERS, now=self.now))
        assert as_set(*found) == {
            (user, self.model.state(user, self.at), self.model.versions[user]) for user in USERS
        }
        for each in TICKETS:
            viewers = self.both(partial(viewers_of, each, self.now))
            assert {viewer.id for viewer in viewers} == self.model.people(each, self.at)


def viewers_of(ticket: int, now: float, store: PresenceStore) -> Awaitable[list[Viewer]]:
    return store.viewers(ticket, now=now)


def plain(answer: Any) -> Any:
    """Lists as sets, for changes and tickets may come in any order; viewers may not."""
    if not isinstance(answer, list) or any(isinstance(each, Viewer) for each in answer):
        return answer
    return set(answer)


def as_set(*changes: Change | None) -> set[Any]:
    return {(change.user, change.state, change.version) for change in changes if change}


def test_both_stores_do_what_the_model_does(services):
    class Here(Connections):
        url = services.redis_url

    run_state_machine_as_test(Here, settings=HOW)
