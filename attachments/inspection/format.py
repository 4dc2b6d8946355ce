from collections.abc import Callable
from dataclasses import dataclass

from attachments.inspection.source import Source
from attachments.policy import Policy


@dataclass(frozen=True)
class Format:
    """How a format is told: `begins` looks at the first bytes, `check` at all that matters and
    raises FileRefused."""

    begins: Callable[[bytes], bool]
    check: Callable[[Source, Policy], None]


def starts_with(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)
