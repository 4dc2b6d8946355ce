"""Changing what a ticket says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.db.models import Model

from agents.models import Skill, Team
from servicedesk.api.preconditions import VersionConflict
from tickets import services
from tickets.admin.base import TicketAction
from tickets.admin.fields import Note, Tags
from tickets.models import Category, Ticket

PLAIN = ("subject", "category", "team")
NOTHING = "(nothing)"


@dataclass(frozen=True)
class Clash:
    """A field that somebody else has changed too: what it said, says, and would say."""

    label: str
    was: str
    theirs: str
    mine: str


def _picker(name: str, *, several: bool = False) -> Any:
    """Looks choices up as they are typed: there may be thousands."""
    widget = AutocompleteSelectMultiple if several else AutocompleteSelect
    return widget(Ticket._meta.get_field(name), admin.site)


class Edit(TicketAction):
    """The form holds what each field said when its page was drawn. So only what was changed is
    saved, and on top of whatever others did to the other fields; a field that they have changed as
    well is shown with both values, and saved by whoever has seen them."""

    name = "edit"
    subject = Note(max_length=200, show_hidden_initial=True)
    category = forms.ModelChoiceField(
        Category.objects.all(),
        required=False,
        widget=_picker("category"),
        show_hidden_initial=True,
    )
    team = forms.ModelChoiceField(
        Team.objects.all(), required=False, widget=_picker("team"), show_hidden_initial=True
    )
    required_skills = forms.ModelMultipleChoiceField(
        Skill.objects.all(),
        required=False,
        widget=_picker("required_skills", several=True),
        show_hidden_initial=True,
    )
    tags = Tags(required=False, help_text="By comma.", show_hidden_initial=True)

    clashes: tuple[Clash, ...] = ()

    def run(self, *, at: datetime) -> str:
        found = Ticket.objects.with_people().get(pk=self.ticket.pk)
        if self.cleaned_data["version"] != found.version:
            self.clashes = tuple(self._clashes_with(found))
            if self.clashes:
                raise VersionConflict("Somebody changed the same fields meanwhile.")
        data = {name: self.cleaned_data[name] for name in self.changed_data if name in self.fields}
        services.update_ticket(
            fields={name: value for name, value in data.items() if name in PLAIN},
            required_skills=data.get("required_skills"),
            tags=data.get("tags"),
            **{**self._change(at), "expected": {found.version}},
        )
        return "The details are saved."

    def _clashes_with(self, found: Ticket) -> Iterable[Clash]:
        now = initial_of(found)
        for name in set(now).intersection(self.changed_data):
            was, theirs = self._initial(name), self._cleaned(name, now[name])
            mine = self.cleaned_data[name]
            if not _is_same(theirs, was) and not _is_same(theirs, mine):
                label = str(self[name].label)
                yield Clash(label, _in_words(was), _in_words(theirs), _in_words(mine))

    def _initial(self, name: str) -> Any:
        """What the field said when the page was drawn."""
        bound = self[name]
        hidden = bound.field.hidden_widget()
        sent = hidden.value_from_datadict(self.data, self.files, bound.html_initial_name)
        return self._cleaned(name, sent)

    def _cleaned(self, name: str, value: Any) -> Any:
        try:
            return self.fields[name].clean(self.fields[name].prepare_value(value))
        except forms.ValidationError:
            # A team that is gone by now, say.
            return None


def initial_of(ticket: Ticket) -> dict[str, Any]:
    """What the form starts from. The ticket's skills and tags are loaded."""
    return {
        "subject": ticket.subject,
        "category": ticket.category_id,
        "team": ticket.team_id,
        "required_skills": [skill.pk for skill in ticket.required_skills.all()],
        "tags": [tag.name for tag in ticket.tags.all()],
    }


def _is_same(one: Any, other: Any) -> bool:
    return _in_words(one) == _in_words(other)


def _in_words(value: Any) -> str:
    if value is None or isinstance(value, (str, Model)):
        return str(value or NOTHING)
    return ", ".join(sorted(map(str, value))) or NOTHING
