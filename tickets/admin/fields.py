"""Fields of the console's forms."""

import re
from typing import Any

from django import forms

from servicedesk.api.text import refuse_control_characters
from tickets.models import Tag
from tickets.models.category import MAX_TAGS

NUMBER = re.compile(r"\s*(?:SD-|#)?(\d{1,18})\s*", re.IGNORECASE)


class TicketNumber(forms.CharField):
    """SD-42 or 42; inside it is the id."""

    def clean(self, value: Any) -> int | None:
        text = super().clean(value)
        if not text:
            return None
        found = NUMBER.fullmatch(text)
        if found is None:
            raise forms.ValidationError("A ticket's number, such as SD-42.")
        return int(found[1])


class Words(forms.CharField):
    """Several lines. Browsers send \\r\\n, which the rest of the desk need not know of."""

    def __init__(self, *, rows: int, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def to_python(self, value: Any) -> Any:
        return super().to_python(value.replace("\r\n", "\n") if value else value)


class Note(forms.CharField):
    """One line."""

    default_validators = [refuse_control_characters]


class Tags(forms.CharField):
    """Labels, by comma."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def clean(self, value: Any) -> list[str]:
        names = [name.strip() for name in (super().clean(value) or "").split(",")]
        names = [name for name in names if name]
        longest = Tag._meta.get_field("name").max_length or 0
        if len(names) > MAX_TAGS or any(len(name) > longest for name in names):
            raise forms.ValidationError(f"At most {MAX_TAGS} tags of {longest} characters each.")
        for name in names:
            refuse_control_characters(name)
        return names
