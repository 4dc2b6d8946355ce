"""What is found out about files becomes events of their tickets, each once.

Whoever finds something out marks the attachments in the same transaction (`is_scan_untold`,
`is_preview_untold`) and calls `tell` after its commit; where it dies in between, a sweep tells.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from attachments.models import Attachment
from tickets.events import Entry, record
from tickets.locks import lock_ticket
from tickets.models import Kind


def untold(files: QuerySet[Attachment]) -> QuerySet[Attachment]:
    """Those on a ticket of which its log does not say everything."""
    news = Q(is_scan_untold=True) | Q(is_preview_untold=True)
    return files.filter(news, ticket__isnull=False, removed_at=None)


def tell(blob_id: int) -> None:
    """Tell every ticket on which this content is what was found out about it."""
    files = untold(Attachment.objects.filter(blob=blob_id))
    for pk in sorted(set(files.values_list("ticket", flat=True))):
        assert pk is not None
        tell_ticket(pk)


@transaction.atomic
def tell_ticket(ticket_id: int, at: datetime | None = None) -> bool:
    """Record what the ticket's log does not say yet. False where another has just done so."""
    ticket = lock_ticket(ticket_id)
    locked = untold(Attachment.objects.filter(ticket=ticket_id)).select_for_update()
    files = list(locked.order_by("pk"))
    if not files:
        return False
    entries = []
    for file in sorted(files, key=lambda file: (file.created_at, file.pk)):
        if file.is_scan_untold:
            entries.append(entry(Kind.FILE_SCANNED, file))
        if file.is_preview_untold:
            entries.append(entry(Kind.FILE_PREVIEWED, file))
    told = Attachment.objects.filter(pk__in=[file.pk for file in files])
    told.update(is_scan_untold=False, is_preview_untold=False)
    record(ticket, *entries, actor=None, at=at or timezone.now())
    return True


def entry(kind: Kind, file: Attachment) -> Entry:
    """The log names the file by its id; who may know of it hears of it."""
    data = {"file": str(file.pk)}
    return Entry(kind, data, None if file.is_internal else data)
