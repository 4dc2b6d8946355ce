"""Events as clients read them."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import Any

from django.db.models.functions import Length

from agents.api.serializers import PersonSerializer
from agents.models import User
from tickets import files
from tickets.api.serializers import FileSerializer, MessageSerializer
from tickets.models import Kind, Message, TicketEvent

PEOPLE_IN = {Kind.ASSIGNED: ("from", "to"), Kind.PARTICIPANTS_CHANGED: ("added", "removed")}


# The kinds that tell of a file.
OF_FILES = {Kind.FILE_ATTACHED, Kind.FILE_SCANNED, Kind.FILE_PREVIEWED, Kind.FILE_REMOVED}
# So many characters of messages go on one page.
PAGE_OF_TEXT = 1_000_000


def page_of(events: Sequence[TicketEvent]) -> Sequence[TicketEvent]:
    """The first of the events, at least one, whose messages are not too much for one page."""
    ids = _message_ids(events)
    lengths = dict(Message.objects.filter(pk__in=ids).values_list("pk", Length("body")))
    named = (event.data.get("message") for event in events)
    totals = accumulate(lengths.get(pk, 0) for pk in named)
    fitting = sum(1 for _ in takewhile(lambda total: total <= PAGE_OF_TEXT, totals))
    return events[: max(fitting, 1)]


def render_events(events: Sequence[TicketEvent], *, is_staff: bool) -> list[dict[str, Any]]:
    """`{seq, event, at, actor, data}` for staff or for customers; with a fixed number of
    queries for all of them.

    Internal events must have been left out already where it is for customers.
    """
    renderer = EventRenderer(events)
    return [renderer.render(event, is_staff=is_staff) for event in events]


class EventRenderer:
    """The log names messages and people by id; here they become what a reader may see of them."""

    def __init__(self, events: Sequence[TicketEvent]) -> None:
        self._messages = _messages(events)
        self._attached = files.kept().of_messages(list(self._messages))
        self._files = files.kept().named(e.data["file"] for e in events if e.kind in OF_FILES)
        self._people = _people(events)
        self._shown: dict[int, dict[str, Any]] = {}

    def render(self, event: TicketEvent, *, is_staff: bool) -> dict[str, Any]:
        data = dict(event.data if is_staff else event.public_data or {})
        seq = event.seq if is_staff else event.public_seq
        if event.kind == Kind.MESSAGE_CREATED:
            # Its place is the one it has in this log, also where it has gone on with a merger.
            data["message"] = {**self._message(data["message"]), "seq": seq}
        if event.kind in OF_FILES:
            data["file"] = FileSerializer(self._files[data["file"]]).data
        for key in PEOPLE_IN.get(Kind(event.kind), ()):
            data[key] = _named(data[key], self._people)
        return {
            "seq": seq,
            "event": event.kind,
            "at": event.at,
            "actor": actor_of(event),
            "data": data,
        }

    def _message(self, pk: int) -> dict[str, Any]:
        """Rendered once, whatever the number of audiences."""
        if pk not in self._shown:
            context = {"is_staff": True, "files": self._attached}
            self._shown[pk] = MessageSerializer(self._messages[pk], context=context).data
        return self._shown[pk]


def shown_messages(messages: Sequence[Message], *, is_staff: bool) -> list[dict[str, Any]]:
    """The messages as staff or customers see them, with their files: one query for all."""
    attached = files.kept().of_messages([message.pk for message in messages])
    context = {"is_staff": is_staff, "files": attached}
    return [MessageSerializer(message, context=context).data for message in messages]


def actor_of(event: TicketEvent) -> dict[str, Any] | None:
    """Who did it; None where the desk did it by itself."""
    if event.actor is None:
        return None
    kind = "supervisor" if event.actor.is_superuser else event.actor.role
    return {**PersonSerializer(event.actor).data, "kind": kind}


def _named(value: Any, people: dict[int, User]) -> Any:
    # Somebody who only took part may have been deleted since; the log still names their id.
    if isinstance(value, list):
        return [PersonSerializer(people[pk]).data for pk in value if pk in people]
    return PersonSerializer(people[value]).data if value in people else None


def _messages(events: Iterable[TicketEvent]) -> dict[int, Message]:
    ids = _message_ids(events)
    return Message.objects.select_related("author").in_bulk(ids) if ids else {}


def _message_ids(events: Iterable[TicketEvent]) -> list[int]:
    return [event.data["message"] for event in events if event.kind == Kind.MESSAGE_CREATED]


def _people(events: Iterable[TicketEvent]) -> dict[int, User]:
    ids: set[int] = set()
    for event in events:
        for key in PEOPLE_IN.get(Kind(event.kind), ()):
            value = event.data[key]
            ids.update(value if isinstance(value, list) else [value])
    ids.discard(None)
    return User.objects.in_bulk(ids) if ids else {}
