"""Writing a message on a ticket's page, with files."""

import uuid
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django import forms

from servicedesk.errors import DomainError
from tickets import files, services
from tickets.admin.base import TicketAction
from tickets.admin.fields import Words
from tickets.files import MAX_ATTACHED, File
from tickets.models import Message
from tickets.models.message import MAX_BODY
from tickets.services.reply import IdempotencyConflict, Posted


class FilesRefused(DomainError):
    code = "files_refused"
    status = 400
    title = "Some of the files are not taken"


class Choosing(forms.ClearableFileInput):
    allow_multiple_selected = True


class Uploads(forms.FileField):
    """Any number of files; what they are is for whoever keeps them to judge."""

    widget = Choosing

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        return list(data or [])


class Drafts(forms.TypedMultipleChoiceField):
    """Files that were taken before, when the rest of the form was not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(coerce=UUID, **kwargs)

    def valid_value(self, value: Any) -> bool:
        # Whose they are is asked where they are attached.
        try:
            UUID(value)
        except ValueError:
            return False
        return True


class Reply(TicketAction):
    """Needs no version: words are added to what others said, not written over it."""

    name = "reply"
    body = Words(max_length=MAX_BODY, rows=5, label="Message")
    audience = forms.ChoiceField(
        choices=[("public", "Reply to the customer"), ("internal", "Internal note")],
        initial="public",
        widget=forms.RadioSelect,
    )
    file = Uploads(required=False, label="Files", help_text=f"At most {MAX_ATTACHED}.")
    draft = Drafts(required=False)
    # Made with the page, so that a second click says the same thing once.
    client_msg_id = forms.CharField(
        max_length=64, widget=forms.HiddenInput, initial=lambda: uuid.uuid4().hex
    )

    def run(self, *, at: datetime) -> str:
        posted = self._post(self._take_files(at), at)
        if self.ticket.merged_into_id and posted.follow_up:
            return (
                f"What you wrote is in {posted.message.ticket.number}, where this ticket goes on."
            )
        if posted.follow_up:
            return f"This ticket is finished; your reply opened {posted.follow_up.number}."
        return "The note is saved." if posted.message.is_internal else "The reply is sent."

    @cached_property
    def kept(self) -> list[File]:
        """The files that wait to go with the message; of the caller's own."""
        found = files.kept().named(self._drafts)
        own = [found[name] for name in self._drafts if name in found]
        return [file for file in own if file.ticket_id is None and file.uploaded_by == self.caller]

    @property
    def _drafts(self) -> list[str]:
        return [str(draft) for draft in self.cleaned_data.get("draft", ())] if self.is_bound else []

    def _take_files(self, at: datetime) -> list[UUID]:
        """The drafts to send. Raises FilesRefused where one is not taken: nothing is sent, and
        the good ones wait in the form."""
        data = self.cleaned_data
        if len(data["file"]) + len(data["draft"]) > MAX_ATTACHED:
            raise FilesRefused(f"Nothing is sent yet: at most {MAX_ATTACHED} files go at a time.")
        if data["file"]:
            taken = files.kept().receive(data["file"], author=self.caller, at=at)
            data["draft"] = [*data["draft"], *taken.drafts]
            if taken.refusals:
                others = " The other files are kept below." if data["draft"] else ""
                raise FilesRefused(f"Nothing is sent yet. {' '.join(taken.refusals)}{others}")
        drafts: list[UUID] = data["draft"]
        return drafts

    def _post(self, drafts: list[UUID], at: datetime) -> Posted:
        data = self.cleaned_data
        try:
            return services.post_message(
                ticket=self.ticket,
                author=self.caller,
                body=data["body"],
                at=at,
                is_internal=data["audience"] == "internal",
                client_msg_id=data["client_msg_id"],
                attachments=drafts,
            )
        except IdempotencyConflict:
            earlier = self._sent_before(drafts)
            if earlier is None:
                raise
            return Posted(earlier, is_new=False)

    def _sent_before(self, drafts: list[UUID]) -> Message | None:
        """The same message, where a second click has uploaded its files a second time."""
        data = self.cleaned_data
        said = Message.objects.filter(
            ticket=self.ticket,
            author=self.caller,
            client_msg_id=data["client_msg_id"],
            body=data["body"],
            is_internal=data["audience"] == "internal",
        ).first()
        if said is None:
            return None
        its_files = files.kept().of_messages([said.pk]).get(said.pk, ())
        again = files.kept().named(map(str, drafts)).values()
        return said if _contents(its_files) == _contents(again) else None


def _contents(found: Any) -> list[tuple[str, str]]:
    return sorted((file.filename, file.sha256) for file in found)
