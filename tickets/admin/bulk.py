"""One action on many tickets: chosen in the list, filled in on a page between, told row by row.

The action is the very form of a ticket's page, made of each ticket with the version that the page
between has shown; so what is refused there is refused here, in the same words.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django import forms
from django.http import QueryDict

from agents.models import User
from servicedesk.errors import FieldError
from tickets import services
from tickets.admin.actions import Assign, ChangePriority, Move
from tickets.admin.base import TicketAction
from tickets.admin.fields import Tags
from tickets.lifecycle import Status
from tickets.models import Priority, Ticket
from tickets.services.bulk import MAX_TICKETS

PAIR = re.compile(r"([0-9]{1,18}):([0-9]{1,9})")


class Tag(TicketAction):
    """Puts tags on and takes tags off, and leaves the others as they are."""

    name = "tag"
    add = Tags(required=False, label="Put on", help_text="By comma.")
    remove = Tags(required=False, label="Take off", help_text="By comma.")

    def clean(self) -> dict[str, Any]:
        if not self.errors and not any(self.cleaned_data.get(name) for name in ("add", "remove")):
            raise forms.ValidationError("Name a tag to put on or to take off.")
        return self.cleaned_data

    def run(self, *, at: datetime) -> str:
        data = self._change(at)
        del data["expected"]
        services.change_tags(
            add=self.cleaned_data["add"], remove=self.cleaned_data["remove"], **data
        )
        return "Tagged."


@dataclass(frozen=True)
class BulkAction:
    """`label` is in the list's menu and above the page between."""

    form: type[TicketAction]
    label: str
    submit: str
    initial: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.form.name


ACTIONS = {
    action.name: action
    for action in (
        BulkAction(Assign, "Assign", "Assign"),
        BulkAction(Move, "Change the status", "Change", {"to": Status.RESOLVED}),
        BulkAction(ChangePriority, "Set the priority", "Set", {"to": Priority.HIGH}),
        BulkAction(Tag, "Tag", "Tag"),
    )
}


@dataclass(frozen=True)
class Chosen:
    """A ticket, and the version of it that the page has shown."""

    ticket: Ticket
    version: int


@dataclass(frozen=True)
class Row:
    """What became of a ticket."""

    ticket: Ticket
    is_done: bool
    words: str


def chosen(pairs: Sequence[str], caller: User) -> list[Chosen]:
    """The tickets of pairs such as `42:7`, id and version, that the caller still sees.

    Raises FieldError for what is no pair, and for too many.
    """
    if len(pairs) > MAX_TICKETS:
        raise FieldError("ticket", f"At most {MAX_TICKETS} tickets at a time.")
    versions: dict[int, int] = {}
    for pair in pairs:
        named = PAIR.fullmatch(pair)
        if named is None:
            raise FieldError("ticket", "A ticket is named by its number and version.")
        versions[int(named[1])] = int(named[2])
    tickets = Ticket.objects.visible_to(caller).filter(pk__in=versions).order_by("-updated_at")
    return [Chosen(ticket, versions[ticket.pk]) for ticket in tickets.defer("description")]


def carry_out(
    action: BulkAction, data: QueryDict, tickets: Sequence[Chosen], *, caller: User, at: datetime
) -> tuple[TicketAction | None, list[Row]]:
    """The form as it was refused, or what became of each ticket."""
    versions = {each.ticket.pk: each.version for each in tickets}
    said: dict[int, str] = {}

    def change(ticket: Ticket) -> None:
        form = _form(action, data, ticket, caller, versions[ticket.pk])
        form.is_valid()
        said[ticket.pk] = form.run(at=at)

    if not tickets:
        return None, []
    first = _form(action, data, tickets[0].ticket, caller, tickets[0].version)
    if not first.is_valid():
        return first, []
    outcomes = services.change_each(
        tickets=[each.ticket for each in tickets], change=change, once=_at_once
    )
    rows = [
        Row(
            each.ticket,
            outcomes[each.ticket.pk].ok,
            said.get(each.ticket.pk, "")
            if outcomes[each.ticket.pk].ok
            else outcomes[each.ticket.pk].detail,
        )
        for each in tickets
    ]
    return None, rows


def _form(
    action: BulkAction, data: QueryDict, ticket: Ticket, caller: User, version: int
) -> TicketAction:
    own = data.copy()
    own["version"] = str(version)
    return action.form(own, ticket=ticket, caller=caller)


def _at_once(_: str, do: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """A form that is sent again finds newer versions; nothing has to be remembered."""
    return dict(do())
