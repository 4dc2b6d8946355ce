"""Telling tickets what a process that died has not told them."""

from attachments.models import Attachment
from attachments.services import news
from servicedesk.sweeps import SweepResult


def tell_of_files(*, batch: int = 200) -> SweepResult:
    """Record what was found out about files; `batch` tickets at a time."""
    tickets = news.untold(Attachment.objects.all()).order_by("ticket").values_list("ticket")
    ids = [pk for (pk,) in tickets.distinct()[:batch]]
    return SweepResult(handled=sum(news.tell_ticket(pk) for pk in ids))
