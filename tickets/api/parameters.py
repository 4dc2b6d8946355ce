"""Query parameters that are not filters."""

from rest_framework.request import Request

from servicedesk.errors import FieldError


def whole_parameter(
    request: Request, name: str, default: int, *, low: int, high: int = 2**31
) -> int:
    """A whole number in the query string. Raises FieldError."""
    text = request.query_params.get(name)
    if text is None:
        return default
    is_whole = text.isascii() and text.isdigit() and len(text) <= 18
    if not is_whole or not low <= int(text) <= high:
        raise FieldError(name, f"A whole number from {low} to {high}.")
    return int(text)


def refuse_nul(name: str, text: str) -> str:
    """The text, unless it holds what no database takes. Raises FieldError."""
    if "\x00" in text:
        raise FieldError(name, "A text holds no NUL.")
    return text
