"""Who listens to what happened: here the sockets are told.

Only announcing: nothing is written. What a socket misses it finds in the log.
"""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest

from agents.signals import access_changed
from realtime import log
from realtime.access import cookie_name
from realtime.broadcast import Parcel, listened_to, publish
from realtime.messages import EVERYBODY, Check, Happened, Hint, News
from realtime.room import Audience, RoomKey
from tickets.api.events import EventRenderer
from tickets.events import ticket_event
from tickets.models import Notification, TicketEvent
from tickets.notifications import notified


def publish_on_event(*, event: TicketEvent, **kwargs: Any) -> None:
    is_public = event.public_seq is not None
    audiences: list[Audience] = ["staff", "customer"] if is_public else ["staff"]
    groups = {RoomKey(event.ticket_id, audience).group: audience for audience in audiences}
    heard = listened_to([*groups, EVERYBODY])
    told = [audience for group, audience in groups.items() if group in heard]
    publish([*_happened(event, told), *([_hint(event)] if EVERYBODY in heard else [])])


def _happened(event: TicketEvent, audiences: Sequence[Audience]) -> list[Parcel]:
    if not audiences:
        return []
    renderer, messages = EventRenderer([event]), []
    for audience in audiences:
        seq, frame, may_change_access = log.entry_of(renderer, event, audience)
        messages.append(Happened(event.ticket_id, audience, seq, frame.json, may_change_access))
    return [(message.group, message) for message in messages]


def _hint(event: TicketEvent) -> Parcel:
    ticket = event.ticket
    joined = list(ticket.participants.values_list("pk", flat=True))
    people = {ticket.requester_id, ticket.assignee_id, *joined} - {None}
    is_public = event.public_seq is not None
    return EVERYBODY, Hint(ticket.pk, ticket.team_id, sorted(filter(None, people)), is_public)


def tell_on_notified(*, notifications: list[Notification], **kwargs: Any) -> None:
    publish([(EVERYBODY, News(n.user_id, n.pk, n.kind, n.ticket_id)) for n in notifications])


def check_on_access_changed(*, user_ids: list[int], ended: list[str], **kwargs: Any) -> None:
    publish([(EVERYBODY, Check(user_ids, ended))])


def end_on_logged_out(*, request: HttpRequest | None, **kwargs: Any) -> None:
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key:
        publish([(EVERYBODY, Check([], [cookie_name(key)]))])


def connect() -> None:
    ticket_event.connect(publish_on_event, dispatch_uid="publish_on_event")
    notified.connect(tell_on_notified, dispatch_uid="tell_on_notified")
    access_changed.connect(check_on_access_changed, dispatch_uid="check_on_access_changed")
    user_logged_out.connect(end_on_logged_out, dispatch_uid="end_on_logged_out")
