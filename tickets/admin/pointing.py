"""What a service refuses, next to the field of the form that it is about."""

from collections.abc import Callable
from typing import Any

from django.forms import BaseForm

from servicedesk.errors import FieldError

# Of the service's path and sentence, the form's field and sentence.
Place = Callable[[str, str], tuple[str, str]]


def _as_it_is(path: str, sentence: str) -> tuple[str, str]:
    return path, sentence


def point_out(form: BaseForm, refused: FieldError, place: Place = _as_it_is) -> None:
    """Add the errors to the form; what is about none of its fields stands above them all."""
    for error in refused.extra["errors"]:
        name, sentence = place(error["pointer"].removeprefix("/"), error["detail"])
        known: Any = name if name in form.fields else None
        form.add_error(known, sentence)
