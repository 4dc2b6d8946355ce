"""Merging one ticket into another."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from servicedesk.api.fields import NothingThere, Reference, StrictSerializer
from servicedesk.api.schema import IF_MATCH
from servicedesk.api.views import read_body
from tickets import services
from tickets.api import serializers as shapes
from tickets.api.lookup import TicketPartViewSet, change_by, staff_ticket, ticket_answer
from tickets.models import Ticket


class MergeSerializer(StrictSerializer):
    into = Reference(Ticket.objects.all())


@extend_schema(tags=["work"])
class MergeViewSet(TicketPartViewSet):
    queryset = Ticket.objects.none()
    serializer_class = shapes.DetailSerializer

    @extend_schema(
        request=MergeSerializer, responses={200: shapes.DetailSerializer}, parameters=[IF_MATCH]
    )
    def create(self, request: Request, pk: int) -> Response:
        """Let another ticket go on in this one's place; answers this one, closed.

        Messages, the opening text among them, people and tags go over. Replies to this one reach
        the other from now on.
        """
        ticket = staff_ticket(request, pk)
        into = read_body(MergeSerializer, request)["into"]
        if not Ticket.objects.visible_to(caller_of(request)).filter(pk=into.pk).exists():
            raise NothingThere("into")
        services.merge(source=ticket, into=into, **change_by(request))
        return ticket_answer(request, pk)
