"""Structured logs: one event a line, with the request's id and user, never with a secret."""

import logging
import logging.config
import re
import sys
from collections.abc import Mapping
from typing import Any, TypedDict

import structlog
from structlog.typing import EventDict, Processor

SECRET_KEYS = re.compile(
    r"password|passwd|token|secret|authorization|cookie|refresh|api_?key", re.I
)
SECRET_VALUES = re.compile(r"(eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?i:bearer)[ .][\w.-]{8,})")


REDACTED = "[redacted]"


class LogSettings(TypedDict):
    level: str
    format: str


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Blank the values of telling keys, and anything that looks like a signed token."""
    for key, value in event.items():
        event[key] = _without_secrets(key, value)
    return event


def _without_secrets(key: Any, value: Any) -> Any:
    """However deep they lie; a pair, as of a header, counts as key and value."""
    if isinstance(key, bytes):
        key = key.decode("latin-1")
    if isinstance(key, str) and SECRET_KEYS.search(key):
        return REDACTED
    if isinstance(value, Mapping):
        return {name: _without_secrets(name, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        if len(value) == 2 and isinstance(value, list | tuple):
            return [_without_secrets("", value[0]), _without_secrets(*value)]
        return [_without_secrets("", inner) for inner in value]
    if isinstance(value, str):
        return SECRET_VALUES.sub(REDACTED, value)
    if value is None or isinstance(value, bool | int | float):
        return value
    # Anything else is written by its repr, in which secrets may be.
    return SECRET_VALUES.sub(REDACTED, repr(value))


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=20)


# What every event goes through, whether structlog or the standard library made it.
SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ExtraAdder(),
]
LOGGERS: dict[str, dict[str, Any]] = {
    "django": {"handlers": [], "propagate": True},
    # One line a request comes from RequestContextMiddleware; these repeat it.
    "django.server": {"handlers": [], "propagate": False},
    "django.request": {"level": "ERROR"},
    "django.channels.server": {"level": "WARNING"},
    "daphne": {"level": "WARNING"},
    # Both log every connection at INFO.
    "psycopg.pool": {"level": "WARNING"},
    "httpx": {"level": "WARNING"},
}


def configure(settings: LogSettings) -> None:
    """Send structlog and the standard library through the same processors to stderr."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"desk": _formatter(settings["format"])},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "desk"}},
            "root": {"handlers": ["stderr"], "level": settings["level"]},
            "loggers": LOGGERS,
        }
    )


def _formatter(name: str) -> dict[str, Any]:
    """The last steps, from event to text, as `dictConfig` takes them."""
    renderer = structlog.processors.JSONRenderer() if name == "json" else _console()
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": SHARED,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # The traceback becomes text before the redaction, which then covers it too.
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
    }
