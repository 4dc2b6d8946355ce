"""Tickets: listing, opening, reading and editing them, and figures over them."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from servicedesk.api.schema import IF_MATCH
from servicedesk.api.views import DeskViewSet, read_body, rendered
from tickets import lifecycle, services
from tickets.api import inputs
from tickets.api import serializers as shapes
from tickets.api.filters import (
    FILTER_PARAMETERS,
    ORDERING_NAMES,
    filtered,
    newest_change,
    ordering_of,
)
from tickets.api.lookup import (
    TicketAnswer,
    change_by,
    decision_of,
    shown_ticket,
    staff_ticket,
    ticket_answer,
    visible_ticket,
)
from tickets.api.parameters import refuse_nul
from tickets.models import Ticket
from tickets.search import matching
from tickets.stats import stats

SIMILAR = 5


@extend_schema(tags=["tickets"])
class TicketViewSet(DeskViewSet):
    queryset = Ticket.objects.none()
    serializer_class: type[Any] = shapes.SummarySerializer

    @extend_schema(
        responses=shapes.SummarySerializer(many=True),
        parameters=[
            *FILTER_PARAMETERS,
            OpenApiParameter(
                "ordering",
                {"type": "string", "enum": ORDERING_NAMES, "default": "-updated_at"},
                description="`-` for descending; by priority, low comes first; by due time, "
                "what has none comes last.",
            ),
        ],
    )
    def list(self, request: Request) -> Response:
        """The tickets the caller may see, newest change first."""
        caller, at = caller_of(request), timezone.now()
        self.ordering = ordering_of(request, caller)
        tickets = filtered(Ticket.objects.visible_to(caller), request, at=at)
        return self.page_of(tickets.with_people(), caller=caller, at=at)

    @extend_schema(
        request=inputs.NewTicketByStaffSerializer, responses={201: shapes.CreatedSerializer}
    )
    def create(self, request: Request) -> Response:
        """Open a ticket. Where an agent is free, the answer already shows who has it."""
        caller = caller_of(request)
        is_staff = caller.is_desk_staff
        shape = inputs.NewTicketByStaffSerializer if is_staff else inputs.NewTicketSerializer
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
        request=inputs.TicketChangesSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what the ticket says (agents and supervisors)."""
        ticket = staff_ticket(request, pk)
        body = read_body(inputs.TicketChangesSerializer, request)
        apart = {name: body.pop(name, None) for name in ("required_skills", "tags", "priority")}
        services.update_ticket(ticket=ticket, fields=body, **apart, **change_by(request))
        return ticket_answer(request, pk)

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
        caller = caller_of(request)
        names = {"since": "created_after", "until": "created_before", "team": "team"}
        tickets = filtered(Ticket.objects.visible_to(caller), request, names)
        return Response(stats(tickets, caller=caller, at=timezone.now()))

    @extend_schema(
        responses=shapes.SimilarSerializer,
        parameters=[OpenApiParameter("q", {"type": "string", "maxLength": 200}, required=True)],
    )
    def similar(self, request: Request) -> Response:
        """A few open tickets that the caller may see and that hold these words."""
        caller = caller_of(request)
        text = refuse_nul("q", request.query_params.get("q", ""))
        tickets = Ticket.objects.visible_to(caller).filter(status__in=lifecycle.OPEN_STATUSES)
        found = matching(tickets, text, notes=caller.is_desk_staff, any_word=True)
        rows = found.with_people().order_by(newest_change(caller), "-pk")[:SIMILAR]
        results = rendered(shapes.SummarySerializer, list(rows), caller=caller, at=timezone.now())
        return Response({"next": None, "previous": None, "results": results})
