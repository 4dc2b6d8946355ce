"""What every view of the API shares."""

from functools import partial
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from servicedesk.api.idempotency import HEADER, answer_in_steps, answer_once


def read_body(shape: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The validated body of a request. Raises ValidationError."""
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def rendered(shape: type[BaseSerializer[Any]], value: Any, **context: Any) -> Any:
    """A value (a list or queryset of many) in the shape of a serializer."""
    many = isinstance(value, list | QuerySet)
    return shape(value, many=many, context=context).data


class DeskAPIView(APIView):
    """An API view whose POSTs honour `Idempotency-Key`."""

    # Off where the answer holds secrets, which must not be stored.
    remembers_answers = True
    # On where a POST is many changes, each a step (idempotency.Steps) and a transaction by itself.
    answers_in_steps = False

    def check_replay(self, request: Request, **kwargs: Any) -> None:
        """Raises Http404 where what the path names is no longer the caller's to see."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        handler = getattr(self, "post", None)
        if (
            request.method == "POST"
            and handler
            and HEADER in request.headers
            and self.remembers_answers
        ):
            # DRF looks up the handler right after this hook.
            answer = answer_in_steps if self.answers_in_steps else answer_once
            self.__dict__["post"] = partial(answer, handler, self.check_replay)


class DeskViewSet(DeskAPIView, GenericViewSet):  # type: ignore[type-arg]
    """The same for viewsets."""

    def page_of(self, rows: QuerySet[Any], **context: Any) -> Response:
        """The asked-for page of the rows, in the shape of `serializer_class`."""
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(rendered(self.get_serializer_class(), page, **context))
