"""Who is writing where. Soft state of one process: what nobody renews ends by itself. No I/O."""

from dataclasses import dataclass

from realtime.protocol.frames import Person

# Others hear of it this often at most, and it ends so long after the last word of it.
SAY_EVERY_SECONDS = 3.0
ENDS_AFTER_SECONDS = 6.0


@dataclass
class Writing:
    person: Person
    internal: bool
    until: float


class Typing:
    """`now` is a clock that does not jump, in seconds."""

    def __init__(self) -> None:
        self._writing: dict[tuple[int, int], Writing] = {}
        self._said_at: dict[tuple[int, int, bool], float] = {}

    def may_say(self, ticket: int, user: int, now: float, *, internal: bool) -> bool:
        """Whether it is time to tell others that this user, of ours, writes."""
        key = (ticket, user, internal)
        if now - self._said_at.get(key, -SAY_EVERY_SECONDS) < SAY_EVERY_SECONDS:
            return False
        self._said_at[key] = now
        return True

    def started(self, ticket: int, person: Person, now: float, *, internal: bool) -> bool:
        """Answers whether a public reply has just become a note, so that customers must hear that
        it ended."""
        key = (ticket, person.id)
        earlier = self._writing.get(key)
        self._writing[key] = Writing(person, internal, now + ENDS_AFTER_SECONDS)
        return earlier is not None and internal and not earlier.internal

    def stopped(self, ticket: int, user: int) -> Writing | None:
        """What ended, if anything did. When it was said last is not forgotten: starting again at
        once says nothing new."""
        return self._writing.pop((ticket, user), None)

    def is_writing(self, ticket: int, user: int) -> bool:
        return (ticket, user) in self._writing

    def in_ticket(self, ticket: int, *, with_internal: bool) -> list[Writing]:
        return [
            writing
            for (where, _), writing in self._writing.items()
            if where == ticket and (with_internal or not writing.internal)
        ]

    def expire(self, now: float) -> list[tuple[int, Writing]]:
        """The tickets and people of whom nothing was heard for too long."""
        over = [key for key, writing in self._writing.items() if writing.until <= now]
        self._said_at = {
            key: at for key, at in self._said_at.items() if now - at < ENDS_AFTER_SECONDS
        }
        return [(ticket, self._writing.pop((ticket, user))) for ticket, user in over]
