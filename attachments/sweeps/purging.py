"""Tidying up after files."""

from django.utils import timezone

from attachments.services.purging import purge
from servicedesk.sweeps import SweepResult


def purge_attachments(*, batch: int = 50) -> SweepResult:
    """Drop old drafts, bytes that no row has any more, and the use of days that are over."""
    return purge(at=timezone.now(), batch=batch)
