"""A room by itself: what is delivered, what is asked for, and who must leave."""

from dataclasses import dataclass, field

import pytest

from realtime import room as rooms
from realtime.protocol.wire import Prepared
from realtime.room import (
    ACCESS_REVOKED,
    KEPT,
    RESYNC_REQUIRED,
    Entry,
    Page,
    Room,
    RoomKey,
    Standing,
)

ALICE, BOB, CHARLIE = 1, 2, 3


@dataclass(eq=False)
class Reader:
    user_id: int
    got: list[int] = field(default_factory=list)

    def send(self, frame: Prepared) -> None:
        self.got.append(int(frame.json))


class Asked(Room):
    """A room that counts how often it asks to be refilled."""

    def __init__(self) -> None:
        super().__init__(RoomKey(42, "staff"), lambda _: self.count())
        self.asked = 0

    def count(self) -> None:
        self.asked += 1


def entry(seq: int, *, may_change_access: bool = False) -> Entry:
    return Entry(seq, Prepared(str(seq).encode()), may_change_access)


def page(*seqs: int, allowed: tuple[int, ...], head: int = 0, epoch: str = "e") -> Page:
    return Page(Standing(epoch, head or seqs[-1]), [entry(seq) for seq in seqs], allowed)


def room_at(head: int, *readers: Reader) -> Asked:
    room = Asked()
    for reader in readers:
        room.enter(reader)
    room.open(Standing("e", head))
    for reader in readers:
        assert room.admit(reader, head)
    return room


@pytest.fixture
def alice() -> Reader:
    return Reader(ALICE)


@pytest.fixture
def bob() -> Reader:
    return Reader(BOB)


# --- What is heard -----------------------------------------------------------------------


def test_the_next_event_goes_to_everybody_at_once(alice, bob) -> None:
    room = room_at(5, alice, bob)
    room.hear(entry(6))
    assert (alice.got, bob.got, room.head, room.asked) == ([6], [6], 6, 0)


def test_what_was_had_before_is_dropped(alice) -> None:
    room = room_at(5, alice)
    for seq in (6, 6, 5, 1):
        room.hear(entry(seq))
    assert (alice.got, room.asked) == ([6], 0)


def test_over_a_gap_nothing_is_delivered_but_the_log_is_asked_once(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(8))
    room.hear(entry(9))
    assert (alice.got, room.head, room.asked) == ([], 5, 1)


def test_what_fills_the_gap_before_the_log_answers_is_delivered_once(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(7))
    room.begin_refill()
    room.hear(entry(6))
    room.hear(entry(7))
    assert room.refill(page(6, 7, 8, allowed=(ALICE,))) == []
    assert (alice.got, room.asked) == ([6, 7, 8], 1)


def test_what_may_change_access_waits_for_the_log(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(6, may_change_access=True))
    assert (alice.got, room.asked) == ([], 1)


def test_a_room_that_is_not_open_hears_nothing(alice) -> None:
    room = Asked()
    room.enter(alice)
    room.hear(entry(1))
    assert room.hear_head(Standing("e", 9), after=0) == []
    assert (alice.got, room.asked) == ([], 0)


def test_an_empty_room_asks_for_nothing_until_somebody_is_in(alice, bob) -> None:
    room = room_at(5, alice)
    room.leave(alice)
    room.hear(entry(9))
    assert room.asked == 0
    room.enter(bob)
    room.admit(bob, 9)
    assert room.asked == 1


def test_a_signal_goes_to_the_live_but_not_to_whom_it_is_about(alice, bob) -> None:
    room = room_at(5, alice, bob)
    room.enter(Reader(CHARLIE))
    room.say(Prepared(b"77", is_signal=True), but_not_user=ALICE)
    assert (alice.got, bob.got, room.head) == ([], [77], 5)


# --- Arriving ----------------------------------------------------------------------------


def test_who_arrives_gets_what_came_since_they_looked_and_then_the_rest(alice, bob) -> None:
    room = room_at(5, alice)
    room.enter(bob)
    room.hear(entry(6))
    assert bob.got == []
    assert room.admit(bob, 5)
    room.hear(entry(7))
    assert (alice.got, bob.got) == ([6, 7], [6, 7])


def test_who_is_too_far_behind_for_what_is_kept_reads_the_log_first(alice, bob) -> None:
    room = room_at(0, alice)
    for seq in range(1, KEPT + 2):
        room.hear(entry(seq))
    room.enter(bob)
    assert not room.admit(bob, 0)
    assert room.is_arriving(bob)
    assert bob.got == []
    assert room.admit(bob, 1)
    assert bob.got == list(range(2, KEPT + 2))


def test_kept_events_are_handed_out_whole_or_not_at_all(alice, monkeypatch) -> None:
    monkeypatch.setattr(rooms, "KEPT", 3)
    room = room_at(0, alice)
    for seq in range(1, 6):
        room.hear(entry(seq))
    assert [each.seq for each in room.kept_between(2, 5) or ()] == [3, 4, 5]
    assert room.kept_between(1, 5) is None
    assert room.kept_between(4, 6) is None
    assert room.kept_between(5, 5) == []


def test_who_has_more_than_the_room_gets_nothing_twice(alice, bob) -> None:
    room = room_at(5, alice)
    room.enter(bob)
    assert room.admit(bob, 7)
    assert room.asked == 1
    for seq in (6, 7, 8):
        room.hear(entry(seq))
    assert (alice.got, bob.got) == ([6, 7, 8], [8])


def test_who_comes_in_anew_is_not_live_until_let_in_again(alice) -> None:
    room = room_at(5, alice)
    room.enter(alice)
    room.hear(entry(6))
    assert not room.is_member(alice)
    assert (room.members(), alice.got) == ([alice], [])


def test_who_is_held_gets_what_came_meanwhile_when_let_in_again(alice, bob) -> None:
    room = room_at(5, alice, bob)
    arrival, cursor = room.suspend(alice)
    assert room.is_arriving(alice, arrival)
    room.hear(entry(6))
    assert (alice.got, bob.got) == ([], [6])
    assert room.admit(alice, cursor)
    assert alice.got == [6]


def test_who_was_ahead_is_held_where_they_were(alice) -> None:
    room = room_at(5)
    room.enter(alice)
    room.admit(alice, 7)
    arrival, cursor = room.suspend(alice)
    assert cursor == 7
    room.enter(alice)
    assert room.is_arriving(alice)
    assert not room.is_arriving(alice, arrival)


def test_what_is_kept_is_bounded_in_bytes(alice, monkeypatch) -> None:
    monkeypatch.setattr(rooms, "KEPT_BYTES", 10)
    room = room_at(0, alice)
    for seq in range(1, 6):
        room.hear(entry(seq))
    # Each of these is three bytes on the wire.
    assert room.kept_between(2, 5) is not None
    assert room.kept_between(1, 5) is None


def test_only_the_first_look_opens_a_room(alice) -> None:
    room = room_at(5, alice)
    room.open(Standing("e", 9))
    assert (room.head, room.epoch) == (5, "e")


def test_a_look_older_than_the_rooms_beginning_does_not_let_in(alice) -> None:
    """Who looked at 5 may have lost access at 6, and nobody would ask."""
    room = Asked()
    assert room.continues(Standing("e", 5))
    room.enter(alice)
    room.open(Standing("e", 7))
    room.hear(entry(8))
    assert not room.continues(Standing("e", 6))
    assert room.continues(Standing("e", 7))
    assert not room.continues(Standing("another", 9))


# --- Sweeps ------------------------------------------------------------------------------


def test_a_sweep_that_sees_more_makes_the_room_ask(alice) -> None:
    room = room_at(5, alice)
    assert room.hear_head(Standing("e", 5), after=5) == []
    assert room.asked == 0
    assert room.hear_head(Standing("e", 6), after=5) == []
    assert room.asked == 1


def test_a_sweep_that_was_overtaken_changes_nothing(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(6))
    assert room.hear_head(Standing("e", 5), after=5) == []
    assert (room.head, room.asked) == (6, 0)


@pytest.mark.parametrize(
    "standing", [Standing("other", 9), Standing("e", 4), Standing("", 0)], ids=str
)
def test_a_log_that_began_anew_sends_everybody_back_to_the_snapshot(standing, alice, bob) -> None:
    room = room_at(5, alice)
    room.enter(bob)
    gone = room.hear_head(standing, after=5)
    assert sorted((member.user_id, reason) for member, reason in gone) == [
        (ALICE, RESYNC_REQUIRED),
        (BOB, RESYNC_REQUIRED),
    ]
    assert room.is_empty


# --- Refilling ---------------------------------------------------------------------------


def test_a_refill_asks_about_all_who_are_in_or_arrive(alice, bob) -> None:
    room = room_at(5, alice)
    room.enter(bob)
    assert room.begin_refill() == (5, {ALICE, BOB})


def test_who_may_not_see_it_leaves_before_anything_is_sent(alice, bob) -> None:
    room = room_at(5, alice, bob)
    room.begin_refill()
    assert room.refill(page(6, 7, allowed=(BOB,))) == [(alice, ACCESS_REVOKED)]
    assert (alice.got, bob.got) == ([], [6, 7])


def test_who_left_meanwhile_is_not_turned_out(alice, bob) -> None:
    room = room_at(5, alice, bob)
    room.begin_refill()
    room.leave(alice)
    assert room.refill(page(6, allowed=())) == [(bob, ACCESS_REVOKED)]


def test_where_there_is_more_it_asks_again(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(9))
    room.begin_refill()
    room.refill(page(6, 7, allowed=(ALICE,), head=9))
    assert (alice.got, room.asked) == ([6, 7], 2)


def test_about_newcomers_it_asks_before_access_may_have_changed(alice, bob) -> None:
    room = room_at(5, alice)
    room.hear(entry(8))
    room.begin_refill()
    room.enter(bob)
    read = [entry(6), entry(7, may_change_access=True), entry(8)]
    room.refill(Page(Standing("e", 8), read, {ALICE}))
    assert (alice.got, room.asked) == ([6], 2)
    assert room.begin_refill() == (6, {ALICE, BOB})
    assert room.refill(Page(Standing("e", 8), read[1:], {ALICE})) == [(bob, ACCESS_REVOKED)]
    assert (alice.got, bob.got) == ([6, 7, 8], [])


def test_a_log_that_could_not_be_read_is_asked_for_again(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(7))
    room.begin_refill()
    room.try_again()
    assert room.asked == 2


def test_a_log_with_a_gap_is_not_asked_at_once_again(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(7))
    room.begin_refill()
    room.refill(Page(Standing("e", 7), [], [ALICE]))
    assert room.has_gap
    assert room.asked == 1
    room.try_again()
    assert room.asked == 2


def test_what_was_committed_while_the_log_was_read_is_no_gap(alice) -> None:
    room = room_at(5, alice)
    room.hear(entry(7))
    room.hear(entry(6))
    room.hear(entry(7))
    room.begin_refill()
    room.refill(Page(Standing("e", 8), [], [ALICE]))
    assert not room.has_gap
    assert room.asked == 2


def test_a_refill_that_finds_another_log_sends_everybody_back(alice) -> None:
    room = room_at(5, alice)
    room.begin_refill()
    assert room.refill(page(6, allowed=(ALICE,), epoch="new")) == [(alice, RESYNC_REQUIRED)]
    assert alice.got == []


def test_a_room_has_one_name_for_clients_and_two_in_the_layer() -> None:
    staff, customers = RoomKey(42, "staff"), RoomKey(42, "customer")
    assert staff.name == customers.name == "ticket:42"
    assert staff.group != customers.group
    assert [RoomKey.of_group(key.group) for key in (staff, customers)] == [staff, customers]
