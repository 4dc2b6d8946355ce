"""The list of files, the page of each, and what may be done with them."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from agents.models import User
from attachments.admin import page, storage_use
from attachments.admin.base import (
    ReadOnlyAdmin,
    caller_of,
    files_for,
    is_scanning,
    number_of,
    preview_pill,
    recent_moment,
    scan_pill,
    size_words,
)
from attachments.admin.filters import CategoryFilter, PlaceFilter, ScanFilter
from attachments.admin.removing import MOST, ask_or_remove
from attachments.admin.search import NAMES_SEARCHED, matching
from attachments.models import Attachment, Blob
from attachments.services.scanning import rescan


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    list_display = (
        "filename",
        "ticket_link",
        "category",
        "size_words",
        "uploaded_by",
        "scan",
        "preview_state",
        "uploaded",
    )
    list_display_links = ("filename",)
    list_filter = (ScanFilter, CategoryFilter, PlaceFilter)
    # Only shows the box: see get_search_results.
    search_fields = ("filename",)
    search_help_text = (
        f"A ticket (SD-42), a whole SHA-256, or parts of a name: of the newest {NAMES_SEARCHED:,}"
    )
    ordering = ("-created_at", "-id")
    actions = ("remove", "rescan")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        return files_for(caller_of(request)).with_facts()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[QuerySet[Attachment], bool]:
        return (matching(queryset, search_term) if search_term.strip() else queryset), False

    # --- The list ---

    @admin.display(description="ticket")
    def ticket_link(self, file: Attachment) -> str:
        if file.ticket_id is None:
            return "Draft"
        address = reverse("admin:tickets_ticket_change", args=[file.ticket_id])
        suffix = " (internal)" if file.is_internal else ""
        return format_html('<a href="{}">{}</a>{}', address, number_of(file), suffix)

    @admin.display(description="size")
    def size_words(self, file: Attachment) -> str:
        return size_words(file.size)

    @admin.display(description="scan")
    def scan(self, file: Attachment) -> str:
        return scan_pill(file.scan_status)

    @admin.display(description="preview")
    def preview_state(self, file: Attachment) -> str | None:
        return preview_pill(file)

    @admin.display(description="uploaded")
    def uploaded(self, file: Attachment) -> str | None:
        return recent_moment(file.created_at)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        is_supervisor = self.has_supervise_permission(request)
        context = {"is_supervisor": is_supervisor, **(extra_context or {})}
        return super().changelist_view(request, context)

    # --- What may be done ---

    @admin.action(description="Remove …", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Attachment]) -> HttpResponse | None:
        files = self._chosen(request, queryset)
        context = {"title": "Remove files", "chosen": files}
        return None if files is None else ask_or_remove(self, request, files, context=context)

    @admin.action(description="Scan again", permissions=["rescan"])
    def rescan(self, request: HttpRequest, queryset: QuerySet[Attachment]) -> None:
        files = self._chosen(request, queryset)
        if files is None:
            return
        contents = [file.blob_id for file in files if file.blob_id]
        rescan(Blob.objects.filter(pk__in=contents), timezone.now())
        names = ", ".join(file.filename for file in files)
        messages.success(request, f"To be scanned again: {names}.")

    def _chosen(
        self, request: HttpRequest, queryset: QuerySet[Attachment]
    ) -> list[Attachment] | None:
        """None where it is more than is done at a time, which is said."""
        files = list(queryset[: MOST + 1])
        if len(files) <= MOST:
            return files
        messages.error(request, f"At most {MOST} files at a time; nothing was done.")
        return None

    # --- The pages ---

    def get_urls(self) -> list[URLPattern]:
        use = self.admin_site.admin_view(self.storage_use_view)
        own = path("storage/", use, name="attachments_storage_use")
        return [own, *super().get_urls()]

    def page_of(self, row: Attachment, caller: User) -> dict[str, Any]:
        return {"title": row.filename, **page.of_file(row, caller)}

    def storage_use_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_supervise_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Storage use",
            "is_scanning": is_scanning(),
            **storage_use.context(),
        }
        return TemplateResponse(request, "admin/attachments/storage_use.html", context)
