from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.models import Skill, User
from servicedesk.errors import FieldError, NotAllowed
from tickets.events import Entry, record
from tickets.locks import lock_ticket
from tickets.models import Kind, Priority, Ticket
from tickets.models.category import MAX_TAGS
from tickets.parts import require_staff
from tickets.services.merge import refuse_merged
from tickets.services.open import set_tags, tag_names

PLAIN_FIELDS = ("subject", "description", "category", "team")


@transaction.atomic
def update_ticket(
    *,
    ticket: Ticket,
    actor: User,
    at: datetime,
    fields: dict[str, Any] | None = None,
    required_skills: Sequence[Skill] | None = None,
    tags: Iterable[str] | None = None,
    priority: Priority | None = None,
    expected: Collection[int] | None = None,
) -> Ticket:
    """Change what the ticket says. `fields` may hold subject, description, category and team.

    What stays the same is no change: without one, nothing is recorded. Raises VersionConflict.
    """
    require_staff(actor)
    ticket = lock_ticket(ticket.pk, expected)
    refuse_merged(ticket)
    changed = [name for name, value in (fields or {}).items() if getattr(ticket, name) != value]
    for name in changed:
        if name not in PLAIN_FIELDS:
            raise NotAllowed(f"{name} is not changed this way.")
        setattr(ticket, name, (fields or {})[name])
    names = list(changed)
    if required_skills is not None and set(required_skills) != set(ticket.required_skills.all()):
        ticket.required_skills.set(required_skills)
        names.append("required_skills")
    if tags is not None and tag_names(tags) != {tag.name for tag in ticket.tags.all()}:
        set_tags(ticket, tags)
        names.append("tags")
    entries = []
    if names:
        entries.append(Entry(Kind.UPDATED, {"fields": sorted(names)}, {"fields": sorted(names)}))
    if priority is not None and priority != ticket.priority:
        entries.append(_set_priority(ticket, priority, reason=""))
        changed.append("priority")
    if entries:
        # Tags and skills are rows of their own, but a change of the ticket like any other.
        record(ticket, *entries, actor=actor, at=at, changed=changed or ["version"])
    return ticket


@transaction.atomic
def change_priority(
    *,
    ticket: Ticket,
    to: Priority,
    actor: User,
    at: datetime,
    reason: str = "",
    expected: Collection[int] | None = None,
) -> Ticket:
    """Give the ticket another priority; the same again changes nothing."""
    require_staff(actor)
    ticket = lock_ticket(ticket.pk, expected)
    refuse_merged(ticket)
    if ticket.priority != to:
        entry = _set_priority(ticket, to, reason=reason)
        record(ticket, entry, actor=actor, at=at, changed=["priority"])
    return ticket


@transaction.atomic
def change_tags(
    *,
    ticket: Ticket,
    actor: User,
    at: datetime,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
) -> Ticket:
    """Put tags on and take tags off, leaving the others as they are under the ticket's lock.

    Raises FieldError where the ticket would have too many. What is so already is no change.
    """
    require_staff(actor)
    ticket = lock_ticket(ticket.pk)
    refuse_merged(ticket)
    present = {tag.name for tag in ticket.tags.all()}
    wanted = (present | tag_names(add)) - tag_names(remove)
    if wanted == present:
        return ticket
    if len(wanted) > max(MAX_TAGS, len(present)):
        raise FieldError("add", f"A ticket has at most {MAX_TAGS} tags.")
    set_tags(ticket, wanted)
    fields = {"fields": ["tags"]}
    entry = Entry(Kind.UPDATED, fields, fields)
    record(ticket, entry, actor=actor, at=at, changed=["version"])
    return ticket


def _set_priority(ticket: Ticket, to: Priority, *, reason: str) -> Entry:
    moved = {"from": Priority(ticket.priority).key, "to": to.key}
    ticket.priority = to
    return Entry(Kind.PRIORITY_CHANGED, {**moved, "reason": reason}, moved)
