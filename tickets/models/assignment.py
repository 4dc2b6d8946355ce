from django.db import models
from django.utils import timezone

from agents.models import User
from tickets.models.ticket import Ticket


class AssignmentDecision(models.Model):
    """Why a ticket has the assignee it has: the candidates as they were scored, with weights."""

    class Method(models.TextChoices):
        AUTO = "auto"
        MANUAL = "manual"
        CLAIM = "claim"
        REBALANCE = "rebalance"
        ESCALATION = "escalation"

    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, related_name="decisions", db_index=False
    )
    agent = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(max_length=10, choices=Method)
    decided_at = models.DateTimeField(default=timezone.now)
    weights = models.JSONField(default=dict)
    candidates = models.JSONField(default=list)

    class Meta:
        ordering = ["-id"]
        # GET assignment: the newest decision of a ticket.
        indexes = [models.Index(fields=["ticket", "-id"], name="decisions_of_ticket")]

    def __str__(self) -> str:
        return f"{self.ticket_id} to {self.agent} by {self.method}"
