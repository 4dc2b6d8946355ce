"""Taking files away."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.shortcuts import get_object_or_404

from agents.models import User
from attachments.models import Attachment, Blob
from attachments.services import blobs
from attachments.services.news import entry
from servicedesk.errors import NotAllowed
from tickets.events import record
from tickets.locks import lock_ticket
from tickets.models import Kind


def require_removable(file: Attachment, user: User, at: datetime) -> None:
    """Raises NotAllowed for whoever sees the file but may not take it away."""
    if user.is_desk_staff or file.is_draft:
        return
    assert file.attached_at is not None
    if file.uploaded_by_id != user.pk or at > file.attached_at + settings.REMOVABLE_BY_UPLOADER:
        minutes = settings.REMOVABLE_BY_UPLOADER.total_seconds() // 60
        raise NotAllowed(f"Only who uploaded a file may remove it, within {minutes:g} minutes.")


def remove(*, file: Attachment, actor: User, at: datetime) -> None:
    """Take a file that the actor sees off its ticket, or drop a draft. The bytes go after the
    commit, unless another file has them too. Raises NotAllowed, and Http404 where it is gone."""
    while not _is_removed(file, actor, at):
        # It was sent, or has gone on with a merger, between being looked up and being locked.
        file = get_object_or_404(Attachment.objects.visible_to(actor), pk=file.pk)


@transaction.atomic
def _is_removed(looked_up: Attachment, actor: User, at: datetime) -> bool:
    """False where it is not where it was when it was looked up."""
    ticket = lock_ticket(looked_up.ticket_id) if looked_up.ticket_id else None
    list(Blob.objects.select_for_update(of=("self",)).filter(attachments=looked_up.pk))
    found = Attachment.objects.select_for_update().present().filter(pk=looked_up.pk, ticket=ticket)
    file = found.first()
    if file is None:
        return False
    require_removable(file, actor, at)
    blob_id = file.blob_id
    if ticket is None:
        file.delete()
    else:
        file.blob, file.preview, file.removed_at = None, None, at
        file.save(update_fields=["blob", "preview", "removed_at"])
        record(ticket, entry(Kind.FILE_REMOVED, file), actor=actor, at=at)
    assert blob_id is not None
    blobs.release([blob_id], at)
    return True
