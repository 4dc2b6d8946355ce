"""The OpenAPI document: what drf-spectacular cannot see by itself."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

PROBLEM_STATUSES = {
    "400": "Not understood, or not valid.",
    "401": "Not signed in.",
    "403": "Not for this role.",
    "404": "Nothing there that the caller may see.",
    "409": "In conflict with the state of the desk.",
    "412": "The ticket has changed since the version in If-Match.",
    "413": "The body is too large.",
    "415": "Not JSON.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "Too many requests.",
    "503": "Busy or away; try again.",
}


class DeskSchema(AutoSchema):
    """Adds the headers that every operation of its kind takes."""

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "remembers_answers", False):
            parameters.append(IDEMPOTENCY_KEY)
        return parameters


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
    """A postprocessing hook: every operation may answer a problem."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Problem{status}": {"description": description, "content": content}
        for status, description in PROBLEM_STATUSES.items()
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            for status in PROBLEM_STATUSES:
                answer = {"$ref": f"#/components/responses/Problem{status}"}
                operation["responses"].setdefault(status, answer)
    return result
