"""Bytes that are kept, once for each content, and what was found out about them."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Blob(models.Model):
    """One content, wherever it is attached. `key` is its random name in the storage.

    The bytes are there before the row is, and go after it: whatever dies in between leaves bytes
    without a row (LooseBytes), never a row without bytes.
    """

    class Scan(models.TextChoices):
        PENDING = "pending"
        CLEAN = "clean"
        INFECTED = "infected"
        SKIPPED = "skipped"  # not looked at: scanning is off, or it is too large for the scanner
        FAILED = "failed"  # the scanner cannot make anything of it; tried again later

    sha256 = models.CharField(max_length=64, unique=True)
    size = models.PositiveBigIntegerField()
    key = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    scan_status = models.CharField(max_length=8, choices=Scan, default=Scan.PENDING)
    # What was found, or why nothing was: for staff.
    scan_note = models.CharField(max_length=200, blank=True)
    scanned_at = models.DateTimeField(null=True)
    # When it may be scanned (again); null where it need not be. Who takes it moves this ahead
    # first, so that nobody else does, and so that it comes back if they die.
    scan_due_at = models.DateTimeField(null=True)
    scan_attempts = models.PositiveSmallIntegerField(default=0)

    objects: ClassVar[models.Manager["Blob"]] = models.Manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(scan_status__in=["pending", "failed"]) | Q(scan_due_at__isnull=False),
                name="blob_to_be_scanned_is_due",
            )
        ]
        indexes = [
            # scan_attachments: what is to be scanned.
            models.Index(
                fields=["scan_due_at"],
                name="blobs_to_scan",
                condition=Q(scan_due_at__isnull=False),
            ),
            # The console's list of what is in quarantine.
            models.Index(
                fields=["-scanned_at"], name="blobs_infected", condition=Q(scan_status="infected")
            ),
        ]

    def __str__(self) -> str:
        return self.sha256[:12]


class Preview(models.Model):
    """How a content looks as a file of one type (the same bytes may be text here and a table
    there). What was drawn is in the storage, named in `parts`."""

    class Status(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"

    blob = models.ForeignKey(
        Blob, on_delete=models.CASCADE, related_name="previews", db_index=False
    )
    content_type = models.CharField(max_length=100)
    status = models.CharField(max_length=8, choices=Status, default=Status.PENDING)
    # Such as {"256": {"key": "…", "size": 5120, "content_type": "image/webp"}, "json": …}.
    parts = models.JSONField(default=dict)
    # Why it could not be made: for staff.
    note = models.CharField(max_length=200, blank=True)
    # As Blob.scan_due_at.
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    objects: ClassVar[models.Manager["Preview"]] = models.Manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["blob", "content_type"], name="one_preview_per_content_and_type"
            ),
            models.CheckConstraint(
                condition=Q(status="pending", due_at__isnull=False)
                | ~Q(status="pending") & Q(due_at__isnull=True),
                name="preview_pending_is_due",
            ),
        ]
        indexes = [
            # render_previews: what is to be drawn.
            models.Index(
                fields=["due_at"], name="previews_to_render", condition=Q(due_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.blob} as {self.content_type}"


class LooseBytes(models.Model):
    """A key in the storage that no other row vouches for: about to be written, or to be deleted.

    The row is committed before the bytes are written, and goes in the transaction in which
    another row takes the key; the other way round for deleting. So whatever dies in between,
    `purge_attachments` knows what is left without looking through the whole storage.
    """

    key = models.CharField(max_length=64, unique=True)
    # When it may be deleted: at once, or once nobody can be writing it any more.
    due_at = models.DateTimeField(db_index=True)

    objects: ClassVar[models.Manager["LooseBytes"]] = models.Manager()

    class Meta:
        ordering = ["due_at", "id"]
        verbose_name_plural = "loose bytes"

    def __str__(self) -> str:
        return self.key
