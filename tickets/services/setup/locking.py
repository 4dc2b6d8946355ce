"""What is changed, and what it is about to refer to, held until the transaction ends.

First the row itself, then what it refers to, each kind in the order of its ids.
"""

from collections.abc import Iterable
from typing import TypeVar

from django.db import models
from django.http import Http404

from servicedesk.api.fields import NothingThere

AnyRow = TypeVar("AnyRow", bound=models.Model)


def lock(row: AnyRow) -> AnyRow:
    """The row, fresh. Raises Http404 where somebody has deleted it meanwhile."""
    # Of what a request calls its user, the type is a wrapper's.
    rows = row.__class__._default_manager.select_for_update(no_key=True)
    locked: AnyRow | None = rows.filter(pk=row.pk).first()
    if locked is None:
        raise Http404
    return locked


def hold(field: str, rows: Iterable[models.Model]) -> None:
    """Keep the rows, all of one kind, that `field` refers to from being deleted. Raises
    NothingThere if one was already.

    Without it the database would refuse the reference only at the commit.
    """
    wanted = list(rows)
    if not wanted:
        return
    held = type(wanted[0])._default_manager.select_for_update(no_key=True)
    ids = {row.pk for row in wanted}
    if len(held.filter(pk__in=ids).order_by("pk").values("pk")) != len(ids):
        raise NothingThere(field)
