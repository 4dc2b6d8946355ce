"""What can be done on a ticket's page: each action is a form, and makes one service call."""

from datetime import datetime

from django import forms
from django.utils.text import capfirst

from agents.backends import find_user
from agents.models import User
from servicedesk.errors import FieldError
from tickets import services
from tickets.admin.base import TicketAction
from tickets.admin.editing import Edit
from tickets.admin.fields import Note, TicketNumber, Words
from tickets.admin.reply import Reply
from tickets.lifecycle import Status
from tickets.models import Priority, Ticket
from tickets.models.message import MAX_BODY

MAX_REASON = 2000


class Move(TicketAction):
    name = "move"
    to = forms.ChoiceField(choices=Status.choices, label="Status")
    comment = Words(max_length=MAX_BODY, rows=3, required=False)
    is_internal = forms.BooleanField(required=False, label="As an internal note")
    resolution = Words(
        max_length=MAX_BODY,
        rows=2,
        required=False,
        label="How it was resolved",
        help_text="Only when resolving. The customer reads it.",
    )

    def run(self, *, at: datetime) -> str:
        data = self.cleaned_data
        to = Status(data["to"])
        services.change_status(
            to=to,
            comment=data["comment"],
            is_internal=data["is_internal"],
            resolution=data["resolution"],
            **self._change(at),
        )
        return f"{self.ticket.number}: {to.label.lower()}."


class Assign(TicketAction):
    name = "assign"
    how = forms.ChoiceField(choices=[(how, how) for how in ("agent", "auto", "queue")])
    agent = forms.CharField(max_length=254, required=False)
    force = forms.BooleanField(required=False, label="Even if away or at capacity")

    def run(self, *, at: datetime) -> str:
        data = self.cleaned_data
        if data["how"] == "auto":
            ticket = services.assign_automatically(**self._change(at))
            return f"{ticket.number} is with {ticket.assignee} now."
        to = None if data["how"] == "queue" else _agent_named(data["agent"])
        services.assign(to=to, force=data["force"], **self._change(at))
        return f"{self.ticket.number} is {f'with {to}' if to else 'back in the queue'} now."


class Claim(TicketAction):
    """Whoever is first wins; the version does not matter for that."""

    name = "claim"

    def run(self, *, at: datetime) -> str:
        services.claim(ticket=self.ticket, agent=self.caller, at=at)
        return f"{self.ticket.number} is yours now."


class ChangePriority(TicketAction):
    name = "priority"
    to = forms.TypedChoiceField(
        choices=Priority.choices, coerce=lambda value: Priority(int(value)), label="Priority"
    )
    reason = Note(max_length=MAX_REASON, required=False)

    def run(self, *, at: datetime) -> str:
        data = self.cleaned_data
        services.change_priority(to=data["to"], reason=data["reason"], **self._change(at))
        return f"Priority: {data['to'].label.lower()}."


class Escalate(TicketAction):
    name = "escalate"
    reason = Note(max_length=MAX_REASON)

    def run(self, *, at: datetime) -> str:
        ticket = services.escalate(reason=self.cleaned_data["reason"], **self._change(at))
        return f"Escalated to level {ticket.escalation_level}."


class Merge(TicketAction):
    """Needs the version: who merges has read what is about to go over."""

    name = "merge"
    into = TicketNumber(max_length=24, label="Into", help_text="The number of the other ticket.")

    def run(self, *, at: datetime) -> str:
        number = self.cleaned_data["into"]
        into = Ticket.objects.visible_to(self.caller).filter(pk=number).first()
        if into is None:
            raise FieldError("into", f"There is no SD-{number} that you see.")
        data = self._change(at)
        services.merge(source=data.pop("ticket"), into=into, **data)
        return f"{self.ticket.number} goes on in {into.number}."


class Invite(TicketAction):
    """Adds to who is there, whatever else has changed."""

    name = "invite"
    who = forms.CharField(
        max_length=254, label="Username or e-mail", help_text="They see the ticket and may reply."
    )

    def run(self, *, at: datetime) -> str:
        user = find_user(self.cleaned_data["who"])
        if user is None:
            raise FieldError("who", "There is no account of this username or e-mail.")
        data = self._change(at)
        del data["expected"]
        is_new = services.add_participant(user=user, **data)
        return f"{user} takes part now." if is_new else f"{user} takes part already."


class Uninvite(TicketAction):
    name = "uninvite"
    user = forms.IntegerField(min_value=1, max_value=2**63 - 1)

    def run(self, *, at: datetime) -> str:
        data = self._change(at)
        del data["expected"]
        services.remove_participant(user_id=self.cleaned_data["user"], **data)
        return "They do not take part any more."


ACTIONS: dict[str, type[TicketAction]] = {
    action.name: action
    for action in (
        Reply,
        Move,
        Assign,
        Claim,
        ChangePriority,
        Escalate,
        Edit,
        Merge,
        Invite,
        Uninvite,
    )
}


def _agent_named(name: str) -> User:
    """Raises FieldError for a name that is nobody's."""
    user = find_user(name)
    if user is None:
        found = User.objects.filter(name__iexact=name.strip(), is_active=True, agent__isnull=False)
        user = found.first() if found.count() == 1 else None
    if user is None:
        raise FieldError("agent", capfirst(f"{name.strip() or 'nobody'} is no agent's username."))
    return user
