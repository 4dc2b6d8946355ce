"""What happens around every HTTP request: its id, its log line, its problem+json, its slash."""

import re
import time
from collections.abc import Callable
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import is_valid_path

from servicedesk.api.errors import PROBLEM_JSON, problem_for_status

GetResponse = Callable[[HttpRequest], HttpResponseBase]
REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
MACHINE_PATHS = ("/api/", "/health/")
# The console's, and the portal's.
PAGES = re.compile(r"/(admin/.*|new/|tickets/.*|sign-in/|sign-out/)?", re.DOTALL)

log = structlog.get_logger(__name__)


class RequestContextMiddleware:
    """Give the request an id (the caller's, if it is a sane one) and write one log line.

    The outermost: it also sees to the headers that every answer has, those included that were
    made by a middleware before Django's own for these headers had their turn.

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
                user=_user_id(request),
            )
        response["X-Request-ID"] = request_id
        secure(response)
        return response


def secure(response: HttpResponseBase) -> None:
    """The headers without which no answer leaves."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", settings.SECURE_REFERRER_POLICY)
    response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
    # A file that somebody sent has a stricter one of its own; Django's pages for developers, who
    # would rather read them, have their style inside.
    if not (settings.DEBUG and response.status_code >= 400):
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)


def _user_id(request: HttpRequest) -> int | None:
    """Who called, for the log. The user of a cookie is read late, perhaps from a database that is
    away; that must not spoil the answer which says so."""
    try:
        return getattr(getattr(request, "user", None), "pk", None)
    except DatabaseError:
        return None


class ProblemMiddleware:
    """Every refusal is a problem, also where no view was reached; but not on the pages.

    Django answers an unknown path, a wrong Host or a failed CSRF check with a page of HTML
    (in development with a technical one). DRF's own answers are problems already.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or PAGES.fullmatch(request.path):
            return response
        # Pages of HTML and plain text (a traceback, in development) must not leave; a health
        # report is JSON and stays.
        if response.get("Content-Type", "").startswith(("application/json", PROBLEM_JSON)):
            return response
        problem = problem_for_status(response.status_code).response()
        for header, value in response.items():
            problem.headers.setdefault(header, value)
        problem["Content-Length"] = str(len(problem.content))
        problem.cookies = response.cookies
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
