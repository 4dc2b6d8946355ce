"""What happens around every HTTP request: its id, its log line, its problem+json, its slash."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import is_valid_path

from servicedesk.api.errors import PROBLEM_JSON, problem_for_status

GetResponse = Callable[[HttpRequest], HttpResponseBase]
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
MACHINE_PATHS = ("/api/", "/health/")

log = structlog.get_logger(__name__)


class RequestContextMiddleware:
    """Give the request an id (the caller's, if it is a sane one) and write one log line.

    The path is logged without its query: searches hold names, and careless clients put
    tokens there.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=round((time.perf_counter() - started) * 1000, 1),
                user=getattr(getattr(request, "user", None), "pk", None),
            )
        response["X-Request-ID"] = request_id
        return response


class ProblemMiddleware:
    """Every refusal under /api/ and /health/ is a problem, also where no view was reached.

    Django answers an unknown path, a wrong Host or a failed CSRF check with a page of HTML
    (in development with a technical one). DRF's own answers are problems already.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith(MACHINE_PATHS):
            return response
        # A page of HTML is what must not leave; a health report is JSON and stays.
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        problem = HttpResponse(
            problem_for_status(response.status_code).json(),
            status=response.status_code,
            content_type=PROBLEM_JSON,
        )
        for header in ("Allow", "Retry-After", "WWW-Authenticate"):
            if header in response:
                problem[header] = response[header]
        return problem


class TrailingSlashMiddleware:
    """API paths work with and without a trailing slash, for every method.

    A redirect, Django's own answer, would lose the body of a POST.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.startswith(MACHINE_PATHS) and not is_valid_path(path):
            other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
            if is_valid_path(other):
                request.path_info = other
        return self.get_response(request)
