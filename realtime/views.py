"""The socket's contract, served where the HTTP API's is."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from realtime import asyncapi


@require_safe
def live_schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(asyncapi.as_yaml(), content_type="application/vnd.aai.asyncapi+yaml")
