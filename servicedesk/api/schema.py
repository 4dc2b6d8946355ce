"""The OpenAPI document: what drf-spectacular cannot see by itself."""

from threading import Lock
from typing import Any, ClassVar

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

PROBLEM_STATUSES = {
    "400": "Not understood, or not valid.",
    "401": "Not signed in.",
    "403": "Not for this role.",
    "404": "Nothing there that the caller may see.",
    "406": "The answer is JSON, which the Accept header refuses.",
    "409": "In conflict with the state of the desk.",
    "412": "What If-Match names is not what is there.",
    "413": "The body is too large.",
    "415": "Not of a type that is taken here.",
    "416": "The file has no such range.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "Too many requests.",
    "500": "A defect of ours.",
    "503": "Busy or away; try again.",
}
# What any operation may answer; the others depend on what it takes.
ALWAYS = {"400", "401", "403", "406", "500", "503"}
WITH_BODY = {"404", "413", "415"}
# The codes that a 409 may have, by method and end of the path. The contract's check holds every
# answer of the tests against this.
CONFLICTS = {
    ("put", "/status"): ["transition_not_allowed", "transition_blocked"],
    ("put", "/assign"): [
        "agent_at_capacity",
        "agent_unavailable",
        "no_agent_available",
        "ticket_ended",
    ],
    ("post", "/claim"): [
        "agent_at_capacity",
        "agent_unavailable",
        "already_assigned",
        "ticket_ended",
    ],
    ("post", "/escalate"): ["escalation_limit", "ticket_ended"],
    ("post", "/messages"): ["idempotency_conflict", "ticket_merged"],
    ("post", "/rating"): ["not_resolved", "ticket_merged"],
    ("post", "/files/upload"): ["ticket_ended", "ticket_merged"],
    ("post", "/merge"): ["ticket_ended", "ticket_merged"],
    ("post", "/participants"): ["ticket_merged"],
    ("put", "/priority"): ["ticket_merged"],
    ("patch", "/api/tickets/{id}/"): ["ticket_merged"],
    ("get", "/events"): ["resync_required"],
    ("patch", "/api/users/{id}"): ["last_supervisor"],
    ("patch", "/api/agents/{user}/"): ["last_supervisor"],
    ("post", "/api/views/"): ["too_many_views"],
    ("patch", "/api/views/{id}/"): ["too_many_views"],
    ("delete", "/api/calendars/{id}/"): ["in_use"],
    ("delete", "/api/sla-policies/{id}/"): ["in_use"],
}
# The ends of the paths that answer with bytes, each with an ETag of their own.
BYTES = ("/download", "/thumbnail", "/preview")
# The answers that are a ticket, and so carry its version.
TICKETS = {"#/components/schemas/Detail", "#/components/schemas/Created"}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}
ETAG = {
    "ETag": {
        "description": 'The ticket\'s version, for If-Match: `"7"`.',
        "schema": {"type": "string"},
    }
}


class DeskGenerator(SchemaGenerator):
    """Makes the document once a process, by one thread: drf-spectacular changes classes on the
    way, and two threads at it at once break each other."""

    _lock = Lock()
    _made: ClassVar[dict[str, Any]] = {}

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        with self._lock:
            if not self._made:
                made = super().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
                self._made.update(made)
        return self._made


class DeskSchema(AutoSchema):
    """Adds the headers that every operation of its kind takes."""

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "remembers_answers", False):
            parameters.append(IDEMPOTENCY_KEY)
        return parameters


ETAG_OF_BYTES = {
    "ETag": {
        "description": "Of the bytes, for If-None-Match and If-Range.",
        "schema": {"type": "string"},
    }
}


def _header(name: str, description: str, max_length: int) -> OpenApiParameter:
    return OpenApiParameter(
        name=name,
        type={"type": "string", "minLength": 1, "maxLength": max_length},
        location=OpenApiParameter.HEADER,
        description=description,
    )


IDEMPOTENCY_KEY = _header(
    "Idempotency-Key", "Sent again with the same body, the same answer and nothing done twice.", 255
)
IF_MATCH = _header("If-Match", 'The version that was read, as in `"7"`; otherwise 412.', 1000)


PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457. Further members depend on the code.",
    "required": ["type", "title", "status", "code", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def add_problem_answers(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A postprocessing hook: each operation names the problems that it may answer."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Problem{status}": {"description": description, "content": content}
        for status, description in PROBLEM_STATUSES.items()
    }
    for status in ("429", "503"):
        components["responses"][f"Problem{status}"]["headers"] = RETRY_AFTER
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in sorted(_problems_of(path, method, operation)):
                answer = {"$ref": f"#/components/responses/Problem{status}"}
                if status == "409":
                    answer["description"] = " ".join(_conflicts_of(path, method, operation))
                operation["responses"].setdefault(status, answer)
            for answer in operation["responses"].values():
                shape = answer.get("content", {}).get("application/json", {}).get("schema", {})
                if shape.get("$ref") in TICKETS:
                    answer["headers"] = ETAG
            if path.endswith(BYTES):
                for status in {"200", "206", "304"} & set(operation["responses"]):
                    operation["responses"][status]["headers"] = ETAG_OF_BYTES
    return result


def _conflicts_of(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    """Every code that a 409 of this operation may have."""
    ends = {end: codes for (of, end), codes in CONFLICTS.items() if of == method}
    found = [code for end, codes in ends.items() if path.endswith(end) for code in codes]
    if "Idempotency-Key" in _headers_of(operation):
        found.append("idempotency_in_progress")
    return [f"`{code}`" for code in found]


def _headers_of(operation: dict[str, Any]) -> set[str]:
    return {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}


def _problems_of(path: str, method: str, operation: dict[str, Any]) -> set[str]:
    headers = _headers_of(operation)
    found = set(ALWAYS)
    if "{" in path:
        found.add("404")
    if method != "get":
        found |= WITH_BODY
    if _conflicts_of(path, method, operation):
        found.add("409")
    if "If-Match" in headers:
        found.add("412")
    if "Idempotency-Key" in headers:
        found.add("422")
    if path.endswith(BYTES):
        found |= {"412", "416"}
    if path == "/api/auth/token":
        found.add("429")
    return found


def close_objects(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A postprocessing hook: objects have the members that they name and no others.

    True of what comes in, since unknown members are refused, and of what goes out, since a test
    holds every answer against this document. Problems are open: their code decides.
    """
    for name, schema in result["components"]["schemas"].items():
        if name != "Problem" and schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return result


def add_health(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A postprocessing hook: the health checks, which are plain views."""
    result["components"]["schemas"] |= {"Live": LIVE_SCHEMA, "Ready": READY_SCHEMA}
    for name, statuses in {"live": ("200",), "ready": ("200", "503")}.items():
        ref = {"$ref": f"#/components/schemas/{name.capitalize()}"}
        content = {"application/json": {"schema": ref}}
        result["paths"][f"/health/{name}"] = {
            "get": {
                "operationId": f"health_{name}",
                "description": HEALTH_TEXTS[name],
                "tags": ["health"],
                "responses": {
                    "400": {"$ref": "#/components/responses/Problem400"},
                    **{
                        status: {"description": HEALTH_STATUSES[status], "content": content}
                        for status in statuses
                    },
                },
            }
        }
    return result


HEALTH_TEXTS = {
    "live": "Is the process alive?",
    "ready": "May requests be sent here? A stale worker is only a warning.",
}
HEALTH_STATUSES = {"200": "Yes.", "503": "No; `checks` says why."}
LIVE_SCHEMA = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "ok"}},
    "additionalProperties": False,
}
_CHECK = {"enum": ["ok", "failed"]}
_BEAT = {"enum": ["ok", "stale", "never_seen", "unknown"]}
READY_SCHEMA = {
    "type": "object",
    "required": ["status", "checks", "worker", "escalation", "warnings"],
    "properties": {
        "status": {"enum": ["ok", "unavailable"]},
        "checks": {
            "type": "object",
            "required": ["database", "migrations", "channel_layer"],
            "properties": {
                "database": _CHECK,
                "migrations": _CHECK,
                "channel_layer": _CHECK,
                # Only while the process ends.
                "draining": _CHECK,
            },
            "additionalProperties": False,
        },
        "worker": _BEAT,
        "escalation": _BEAT,
        "warnings": {
            "type": "array",
            "items": {"enum": ["worker_is_stale", "escalation_is_stale"]},
        },
    },
    "additionalProperties": False,
}
