"""Whether the bytes of a file that somebody sees may be given to them."""

from django.conf import settings

from attachments.models import Attachment, Blob
from attachments.refusals import FileInfected, ScanPending, ScanSkipped
from servicedesk.errors import DomainError

CLOSED = "closed"
# Seconds after which a client may ask again for what is still to be scanned.
ASK_AGAIN = 5


def require_readable(file: Attachment) -> None:
    """What is infected is given to nobody, and in mode `closed` only what is clean to anybody.

    Raises FileInfected, ScanPending, ScanSkipped.
    """
    status = file.scan_status
    if status == Blob.Scan.INFECTED:
        raise FileInfected("The scanner found something harmful in it.")
    if settings.SCAN_MODE != CLOSED or status == Blob.Scan.CLEAN:
        return
    if status == Blob.Scan.SKIPPED:
        raise ScanSkipped("It was not scanned, and only what is clean is given out here.")
    raise ScanPending("It is being scanned; try again in a moment.", retry_after=ASK_AGAIN)


def refusal_of(file: Attachment) -> str:
    """Why its bytes are not given out now, as a sentence; or nothing."""
    try:
        require_readable(file)
    except DomainError as refused:
        return refused.detail
    return ""
