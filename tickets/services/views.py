"""Saved views of the ticket list. Everybody keeps their own; supervisors also the shared ones."""

from datetime import datetime
from typing import TypedDict, Unpack

from django.db import transaction
from django.db.models import Max

from agents.models import User
from agents.saving import save_clean
from servicedesk.errors import DomainError, NotAllowed
from tickets.models import SavedView
from tickets.services.setup.locking import lock
from tickets.view_queries import checked

# So many of one's own, and so many shared.
MAX_VIEWS = 50
MAX_POSITION = 2**31 - 1


class TooManyViews(DomainError):
    code = "too_many_views"
    title = "There are too many saved views"


class ViewFields(TypedDict, total=False):
    """What a view is made of. Without a position a new one comes last."""

    name: str
    query: str
    shared: bool
    position: int


def for_user(user: User) -> list[SavedView]:
    """The views that this user is offered, the shared ones first. One query."""
    return list(SavedView.objects.visible_to(user).shared_first())


@transaction.atomic
def create_view(*, actor: User, at: datetime, **fields: Unpack[ViewFields]) -> SavedView:
    """A new view; needs a name. Raises FieldError, NotAllowed, TooManyViews."""
    # Two at once would both find room for one.
    lock(actor)
    view = SavedView(owner=actor)
    return _save(view, actor, at, {"shared": False, **fields})


@transaction.atomic
def update_view(
    *, view: SavedView, actor: User, at: datetime, **fields: Unpack[ViewFields]
) -> SavedView:
    """Change what is given; what is no longer shared becomes the actor's own.

    Raises FieldError, NotAllowed, TooManyViews and Http404.
    """
    lock(actor)
    locked = lock(view)
    _require_right(locked, actor)
    return _save(locked, actor, at, fields)


@transaction.atomic
def delete_view(*, view: SavedView, actor: User) -> None:
    """Raises NotAllowed and Http404."""
    locked = lock(view)
    _require_right(locked, actor)
    locked.delete()


def may_change(view: SavedView, actor: User) -> bool:
    return view.owner_id == actor.pk or (view.is_shared and actor.is_supervisor)


def _require_right(view: SavedView, actor: User) -> None:
    if not may_change(view, actor):
        raise NotAllowed("Only supervisors change shared views.")


def _save(view: SavedView, actor: User, at: datetime, fields: ViewFields) -> SavedView:
    if "shared" in fields:
        owner = None if fields["shared"] else actor
        if view._state.adding or owner != view.owner:
            _move_to(view, owner, actor)
    if "position" in fields:
        view.position = fields["position"]
    if "query" in fields:
        view.query = checked(fields["query"], at=at)
    view.name = fields.get("name", view.name)
    save_clean(view)
    return view


def _move_to(view: SavedView, owner: User | None, actor: User) -> None:
    """Behind the views that are there."""
    if owner is None and not actor.is_supervisor:
        raise NotAllowed("Only supervisors share views.")
    others = SavedView.objects.filter(owner=owner)
    if others.count() >= MAX_VIEWS:
        whose = "There are" if owner is None else "You have"
        shared = "shared " if owner is None else ""
        raise TooManyViews(f"{whose} {MAX_VIEWS} {shared}views; delete one to make room.")
    last = others.aggregate(last=Max("position"))["last"]
    view.owner = owner
    view.position = 0 if last is None else min(last + 1, MAX_POSITION)
