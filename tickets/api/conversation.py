"""The conversation of a ticket, its log, and who takes part."""

from typing import Any

from django.http import Http404
from django.utils import timezone
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.serializers import PersonSerializer
from servicedesk.api.responses import Answer
from servicedesk.api.views import read_body, rendered
from servicedesk.errors import DomainError
from tickets import services
from tickets.api import event_serializers, inputs
from tickets.api import serializers as shapes
from tickets.api.events import page_of, render_events, shown_messages
from tickets.api.lookup import (
    TicketPartViewSet,
    refuse_note_of_customer,
    shown_ticket,
    staff_ticket,
    visible_ticket,
)
from tickets.api.parameters import whole_parameter
from tickets.models import Message, Ticket, TicketEvent

EVENTS_A_PAGE = 100
MAX_EVENTS_A_PAGE = 500


class ResyncRequired(DomainError):
    code = "resync_required"
    title = "The log cannot be continued from there"


@extend_schema(tags=["messages"])
class MessageViewSet(TicketPartViewSet):
    queryset = Message.objects.none()
    serializer_class = shapes.MessageSerializer
    ordering = "created_at"

    @extend_schema(responses=shapes.MessageSerializer(many=True))
    def list(self, request: Request, pk: int) -> Response:
        """The conversation, oldest first; internal notes for staff only."""
        ticket = visible_ticket(request, pk)
        is_staff = caller_of(request).is_desk_staff
        messages = ticket.messages.select_related("author")
        if not is_staff:
            messages = messages.filter(is_internal=False)
        page = self.paginate_queryset(messages) or []
        return self.get_paginated_response(shown_messages(page, is_staff=is_staff))

    @extend_schema(
        request=inputs.NewMessageSerializer,
        responses={201: shapes.PostedSerializer, 200: shapes.PostedSerializer},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Reply, or note. The same `client_msg_id` again answers the same message with 200."""
        ticket, caller = visible_ticket(request, pk), caller_of(request)
        body = read_body(inputs.NewMessageSerializer, request)
        refuse_note_of_customer(request, body)
        posted = services.post_message(
            ticket=ticket,
            author=caller,
            body=body["body"],
            is_internal=body["internal"],
            client_msg_id=body.get("client_msg_id"),
            attachments=body["attachments"],
            at=timezone.now(),
        )

        def shown() -> Any:
            is_staff = caller.is_desk_staff
            (data,) = shown_messages([posted.message], is_staff=is_staff)
            if posted.follow_up is None:
                return data
            return {**data, "ticket": shown_ticket(request, posted.follow_up.pk)}

        # A repetition is harmless without being remembered, and may be repeated without end.
        return Answer(shown, 201 if posted.is_new else 200, is_kept=posted.is_new)


@extend_schema(tags=["messages"])
class EventViewSet(TicketPartViewSet):
    queryset = TicketEvent.objects.none()
    serializer_class = event_serializers.EventLogSerializer
    pagination_class = None

    @extend_schema(
        responses=forced_singular_serializer(event_serializers.EventLogSerializer),  # type: ignore[no-untyped-call]
        parameters=[
            OpenApiParameter("after", {"type": "integer", "minimum": 0, "default": 0}),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS_A_PAGE}
            ),
        ],
    )
    def list(self, request: Request, pk: int) -> Response:
        """The ticket's log after `seq` for the caller's audience, without a gap.

        A page may end before its limit where messages are long; the log ends at `head`.
        """
        # The head is read before the events: what comes in between is shown, not promised.
        ticket, caller = visible_ticket(request, pk), caller_of(request)
        is_staff = caller.is_desk_staff
        head = ticket.last_seq if is_staff else ticket.last_public_seq
        after = whole_parameter(request, "after", 0, low=0)
        limit = whole_parameter(request, "limit", EVENTS_A_PAGE, low=1, high=MAX_EVENTS_A_PAGE)
        if after > head:
            raise ResyncRequired(
                f"The log ends at {head}.", snapshot=f"/api/tickets/{ticket.pk}/", head=head
            )
        seq = "seq" if is_staff else "public_seq"
        log = TicketEvent.objects.filter(ticket=ticket, **{f"{seq}__gt": after})
        found = log.select_related("actor").order_by(seq)[:limit]
        results = render_events(page_of(list(found)), is_staff=is_staff)
        return Response({"epoch": ticket.epoch, "head": head, "results": results})


@extend_schema(tags=["tickets"])
class ParticipantViewSet(TicketPartViewSet):
    queryset = Ticket.objects.none()
    serializer_class = PersonSerializer

    @extend_schema(
        request=inputs.NewParticipantSerializer,
        responses={201: shapes.EverybodySerializer, 200: shapes.EverybodySerializer},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Let somebody else see the ticket; answers everybody who takes part."""
        ticket = staff_ticket(request, pk)
        body = read_body(inputs.NewParticipantSerializer, request)
        is_new = services.add_participant(
            ticket=ticket, user=body["user"], actor=caller_of(request), at=timezone.now()
        )
        people = rendered(PersonSerializer, ticket.participants.all())
        page = {"next": None, "previous": None, "results": people}
        return Response(page, 201 if is_new else 200)

    @extend_schema(responses={204: OpenApiResponse(description="They see it no more.")})
    def destroy(self, request: Request, pk: int, user: int) -> Response:
        """Take the ticket out of somebody's sight."""
        ticket = staff_ticket(request, pk)
        if not services.remove_participant(
            ticket=ticket, user_id=user, actor=caller_of(request), at=timezone.now()
        ):
            raise Http404
        return Response(status=204)
