"""Saving what people typed: every rule that it breaks is told with its field."""

from collections.abc import Collection, Iterator

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import F

from servicedesk.errors import FieldError


def save_clean(
    row: models.Model,
    *,
    exclude: Collection[str] = (),
    update_fields: Collection[str] | None = None,
) -> None:
    """Validate all but `exclude`, then save. Raises FieldError.

    Whoever takes the same name between the look and the save is seen by a second look.
    """
    _clean(row, exclude)
    try:
        with transaction.atomic():
            row.save(update_fields=update_fields)
    except IntegrityError:
        _clean(row, exclude)
        raise


def _clean(row: models.Model, exclude: Collection[str]) -> None:
    try:
        row.full_clean(exclude=list(exclude))
    except ValidationError as exc:
        first, *others = [FieldError(*broken) for broken in _broken_rules(row, exc)]
        for other in others:
            first.extra["errors"] += other.extra["errors"]
        raise first from exc


def _broken_rules(row: models.Model, exc: ValidationError) -> Iterator[tuple[str, str, str]]:
    """Field, sentence and code of each."""
    for name, errors in exc.error_dict.items():
        for error in errors:
            message = error.messages[0]
            if name == NON_FIELD_ERRORS:
                yield _field_of(row, message), message, "unique"
            else:
                yield name, message, error.code or "invalid"


def _field_of(row: models.Model, message: str) -> str:
    """The field whose lower case is unique, by the constraint's sentence: Django names none."""
    for constraint in row._meta.constraints:
        if constraint.get_violation_error_message() == message:
            for expression in getattr(constraint, "expressions", ()):
                for source in expression.flatten():
                    if isinstance(source, F):
                        return str(vars(source)["name"])
    return ""
