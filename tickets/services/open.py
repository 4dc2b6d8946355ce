from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from agents.models import Skill, Team, User
from servicedesk.errors import FieldError
from tickets import files
from tickets.events import Entry, record
from tickets.models import Category, Channel, Kind, Priority, Tag, Ticket
from tickets.models.category import MAX_TAG


@transaction.atomic
def open_ticket(
    *,
    requester: User,
    subject: str,
    actor: User,
    at: datetime,
    description: str = "",
    priority: Priority = Priority.NORMAL,
    channel: Channel = Channel.WEB,
    category: Category | None = None,
    team: Team | None = None,
    required_skills: Sequence[Skill] | None = None,
    tags: Iterable[str] = (),
    follow_up_of: Ticket | None = None,
    attachments: Sequence[UUID] = (),
) -> Ticket:
    """A new ticket. The category brings its team and skills where none are named.

    `attachments` are drafts of the actor's.
    """
    ticket = Ticket(
        requester=requester,
        subject=subject,
        description=description,
        priority=priority,
        channel=channel,
        category=category,
        team=team or (category.team if category else None),
        follow_up_of=follow_up_of,
        created_at=at,
        queued_at=at,
        waiting_since=at,
    )
    opened = {"subject": subject, "priority": priority.key, "channel": str(channel)}
    record(ticket, Entry(Kind.OPENED, opened, opened), actor=actor, at=at)
    if required_skills is None and category is not None:
        required_skills = list(category.skills.all())
    if required_skills:
        ticket.required_skills.set(required_skills)
    set_tags(ticket, tags)
    if attached := files.kept().attach(attachments, ticket=ticket, author=actor, at=at):
        record(ticket, *attached, actor=actor, at=at)
    return ticket


def tag_names(names: Iterable[str]) -> set[str]:
    """The names as they are kept. Raises FieldError where one has become too long by that."""
    kept = {name.strip().lower() for name in names}
    if any(len(name) > MAX_TAG for name in kept):
        raise FieldError("tags", f"A tag has at most {MAX_TAG} characters, in lower case.")
    return kept


def set_tags(ticket: Ticket, names: Iterable[str]) -> None:
    """Give the ticket exactly these tags, making those that are new."""
    wanted = sorted(tag_names(names))
    if wanted:
        Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
    if wanted or not ticket._state.adding:
        ticket.tags.set(Tag.objects.filter(name__in=wanted))
