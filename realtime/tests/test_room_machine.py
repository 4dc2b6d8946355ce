"""Whatever happens around a room: no gap, no double, no leak, and everybody catches up.

`HUB_SESSIONS=100000` looks for longer.
"""

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from realtime import room as rooms
from realtime.room import Entry, Page, Room
from realtime.tests.desk_of_rooms import (
    KEPT,
    PEOPLE,
    TICKETS,
    Commit,
    Desk,
    Found,
    How,
    Process,
    Steps,
    play,
)

pytestmark = pytest.mark.once
SESSIONS = int(os.environ.get("HUB_SESSIONS", "10000"))
# Each mistake below is found long before that.
ENOUGH = 50_000
HOW = settings(
    max_examples=max(100, SESSIONS // 100),
    stateful_step_count=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

# Little to choose from, so that what is chosen meets: one ticket, and who may see it at first.
ticket = st.just(TICKETS[0])
THREE_PAGES = (1, 3, 12)
which = st.integers(0, 5)
few = st.integers(0, 3)
yes_or_no = st.booleans()


@pytest.fixture(autouse=True)
def small_rooms(monkeypatch):
    monkeypatch.setattr(rooms, "KEPT", KEPT)


class Rooms(RuleBasedStateMachine):
    """What the driver does at random, Hypothesis searches, and shortens what it finds.

    A rule is something that may happen. What must hold is asserted by the clients, whenever
    something is sent to them, and in the end by the desk itself.
    """

    make_room = Room

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(2, THREE_PAGES, self.make_room)

    @rule(which=which)
    def go_on(self, which):
        self.desk.go_on(which)

    @rule()
    def finish(self):
        """Without anything in between."""
        for nth in range(40):
            self.desk.go_on(nth)

    @rule(process=which, which=which, keeps_copy=yes_or_no)
    def deliver(self, process, which, keeps_copy):
        self.desk.deliver(process, which, keeps_copy=keeps_copy)

    @rule(process=which, which=which)
    def lose(self, process, which):
        self.desk.lose(process, which)

    @rule(ticket=ticket, count=st.integers(1, 12), is_internal=yes_or_no, is_published=yes_or_no)
    def write(self, ticket, count, is_internal, is_published):
        what = Commit(ticket, before=count, is_internal=is_internal)
        self.desk.commit(what, is_published=is_published)

    @rule(
        ticket=ticket,
        user=st.sampled_from(THREE_PAGES),
        before=few,
        after=few,
        is_internal=yes_or_no,
        is_published=yes_or_no,
    )
    def change_access(self, ticket, user, before, after, is_internal, is_published):
        what = Commit(ticket, user, before, after, is_internal)
        self.desk.commit(what, is_published=is_published)

    @rule(who=which, process=which, ticket=ticket)
    def come(self, who, process, ticket):
        self.desk.connect(who, process)
        self.desk.join(who, ticket)

    @rule(process=which, ticket=ticket)
    def all_come(self, process, ticket):
        for who in range(len(THREE_PAGES)):
            self.come(who, process, ticket)
        self.finish()

    @rule(who=which, ticket=ticket, how=st.sampled_from(How))
    def join(self, who, ticket, how):
        self.desk.join(who, ticket, how)

    @rule(who=which, ticket=ticket)
    def leave(self, who, ticket):
        self.desk.leave(who, ticket)

    @rule(who=which, unread=few, cancels=yes_or_no)
    def disconnect(self, who, unread, cancels):
        self.desk.disconnect(who, unread, cancels=cancels)

    @rule(process=which, unread=few)
    def kill(self, process, unread):
        self.desk.kill(process, unread)

    @rule(process=which)
    def sweep(self, process):
        self.desk.sweep(process)

    @rule(who=which)
    def look_at(self, who):
        self.desk.look_at(who)

    @rule()
    def fail(self):
        self.desk.fail()

    @rule(ticket=ticket, count=which)
    def begin_anew(self, ticket, count):
        self.desk.begin_anew(ticket, count)

    @invariant()
    def no_room_is_further_than_its_members(self):
        self.desk.beat()

    def teardown(self) -> None:
        self.desk.settle()


def test_whatever_is_lost_doubled_or_cut_everybody_has_each_event_once(capsys) -> None:
    had = play(Desk, SESSIONS)
    with capsys.disabled():
        print(f"\n{had:,} sessions of rooms: no gap, no double, no leak")  # noqa: T201
    assert had >= SESSIONS


def test_nor_does_hypothesis_find_an_order_of_things_that_breaks_a_room() -> None:
    run_state_machine_as_test(Rooms, settings=HOW)


# --- Mistakes ----------------------------------------------------------------------------


class HearsItsHeadAgain(Room):
    def hear(self, entry: Entry) -> None:
        if self.is_open and entry.seq == self.head:
            self.say(entry.frame)
        super().hear(entry)


class DeliversOverAGap(Room):
    def hear(self, entry: Entry) -> None:
        if self.is_open and entry.seq > self.head and not entry.may_change_access:
            self._advance(entry)


class GoesLiveWithoutWhatCameMeanwhile(Room):
    def admit(self, member, cursor: int) -> bool:
        return super().admit(member, max(cursor, self.head))


class HandsOutWhatIsLeft(Room):
    def kept_between(self, after: int, upto: int) -> list[Entry] | None:
        return [entry for entry in self._kept if after < entry.seq <= upto] or (
            super().kept_between(after, upto)
        )


class TurnsNobodyOut(Room):
    def refill(self, page: Page):
        return super().refill(Page(page.standing, page.entries, PEOPLE))


class TellsOfAccessDirectly(Room):
    def hear(self, entry: Entry) -> None:
        super().hear(entry._replace(may_change_access=False))


class ForgetsNewcomers(Room):
    def _has_newcomers(self) -> bool:
        return False


class ForgetsWhoIsAhead(Room):
    def admit(self, member, cursor: int) -> bool:
        is_in = super().admit(member, cursor)
        self._ahead.clear()
        return is_in


class LetsInWhoLookedBeforeItBegan(Room):
    def continues(self, standing) -> bool:
        return not self.is_open or standing.epoch == self.epoch


class FollowsTwoLogs(Room):
    def _began_anew(self, standing, after: int) -> bool:
        return False


class NeverAsksAgain(Room):
    def try_again(self) -> None:
        pass


class IsSweptInVain(Room):
    def hear_head(self, standing, *, after: int):
        return []


class CaresOnlyForTheLive(Room):
    @property
    def is_empty(self) -> bool:
        return not self._live


class AsksBeforeItReads(Process):
    """A refill that reads who may see the ticket, and then the events."""

    def refill(self, room: Room) -> Steps:
        yield
        after, users = room.begin_refill()
        log, audience = self.desk.logs[room.key.ticket], room.key.audience
        allowed = users & log.may_see
        yield
        entries, standing = log.page(audience, after), log.standing(audience)
        yield
        self.put_out(room.key, room.refill(Page(standing, entries, allowed)))


class DeskThatAsksBeforeItReads(Desk):
    make_process = AsksBeforeItReads


MISTAKES: list[type[Room]] = [
    HearsItsHeadAgain,
    DeliversOverAGap,
    GoesLiveWithoutWhatCameMeanwhile,
    HandsOutWhatIsLeft,
    TurnsNobodyOut,
    TellsOfAccessDirectly,
    ForgetsNewcomers,
    ForgetsWhoIsAhead,
    LetsInWhoLookedBeforeItBegan,
    FollowsTwoLogs,
    NeverAsksAgain,
    IsSweptInVain,
    CaresOnlyForTheLive,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[each.__name__ for each in MISTAKES])
def test_a_mistake_in_a_room_is_found(mistake) -> None:
    """Else it would prove nothing."""
    with pytest.raises(Found):
        play(partial(Desk, make_room=mistake), ENOUGH)


def test_a_refill_that_asks_before_it_reads_is_found() -> None:
    with pytest.raises(Found):
        play(DeskThatAsksBeforeItReads, ENOUGH)


@pytest.mark.parametrize("mistake", [TurnsNobodyOut, ForgetsWhoIsAhead, IsSweptInVain])
def test_hypothesis_finds_mistakes_too(mistake) -> None:
    class Machine(Rooms):
        make_room = mistake

    once = settings(HOW, max_examples=1000, phases=[Phase.generate], print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=once)
