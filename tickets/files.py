"""What files are to tickets. The app that keeps them lies to the right of this one and says so
with `provide`; without it there are none."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from agents.models import User
from servicedesk.errors import FieldError
from tickets.events import Entry
from tickets.models import Message, Ticket

# So many go with one message, or with a new ticket.
MAX_ATTACHED = 20


class File(Protocol):
    """What is shown of a file; `links` are paths, null where there is nothing."""

    id: UUID
    filename: str
    size: int
    sha256: str
    content_type: str
    category: str
    is_internal: bool
    created_at: datetime

    @property
    def ticket_id(self) -> int | None: ...
    @property
    def uploaded_by(self) -> Any: ...
    @property
    def scan_status(self) -> str: ...
    @property
    def preview_status(self) -> str: ...
    @property
    def links(self) -> Mapping[str, str | None]: ...


@dataclass(frozen=True)
class Reception:
    """What became of files that were handed in: the drafts made of them, and a sentence about each
    that is not taken."""

    drafts: list[UUID]
    refusals: list[str]


class Upload(Protocol):
    """A file that a form has brought."""

    @property
    def name(self) -> str | None: ...
    def chunks(self) -> Iterable[bytes]: ...


class Files(Protocol):
    def receive(self, uploads: Sequence[Upload], *, author: User, at: datetime) -> Reception:
        """Take files from a form, each looked at by itself, as drafts of the author's. Slow: not in
        a transaction. Raises DomainError where none can be taken at all."""

    def attach(
        self,
        ids: Sequence[UUID],
        *,
        ticket: Ticket,
        author: User,
        at: datetime,
        message: Message | None = None,
        is_internal: bool = False,
    ) -> list[Entry]:
        """Put the author's drafts on a ticket that is locked, as part of the message if there is
        one. Answers what is to be recorded. Raises FieldError."""

    def of_messages(self, ids: Collection[int]) -> Mapping[int, Sequence[File]]:
        """The files of each of these messages, in the order in which they were uploaded."""

    def sent_with(self, message_id: int) -> Collection[UUID]:
        """The files that went with a message, also those that were removed since."""

    def without_message(self, ticket_id: int) -> Sequence[File]:
        """The files of a ticket that came by themselves, in the order of their upload."""

    def refusal_of(self, file: File) -> str:
        """Why the bytes of a file are not given out now, as a sentence; or nothing."""

    def named(self, ids: Iterable[str]) -> Mapping[str, File]:
        """Files that a log speaks of, the removed ones too, by their ids."""

    def move(self, source: Ticket, survivor: Ticket) -> list[Entry]:
        """Let the survivor of a merger have the source's files, both being locked. Answers what is
        to be recorded of the survivor."""


class NoFiles:
    def receive(self, uploads: Sequence[Upload], **_: Any) -> Reception:
        return Reception([], ["This desk takes no files."] if uploads else [])

    def attach(self, ids: Sequence[UUID], **_: Any) -> list[Entry]:
        if ids:
            raise FieldError("attachments", "This desk takes no files.")
        return []

    def of_messages(self, ids: Collection[int]) -> Mapping[int, Sequence[File]]:
        return {}

    def sent_with(self, message_id: int) -> Collection[UUID]:
        return []

    def without_message(self, ticket_id: int) -> Sequence[File]:
        return []

    def refusal_of(self, file: File) -> str:
        return ""

    def named(self, ids: Iterable[str]) -> Mapping[str, File]:
        return {}

    def move(self, source: Ticket, survivor: Ticket) -> list[Entry]:
        return []


_provided: list[Files] = [NoFiles()]


def provide(files: Files) -> None:
    _provided[:] = [files]


def kept() -> Files:
    """Whoever keeps the files of this desk."""
    return _provided[0]
