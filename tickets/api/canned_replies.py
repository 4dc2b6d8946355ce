"""Canned replies: read by agents, written by supervisors."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
)
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.permissions import IsStaff, ReadOrSupervise
from agents.api.serializers import NamedSerializer, PersonSerializer
from servicedesk.api.fields import MAX_ID, Flag, Line, Reference, StrictSerializer, Text
from servicedesk.api.views import DeskViewSet, read_body, rendered
from servicedesk.errors import FieldError
from tickets import canned, services
from tickets.api.inputs import TEAMS
from tickets.api.parameters import refuse_nul, whole_parameter
from tickets.models import CannedReply, Ticket
from tickets.models.canned_reply import MAX_TITLE, CannedReplyQuerySet
from tickets.models.message import MAX_BODY
from tickets.search import MAX_QUERY

PLACEHOLDERS = (
    f"Markdown; may hold {', '.join(f'`{{{{{name}}}}}`' for name in canned.PLACEHOLDERS)}."
)


class CannedReplyChangesSerializer(StrictSerializer):
    title = Line(max_length=MAX_TITLE, required=False)
    body = Text(max_length=MAX_BODY, required=False, help_text=PLACEHOLDERS)
    team = Reference(TEAMS, required=False, allow_null=True, help_text="Null: everybody's.")
    is_active = Flag(required=False)


class NewCannedReplySerializer(CannedReplyChangesSerializer):
    title = Line(max_length=MAX_TITLE)
    body = Text(max_length=MAX_BODY, help_text=PLACEHOLDERS)


class CannedReplySerializer(serializers.Serializer[CannedReply]):
    """A canned reply. Its team and its writers are loaded."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    body = serializers.CharField()
    team = NamedSerializer(allow_null=True)
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    created_by = PersonSerializer()
    updated_at = serializers.DateTimeField()
    updated_by = PersonSerializer()


class FilledSerializer(CannedReplySerializer):
    filled = serializers.CharField(
        required=False,
        help_text="The body with its placeholders filled in, where a ticket is given.",
    )


@extend_schema(tags=["canned replies"])
class CannedReplyViewSet(DeskViewSet):
    queryset = CannedReply.objects.none()
    permission_classes = (IsAuthenticated, IsStaff, ReadOrSupervise)
    serializer_class = CannedReplySerializer
    ordering = "title"

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "q",
                {"type": "string", "maxLength": MAX_QUERY},
                description="Words of the title or the body.",
            ),
            OpenApiParameter(
                "active",
                {"type": "boolean", "default": True},
                description="`false`: those out of use, which only supervisors see.",
            ),
        ]
    )
    def list(self, request: Request) -> Response:
        """The canned replies of everybody and of the caller's teams; of all, for supervisors."""
        text = refuse_nul("q", request.query_params.get("q", ""))
        if len(text) > MAX_QUERY:
            raise FieldError("q", f"At most {MAX_QUERY} characters.")
        active = request.query_params.get("active", "true")
        if active not in ("true", "false"):
            raise FieldError("active", "true or false.")
        return self.page_of(self._visible(request).filter(is_active=active == "true").holding(text))

    @extend_schema(request=NewCannedReplySerializer, responses={201: CannedReplySerializer})
    def create(self, request: Request) -> Response:
        """A new canned reply."""
        body = read_body(NewCannedReplySerializer, request)
        reply = services.create_canned_reply(**body, actor=caller_of(request), at=timezone.now())
        return Response(rendered(CannedReplySerializer, reply), 201)

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "ticket", {"type": "integer"}, description="Fill it in for this ticket."
            )
        ],
        responses=FilledSerializer,
    )
    def retrieve(self, request: Request, pk: int) -> Response:
        """One canned reply, as it is written and, for a ticket, as it would be sent."""
        reply = self._one(request, pk)
        answer: dict[str, Any] = {**rendered(CannedReplySerializer, reply)}
        if "ticket" in request.query_params:
            caller = caller_of(request)
            number = whole_parameter(request, "ticket", 0, low=1, high=MAX_ID)
            seen = Ticket.objects.visible_to(caller).select_related("requester", "team")
            ticket = get_object_or_404(seen, pk=number)
            answer["filled"] = services.fill_in(reply, ticket=ticket, agent=caller)
        return Response(answer)

    @extend_schema(request=CannedReplyChangesSerializer, responses=CannedReplySerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is given of a canned reply."""
        reply = self._one(request, pk)
        body = read_body(CannedReplyChangesSerializer, request)
        services.update_canned_reply(
            reply=reply, **body, actor=caller_of(request), at=timezone.now()
        )
        return Response(rendered(CannedReplySerializer, self._one(request, pk)))

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a canned reply; what was sent with it stays."""
        services.delete_canned_reply(reply=self._one(request, pk))
        return Response(status=204)

    def _visible(self, request: Request) -> CannedReplyQuerySet:
        seen = CannedReply.objects.visible_to(caller_of(request))
        return seen.select_related("team", "created_by", "updated_by")

    def _one(self, request: Request, pk: int) -> CannedReply:
        return get_object_or_404(self._visible(request), pk=pk)
