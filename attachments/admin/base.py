"""What the console's pages about files have in common: they are read, and services change them."""

from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html

from agents.admin.base import MOMENT, MOMENT_OF_THIS_YEAR, ConsoleAdmin, moment
from agents.models import User
from attachments.models import Attachment, Blob, Preview
from attachments.models.attachment import AttachmentQuerySet

# What people read for the states; the words of the API are the classes of the pills.
SCANS = {
    Blob.Scan.PENDING: "Waiting for the scanner",
    Blob.Scan.CLEAN: "Clean",
    Blob.Scan.INFECTED: "Infected",
    Blob.Scan.SKIPPED: "Not scanned",
    Blob.Scan.FAILED: "Scan failed",
}
PREVIEWS = {
    Preview.Status.PENDING: "Being made",
    Preview.Status.READY: "Ready",
    Preview.Status.FAILED: "Failed",
}


class ReadOnlyAdmin(ConsoleAdmin):
    """No form of Django's own writes here: that would be a door past the policy."""

    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What is known of a row (`page_of`). It writes nothing: its buttons start the list's
        actions."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "can_rescan": self.has_rescan_permission(request),
            **self.page_of(row, caller_of(request)),
        }
        name = f"admin/attachments/{self.opts.model_name}/page.html"
        return TemplateResponse(request, name, context)

    def page_of(self, row: Any, caller: User) -> dict[str, Any]:
        """The context of a row's page, its `title` among it."""
        raise NotImplementedError

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What happened to a file stands in its ticket's log."""
        return redirect(f"admin:attachments_{self.opts.model_name}_change", object_id)

    # What actions ask for (`permissions=[…]`).

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_supervise_permission(self, request: HttpRequest) -> bool:
        # Their role has every permission of the app; AnonymousUser has none.
        return request.user.has_perm("attachments.view_quarantined")

    def has_rescan_permission(self, request: HttpRequest) -> bool:
        return self.has_supervise_permission(request) and is_scanning()


def caller_of(request: HttpRequest) -> User:
    """Whoever has passed `admin_view` is signed in."""
    return cast(User, request.user)


def is_scanning() -> bool:
    """Without a scanner nothing that is set to be scanned again would ever be."""
    return bool(settings.SCAN_MODE != "off")


def files_for(user: User) -> AttachmentQuerySet:
    """What this person may know of in the console: as over the API, but supervisors see that
    there are drafts of others, too. What is in those stays with their authors."""
    files = Attachment.objects
    return files.present() if user.is_supervisor else files.visible_to(user)


def number_of(file: Attachment) -> str:
    """Of its ticket."""
    return f"SD-{file.ticket_id}" if file.ticket_id else ""


def size_words(size: int) -> str:
    """Such as `1.5 MB`."""
    return filesizeformat(size)


def recent_moment(at: datetime) -> str | None:
    """A time that needs no year if it is of this one."""
    is_recent = at.year == timezone.now().year
    return moment(at, MOMENT_OF_THIS_YEAR if is_recent else MOMENT)


def pill(status: str, label: str) -> str:
    return format_html('<span class="desk-pill is-{}">{}</span>', status, label)


def scan_pill(status: str) -> str:
    return pill(status, SCANS[Blob.Scan(status)])


def preview_pill(file: Attachment) -> str | None:
    """None of a file of which no preview is made."""
    if file.preview is None:
        return None
    status = Preview.Status(file.preview.status)
    return pill(f"preview-{status}", PREVIEWS[status])
