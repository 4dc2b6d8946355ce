from django.db import models
from django.db.models import Q
from django.utils import timezone

from agents.models import User
from tickets.models.event import TicketEvent
from tickets.models.ticket import Ticket


class Notification(models.Model):
    """One person told of one event: in the app at once, by mail through `send_notifications`."""

    class Kind(models.TextChoices):
        """The template that tells it: templates/notifications/<kind>.…"""

        OPENED = "opened"
        ASSIGNED = "assigned"
        REPLIED = "replied"
        NOTED = "noted"
        RESOLVED = "resolved"
        REOPENED = "reopened"
        ESCALATED = "escalated"
        SLA_WARNED = "sla_warned"
        SLA_BREACHED = "sla_breached"
        MERGED = "merged"

    class Mail(models.TextChoices):
        NONE = "none"  # no address to send to
        PENDING = "pending"
        SENT = "sent"
        FAILED = "failed"  # given up

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    ticket = models.ForeignKey(Ticket, on_delete=models.CASCADE, related_name="notifications")
    event = models.ForeignKey(
        TicketEvent, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=12, choices=Kind)
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, blank=True)

    mail = models.CharField(max_length=8, choices=Mail, default=Mail.NONE)
    # When the mail may be tried (again). A worker that takes it moves this ahead first, so that
    # nobody else does, and so that it comes back if that worker dies.
    mail_due_at = models.DateTimeField(default=timezone.now)
    mail_attempts = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["event", "user"], name="notified_once_per_event")
        ]
        indexes = [
            # The caller's notifications, newest first, and the unread among them.
            models.Index(fields=["user", "-id"], name="notifications_of_user"),
            models.Index(
                fields=["user", "-id"], name="notifications_unread", condition=Q(read_at=None)
            ),
            # send_notifications: what is to be mailed.
            models.Index(
                fields=["mail_due_at"], name="notifications_to_mail", condition=Q(mail="pending")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id} on {self.ticket_id}"
