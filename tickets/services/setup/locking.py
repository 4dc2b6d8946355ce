"""What is changed, and what it is about to refer to, held until the transaction ends.

First the row itself, then what it refers to, each kind in the order of its ids.
"""

from collections.abc import Iterable
from typing import TypeVar

from django.db import models
from django.http import Http404

from agents.models import Named
from servicedesk.api.fields import NothingThere

AnyNamed = TypeVar("AnyNamed", bound=Named)


def lock(row: AnyNamed) -> AnyNamed:
    """The row, fresh. Raises Http404 where somebody has deleted it meanwhile."""
    rows = type(row)._default_manager.select_for_update(no_key=True)
    locked: AnyNamed | None = rows.filter(pk=row.pk).first()
    if locked is None:
        raise Http404
    return locked


def hold(field: str, rows: Iterable[models.Model]) -> None:
    """Keep what `field` refers to from being deleted. Raises NothingThere if it was already.

    Without it the database would refuse the reference only at the commit.
    """
    wanted = {row.pk: type(row) for row in rows}
    for kind in set(wanted.values()):
        found = kind._default_manager.select_for_update(no_key=True).filter(pk__in=wanted)
        if len(found.order_by("pk").values("pk")) != len(wanted):
            raise NothingThere(field)
