"""Drawing the previews that are due."""

from datetime import timedelta

from django.utils import timezone

from attachments.models import Preview
from attachments.services.previewing import render
from servicedesk.sweeps import SweepResult

PREVIEWS_AT_A_TIME = 20
# Whoever ends the worker does not wait long; one more may take as long as a drawing may.
PREVIEW_TIME = timedelta(seconds=20)


def render_previews(*, batch: int = 50) -> SweepResult:
    """Draw what is due, longest due first. Two workers never draw the same one.

    Where one fails for no fault of its own the rest waits for the next run: what is the matter
    with the storage, or this machine, would fail them as well.
    """
    started = timezone.now()
    due = Preview.objects.filter(due_at__lte=started).order_by("due_at", "pk")
    result = SweepResult()
    for preview in due[: min(batch, PREVIEWS_AT_A_TIME)]:
        result.add(render(preview))
        if result.failed or timezone.now() > started + PREVIEW_TIME:
            break
    return result
