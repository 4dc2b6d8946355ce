"""Spans of working time as people write them: `4h`, `1h 30m`, `45m`."""

import re
from typing import Any

from django import forms

from tickets.models.sla import MAX_TARGET

SPAN = re.compile(r"(?:(\d{1,5})\s*h)?\s*(?:(\d{1,6})\s*m)?\s*(?:(\d{1,8})\s*s)?", re.ASCII)
# No days: a working day is as long as the calendar says.
HINT = "Hours and minutes, such as 4h, 1h 30m or 45m."


def read(text: str) -> int:
    """Seconds. Raises ValidationError."""
    found = SPAN.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()):
        raise forms.ValidationError(HINT, "invalid")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total > MAX_TARGET:
        raise forms.ValidationError(f"At most {MAX_TARGET // 3600:,} hours.", "max_value")
    return total


def written(seconds: int | None) -> str:
    """The span in the fewest words; empty for none."""
    if seconds is None:
        return ""
    parts = (seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0m"


class SpanField(forms.CharField):
    """Seconds, typed as a span; None where it is left empty."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"size": 10, "autocomplete": "off"})
        super().__init__(required=False, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return written(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return read(text) if text else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True
