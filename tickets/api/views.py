"""Tickets over HTTP. A view reads the request, finds what the caller may see, and makes one call."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.permissions import ReadOrSupervise
from agents.api.serializers import PersonSerializer
from servicedesk.api.fields import MAX_ID
from servicedesk.api.preconditions import etag, expected_versions
from servicedesk.api.responses import Answer
from servicedesk.api.schema import IF_MATCH
from servicedesk.api.views import DeskViewSet, read_body
from servicedesk.errors import DomainError, FieldError
from tickets import lifecycle, services
from tickets.api import serializers as shapes
from tickets.api.events import render_events
from tickets.api.filters import TicketFilters, ordering_of
from tickets.lifecycle import Status
from tickets.models import (
    AssignmentDecision,
    Category,
    Message,
    Notification,
    Ticket,
    TicketEvent,
)
from tickets.parts import part_of, require_staff, situation_of
from tickets.search import matching
from tickets.stats import stats

EVENTS_A_PAGE = 100
MAX_EVENTS_A_PAGE = 500
SIMILAR = 5


class ResyncRequired(DomainError):
    code = "resync_required"
    title = "The log cannot be continued from there"


class TicketAnswer(Answer):
    """A ticket and its version as an entity tag."""

    def headers_of(self, data: Any) -> dict[str, str]:
        return {"ETag": etag(data["version"])}


def visible_ticket(request: Request, pk: int) -> Ticket:
    """The ticket, if the caller may see it; else 404, as if there were none."""
    if pk > MAX_ID:
        raise Http404
    return get_object_or_404(Ticket.objects.visible_to(request.user), pk=pk)


def staff_ticket(request: Request, pk: int) -> Ticket:
    """The same for what only staff may do: 404 where it is hidden, 403 where it is seen."""
    ticket = visible_ticket(request, pk)
    require_staff(request.user)
    return ticket


def shown_ticket(request: Request, pk: int, shape: type[Any] = shapes.DetailSerializer) -> Any:
    """A ticket's representation, read anew.

    Not through `visible_to`: after one's own change one sees the result, even of a change that
    has taken the ticket out of one's sight.
    """
    ticket = Ticket.objects.with_people().prefetch_related("participants").get(pk=pk)
    return shape(ticket, context={"caller": request.user, "at": timezone.now()}).data


def ticket_answer(request: Request, pk: int, status: int = 200) -> TicketAnswer:
    return TicketAnswer(lambda: shown_ticket(request, pk), status)


def decision_of(ticket_id: int) -> Any:
    """The newest stored decision of a ticket, if it has an assignee."""
    decision = (
        AssignmentDecision.objects.filter(ticket=ticket_id, ticket__assignee__isnull=False)
        .select_related("agent")
        .first()
    )
    return shapes.DecisionSerializer(decision).data if decision else None


@extend_schema(tags=["tickets"])
class TicketViewSet(DeskViewSet):
    queryset = Ticket.objects.none()
    serializer_class = shapes.DetailSerializer
    filterset_class = TicketFilters

    @extend_schema(
        responses=shapes.SummarySerializer(many=True),
        filters=True,
        parameters=[
            OpenApiParameter(
                "ordering",
                {
                    "type": "string",
                    "enum": [
                        s + n for n in ("updated_at", "created_at", "priority") for s in ("", "-")
                    ],
                    "default": "-updated_at",
                },
                description="`-` for descending; by priority, low comes first.",
            )
        ],
    )
    def list(self, request: Request) -> Response:
        """The tickets the caller may see, newest change first."""
        self.ordering = ordering_of(request)
        tickets = self._filtered(Ticket.objects.visible_to(request.user))
        page = self.paginate_queryset(tickets.with_people())
        shape = shapes.SummarySerializer(page, many=True, context={"caller": request.user})
        return self.get_paginated_response(shape.data)

    @extend_schema(
        request=shapes.NewTicketByStaffSerializer, responses={201: shapes.CreatedSerializer}
    )
    def create(self, request: Request) -> Response:
        """Open a ticket. Where an agent is free, the answer already shows who has it."""
        caller = request.user
        is_staff = caller.is_desk_staff
        shape = shapes.NewTicketByStaffSerializer if is_staff else shapes.NewTicketSerializer
        body = {"requester": caller, **read_body(shape, request)}
        ticket = services.open_ticket(**body, actor=caller, at=timezone.now())

        def shown() -> Any:
            data = shown_ticket(request, ticket.pk)
            return {**data, "assignment": decision_of(ticket.pk)} if is_staff else data

        return TicketAnswer(shown, 201)

    @extend_schema(responses=shapes.DetailSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One ticket."""
        visible_ticket(request, pk)
        return ticket_answer(request, pk)

    @extend_schema(
        request=shapes.TicketChangesSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what the ticket says (agents and supervisors)."""
        ticket = staff_ticket(request, pk)
        body = read_body(shapes.TicketChangesSerializer, request)
        apart = {name: body.pop(name, None) for name in ("required_skills", "tags", "priority")}
        services.update_ticket(ticket=ticket, fields=body, **apart, **self._change(request))
        return ticket_answer(request, pk)

    @extend_schema(
        request=shapes.StatusChangeSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def status(self, request: Request, pk: int) -> Response:
        """Move the ticket. 409 names what is allowed, or every condition that is not met."""
        ticket = visible_ticket(request, pk)
        body = read_body(shapes.StatusChangeSerializer, request)
        services.change_status(
            ticket=ticket,
            to=Status(body["status"]),
            comment=body["comment"],
            is_internal=body["internal"],
            resolution=body["resolution"],
            **self._change(request),
        )
        return ticket_answer(request, pk)

    @extend_schema(
        request=shapes.PriorityChangeSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def priority(self, request: Request, pk: int) -> Response:
        """Give the ticket another priority."""
        ticket = staff_ticket(request, pk)
        body = read_body(shapes.PriorityChangeSerializer, request)
        services.change_priority(
            ticket=ticket, to=body["priority"], reason=body["reason"], **self._change(request)
        )
        return ticket_answer(request, pk)

    @extend_schema(
        request=shapes.AssignSerializer, responses=shapes.DetailSerializer, parameters=[IF_MATCH]
    )
    def assign(self, request: Request, pk: int) -> Response:
        """Give the ticket to an agent, to the queue (null), or to the best there is ("auto")."""
        ticket = staff_ticket(request, pk)
        body = read_body(shapes.AssignSerializer, request)
        if body["assignee"] == shapes.AssigneeField.AUTO:
            services.assign_automatically(ticket=ticket, **self._change(request))
        else:
            services.assign(
                ticket=ticket, to=body["assignee"], force=body["force"], **self._change(request)
            )
        return ticket_answer(request, pk)

    @extend_schema(request=None, responses=shapes.DetailSerializer)
    def claim(self, request: Request, pk: int) -> Response:
        """Take an unassigned ticket. Of many at once exactly one gets it."""
        ticket = staff_ticket(request, pk)
        services.claim(ticket=ticket, agent=request.user, at=timezone.now())
        return ticket_answer(request, pk)

    @extend_schema(request=shapes.EscalateSerializer, responses=shapes.DetailSerializer)
    def escalate(self, request: Request, pk: int) -> Response:
        """One level and one step of priority up; supervisors are told."""
        ticket = staff_ticket(request, pk)
        body = read_body(shapes.EscalateSerializer, request)
        services.escalate(ticket=ticket, **body, **self._change(request))
        return ticket_answer(request, pk)

    @extend_schema(responses=shapes.MovesSerializer)
    def transitions(self, request: Request, pk: int) -> Response:
        """Every move from here, and for those refused to the caller every reason."""
        ticket = visible_ticket(request, pk)
        now, part = situation_of(ticket, timezone.now()), part_of(request.user, ticket)
        moves = [
            {
                "to": move.target,
                "label": move.label,
                "requires": [guard.requires for guard in move.guards],
                "reasons": (reasons := lifecycle.refusals(move, now, part)),
                "available": not reasons,
            }
            for move in lifecycle.moves_from(now.status)
        ]
        data = {"current": ticket.status, "transitions": moves}
        return Response(shapes.MovesSerializer(data).data)

    @extend_schema(responses=shapes.RecommendationsSerializer)
    def recommendations(self, request: Request, pk: int) -> Response:
        """Who should have this ticket: best first, the ineligible last with their reasons."""
        ticket = staff_ticket(request, pk)
        return Response({"candidates": services.recommend(ticket=ticket, at=timezone.now())})

    @extend_schema(responses=shapes.DecisionSerializer)
    def assignment(self, request: Request, pk: int) -> Response:
        """The stored decision behind the present assignee."""
        ticket = staff_ticket(request, pk)
        decision = decision_of(ticket.pk)
        if decision is None:
            raise Http404
        return Response(decision)

    @extend_schema(
        responses=shapes.EventLogSerializer,
        parameters=[
            OpenApiParameter("after", {"type": "integer", "minimum": 0, "default": 0}),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS_A_PAGE}
            ),
        ],
    )
    def events(self, request: Request, pk: int) -> Response:
        """The ticket's log after `seq` for the caller's audience, without a gap."""
        # The head is read before the events: what comes in between is shown, not promised.
        ticket = visible_ticket(request, pk)
        is_staff = request.user.is_desk_staff
        head = ticket.last_seq if is_staff else ticket.last_public_seq
        after = _whole_parameter(request, "after", 0, low=0)
        limit = _whole_parameter(request, "limit", EVENTS_A_PAGE, low=1, high=MAX_EVENTS_A_PAGE)
        if after > head:
            raise ResyncRequired(
                f"The log ends at {head}.", snapshot=f"/api/tickets/{ticket.pk}/", head=head
            )
        seq = "seq" if is_staff else "public_seq"
        log = TicketEvent.objects.filter(ticket=ticket, **{f"{seq}__gt": after})
        found = log.select_related("actor").order_by(seq)[:limit]
        results = render_events(list(found), request.user)
        data = {"epoch": ticket.epoch, "head": head, "results": results}
        return Response(data)

    @extend_schema(responses=shapes.WorkflowSerializer)
    def workflow(self, request: Request) -> Response:
        """The whole table of statuses and moves, for front ends."""
        return Response(shapes.WorkflowSerializer(WORKFLOW).data)

    @extend_schema(
        responses=shapes.StatsSerializer,
        parameters=[
            OpenApiParameter("since", {"type": "string", "format": "date-time"}),
            OpenApiParameter("until", {"type": "string", "format": "date-time"}),
            OpenApiParameter("team", {"type": "string"}, description="Team ids by comma."),
        ],
    )
    def stats(self, request: Request) -> Response:
        """Figures over what the caller sees, by the time of opening."""
        names = {"since": "created_after", "until": "created_before", "team": "team"}
        if unknown := sorted(set(request.query_params) - set(names)):
            raise FieldError(unknown[0], "There is no such filter.")
        data = {names[key]: value for key, value in request.query_params.items()}
        tickets = self._filtered(Ticket.objects.visible_to(request.user), data)
        return Response(stats(tickets, caller=request.user, at=timezone.now()))

    @extend_schema(
        responses=shapes.SummarySerializer(many=True),
        parameters=[OpenApiParameter("q", {"type": "string", "maxLength": 200}, required=True)],
    )
    def similar(self, request: Request) -> Response:
        """A few open tickets that the caller may see and that hold these words."""
        text = request.query_params.get("q", "")
        if "\x00" in text:
            raise FieldError("q", "A search holds no NUL.")
        tickets = Ticket.objects.visible_to(request.user).filter(status__in=lifecycle.OPEN_STATUSES)
        found = matching(tickets, text, notes=request.user.is_desk_staff, any_word=True)
        field = "-updated_at" if request.user.is_desk_staff else "-public_updated_at"
        rows = found.with_people().order_by(field, "-pk")[:SIMILAR]
        shape = shapes.SummarySerializer(rows, many=True, context={"caller": request.user})
        return Response({"next": None, "previous": None, "results": shape.data})

    @extend_schema(request=shapes.NewRatingSerializer, responses=shapes.RatingSerializer)
    def rating(self, request: Request, pk: int) -> Response:
        """The requester's verdict once resolved; again replaces it."""
        ticket = visible_ticket(request, pk)
        body = read_body(shapes.NewRatingSerializer, request)
        rating = services.rate(ticket=ticket, actor=request.user, at=timezone.now(), **body)
        return Response(shapes.RatingSerializer(rating).data)

    def _change(self, request: Request) -> dict[str, Any]:
        """Who, when, and on top of which versions."""
        return {
            "actor": request.user,
            "at": timezone.now(),
            "expected": expected_versions(request),
        }

    def _filtered(self, tickets: Any, data: dict[str, str] | None = None) -> Any:
        query = self.request.query_params if data is None else data
        filters = TicketFilters(query, queryset=tickets, request=self.request)
        if not filters.is_valid():
            raise FieldError(*_first_error(filters.errors))
        return filters.qs


@extend_schema(tags=["messages"])
class MessageViewSet(DeskViewSet):
    queryset = Message.objects.none()
    serializer_class = shapes.MessageSerializer
    ordering = "pk"

    @extend_schema(responses=shapes.MessageSerializer(many=True))
    def list(self, request: Request, pk: int) -> Response:
        """The conversation, oldest first; internal notes for staff only."""
        ticket = visible_ticket(request, pk)
        messages = ticket.messages.select_related("author")
        if not request.user.is_desk_staff:
            messages = messages.filter(is_internal=False)
        page = self.paginate_queryset(messages)
        shape = shapes.MessageSerializer(page, many=True, context={"caller": request.user})
        return self.get_paginated_response(shape.data)

    @extend_schema(
        request=shapes.NewMessageSerializer,
        responses={201: shapes.PostedSerializer, 200: shapes.PostedSerializer},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Reply, or note. The same `client_msg_id` again answers the same message with 200."""
        ticket = visible_ticket(request, pk)
        body = read_body(shapes.NewMessageSerializer, request)
        if body["internal"] and not request.user.is_desk_staff:
            raise FieldError("internal", "Only agents write internal notes.")
        posted = services.post_message(
            ticket=ticket,
            author=request.user,
            body=body["body"],
            is_internal=body["internal"],
            client_msg_id=body.get("client_msg_id"),
            at=timezone.now(),
        )

        def shown() -> Any:
            data = shapes.MessageSerializer(posted.message, context={"caller": request.user}).data
            if posted.follow_up is None:
                return data
            return {**data, "ticket": shown_ticket(request, posted.follow_up.pk)}

        return Answer(shown, 201 if posted.is_new else 200)


@extend_schema(tags=["tickets"])
class ParticipantViewSet(DeskViewSet):
    queryset = Ticket.objects.none()
    serializer_class = PersonSerializer

    @extend_schema(
        request=shapes.NewParticipantSerializer,
        responses={201: PersonSerializer(many=True), 200: PersonSerializer(many=True)},
    )
    def create(self, request: Request, pk: int) -> Response:
        """Let somebody else see the ticket; answers everybody who takes part."""
        ticket = staff_ticket(request, pk)
        body = read_body(shapes.NewParticipantSerializer, request)
        is_new = services.add_participant(
            ticket=ticket, user=body["user"], actor=request.user, at=timezone.now()
        )
        people = PersonSerializer(ticket.participants.all(), many=True).data
        page = {"next": None, "previous": None, "results": people}
        return Response(page, 201 if is_new else 200)

    @extend_schema(responses={204: OpenApiResponse(description="They see it no more.")})
    def destroy(self, request: Request, pk: int, user: int) -> Response:
        """Take the ticket out of somebody's sight."""
        ticket = staff_ticket(request, pk)
        removed = user <= MAX_ID and services.remove_participant(
            ticket=ticket, user_id=user, actor=request.user, at=timezone.now()
        )
        if not removed:
            raise Http404
        return Response(status=204)


@extend_schema(tags=["tickets"])
class CategoryViewSet(DeskViewSet):
    queryset: QuerySet[Category] = Category.objects.select_related("team").prefetch_related(
        "skills"
    )
    permission_classes = (IsAuthenticated, ReadOrSupervise)
    serializer_class = shapes.CategorySerializer

    def list(self, request: Request) -> Response:
        """What tickets can be about."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=shapes.NewCategorySerializer, responses={201: shapes.CategorySerializer})
    def create(self, request: Request) -> Response:
        """A new category, with the team and the skills that it brings."""
        category = services.create_category(**read_body(shapes.NewCategorySerializer, request))
        return Response(self.get_serializer(category).data, 201)


@extend_schema(tags=["notifications"])
class NotificationViewSet(DeskViewSet):
    queryset = Notification.objects.none()
    serializer_class = shapes.NotificationSerializer

    @extend_schema(parameters=[OpenApiParameter("unread", {"type": "boolean"})])
    def list(self, request: Request) -> Response:
        """What the caller has been told, newest first."""
        unread = request.query_params.get("unread", "false")
        if unread not in ("true", "false"):
            raise FieldError("unread", "true or false.")
        told = Notification.objects.filter(user=request.user).select_related("ticket")
        page = self.paginate_queryset(told.filter(read_at=None) if unread == "true" else told)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=shapes.ReadNotificationsSerializer,
        responses={204: OpenApiResponse(description="Marked as read.")},
    )
    def read(self, request: Request) -> Response:
        """Mark the caller's notifications as read."""
        ids = read_body(shapes.ReadNotificationsSerializer, request)["ids"]
        services.mark_read(user=request.user, ids=None if ids == "all" else ids, at=timezone.now())
        return Response(status=204)


def _whole_parameter(
    request: Request, name: str, default: int, *, low: int, high: int = 2**31
) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text[:18]) <= high:
        raise FieldError(name, f"A whole number from {low} to {high}.")
    return int(text)


def _first_error(errors: Any) -> tuple[str, str]:
    name, messages = next(iter(errors.items()))
    return name, str(messages[0])


WORKFLOW = {
    "statuses": [
        {
            "key": status,
            "label": status.label,
            "is_open": status in lifecycle.OPEN_STATUSES,
            "is_final": status in lifecycle.FINAL_STATUSES,
            "pauses_sla": status in lifecycle.PAUSING_STATUSES,
        }
        for status in Status
    ],
    "transitions": [
        {
            "source": move.source,
            "to": move.target,
            "label": move.label,
            "roles": sorted(part.value for part in move.parts if part in lifecycle.ROLES),
            "requires": [guard.requires for guard in move.guards],
        }
        for move in lifecycle.TRANSITIONS
    ],
}
