"""Working on a ticket: moving it, giving it to somebody, raising it."""

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from servicedesk.api.schema import IF_MATCH
from servicedesk.api.views import read_body, rendered
from tickets import lifecycle, services
from tickets.api import inputs
from tickets.api import serializers as shapes
from tickets.api.lookup import (
    TicketPartViewSet,
    change_by,
    decision_of,
    refuse_note_of_customer,
    staff_ticket,
    ticket_answer,
    visible_ticket,
)
from tickets.api.sla_serializers import DeadlineSerializer
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.parts import part_of, situation_of
from tickets.sla.explain import explain_clocks


@extend_schema(tags=["work"])
class WorkViewSet(TicketPartViewSet):
    queryset = Ticket.objects.none()
    serializer_class = shapes.DetailSerializer

    @extend_schema(
        request=inputs.StatusChangeSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def status(self, request: Request, pk: int) -> Response:
        """Move the ticket. 409 names what is allowed, or every condition that is not met."""
        ticket = visible_ticket(request, pk)
        body = read_body(inputs.StatusChangeSerializer, request)
        refuse_note_of_customer(request, body)
        services.change_status(
            ticket=ticket,
            to=Status(body["status"]),
            comment=body["comment"],
            is_internal=body["internal"],
            resolution=body["resolution"],
            **change_by(request),
        )
        return ticket_answer(request, pk)

    @extend_schema(
        request=inputs.PriorityChangeSerializer,
        responses=shapes.DetailSerializer,
        parameters=[IF_MATCH],
    )
    def priority(self, request: Request, pk: int) -> Response:
        """Give the ticket another priority."""
        ticket = staff_ticket(request, pk)
        body = read_body(inputs.PriorityChangeSerializer, request)
        services.change_priority(
            ticket=ticket, to=body["priority"], reason=body["reason"], **change_by(request)
        )
        return ticket_answer(request, pk)

    @extend_schema(
        request=inputs.AssignSerializer, responses=shapes.DetailSerializer, parameters=[IF_MATCH]
    )
    def assign(self, request: Request, pk: int) -> Response:
        """Give the ticket to an agent, to the queue (null), or to the best there is ("auto")."""
        ticket = staff_ticket(request, pk)
        body = read_body(inputs.AssignSerializer, request)
        if body["assignee"] == inputs.AssigneeField.AUTO:
            services.assign_automatically(ticket=ticket, **change_by(request))
        else:
            services.assign(
                ticket=ticket, to=body["assignee"], force=body["force"], **change_by(request)
            )
        return ticket_answer(request, pk)

    @extend_schema(request=None, responses=shapes.DetailSerializer)
    def claim(self, request: Request, pk: int) -> Response:
        """Take an unassigned ticket. Of many at once exactly one gets it."""
        ticket = staff_ticket(request, pk)
        services.claim(ticket=ticket, agent=caller_of(request), at=timezone.now())
        return ticket_answer(request, pk)

    @extend_schema(
        request=inputs.EscalateSerializer, responses=shapes.DetailSerializer, parameters=[IF_MATCH]
    )
    def escalate(self, request: Request, pk: int) -> Response:
        """One level and one step of priority up; supervisors are told."""
        ticket = staff_ticket(request, pk)
        body = read_body(inputs.EscalateSerializer, request)
        services.escalate(ticket=ticket, **body, **change_by(request))
        return ticket_answer(request, pk)

    @extend_schema(responses=shapes.MovesSerializer)
    def transitions(self, request: Request, pk: int) -> Response:
        """Every move from here, and for those refused to the caller every reason.

        `available` says whether a bare request would do it. The reasons `comment_required` and
        `resolution_required` are mended by a request that brings `comment` or `resolution` along:
        the ticket's `allowed_actions` count a move in that lacks nothing else.
        """
        ticket = visible_ticket(request, pk)
        now, part = situation_of(ticket, timezone.now()), part_of(caller_of(request), ticket)
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
        return Response(rendered(shapes.MovesSerializer, data))

    @extend_schema(responses=DeadlineSerializer)
    def sla(self, request: Request, pk: int) -> Response:
        """The deadline explained: each clock's start, pauses, working intervals and due time."""
        ticket, at = visible_ticket(request, pk), timezone.now()
        policy = ticket.sla_policy
        data = {
            "policy": policy,
            "calendar": policy.calendar if policy else None,
            "at": at,
            "clocks": explain_clocks(ticket, at),
        }
        return Response(rendered(DeadlineSerializer, data))

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

    @extend_schema(request=inputs.NewRatingSerializer, responses=shapes.RatingSerializer)
    def rating(self, request: Request, pk: int) -> Response:
        """The requester's verdict once resolved; again replaces it."""
        ticket = visible_ticket(request, pk)
        body = read_body(inputs.NewRatingSerializer, request)
        rating = services.rate(ticket=ticket, actor=caller_of(request), at=timezone.now(), **body)
        return Response(rendered(shapes.RatingSerializer, rating))

    @extend_schema(responses=shapes.WorkflowSerializer)
    def workflow(self, request: Request) -> Response:
        """The whole table of statuses and moves, for front ends."""
        return Response(rendered(shapes.WorkflowSerializer, WORKFLOW))


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
