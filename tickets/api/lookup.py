"""Finding a ticket for a caller, and answering with one."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.request import Request

from agents.api.callers import caller_of
from servicedesk.api.preconditions import etag, expected_versions
from servicedesk.api.responses import Answer
from servicedesk.api.views import DeskViewSet, rendered
from servicedesk.errors import FieldError
from tickets.api import serializers as shapes
from tickets.models import AssignmentDecision, Ticket
from tickets.parts import require_staff


class TicketAnswer(Answer):
    """A ticket and its version as an entity tag."""

    def headers_of(self, data: Any) -> dict[str, str]:
        return {"ETag": etag(data["version"])}


def visible_ticket(request: Request, pk: int) -> Ticket:
    """The ticket, if the caller may see it; else 404, as if there were none."""
    return get_object_or_404(Ticket.objects.visible_to(caller_of(request)), pk=pk)


def staff_ticket(request: Request, pk: int) -> Ticket:
    """The same for what only staff may do: 404 where it is hidden, 403 where it is seen."""
    ticket = visible_ticket(request, pk)
    require_staff(caller_of(request))
    return ticket


class TicketPartViewSet(DeskViewSet):
    """What lies under /api/tickets/<pk>/."""

    def check_replay(self, request: Request, **kwargs: Any) -> None:
        if "pk" in kwargs:
            visible_ticket(request, kwargs["pk"])


def refuse_note_of_customer(request: Request, body: dict[str, Any]) -> None:
    """Raises FieldError."""
    if body["internal"] and not caller_of(request).is_desk_staff:
        raise FieldError("internal", "Only agents write internal notes.")


def shown_ticket(request: Request, pk: int) -> Any:
    """A ticket's representation, read anew.

    Not through `visible_to`: after one's own change one sees the result, even of a change that
    has taken the ticket out of one's sight.
    """
    ticket = (
        Ticket.objects.with_people()
        .select_related("rating")
        .prefetch_related("participants")
        .get(pk=pk)
    )
    return rendered(shapes.DetailSerializer, ticket, caller=caller_of(request), at=timezone.now())


def ticket_answer(request: Request, pk: int, status: int = 200) -> TicketAnswer:
    return TicketAnswer(lambda: shown_ticket(request, pk), status)


def decision_of(ticket_id: int) -> Any:
    """The newest stored decision of a ticket, if it has an assignee."""
    decision = (
        AssignmentDecision.objects.filter(ticket=ticket_id, ticket__assignee__isnull=False)
        .select_related("agent")
        .first()
    )
    return rendered(shapes.DecisionSerializer, decision) if decision else None


def change_by(request: Request) -> dict[str, Any]:
    """Who changes something, when, and on top of which versions (If-Match)."""
    return {
        "actor": caller_of(request),
        "at": timezone.now(),
        "expected": expected_versions(request),
    }
