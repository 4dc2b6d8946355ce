"""What is known of files. Who may see one is decided by `Attachment.objects.visible_to`."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from attachments import services
from attachments.models import Attachment
from servicedesk.api.views import DeskViewSet, rendered
from tickets.api.lookup import visible_ticket
from tickets.api.serializers import FileSerializer


@extend_schema(tags=["files"])
class FileViewSet(DeskViewSet):
    queryset = Attachment.objects.none()
    serializer_class = FileSerializer
    ordering = "created_at"

    def retrieve(self, request: Request, pk: UUID) -> Response:
        """What is known of a file."""
        return Response(rendered(FileSerializer, visible_file(request, pk)))

    @extend_schema(responses=FileSerializer(many=True))
    def of_ticket(self, request: Request, ticket: int) -> Response:
        """The files of a ticket that the caller may see, oldest first."""
        found = Attachment.objects.visible_to(caller_of(request)).with_facts()
        return self.page_of(found.filter(ticket=visible_ticket(request, ticket)))

    @extend_schema(responses={204: OpenApiResponse(description="It is gone.")})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take a file away: agents, and who uploaded it (a draft, or within 15 minutes)."""
        services.remove(file=visible_file(request, pk), actor=caller_of(request), at=timezone.now())
        return Response(status=204)


def visible_file(request: Request, pk: UUID) -> Attachment:
    """The file, if the caller may see it; else 404, as if there were none."""
    return get_object_or_404(Attachment.objects.visible_to(caller_of(request)).with_facts(), pk=pk)
