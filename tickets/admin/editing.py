"""Changing what a ticket says."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple

from agents.models import Skill, Team
from tickets import services
from tickets.admin.base import TicketAction
from tickets.admin.fields import Note, Tags
from tickets.models import Category, Ticket

PLAIN = ("subject", "category", "team")


def _picker(name: str, *, several: bool = False) -> Any:
    """Looks choices up as they are typed: there may be thousands."""
    widget = AutocompleteSelectMultiple if several else AutocompleteSelect
    return widget(Ticket._meta.get_field(name), admin.site)


class Edit(TicketAction):
    name = "edit"
    subject = Note(max_length=200)
    category = forms.ModelChoiceField(
        Category.objects.all(), required=False, widget=_picker("category")
    )
    team = forms.ModelChoiceField(Team.objects.all(), required=False, widget=_picker("team"))
    required_skills = forms.ModelMultipleChoiceField(
        Skill.objects.all(), required=False, widget=_picker("required_skills", several=True)
    )
    tags = Tags(required=False, help_text="By comma.")

    def run(self, *, at: datetime) -> str:
        data = self.cleaned_data
        services.update_ticket(
            fields={name: data[name] for name in PLAIN},
            required_skills=list(data["required_skills"]),
            tags=data["tags"],
            **self._change(at),
        )
        return "The details are saved."


def initial_of(ticket: Ticket) -> dict[str, Any]:
    """What the form starts from. The ticket's skills and tags are loaded."""
    return {
        "subject": ticket.subject,
        "category": ticket.category_id,
        "team": ticket.team_id,
        "required_skills": [skill.pk for skill in ticket.required_skills.all()],
        "tags": [tag.name for tag in ticket.tags.all()],
    }
