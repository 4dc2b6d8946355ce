"""Structured logs: one event a line, with the request's id and user, never with a secret."""

import logging
import logging.config
import re
import sys
from typing import Any, TypedDict

import structlog
from structlog.typing import EventDict, Processor

SECRET_KEYS = re.compile(
    r"password|passwd|token|secret|authorization|cookie|refresh|api_?key", re.I
)
SECRET_VALUES = re.compile(r"(eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?i:bearer)[ .][\w.-]{8,})")


class LogSettings(TypedDict):
    level: str
    format: str


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Blank the values of telling keys, and anything that looks like a signed token."""
    for key, value in event.items():
        if SECRET_KEYS.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = SECRET_VALUES.sub("[redacted]", value)
    return event


def _console() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=20)


def configure(settings: LogSettings) -> None:
    """Send structlog and the standard library through the same processors to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
    ]
    render: list[Processor] = (
        # The traceback becomes text before the redaction, which then covers it too.
        [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
        if settings["format"] == "json"
        else [structlog.processors.format_exc_info, redact, _console()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": shared,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"desk": formatter},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "desk"}},
            "root": {"handlers": ["stderr"], "level": settings["level"]},
            "loggers": {
                "django": {"handlers": [], "propagate": True},
                # One line a request comes from RequestContextMiddleware; these repeat it.
                "django.server": {"handlers": [], "propagate": False},
                "django.request": {"level": "ERROR"},
                "django.channels.server": {"level": "WARNING"},
                "daphne": {"level": "WARNING"},
                # Both log every connection at INFO.
                "psycopg.pool": {"level": "WARNING"},
                "httpx": {"level": "WARNING"},
            },
        }
    )
