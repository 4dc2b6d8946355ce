"""The desk as it ships: `manage.py serve`, people who are signed in, tickets, the real log."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.live.crowd import frame, upgrade
from benchmarks.live.subjects import MESSAGE_BYTES, Publish, Subject, text

# Enough people for 2,000 sockets: one user may have 20.
AGENTS, CUSTOMERS, TICKETS = 100, 25, 100
# What an event's frame has around a text.
ENVELOPE_BYTES = 137


class Desk:
    """Made when Django is set up on an empty database.

    The sockets are spread evenly over the users, all of whom may see every ticket.
    """

    def __init__(self) -> None:
        from agents.models import Role, User
        from tickets.models import Participant

        roles = [Role.AGENT] * AGENTS + [Role.CUSTOMER] * CUSTOMERS
        self.users = [User.objects.create_user(f"user{n}", role=r) for n, r in enumerate(roles)]
        self.tickets = [self._open_ticket(number) for number in range(TICKETS)]
        self.tokens: list[str] = []
        Participant.objects.bulk_create(
            Participant(ticket=ticket, user=customer)
            for ticket in self.tickets
            for customer in self.users[AGENTS:]
        )

    def _open_ticket(self, number: int) -> Any:
        from django.utils import timezone

        from agents.models import User
        from tickets.services import open_ticket

        requester = User.objects.create_user(f"requester{number}")
        return open_ticket(
            requester=requester,
            subject=f"Ticket {number}",
            actor=requester,
            at=timezone.now(),
        )

    def sign_in(self) -> None:
        """New tokens for everybody; they live 15 minutes."""
        from django.utils import timezone

        from agents import sessions

        self.tokens = [sessions.start(user=user, at=timezone.now()).access for user in self.users]

    # --- As subjects ------------------------------------------------------------------

    def subjects(self) -> tuple[Subject, Subject]:
        """The same server twice: with small events, and with messages that people post."""
        return (
            self.subject("desk", "the desk", self._join_first, self._record),
            self.subject(
                "desk_posted", "the desk, messages by its service", self._join_first, self.post
            ),
        )

    def subject(
        self,
        name: str,
        label: str,
        join: Callable[[int], bytes],
        publish: Callable[[bytes], object],
    ) -> Subject:
        return Subject(
            name,
            label,
            ("manage.py", "serve", "--port", "{port}"),
            _publisher(publish),
            {"DATABASE_URL": _database_url()},
            request=self._request,
            greeting=b'"hello"',
            join=join,
            joined=b'"room.live"',
        )

    def _request(self, number: int) -> bytes:
        token = self.tokens[number % len(self.tokens)]
        return upgrade("/ws/", f"Sec-WebSocket-Protocol: desk.v1, bearer.{token}")

    def _join_first(self, number: int) -> bytes:
        return self._join(0)

    def join_any(self, number: int) -> bytes:
        """As after a restart: everybody where they were, which is not all in one place."""
        return self._join(number % len(self.tickets))

    def _join(self, place: int) -> bytes:
        ticket = self.tickets[place].pk
        return frame(b'{"type":"room.join","id":"1","data":{"ticket":%d}}' % ticket)

    # --- What happens to the first ticket ---------------------------------------------

    def _record(self, mark: bytes) -> None:
        """An event that becomes a frame of about MESSAGE_BYTES, with as little around it as a
        recorded and announced event can have."""
        from django.db import transaction
        from django.utils import timezone

        from tickets.events import Entry, record
        from tickets.locks import lock_ticket
        from tickets.models import Kind

        data = {"comment": text(mark, MESSAGE_BYTES - ENVELOPE_BYTES)}
        with transaction.atomic():
            ticket = lock_ticket(self.tickets[0].pk)
            record(ticket, Entry(Kind.RATED, data, data), actor=None, at=timezone.now())

    def post(self, mark: bytes) -> float:
        """A reply of MESSAGE_BYTES by an agent. Answers when it was committed, before anybody
        was told, in seconds of time.monotonic()."""
        from django.db import transaction
        from django.utils import timezone

        from tickets.services import post_message

        committed: list[float] = []
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.monotonic()))
            post_message(
                ticket=self.tickets[0],
                author=self.users[0],
                body=text(mark),
                at=timezone.now(),
            )
        return committed[0]


def _publisher(
    publish: Callable[[bytes], object],
) -> Callable[[str], AbstractContextManager[Publish]]:
    """The layer's Redis is known to this process by its settings."""

    @contextmanager
    def publisher(_: str) -> Iterator[Publish]:
        yield publish

    return publisher


def _database_url() -> str:
    from django.db import connection

    name = connection.settings_dict["NAME"]
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
