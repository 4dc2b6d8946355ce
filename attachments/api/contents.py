"""What is in a file: its bytes, or a picture of them. Permission is asked on every request."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from attachments import access, storage
from attachments.api import serializers as shapes
from attachments.api.delivery import deliver
from attachments.api.files import visible_file
from attachments.api.streaming import file_response
from attachments.formats import SHOWN_INLINE
from attachments.models import Attachment, Preview
from attachments.refusals import PreviewUnavailable
from servicedesk.api.views import DeskViewSet
from servicedesk.errors import FieldError
from tickets.api.serializers import FileSerializer

# Pixels of a thumbnail's longer side.
SIZES = ("256", "1024")
BINARY = {(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY}
AS_IT_IS = {
    304: OpenApiResponse(description="As the ETag in If-None-Match says."),
    302: OpenApiResponse(description="To where the object store gives it out."),
}


@extend_schema(tags=["files"])
class ContentViewSet(DeskViewSet):
    queryset = Attachment.objects.none()
    serializer_class = FileSerializer

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """A browser that asks for an image with `Accept: image/*` may have it."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        responses={**BINARY, **AS_IT_IS},
        parameters=[OpenApiParameter("disposition", enum=["attachment", "inline"])],
    )
    def download(self, request: Request, pk: UUID) -> HttpResponseBase:
        """The bytes, whole or by `Range`. `inline` is for PNG, JPEG, GIF and WebP only."""
        file = _readable(request, pk)
        wanted = _choice(request, "disposition", ("attachment", "inline"))
        is_inline = wanted == "inline" and file.content_type in SHOWN_INLINE
        return deliver(request, file, is_inline=is_inline)

    @extend_schema(
        responses={(200, "image/webp"): OpenApiTypes.BINARY, 304: AS_IT_IS[304]},
        parameters=[OpenApiParameter("size", enum=SIZES)],
    )
    def thumbnail(self, request: Request, pk: UUID) -> HttpResponseBase:
        """A small picture of an image or of a PDF's first page, drawn anew."""
        file, size = _readable(request, pk), _choice(request, "size", SIZES)
        return _part(request, _preview_of(file), size)

    @extend_schema(
        responses={
            (200, "image/webp"): OpenApiTypes.BINARY,
            (200, "application/json"): shapes.PreviewSerializer,
            304: AS_IT_IS[304],
        }
    )
    def preview(self, request: Request, pk: UUID) -> HttpResponseBase:
        """An image or a PDF's first page as a picture; text, tables and listings as JSON."""
        preview = _preview_of(_readable(request, pk))
        return _part(request, preview, "json" if "json" in preview.parts else SIZES[-1])


def _readable(request: Request, pk: UUID) -> Attachment:
    """The same, and its bytes may be given out; else 403."""
    file = visible_file(request, pk)
    access.require_readable(file)
    return file


def _preview_of(file: Attachment) -> Preview:
    preview = file.preview
    if preview is None or preview.status == Preview.Status.FAILED:
        raise PreviewUnavailable("Nothing can be shown of this file.")
    if preview.status == Preview.Status.PENDING:
        raise PreviewUnavailable("It is being made.", retry_after=1)
    return preview


def _part(request: Request, preview: Preview, name: str) -> HttpResponseBase:
    part = preview.parts.get(name)
    if part is None:
        raise PreviewUnavailable("This file is no picture.")
    return file_response(
        request,
        size=part["size"],
        etag=part["key"].rpartition("/")[2],
        read=lambda start, stop: storage.read(part["key"], start, stop),
        filename=f"preview-{name}",
        content_type=part["content_type"],
        is_inline=True,
    )


def _choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    """A query parameter that has only these values, the first being its default."""
    text = request.query_params.get(name, choices[0])
    if text not in choices:
        raise FieldError(name, f"One of {', '.join(choices)}.")
    return text
