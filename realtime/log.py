"""Reading the event log for rooms. Synchronous; `realtime.database` runs these in threads."""

from collections.abc import Collection, Sequence

from django.db.models import QuerySet

from agents.models import User
from realtime.protocol.wire import Prepared
from realtime.room import Audience, Entry, Page, RoomKey, Standing
from servicedesk.api.renderers import dumps
from tickets.api.events import EventRenderer, page_of
from tickets.models import Kind, Ticket, TicketEvent

PAGE = 200
# Of a ticket that is not there any more.
GONE = Standing("", 0)
# Rows asked for in one statement, below what SQLite takes as parameters.
CHUNK = 500
# What happens without changing who may see a ticket. Every other kind makes a room ask.
HARMLESS = frozenset(
    {
        Kind.OPENED,
        Kind.STATUS_CHANGED,
        Kind.PRIORITY_CHANGED,
        Kind.MESSAGE_CREATED,
        Kind.FILE_ATTACHED,
        Kind.FILE_SCANNED,
        Kind.FILE_PREVIEWED,
        Kind.FILE_REMOVED,
        Kind.RATED,
        Kind.SLA_WARNED,
        Kind.SLA_BREACHED,
    }
)


def audience_of(user: User) -> Audience:
    return "staff" if user.is_desk_staff else "customer"


def entries_of(events: Sequence[TicketEvent], audience: Audience) -> list[Entry]:
    """The events as a room's audience gets them; internal ones must have been left out."""
    renderer = EventRenderer(events)
    return [entry_of(renderer, event, audience) for event in events]


def entry_of(renderer: EventRenderer, event: TicketEvent, audience: Audience) -> Entry:
    shown = renderer.render(event, is_staff=audience == "staff")
    frame = {"type": "event", "room": f"ticket:{event.ticket_id}", **shown}
    return Entry(shown["seq"], Prepared(dumps(frame)), event.kind not in HARMLESS)


def look(user: User, tickets: Collection[int]) -> dict[int, Standing]:
    """Of the tickets that the user may see, where their log stands for them: one query."""
    seen = Ticket.objects.visible_to(user).filter(pk__in=tickets).order_by()
    audience = audience_of(user)
    return {key.ticket: at for key, at in _standings(seen).items() if key.audience == audience}


def heads(keys: Collection[RoomKey]) -> dict[RoomKey, Standing]:
    """Where the logs stand now. Rooms of tickets that are gone are absent."""
    ids = sorted({key.ticket for key in keys})
    found: dict[RoomKey, Standing] = {}
    for start in range(0, len(ids), CHUNK):
        found |= _standings(Ticket.objects.filter(pk__in=ids[start : start + CHUNK]).order_by())
    return {key: found[key] for key in keys if key in found}


def _standings(tickets: QuerySet[Ticket]) -> dict[RoomKey, Standing]:
    found = {}
    for pk, epoch, head, public in tickets.values_list(
        "pk", "epoch", "last_seq", "last_public_seq"
    ):
        found[RoomKey(pk, "staff")] = Standing(epoch, head)
        found[RoomKey(pk, "customer")] = Standing(epoch, public)
    return found


def between(key: RoomKey, after: int, upto: int) -> list[Entry]:
    """The events after `after` up to `upto`, in order, at most a page of them."""
    return entries_of(_events(key, after, upto), key.audience)


def read_page(key: RoomKey, after: int, users: Collection[int]) -> Page:
    """The next events, and then - in this order - which of the users may see the ticket.

    Whoever is named has seen it, at that later moment, so nobody gets what was committed after
    they lost access.
    """
    entries = entries_of(_events(key, after), key.audience)
    standing = heads([key]).get(key, GONE)
    return Page(standing, entries, allowed(key, users))


def allowed(key: RoomKey, users: Collection[int]) -> set[int]:
    """Which of the users may still be in the room. A query each: a room has few of them."""
    tickets = Ticket.objects.filter(pk=key.ticket).order_by()
    return {
        user.pk
        for user in User.objects.filter(pk__in=users)
        if audience_of(user) == key.audience and tickets.visible_to(user).exists()
    }


def _events(key: RoomKey, after: int, upto: int | None = None) -> Sequence[TicketEvent]:
    seq = "seq" if key.audience == "staff" else "public_seq"
    log = TicketEvent.objects.filter(ticket=key.ticket, **{f"{seq}__gt": after})
    if upto is not None:
        log = log.filter(**{f"{seq}__lte": upto})
    return page_of(list(log.select_related("actor").order_by(seq)[:PAGE]))
