"""What a line of text may hold."""

import unicodedata

from django.core.exceptions import ValidationError

# Line and paragraph separators break lines as much as \n does; bidirectional overrides make a
# line read otherwise than it is stored.
FORBIDDEN = {"\u2028", "\u2029", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def refuse_control_characters(value: str) -> None:
    """A validator for single-line fields: no line break, control or bidi override character."""
    if any(char in FORBIDDEN or unicodedata.category(char) == "Cc" for char in value):
        raise ValidationError("Line breaks and control characters are not allowed.", "line_break")
