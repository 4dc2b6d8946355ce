"""Holds every answer that a test receives against the published OpenAPI document.

`DeskClient` calls `check` for each response under /api/ and /health/: the status must be
documented for that path and method, and the body must be valid; what was accepted (2xx) must also
have been documented as acceptable. Objects are closed in the document, so an undocumented member
is found as much as a missing one.
"""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from django.urls import Resolver404, resolve
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from servicedesk.api.schema import DeskGenerator

PROBLEM_JSON = "application/problem+json"
# The document does not describe itself, nor the page that shows it.
META_PATHS = ("/api/schema", "/api/docs")
ROOT = "urn:desk:openapi"
PLACEHOLDER = re.compile(r"<[^>]+>|\{[^}]+\}")

_formats = FormatChecker(formats=())


@_formats.checks("date-time")  # type: ignore[untyped-decorator]
def _is_utc_moment(value: object) -> bool:
    """Times are ISO 8601 in UTC, written with a Z."""
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"
    return not isinstance(value, str) or bool(re.fullmatch(pattern, value))


class BrokenContract(AssertionError):
    """The server and the document disagree."""


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The document as it is served, generated once per process."""
    generated = DeskGenerator().get_schema(request=None, public=True)
    plain: dict[str, Any] = json.loads(json.dumps(generated, default=str))
    return plain


@lru_cache(maxsize=1)
def _registry() -> Any:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    return Registry().with_resource(ROOT, resource)


@lru_cache(maxsize=1)
def paths() -> dict[str, str]:
    """The document's paths by their shape: parameters are `{}`, the last slash is dropped."""
    return {shape_of(path): path for path in document()["paths"]}


def shape_of(path: str) -> str:
    return PLACEHOLDER.sub("{}", path).rstrip("/")


def template_of(path_info: str) -> str | None:
    """The documented path that this address belongs to, by Django's own resolver."""
    for candidate in (path_info, path_info.rstrip("/"), f"{path_info}/"):
        try:
            route = resolve(candidate).route
        except Resolver404:
            continue
        shape = shape_of(f"/{route}")
        if shape not in paths():
            raise BrokenContract(f"/{route} is a route, but not in the OpenAPI document.")
        return paths()[shape]
    return None


def operation_of(template: str, method: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document()["paths"][template].get(method.lower())
    return found


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node itself, or what its $ref names."""
    while "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def problems_with(schema: dict[str, Any], instance: Any) -> list[str]:
    """Why the instance is not valid against a schema of the document."""
    return [
        f"at /{'/'.join(map(str, error.absolute_path))}: {error.message[-400:]}"
        for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(instance)
    ]


@lru_cache(maxsize=1000)
def _validator(schema: str) -> Draft202012Validator:
    # References in the document are relative to it: "#/components/…".
    text = schema.replace('"#/', f'"{ROOT}#/')
    return Draft202012Validator(json.loads(text), registry=_registry(), format_checker=_formats)


def check(response: Any, request: dict[str, Any], body: bytes = b"") -> None:
    """Raise BrokenContract where this answer, or what it accepted, is not documented."""
    path, method = request["PATH_INFO"], request["REQUEST_METHOD"].upper()
    if not path.startswith(("/api/", "/health/")) or path.startswith(META_PATHS):
        return
    where = f"{method} {path} → {response.status_code}"
    template = template_of(path)
    operation = operation_of(template, "GET" if method == "HEAD" else method) if template else None
    if operation is None:
        _check_undocumented(response, method, known=template is not None, where=where)
        return
    answer = operation["responses"].get(str(response.status_code))
    if answer is None:
        raise BrokenContract(f"{where}: this status is not documented. {response.content[:500]!r}")
    if response.status_code == 409 and response.json()["code"] not in answer["description"]:
        raise BrokenContract(f"{where}: this code is not documented. {response.content[:500]!r}")
    _check_headers(response, resolved(answer), where)
    _check_body(response, method, resolved(answer), where)
    if response.status_code < 300:
        _check_accepted(request, body, operation, where)


def _check_undocumented(response: Any, method: str, *, known: bool, where: str) -> None:
    """No such path: 404. No such method on it: 405. Anything may ask for OPTIONS."""
    if method == "OPTIONS" and response.status_code == 200:
        return
    expected = {400, 401, 405, 500} if known else {400, 404, 500}
    if response.status_code not in expected:
        raise BrokenContract(f"{where}: this path or method is not in the OpenAPI document.")
    if method != "HEAD":
        _check_problem(response, where)


def _check_headers(response: Any, answer: dict[str, Any], where: str) -> None:
    """ETag and Retry-After are there where they are documented, and nowhere else."""
    for name in ("ETag", "Retry-After"):
        if (name in answer.get("headers", {})) != (name in response):
            # While another request with the key runs, a 409 says when to come back, too; and so
            # do what is not scanned (403) and not drawn (404) yet.
            if name == "Retry-After" and response.status_code in (403, 404, 409):
                continue
            raise BrokenContract(f"{where}: {name} is documented or sent, but not both.")


def _check_body(response: Any, method: str, answer: dict[str, Any], where: str) -> None:
    content = answer.get("content")
    if method == "HEAD" or not content:
        if response.content:
            raise BrokenContract(f"{where}: a body where none is documented.")
        return
    given = response.get("Content-Type", "").partition(";")[0].strip()
    if given not in content:
        raise BrokenContract(f"{where}: {given!r} is not one of {sorted(content)}.")
    if response.status_code >= 400 and given == PROBLEM_JSON:
        _check_problem(response, where)
    body = _json(response.content, where)
    if faults := problems_with(content[given]["schema"], body):
        raise BrokenContract(f"{where}: the answer is not as documented:\n" + "\n".join(faults))


def _check_problem(response: Any, where: str) -> None:
    if response.get("Content-Type") != PROBLEM_JSON:
        raise BrokenContract(f"{where}: {response.get('Content-Type')!r} is no problem.")
    body = _json(response.content, where)
    faults = problems_with({"$ref": "#/components/schemas/Problem"}, body)
    if not faults and body["status"] != response.status_code:
        faults = [f"status is {body['status']}"]
    if not faults and body["type"] != f"/problems/{body['code']}":
        faults = [f"type is {body['type']} and code {body['code']}"]
    if faults:
        raise BrokenContract(f"{where}: not a proper problem:\n" + "\n".join(faults))


def _check_accepted(
    request: dict[str, Any], body: bytes, operation: dict[str, Any], where: str
) -> None:
    """What was answered with 2xx must be allowed by the document: parameters and body."""
    known = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
    given = {name for name, _ in parse_qsl(request.get("QUERY_STRING", ""), True)}
    if unknown := given - known:
        raise BrokenContract(f"{where}: undocumented parameters were accepted: {sorted(unknown)}")
    if not body.strip() or "requestBody" not in operation:
        return
    taken = operation["requestBody"]["content"]
    sent = request.get("CONTENT_TYPE", "").partition(";")[0]
    if sent not in taken:
        raise BrokenContract(f"{where}: {sent} was accepted, and is not documented.")
    if sent != "application/json":
        return
    schema = taken[sent]["schema"]
    if faults := problems_with(schema, _json(body, where)):
        raise BrokenContract(f"{where}: undocumented input was accepted:\n" + "\n".join(faults))


def _json(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError as exc:
        raise BrokenContract(f"{where}: this is not JSON: {raw[:200]!r}") from exc
