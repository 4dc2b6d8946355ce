"""What the storage is used for, in a few aggregate queries over all files."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum

from agents.models import User
from attachments.admin.base import SCANS, scan_pill
from attachments.models import Attachment, Blob, LooseBytes

PEOPLE = 25


@dataclass(frozen=True)
class Use:
    """A line of a table: how many, how many bytes, and their share of all in percent."""

    label: str
    files: int
    size: int
    share: int = 0


def context() -> dict[str, Any]:
    """What the page shows: five queries, each of which reads a table once."""
    by_category, uploads, drafts = _by_category()
    by_scan = _by_scan()
    kept = _sum("Kept, once for each content", by_scan)
    return {
        "by_category": by_category,
        "by_requester": _by_person("ticket__requester", uploads.size),
        "by_uploader": _by_person("uploaded_by", uploads.size),
        "by_scan": [(scan_pill(use.label), use) for use in by_scan],
        "uploads": uploads,
        "kept": kept,
        "drafts": drafts,
        "saved": uploads.size - kept.size,
        "saved_share": _share(uploads.size - kept.size, uploads.size),
        "loose": LooseBytes.objects.count(),
        "people": PEOPLE,
    }


def _by_category() -> tuple[list[Use], Use, Use]:
    """Each category, all of them together, and the drafts among them."""
    rows = _totals(
        Attachment.objects.present().values("category"),
        draft_files=Count("pk", filter=Q(ticket=None)),
        draft_size=Sum("size", filter=Q(ticket=None), default=0),
    )
    uses = [Use(row["category"], row["files"], row["total"]) for row in rows]
    uploads = _sum("As uploaded", uses)
    drafts = Use(
        "Drafts", sum(row["draft_files"] for row in rows), sum(row["draft_size"] for row in rows)
    )
    return _with_shares(uses, uploads.size), uploads, drafts


def _by_person(who: str, whole: int) -> list[Use]:
    """Those with the most; `who` leads from a file to them, but from a draft to no requester."""
    files = Attachment.objects.present().filter(**{f"{who}__isnull": False})
    rows = list(_totals(files.values(person=F(who)))[:PEOPLE])
    names = User.objects.in_bulk([row["person"] for row in rows])
    uses = [Use(str(names[row["person"]]), row["files"], row["total"]) for row in rows]
    return _with_shares(uses, whole)


def _by_scan() -> list[Use]:
    rows = {row["scan_status"]: row for row in _totals(Blob.objects.values("scan_status"))}
    uses = [
        Use(status, rows[status]["files"], rows[status]["total"])
        for status in SCANS
        if status in rows
    ]
    return _with_shares(uses, sum(use.size for use in uses))


def _totals(rows: QuerySet[Any, Any], **more: Any) -> QuerySet[Any, Any]:
    """Of each group its `files` and `total` bytes, the largest first."""
    found: QuerySet[Any, Any] = rows.annotate(files=Count("*"), total=Sum("size"), **more)
    return found.order_by("-total")


def _with_shares(uses: list[Use], whole: int) -> list[Use]:
    return [Use(use.label, use.files, use.size, _share(use.size, whole)) for use in uses]


def _sum(label: str, uses: list[Use]) -> Use:
    return Use(label, sum(use.files for use in uses), sum(use.size for use in uses))


def _share(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0
