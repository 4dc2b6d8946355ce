"""The filters of the list of files. Each is answered from an index, or by reading on."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from attachments import policy
from attachments.admin.base import SCANS
from attachments.models import Blob


class CategoryFilter(admin.SimpleListFilter):
    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(each.name, each.name.capitalize()) for each in policy.current().categories]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(category=self.value()) if self.value() else queryset


class ScanFilter(admin.SimpleListFilter):
    title = "scan"
    parameter_name = "scan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(status), label) for status, label in SCANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        status = self.value()
        if not status:
            return queryset
        contents = Blob.objects.filter(scan_status=status).order_by()
        if status in (Blob.Scan.PENDING, Blob.Scan.FAILED):
            # Always so; it lets the database use the index of what is to be scanned.
            contents = contents.filter(scan_due_at__isnull=False)
        return queryset.filter(blob__in=contents.values("pk"))


class PlaceFilter(admin.SimpleListFilter):
    title = "place"
    parameter_name = "place"
    places = {
        "ticket": ("On tickets", Q(ticket__isnull=False)),
        "internal": ("Internal", Q(ticket__isnull=False, is_internal=True)),
        "draft": ("Drafts", Q(ticket__isnull=True)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in self.places.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        place = self.value()
        if not place:
            return queryset
        return queryset.filter(self.places[place][1]) if place in self.places else queryset.none()
