from collections.abc import Collection
from datetime import datetime

from agents.models import User
from tickets.models import Notification


def mark_read(*, user: User, ids: Collection[int] | None, at: datetime) -> int:
    """Mark a user's unread notifications (None: all of them) as read; answers how many."""
    unread = Notification.objects.filter(user=user, read_at=None)
    if ids is not None:
        unread = unread.filter(pk__in=ids)
    return unread.update(read_at=at)
