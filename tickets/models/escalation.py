"""Escalation: what it reacts to and what it does, as data, and the ledger of what it has done."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.models import Named, Team
from tickets.models.category import Category
from tickets.models.sla import MAX_TARGET, Metric
from tickets.models.ticket import MAX_ESCALATION_LEVEL, Priority, Ticket


class EscalationRule(Named):
    """On what (trigger), for which tickets (categories, teams, priority), what then."""

    class Trigger(models.TextChoices):
        SLA_WARNING = "sla_warning", "A service level is at risk"
        SLA_BREACHED = "sla_breached", "A service level is breached"
        NO_FIRST_RESPONSE = "no_first_response", "Nobody has answered the customer"
        UNASSIGNED = "unassigned", "Nobody has the ticket"
        REOPENED = "reopened", "The ticket was reopened"

    class Recipient(models.TextChoices):
        ASSIGNEE = "assignee", "Assignee"
        TEAM_LEAD = "team_lead", "Team lead"
        SUPERVISORS = "supervisors", "Supervisors"

    is_active = models.BooleanField(default=True)
    trigger = models.CharField(max_length=20, choices=Trigger)
    metric = models.CharField(
        max_length=16, choices=Metric, blank=True, help_text="Of which service level; blank: any."
    )
    after_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_TARGET)],
        help_text="Seconds of the policy's working time after which it acts.",
    )
    reopen_count = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    # Which tickets it is about. An empty list is no condition.
    categories = models.ManyToManyField(Category, blank=True, related_name="escalation_rules")
    teams = models.ManyToManyField(Team, blank=True, related_name="escalation_rules")
    min_priority = models.PositiveSmallIntegerField(choices=Priority, null=True, blank=True)
    # What then.
    level = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_ESCALATION_LEVEL)],
        help_text="Raises the ticket to at least this level.",
    )
    raises_priority = models.BooleanField(default=False, help_text="One step up.")
    reassigns = models.BooleanField(
        default=False, help_text="Along the path: agent, team lead, supervisors."
    )
    notifies = models.JSONField(default=list, blank=True)

    class Meta(Named.Meta):
        pass


class Alert(models.Model):
    """Something that happened because of time, once for each ticket, occasion and step.

    `occasion` is a metric or a rule's trigger, `cycle` which of several (the clock's cycle, the
    count of reopenings), `step` is `warning`, `breach` or `rule:<id>`.
    """

    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, related_name="alerts", db_index=False
    )
    occasion = models.CharField(max_length=20)
    cycle = models.PositiveBigIntegerField(default=1)
    step = models.CharField(max_length=32)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            # What makes an effect happen exactly once, whoever runs the sweep.
            models.UniqueConstraint(
                fields=["ticket", "occasion", "cycle", "step"], name="alert_exactly_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.step} of {self.occasion} {self.cycle} on {self.ticket_id}"
