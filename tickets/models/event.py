from django.db import models
from django.utils import timezone

from agents.models import User
from tickets.models.ticket import Ticket


class Kind(models.TextChoices):
    """What happened, by the name under which clients hear of it."""

    OPENED = "ticket.opened"
    UPDATED = "ticket.updated"
    STATUS_CHANGED = "ticket.status_changed"
    PRIORITY_CHANGED = "ticket.priority_changed"
    ASSIGNED = "ticket.assigned"
    ESCALATED = "ticket.escalated"
    MESSAGE_CREATED = "message.created"
    PARTICIPANTS_CHANGED = "participants.changed"
    RATED = "ticket.rated"
    MERGED = "ticket.merged"
    FILE_ATTACHED = "file.attached"
    FILE_SCANNED = "file.scanned"
    FILE_PREVIEWED = "file.previewed"
    FILE_REMOVED = "file.removed"
    SLA_WARNED = "sla.warned"
    SLA_BREACHED = "sla.breached"


class TicketEvent(models.Model):
    """One thing that happened to a ticket. Inserted once, never changed (triggers see to it).

    It is the audit trail, the timeline, the outbox of notifications and the log that a client
    replays. `seq` counts all events of a ticket without a gap, `public_seq` those that its
    customer may see, so that an internal note leaves no hole. `public_data` is written by an
    allow-list when the event is, and is null exactly where the event is internal.
    """

    ticket = models.ForeignKey(
        Ticket, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    seq = models.PositiveIntegerField()
    public_seq = models.PositiveIntegerField(null=True)
    kind = models.CharField(max_length=32, choices=Kind)
    actor = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    data = models.JSONField(default=dict)
    public_data = models.JSONField(null=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["ticket_id", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["ticket", "seq"], name="event_seq_is_unique"),
            models.UniqueConstraint(
                fields=["ticket", "public_seq"], name="event_public_seq_is_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(public_seq__isnull=True, public_data__isnull=True)
                | models.Q(public_seq__isnull=False, public_data__isnull=False),
                name="event_is_public_or_internal",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.seq} of {self.ticket_id}"
