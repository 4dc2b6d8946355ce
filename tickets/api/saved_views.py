"""Saved views of the ticket list, for agents and supervisors."""

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.permissions import IsStaff
from servicedesk.api.fields import Flag, Line, StrictSerializer, Whole
from servicedesk.api.views import DeskViewSet, read_body, rendered
from tickets.models import SavedView
from tickets.models.saved_view import MAX_VIEW_NAME, MAX_VIEW_QUERY, SavedViewQuerySet
from tickets.services import views
from tickets.view_queries import EXAMPLE

QUERY = f"The filters of `GET /api/tickets/` as in its address, {EXAMPLE}."


class ViewChangesSerializer(StrictSerializer):
    name = Line(max_length=MAX_VIEW_NAME, required=False)
    query = Line(max_length=MAX_VIEW_QUERY, required=False, allow_blank=True, help_text=QUERY)
    shared = Flag(required=False, help_text="For all agents; supervisors only.")
    position = Whole(min_value=0, max_value=views.MAX_POSITION, required=False)


class NewViewSerializer(ViewChangesSerializer):
    name = Line(max_length=MAX_VIEW_NAME)
    query = Line(max_length=MAX_VIEW_QUERY, allow_blank=True, help_text=QUERY)


class ViewSerializer(serializers.Serializer[SavedView]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    query = serializers.CharField(help_text=QUERY)
    shared = serializers.BooleanField(source="is_shared")
    position = serializers.IntegerField()


@extend_schema(tags=["saved views"])
class SavedViewViewSet(DeskViewSet):
    queryset = SavedView.objects.none()
    permission_classes = (IsAuthenticated, IsStaff)
    serializer_class = ViewSerializer
    ordering = "position"

    def list(self, request: Request) -> Response:
        """The shared views and the caller's own."""
        return self.page_of(self._visible(request))

    @extend_schema(request=NewViewSerializer, responses={201: ViewSerializer})
    def create(self, request: Request) -> Response:
        """A new view, the caller's own unless it is shared."""
        body = read_body(NewViewSerializer, request)
        view = views.create_view(**body, actor=caller_of(request), at=timezone.now())
        return Response(rendered(ViewSerializer, view), 201)

    @extend_schema(responses=ViewSerializer)
    def retrieve(self, request: Request, pk: int) -> Response:
        """One view."""
        return Response(rendered(ViewSerializer, self._one(request, pk)))

    @extend_schema(request=ViewChangesSerializer, responses=ViewSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Change what is given of a view; one that is no longer shared becomes the caller's."""
        view = self._one(request, pk)
        body = read_body(ViewChangesSerializer, request)
        changed = views.update_view(view=view, **body, actor=caller_of(request), at=timezone.now())
        return Response(rendered(ViewSerializer, changed))

    @extend_schema(responses={204: OpenApiResponse(description="Deleted.")})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a view."""
        views.delete_view(view=self._one(request, pk), actor=caller_of(request))
        return Response(status=204)

    def _visible(self, request: Request) -> SavedViewQuerySet:
        return SavedView.objects.visible_to(caller_of(request))

    def _one(self, request: Request, pk: int) -> SavedView:
        return get_object_or_404(self._visible(request), pk=pk)
