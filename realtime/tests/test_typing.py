"""Who writes where: told once in three seconds, over after six, and never to the wrong people."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.protocol.frames import Person
from realtime.typing import ENDS_AFTER_SECONDS, SAY_EVERY_SECONDS, Typing

BOB = Person(2, "Bob", "agent")
SAM = Person(3, "Sam", "supervisor")
TICKET = 42
laws = settings(deadline=None)
pauses = st.lists(st.floats(0, 4), min_size=1, max_size=50)


@laws
@given(pauses)
def test_others_are_told_at_most_once_in_three_seconds(pauses) -> None:
    typing, now, told = Typing(), 0.0, []
    for pause in pauses:
        now += pause
        if typing.may_say(TICKET, BOB.id, now, internal=False):
            told.append(now)
    assert told[0] == pauses[0]
    assert all(b - a >= SAY_EVERY_SECONDS for a, b in pairwise(told))


def test_a_note_and_a_reply_are_told_apart_and_stopping_makes_no_room_for_more() -> None:
    typing = Typing()
    assert typing.may_say(TICKET, BOB.id, 0, internal=False)
    assert typing.may_say(TICKET, BOB.id, 0, internal=True)
    assert not typing.may_say(TICKET, BOB.id, 1, internal=True)
    typing.stopped(TICKET, BOB.id)
    assert not typing.may_say(TICKET, BOB.id, 1, internal=True)
    assert typing.may_say(TICKET, BOB.id, SAY_EVERY_SECONDS, internal=True)


@laws
@given(pauses)
def test_writing_ends_six_seconds_after_the_last_word_of_it(pauses) -> None:
    typing, now = Typing(), 0.0
    for pause in pauses:
        now += pause
        assert typing.expire(now) == []
        typing.started(TICKET, BOB, now, internal=False)
    end = now + ENDS_AFTER_SECONDS
    assert typing.expire(end - 0.001) == []
    ((ticket, writing),) = typing.expire(end)
    assert (ticket, writing.person) == (TICKET, BOB)
    assert not typing.is_writing(TICKET, BOB.id)
    assert typing.expire(end) == []


def test_only_a_reply_that_becomes_a_note_has_ended_for_the_customer() -> None:
    typing = Typing()
    becomes = [typing.started(TICKET, BOB, 0, internal=each) for each in (True, False, True, True)]
    assert becomes == [False, False, True, False]


def test_notes_are_listed_only_for_who_may_see_them() -> None:
    typing = Typing()
    typing.started(TICKET, BOB, 0, internal=True)
    typing.started(TICKET, SAM, 0, internal=False)
    typing.started(7, BOB, 0, internal=False)
    seen = {
        audience: {each.person for each in typing.in_ticket(TICKET, with_internal=audience)}
        for audience in (False, True)
    }
    assert seen == {False: {SAM}, True: {BOB, SAM}}


def test_what_nobody_began_cannot_stop() -> None:
    assert Typing().stopped(TICKET, BOB.id) is None


def test_nothing_is_remembered_of_who_has_long_stopped() -> None:
    typing = Typing()
    for user in range(100):
        typing.may_say(TICKET, user, 0, internal=False)
    typing.expire(ENDS_AFTER_SECONDS)
    assert not typing._said_at
