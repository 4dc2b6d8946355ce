"""Canned replies in the console: written by supervisors, chosen beside the composer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from agents.admin.base import ConsoleAdmin, moment
from agents.admin.filters import TeamFilter
from agents.models import Team
from tickets import services
from tickets.admin.fields import Words
from tickets.canned import PLACEHOLDERS
from tickets.models import CannedReply
from tickets.models.message import MAX_BODY


def _explained() -> str:
    names = format_html_join(
        ", ",
        "<code>{{{{{}}}}}</code> ({})",
        ((name, words) for name, words in PLACEHOLDERS.items()),
    )
    return format_html("Markdown. These are filled in: {}.", names)


class CannedReplyForm(forms.ModelForm):  # type: ignore[type-arg]
    body = Words(rows=14, max_length=MAX_BODY, help_text=_explained())

    class Meta:
        model = CannedReply
        fields = ("title", "body", "team", "is_active")
        labels = {"is_active": "Active"}
        help_texts = {"is_active": "Only active replies are offered."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # As wide as Django's own large fields.
        self.fields["body"].widget.attrs["class"] = "vLargeTextField"


@admin.register(CannedReply)
class CannedReplyAdmin(ConsoleAdmin):
    form = CannedReplyForm
    list_display = ("title", "whose", "is_active", "updated_by", "changed")
    list_filter = ("is_active", TeamFilter)
    list_select_related = ("team", "updated_by")
    search_fields = ("title", "body")
    ordering = ("title", "pk")
    sortable_by = ("title",)
    autocomplete_fields = ("team",)

    @admin.display(description="team", empty_value="Everybody's")
    def whose(self, reply: CannedReply) -> Team | None:
        return reply.team

    @admin.display(description="updated")
    def changed(self, reply: CannedReply) -> str | None:
        return moment(reply.updated_at)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Without a row it is asked for deleting many at once, which is not offered.
        return obj is not None and request.user.has_perm("tickets.delete_cannedreply")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """By the services that the API calls."""
        written: dict[str, Any] = {"actor": request.user, "at": timezone.now(), **form.cleaned_data}
        if change:
            services.update_canned_reply(reply=obj, **written)
            return
        obj.pk = services.create_canned_reply(**written).pk
        obj._state.adding = False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_canned_reply(reply=obj)
