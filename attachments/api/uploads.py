"""Sending files, and asking beforehand."""

import base64
import binascii
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.callers import caller_of
from attachments import services
from attachments.api import serializers as shapes
from attachments.api.parsing import RECEIVED, UploadParser
from attachments.models import Attachment
from servicedesk.api.idempotency import Steps
from servicedesk.api.responses import Answer
from servicedesk.api.views import DeskViewSet, read_body, rendered
from servicedesk.errors import FieldError
from tickets.api.lookup import visible_ticket
from tickets.api.serializers import FileSerializer


@extend_schema(tags=["files"])
class UploadViewSet(DeskViewSet):
    queryset = Attachment.objects.none()
    serializer_class = shapes.UploadedSerializer
    parser_classes = [UploadParser]
    # What is slow happens outside of the transaction in which the files are kept.
    answers_in_steps = True

    def check_replay(self, request: Request, **kwargs: Any) -> None:
        assert isinstance(request.data, dict)
        if isinstance(ticket := request.data.get("ticket"), int):
            visible_ticket(request, ticket)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        """With the answer the files go off the disk. A refusal's traceback holds them, too: left
        to Python, they would stay until it happens to collect that."""
        for file in self.request.parser_context.get(RECEIVED, ()):
            file.close()
        return super().finalize_response(request, response, *args, **kwargs)

    @extend_schema(
        request={"multipart/form-data": shapes.UploadSerializer},
        responses={201: shapes.UploadedSerializer, 207: shapes.UploadedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Send files: onto a ticket, or as drafts for a message or ticket that is still written.

        Each file is looked at by itself: 201 where all are taken, 207 where some are. Where none
        is, the answer is the first one's problem, and `refused` names all.
        """
        body, caller = read_body(shapes.UploadSerializer, request), caller_of(request)
        ticket = visible_ticket(request, body["ticket"]) if "ticket" in body else None
        if body["internal"] and not caller.is_desk_staff:
            raise FieldError("internal", "Only agents send internal files.")
        at = timezone.now()
        stored, refusals = services.store(body["file"], uploader=caller, ticket=ticket, at=at)

        def take() -> Any:
            outcome = services.take(
                stored, uploader=caller, ticket=ticket, is_internal=body["internal"], at=at
            )
            refused = sorted([*refusals, *outcome.refusals], key=lambda each: each.position)
            if not outcome.files:
                raise refused[0].error.with_extra(refused=[_shown(each) for each in refused])
            return {
                "files": [str(file.pk) for file in outcome.files],
                "errors": [_shown(each) for each in refused],
            }

        try:
            taken = Steps(request).take("files", take)
        finally:
            services.let_go(stored, at)
        files = Attachment.objects.with_facts().in_bulk(taken["files"])
        # Where they were kept by an earlier attempt, one may be gone again.
        found = [files[UUID(pk)] for pk in taken["files"] if UUID(pk) in files]
        shown = rendered(FileSerializer, found)
        status = 207 if taken["errors"] else 201
        return Answer(lambda: {"files": shown, "errors": taken["errors"]}, status)


@extend_schema(tags=["files"])
class JudgementViewSet(DeskViewSet):
    queryset = Attachment.objects.none()
    serializer_class = shapes.JudgedSerializer

    @extend_schema(request=shapes.CandidateSerializer, responses={200: shapes.JudgedSerializer})
    def create(self, request: Request) -> Response:
        """Whether a file would be taken, before it is sent. Stores nothing."""
        body = read_body(shapes.CandidateSerializer, request)
        judged = services.judge(
            filename=body["filename"],
            size=body["size"],
            head=_decoded(body.get("head_base64", "")),
            user=caller_of(request),
            at=timezone.now(),
        )
        return Response(rendered(shapes.JudgedSerializer, judged))


def _shown(refusal: services.Refusal) -> dict[str, Any]:
    error = refusal.error
    return {
        "position": refusal.position,
        "filename": refusal.filename,
        "code": error.code,
        "detail": error.detail,
    }


def _decoded(head: str) -> bytes:
    try:
        return base64.b64decode(head, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise FieldError("head_base64", "This is not base64.") from exc
