"""What stands beside the tickets: their categories, and the caller's notifications."""

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from agents.api.permissions import ReadOrSupervise
from servicedesk.api.views import DeskViewSet, read_body, rendered
from servicedesk.errors import FieldError
from tickets import services
from tickets.api import inputs
from tickets.api import serializers as shapes
from tickets.models import Category, Notification, Ticket


@extend_schema(tags=["tickets"])
class CategoryViewSet(DeskViewSet):
    queryset: QuerySet[Category] = Category.objects.select_related("team").prefetch_related(
        "skills"
    )
    permission_classes = (IsAuthenticated, ReadOrSupervise)
    serializer_class = shapes.CategorySerializer
    ordering = "name"

    def list(self, request: Request) -> Response:
        """What tickets can be about."""
        return self.page_of(self.get_queryset())

    @extend_schema(request=inputs.NewCategorySerializer, responses={201: shapes.CategorySerializer})
    def create(self, request: Request) -> Response:
        """A new category, with the team and the skills that it brings."""
        category = services.create_category(**read_body(inputs.NewCategorySerializer, request))
        return Response(rendered(shapes.CategorySerializer, category), 201)


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
        caller = caller_of(request)
        # What was told before a ticket went out of sight would still show its present subject.
        visible = Ticket.objects.visible_to(caller)
        told = Notification.objects.filter(user=caller, ticket__in=visible).select_related("ticket")
        return self.page_of(told.filter(read_at=None) if unread == "true" else told)

    @extend_schema(
        request=inputs.ReadNotificationsSerializer,
        responses={204: OpenApiResponse(description="Marked as read.")},
    )
    def read(self, request: Request) -> Response:
        """Mark the caller's notifications as read."""
        ids = read_body(inputs.ReadNotificationsSerializer, request)["ids"]
        wanted = None if ids == "all" else ids
        services.mark_read(user=caller_of(request), ids=wanted, at=timezone.now())
        return Response(status=204)
