"""JSON in: what is odd is refused with 400, never with a 500, and never misread."""

import json
import re
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request

from servicedesk.api.errors import PayloadTooLarge

MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1
BAD_TEXT = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(JSONParser):
    """An object within the size limit: no duplicate key, NaN, lone surrogate, NUL, no huge
    integer and no deep nesting.

    Each of these is accepted by `json.loads` and then breaks something further in: the
    database refuses NUL and surrogates, SQLite overflows on integers, and of two equal keys
    a proxy and we might read different ones.
    """

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        request: Request | None = (parser_context or {}).get("request")
        raw = self._read(stream, request)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ParseError("The body is not UTF-8.") from exc
        try:
            data = json.loads(
                text,
                object_pairs_hook=_object,
                parse_constant=_refuse_constant,
                parse_int=_integer,
                parse_float=_number,
            )
        except RecursionError as exc:
            raise ParseError("The body is nested too deeply.") from exc
        except ValueError as exc:
            raise ParseError(f"The body is not JSON: {exc}") from exc
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        _refuse_odd(data)
        return data

    def _read(self, stream: Any, request: Request | None) -> bytes:
        limit = settings.JSON_BODY_MAX_BYTES
        declared = request.META.get("CONTENT_LENGTH") if request is not None else None
        if declared and declared.isdigit() and int(declared) > limit:
            raise PayloadTooLarge(f"A JSON body may have {limit} bytes.")
        raw: bytes = stream.read(limit + 1)
        if len(raw) > limit:
            raise PayloadTooLarge(f"A JSON body may have {limit} bytes.")
        return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError("an integer is out of range")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is out of range")
    return number


def _refuse_odd(value: Any, depth: int = 1) -> None:
    if isinstance(value, str):
        if BAD_TEXT.search(value):
            raise ParseError("The body holds a NUL or half a surrogate pair.")
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        for inner in value:
            _refuse_odd(inner, depth + 1)
        if isinstance(value, dict):
            for inner in value.values():
                _refuse_odd(inner, depth + 1)
