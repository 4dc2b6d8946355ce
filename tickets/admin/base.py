"""The form behind every button of a ticket's page."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms

from agents.models import User
from tickets.models import Ticket


class TicketAction(forms.Form):
    """Carries the version that the page showed, so that nothing unseen is overwritten."""

    name: ClassVar[str]
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, ticket: Ticket, caller: User, **kwargs: Any) -> None:
        self.ticket, self.caller = ticket, caller
        super().__init__(data, auto_id=f"{self.name}_%s", **kwargs)

    def run(self, *, at: datetime) -> str:
        """Make the service call with the cleaned data; answer what was done, in a sentence."""
        raise NotImplementedError

    def _change(self, at: datetime) -> dict[str, Any]:
        """On what, by whom, when, and on top of which version."""
        return {
            "ticket": self.ticket,
            "actor": self.caller,
            "at": at,
            "expected": {self.cleaned_data["version"]},
        }
