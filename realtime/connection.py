"""One signed-in socket, as the hub knows it."""

import asyncio
from collections.abc import Callable, Collection
from typing import Literal

from django.utils import timezone

from agents.models import Team, User
from realtime.access import SignedIn
from realtime.database import in_database
from realtime.log import audience_of
from realtime.outbound import Outbound
from realtime.protocol import HEARTBEAT_SECONDS
from realtime.protocol.frames import (
    TOKEN_EXPIRED,
    AuthExpiring,
    Bye,
    Frame,
    Hello,
    Limits,
    Person,
    PersonKind,
    UserInfo,
)
from realtime.protocol.wire import Prepared, prepare
from realtime.room import Audience, RoomKey
from servicedesk.api.renderers import iso

# How long before its token ends a client is told.
EXPIRING_SECONDS = 60.0


def person_of(user: User) -> Person:
    """As people appear in rooms; like the actor of an event."""
    kind: PersonKind = "supervisor" if user.is_superuser else user.role  # type: ignore[assignment]
    return Person(user.pk, user.display_name, kind)


def teams_of(user: User) -> frozenset[int]:
    return frozenset(Team.objects.filter(agents=user.pk).values_list("pk", flat=True))


class Connection:
    """Compared by identity: it is a member of rooms and a key of dictionaries."""

    def __init__(
        self, name: str, signed_in: SignedIn, outbound: Outbound, end: Callable[[Bye], None]
    ) -> None:
        self.name = name
        # For life: whoever becomes somebody else comes again.
        self.audience: Audience = audience_of(signed_in.user)
        self._timers: list[asyncio.TimerHandle] = []
        self.sign_in(signed_in)
        self.outbound = outbound
        self.send: Callable[[Prepared], None] = outbound.send
        self.presence: Literal["online", "away"] = "online"
        self.rooms: dict[int, RoomKey] = {}
        # Tickets that it is about to be let into, or not.
        self.entering: set[int] = set()
        # Tickets that it is known to look at.
        self.seats: set[int] = set()
        self._teams: frozenset[int] = frozenset()
        self.typing_in: set[int] = set()
        self.watched: frozenset[int] = frozenset()
        self._end = end
        self.is_ending = False

    def sign_in(self, signed_in: SignedIn) -> None:
        """With a token that ends: say so a minute before, and close when it does."""
        self.forget_token()
        self.signed_in = signed_in
        if signed_in.token_expires_at is None:
            return
        left = (signed_in.token_expires_at - timezone.now()).total_seconds()
        expiring = AuthExpiring(iso(signed_in.token_expires_at) or "")
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(max(left - EXPIRING_SECONDS, 0), lambda: self.say(expiring)),
            loop.call_later(max(left, 0), lambda: self.end(TOKEN_EXPIRED)),
        ]

    def forget_token(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    @property
    def user(self) -> User:
        return self.signed_in.user

    @property
    def user_id(self) -> int:
        return self.signed_in.user.pk

    @property
    def person(self) -> Person:
        return person_of(self.user)

    async def learn_teams(self) -> None:
        """Of which teams' tickets an agent on the desk wants to hear."""
        self._teams = await in_database(teams_of, self.user)

    def is_concerned(self, team: int | None, people: Collection[int]) -> bool:
        """Whether a ticket of that team and those people is one of this agent's."""
        if self.user.is_supervisor or team is None:
            return True
        return team in self._teams or self.user_id in people

    def greet(self) -> None:
        self.say(
            Hello(
                conn=self.name,
                user=UserInfo(self.user_id, self.user.role, self.user.display_name),
                heartbeat_ms=int(HEARTBEAT_SECONDS * 1000),
                limits=Limits(),
                token_expires_at=iso(self.signed_in.token_expires_at),
            )
        )

    def say(self, frame: Frame) -> None:
        self.send(prepare(frame))

    def end(self, bye: Bye) -> None:
        """Say good-bye and close, once. Returns at once."""
        if not self.is_ending:
            self.is_ending = True
            self._end(bye)
