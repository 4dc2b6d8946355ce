"""Contents in which the scanner has found something: what, when, and where they hang."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from agents.admin.base import moment
from agents.models import User
from attachments.admin import page
from attachments.admin.base import ReadOnlyAdmin, number_of, scan_pill, size_words
from attachments.admin.removing import MOST, ask_or_remove
from attachments.models import Attachment, Blob, Quarantined
from attachments.services.scanning import rescan

# So many of a content's files are named in the list.
NAMED = 3


@admin.register(Quarantined)
class QuarantineAdmin(ReadOnlyAdmin):
    """For supervisors, whatever tickets the files are on."""

    list_display = ("found", "files", "tickets", "size_words", "when")
    list_display_links = ("found",)
    ordering = ("-scanned_at", "-id")
    actions = ("remove_everywhere", "rescan")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        newest = Attachment.objects.present().order_by("-created_at", "-pk")[: NAMED + 1]
        files = Prefetch("attachments", newest, to_attr="newest")
        infected = Quarantined.objects.filter(scan_status=Blob.Scan.INFECTED)
        return infected.prefetch_related(files)

    # --- The list ---

    @admin.display(description="found")
    def found(self, content: Quarantined) -> str:
        return content.scan_note or "Something"

    @admin.display(description="files")
    def files(self, content: Any) -> str:
        return _first(sorted({file.filename for file in content.newest}))

    @admin.display(description="on")
    def tickets(self, content: Any) -> str:
        numbers = {file.ticket_id: number_of(file) or "Draft" for file in content.newest}
        links = [
            (reverse("admin:tickets_ticket_change", args=[ticket]), number)
            for ticket, number in numbers.items()
            if ticket
        ]
        drafts = ["Draft"] if None in numbers else []
        shown = format_html_join(", ", '<a href="{}">{}</a>', links)
        return format_html("{}{}{}", shown, ", " if links and drafts else "", _first(drafts))

    @admin.display(description="size")
    def size_words(self, content: Quarantined) -> str:
        return size_words(content.size)

    @admin.display(description="when")
    def when(self, content: Quarantined) -> str | None:
        return moment(content.scanned_at)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        waiting = Blob.objects.filter(scan_status=Blob.Scan.PENDING, scan_due_at__isnull=False)
        context = {
            "scan_mode": settings.SCAN_MODE,
            "waiting": waiting.order_by().values("pk")[:1000].count(),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    # --- What may be done ---

    @admin.action(description="Remove everywhere …", permissions=["supervise"])
    def remove_everywhere(
        self, request: HttpRequest, queryset: QuerySet[Quarantined]
    ) -> HttpResponse:
        contents = list(queryset[:MOST])
        files = Attachment.objects.present().with_facts().filter(blob__in=contents)
        found = list(files.order_by("blob", "created_at", "pk")[:MOST])
        more = files.count() - len(found) if len(found) == MOST else 0
        context = {"title": "Remove everywhere", "chosen": contents, "more": more}
        return ask_or_remove(self, request, found, context=context)

    @admin.action(description="Scan again", permissions=["rescan"])
    def rescan(self, request: HttpRequest, queryset: QuerySet[Quarantined]) -> None:
        chosen = list(queryset[:MOST].values_list("pk", flat=True))
        rescan(Blob.objects.filter(pk__in=chosen), timezone.now())
        messages.success(request, f"To be scanned again: {len(chosen)}.")

    # --- The page ---

    def page_of(self, row: Quarantined, caller: User) -> dict[str, Any]:
        return {
            "title": self.found(row),
            "blob": row,
            "scan": scan_pill(row.scan_status),
            **page.places(Attachment.objects.present().filter(blob=row)),
        }


def _first(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
