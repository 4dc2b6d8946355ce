"""A line on the terminal that says how far a long run is; nothing where nobody watches."""

import time
from typing import Any

from tickets.importing.source import Lines

WIDTH = 30
EVERY = 0.1  # seconds


class ProgressBar:
    """Redraws one line on `out` (a Django OutputWrapper) as bytes of the file are read."""

    def __init__(self, out: Any, *, limit: int | None) -> None:
        self._out = out
        self._limit = limit
        self._is_shown = out.isatty()
        self._drawn_at = 0.0

    def __call__(self, lines: Lines, incidents: int) -> None:
        now = time.monotonic()
        if not self._is_shown or now - self._drawn_at < EVERY:
            return
        self._drawn_at = now
        part = lines.done / lines.size if lines.size else 1.0
        if self._limit:
            part = max(part, incidents / self._limit)
        bar = "#" * round(WIDTH * min(part, 1.0))
        text = f"\r[{bar:<{WIDTH}}] {min(part, 1.0):4.0%}  {incidents:,} incidents"
        self._out.write(text, style_func=str, ending="")
        self._out.flush()

    def clear(self) -> None:
        """Leave the line empty for what is printed next."""
        if self._drawn_at:
            self._out.write("\r\x1b[K", style_func=str, ending="")
            self._out.flush()
