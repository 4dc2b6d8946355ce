"""JSON out, by orjson."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.renderers import JSONRenderer as DRFJSONRenderer

ORJSON_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def encode(value: Any) -> Any:
    """What orjson does not know: lazy translations and DRF's string and mapping types."""
    if isinstance(value, Promise | str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def dumps(data: Any) -> bytes:
    return orjson.dumps(data, default=encode, option=ORJSON_OPTIONS)


def iso(moment: datetime | None) -> str | None:
    """A moment as the API writes it: ISO 8601, UTC, `…Z`."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


class JSONRenderer(DRFJSONRenderer):
    def render(
        self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else dumps(data)
