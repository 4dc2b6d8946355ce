import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from agents.models import User
from attachments.formats import DRAWN
from attachments.models.blob import Blob, Preview
from tickets.models import Message, Ticket


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def visible_to(self, user: Any) -> "AttachmentQuerySet":
        """The files this user may know of; the only place that decides it. Lazy, one query.

        Those of the tickets they see, internal ones for staff only; and their own drafts. Having
        uploaded a file gives nobody a right to it once it is on a ticket.
        """
        if not getattr(user, "is_active", False):
            return self.none()
        # Of the file's own ticket: the same as `ticket__in` would read all tickets for one file.
        on_ticket = Q(Exists(Ticket.objects.visible_to(user).filter(pk=OuterRef("ticket"))))
        if not user.is_desk_staff:
            on_ticket &= Q(is_internal=False)
        return self.present().filter(on_ticket | Q(ticket=None, uploaded_by=user.pk))

    def present(self) -> "AttachmentQuerySet":
        """Those that have not been removed."""
        return self.filter(removed_at=None)

    def with_facts(self) -> "AttachmentQuerySet":
        """What a file's representation reads, in one query."""
        return self.select_related("blob", "preview", "uploaded_by")


class Attachment(models.Model):
    """A file as somebody uploaded it: a draft of theirs, then on a ticket. Written only by
    `attachments.services`.

    What was on a ticket and is removed stays as a row without bytes, since the ticket's log
    still speaks of it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    ticket = models.ForeignKey(
        Ticket,
        on_delete=models.PROTECT,
        null=True,
        related_name="attachments",
        db_index=False,
    )
    message = models.ForeignKey(Message, on_delete=models.PROTECT, null=True, related_name="files")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="attachments")
    preview = models.ForeignKey(
        Preview, on_delete=models.SET_NULL, null=True, related_name="attachments"
    )
    # Without an index of its own: people are deactivated, and not deleted.
    uploaded_by = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="uploads", db_index=False
    )
    filename = models.CharField(max_length=150)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=100)
    category = models.CharField(max_length=20)
    is_internal = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    # Since when it is on its ticket.
    attached_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    # What has happened to the bytes that the ticket's log does not say yet.
    is_scan_untold = models.BooleanField(default=False)
    is_preview_untold = models.BooleanField(default=False)

    objects: ClassVar[AttachmentQuerySet] = AttachmentQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(removed_at__isnull=False, blob__isnull=True)
                | Q(removed_at__isnull=True, blob__isnull=False),
                name="attachment_has_bytes_until_removed",
            ),
            models.CheckConstraint(
                condition=Q(ticket__isnull=False, attached_at__isnull=False)
                | Q(ticket__isnull=True, attached_at__isnull=True, message__isnull=True),
                name="attachment_is_draft_or_attached",
            ),
        ]
        indexes = [
            # The files of a ticket, oldest first, and how many there are. With the few that were
            # removed: a merger moves them too.
            models.Index(
                fields=["ticket", "created_at", "id"],
                name="attachments_of_ticket",
                condition=Q(ticket__isnull=False),
            ),
            # The console's list, newest first.
            models.Index(
                fields=["-created_at", "-id"],
                name="attachments_by_age",
                condition=Q(removed_at__isnull=True),
            ),
            # purge_attachments: drafts that nobody came back for; the drafts of a user.
            models.Index(
                fields=["created_at"], name="drafts_by_age", condition=Q(ticket__isnull=True)
            ),
            models.Index(
                fields=["uploaded_by"], name="drafts_of_user", condition=Q(ticket__isnull=True)
            ),
            # tell_of_files: what a ticket's log does not say yet.
            models.Index(
                fields=["id"],
                name="attachments_untold",
                condition=(Q(is_scan_untold=True) | Q(is_preview_untold=True))
                & Q(ticket__isnull=False, removed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def is_draft(self) -> bool:
        return self.ticket_id is None

    @property
    def scan_status(self) -> str:
        """Of a removed file, of which there is nothing left to look at: skipped."""
        return self.blob.scan_status if self.blob else Blob.Scan.SKIPPED

    @property
    def preview_status(self) -> str:
        return self.preview.status if self.preview else "none"

    @property
    def links(self) -> dict[str, str | None]:
        """Paths; of what is no picture there is no thumbnail."""
        path = f"/api/files/{self.pk}"
        has_preview = self.preview_status in (Preview.Status.PENDING, Preview.Status.READY)
        is_drawn = has_preview and self.content_type in DRAWN
        return {
            "download": f"{path}/download",
            "thumbnail": f"{path}/thumbnail" if is_drawn else None,
            "preview": f"{path}/preview" if has_preview else None,
        }
