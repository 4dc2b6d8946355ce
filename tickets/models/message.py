from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from agents.models import User
from tickets.models.ticket import Ticket

MAX_BODY = 50_000


class Message(models.Model):
    """A public reply or an internal note. The body is Markdown, rendered when it is read."""

    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="messages")
    body = models.TextField(max_length=MAX_BODY)
    is_internal = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    # The places of its event in the log's two sequences; no public one for a note.
    seq = models.PositiveIntegerField(editable=False)
    public_seq = models.PositiveIntegerField(null=True, editable=False)
    # The name that the author's client gave it, so that sending twice is saying once.
    client_msg_id = models.CharField(max_length=64, null=True, blank=True)
    # The ticket in which it was written, where that was merged into this one.
    merged_from = models.ForeignKey(
        Ticket, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "author", "client_msg_id"],
                name="message_once_per_client_msg_id",
                condition=Q(client_msg_id__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(is_internal=True, public_seq__isnull=True)
                | Q(is_internal=False, public_seq__isnull=False),
                name="message_is_public_or_internal",
            ),
        ]
        indexes = [
            # The conversation of one ticket, oldest first.
            models.Index(fields=["ticket", "created_at", "id"], name="messages_of_ticket"),
        ]

    objects: ClassVar[models.Manager["Message"]] = models.Manager()

    def __str__(self) -> str:
        return f"{'Note' if self.is_internal else 'Reply'} {self.seq} on {self.ticket_id}"
