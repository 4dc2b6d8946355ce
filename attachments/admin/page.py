"""What the page of one file, and of one content in quarantine, shows. Reads only."""

from typing import Any

from django.db.models import QuerySet

from agents.models import User
from attachments.access import refusal_of
from attachments.admin.base import PREVIEWS, SCANS, files_for, preview_pill, scan_pill
from attachments.models import Attachment, Blob, Preview

# Of those that have the same content.
PLACES_SHOWN = 50


def of_file(file: Attachment, caller: User) -> dict[str, Any]:
    """The template's context; `file` comes with its facts."""
    assert file.blob is not None
    others = files_for(caller).filter(blob=file.blob).exclude(pk=file.pk)
    is_open = Attachment.objects.visible_to(caller).filter(pk=file.pk).exists()
    refusal = refusal_of(file)
    is_drawn = bool(file.links["thumbnail"]) and file.preview_status == Preview.Status.READY
    return {
        "file": file,
        "blob": file.blob,
        "scan": scan_pill(file.scan_status),
        "scan_words": SCANS[Blob.Scan(file.scan_status)],
        "preview": preview_pill(file),
        "preview_words": PREVIEWS[Preview.Status(file.preview.status)] if file.preview else "None",
        "refusal": refusal if is_open else "Only who has uploaded a draft may open it.",
        "download": file.links["download"],
        "thumbnail": file.links["thumbnail"] if is_open and is_drawn and not refusal else None,
        **places(others),
    }


def places(files: QuerySet[Attachment]) -> dict[str, Any]:
    """Where a content hangs, newest first: `places`, and whether there are `more_places`."""
    newest = files.select_related("uploaded_by").order_by("-created_at", "-pk")
    found = list(newest[: PLACES_SHOWN + 1])
    return {"places": found[:PLACES_SHOWN], "more_places": len(found) > PLACES_SHOWN}
