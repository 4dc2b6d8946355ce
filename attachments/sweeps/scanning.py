"""Letting the scanner look at what is due."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from attachments.refusals import StorageUnavailable
from attachments.scanning import ScannerAway
from attachments.services import scanning
from servicedesk.sweeps import SweepResult

log = structlog.get_logger(__name__)

AT_A_TIME = 10
# Whoever ends the worker does not wait long; one more may take as long as a scan may.
SCAN_TIME = timedelta(seconds=20)


def scan_attachments(*, batch: int = AT_A_TIME) -> SweepResult:
    """Scan at most `batch` contents (and AT_A_TIME). Where the scanner is away it stops at once:
    the others would only wait for the same."""
    result = SweepResult()
    if settings.SCAN_MODE == scanning.OFF:
        return result
    started = timezone.now()
    for blob in scanning.due(started)[: min(batch, AT_A_TIME)]:
        try:
            result.add(scanning.scan_blob(blob))
        except (ScannerAway, StorageUnavailable) as exc:
            log.warning("scanning_interrupted", reason=str(exc))
            result.failed += 1
            break
        if timezone.now() > started + SCAN_TIME:
            break
    return result
