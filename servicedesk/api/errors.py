"""RFC 9457 problems: the one shape of every refusal the API gives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any

import orjson
import structlog
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.utils.serializer_helpers import ReturnDict

from servicedesk.api.renderers import ORJSON_OPTIONS, encode
from servicedesk.errors import DomainError, FieldError

PROBLEM_JSON = "application/problem+json"
# A refusal says back only a little of a body, however much in it is wrong.
MAX_ERRORS = 100
MAX_TEXT = 500

log = structlog.get_logger(__name__)

# status → (code, title) where nobody named a more telling one.
BY_STATUS = {
    400: ("bad_request", "The request is not understood"),
    401: ("not_authenticated", "Sign in first"),
    403: ("permission_denied", "You may not do this"),
    404: ("not_found", "There is nothing here"),
    405: ("method_not_allowed", "This method is not allowed here"),
    406: ("not_acceptable", "No acceptable representation"),
    413: ("too_large", "The request is too large"),
    415: ("unsupported_media_type", "This media type is not supported"),
    429: ("throttled", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    503: ("unavailable", "The service is not available right now"),
}
# What Django itself raises. The first that fits: too large is also suspicious.
OF_DJANGO = {
    Http404: 404,
    PermissionDenied: 403,
    RequestDataTooBig: 413,
    BadRequest: 400,
    SuspiciousOperation: 400,
}
# What PostgreSQL refuses for the moment only (appendix A of its manual).
PASSING = frozenset(
    {
        "40P01",  # deadlock
        "40001",  # serialisation
        "55P03",  # lock timeout
        "57014",  # statement timeout
        "57P01",  # the server is being shut down,
        "57P02",  # has crashed,
        "57P03",  # or is starting
        "53300",  # too many connections
    }
)


@dataclass
class Problem:
    """One problem detail. `extra` members stand beside the standard ones."""

    status: int
    code: str
    title: str
    detail: str = ""
    errors: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail or self.title,
            "errors": self.errors,
            **self.extra,
        }

    def response(self) -> HttpResponse:
        """Always JSON, whatever the view would have rendered."""
        body = orjson.dumps(self.data(), default=encode, option=ORJSON_OPTIONS)
        return HttpResponse(
            body, status=self.status, content_type=PROBLEM_JSON, headers=self.headers
        )


def problem_for_status(status: int, detail: str = "") -> Problem:
    if status not in BY_STATUS:
        phrase = HTTPStatus(status).phrase
        return Problem(status, re.sub(r"\W+", "_", phrase.lower()), phrase, detail)
    code, title = BY_STATUS[status]
    return Problem(status, code, title, detail)


class PayloadTooLarge(DomainError):
    code = "too_large"
    status = 413
    title = "The request is too large"


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """DRF's hook: any exception of a view becomes a problem; an unknown one a 500.

    Not DRF's Response: the view's own renderer may be of YAML or HTML.
    """
    problem = problem_of(exc)
    if problem is None:
        request = context.get("request")
        got_request_exception.send(sender=None, request=getattr(request, "_request", request))
        log.exception("unhandled_exception", exc_info=exc)
        problem = problem_for_status(500)
    return problem.response()


def problem_of(exc: Exception) -> Problem | None:
    """The problem that tells this exception, or None where it is a defect of ours."""
    match exc:
        case DomainError():
            return _of_domain_error(exc)
        case exceptions.ValidationError():
            errors = list(islice(_flatten(exc.detail, ""), MAX_ERRORS))
            return Problem(
                400, "validation_failed", "The request is not valid", _summary(errors), errors
            )
        case exceptions.APIException():
            return _of_api_exception(exc)
        case Http404() | PermissionDenied() | BadRequest() | SuspiciousOperation():
            statuses = (status for kind, status in OF_DJANGO.items() if isinstance(exc, kind))
            return problem_for_status(next(statuses))
        case OperationalError() if _is_contention(exc):
            problem = problem_for_status(503, "The database is busy; try again.")
            problem.headers["Retry-After"] = "1"
            return problem
    return None


def _of_domain_error(exc: DomainError) -> Problem:
    extra = dict(exc.members())
    errors = extra.pop("errors", [])
    # RFC 9110, section 11.6.1: a 401 names the scheme that would have done.
    headers = {"WWW-Authenticate": 'Bearer realm="desk"'} if exc.status == 401 else {}
    if "retry_after" in extra:
        headers["Retry-After"] = str(extra.pop("retry_after"))
    detail = _summary(errors) if isinstance(exc, FieldError) else exc.detail
    return Problem(exc.status, exc.code, exc.title, detail, errors, extra, headers)


def _of_api_exception(exc: exceptions.APIException) -> Problem:
    problem = problem_for_status(exc.status_code, _text(exc.detail))
    problem.code = _code(exc)
    if header := getattr(exc, "auth_header", None):
        problem.headers["WWW-Authenticate"] = header
    if wait := getattr(exc, "wait", None):
        problem.headers["Retry-After"] = str(int(wait) + 1)
    return problem


def _code(exc: exceptions.APIException) -> str:
    """DRF's codes are the contract's, but for the ones that BY_STATUS renames."""
    code = exc.get_codes()
    if isinstance(code, dict):  # simplejwt: {"detail": …, "code": …, "messages": […]}
        code = code.get("code", code.get("detail"))
    if exc.status_code == 401 and code == "authentication_failed":
        return "token_not_valid"
    return code if isinstance(code, str) else problem_for_status(exc.status_code).code


def _text(detail: Any) -> str:
    if isinstance(detail, dict):
        detail = detail.get("detail", "")
    return str(detail)


def _summary(errors: list[dict[str, str]]) -> str:
    """One sentence for people who do not read `errors`: which field, and what is wrong with it."""
    pointers = {error["pointer"] for error in errors}
    if len(pointers) > 1:
        return f"{len(pointers)} fields are not valid."
    field, detail = errors[0]["pointer"].removeprefix("/"), errors[0]["detail"]
    return f"{field}: {detail}" if field else detail


def _flatten(detail: Any, pointer: str) -> Iterator[dict[str, str]]:
    """DRF's nested error details as a flat list with JSON pointers (RFC 6901)."""
    if isinstance(detail, dict | ReturnDict):
        for key, inner in detail.items():
            below = "" if key == "non_field_errors" else f"/{_escape(str(key))}"
            yield from _flatten(inner, pointer + below)
    elif isinstance(detail, list):
        nested = any(isinstance(inner, dict | list) for inner in detail)
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{pointer}/{index}" if nested else pointer)
    else:
        code = getattr(detail, "code", "invalid")
        yield {"pointer": pointer[:MAX_TEXT], "code": code, "detail": str(detail)[:MAX_TEXT]}


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _is_contention(exc: OperationalError) -> bool:
    """Whether another try may well succeed.

    PostgreSQL says why by code. Where there is none, the words are SQLite's, the pool's (a
    timeout) or those of a server that cannot be reached.
    """
    sqlstate = getattr(exc.__cause__, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate in PASSING
    text = str(exc).lower()
    return any(word in text for word in ("locked", "timeout", "pool", "connection"))
