"""Service levels: when the desk works, what it promised, and the clocks that hold it to that."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from agents.models import Named, Team, User
from tickets.lifecycle import PAUSING_STATUSES
from tickets.models.category import Category
from tickets.models.ticket import Priority, Ticket

MAX_TARGET = 366 * 24 * 3600  # seconds of working time


class Calendar(Named):
    """When the desk works, in local wall-clock time. Checked by `tickets.sla.calendar.parse`."""

    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        help_text="A name like Europe/Berlin; decides daylight saving.",
    )
    # By weekday, such as {"monday": ["09:00-12:00", "13:00-17:30"], "saturday": ["22:00-06:00"]}.
    week = models.JSONField(default=dict)

    parts = frozenset({"dates"})

    class Meta(Named.Meta):
        verbose_name = "business calendar"


class CalendarDate(models.Model):
    """A date with hours of its own instead of the weekday's; without any, a holiday."""

    calendar = models.ForeignKey(
        Calendar, on_delete=models.CASCADE, related_name="dates", db_index=False
    )
    date = models.DateField()
    name = models.CharField(max_length=100, blank=True)
    # Such as ["10:00-14:00"].
    windows = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["date", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["calendar", "date"],
                name="one_entry_per_calendar_and_date",
                violation_error_message="This date is in the calendar already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.date} {self.name}".strip()


class Metric(models.TextChoices):
    """What is promised, each measured by a clock of its own."""

    FIRST_RESPONSE = "first_response", "First response"
    NEXT_RESPONSE = "next_response", "Next response"
    RESOLUTION = "resolution", "Resolution"


def all_pauses() -> list[str]:
    return [str(status) for status in PAUSING_STATUSES]


class SlaPolicy(Named):
    """What is promised to which tickets. The first active policy that applies is the ticket's."""

    is_active = models.BooleanField(default=True)
    position = models.PositiveIntegerField(
        default=100, help_text="Where several policies apply, the lowest position wins."
    )
    calendar = models.ForeignKey(
        Calendar,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="policies",
        help_text="When the clocks run; without one, around the clock.",
    )
    # The statuses in which the clocks stand still.
    pauses = models.JSONField(default=all_pauses, blank=True)
    # Which tickets it applies to. An empty list is no condition.
    categories = models.ManyToManyField(Category, blank=True, related_name="sla_policies")
    teams = models.ManyToManyField(Team, blank=True, related_name="sla_policies")
    requesters = models.ManyToManyField(User, blank=True, related_name="sla_policies")

    parts = frozenset({"targets"})

    class Meta(Named.Meta):
        ordering = ["position", "id"]
        verbose_name = "SLA policy"
        verbose_name_plural = "SLA policies"


class SlaTarget(models.Model):
    """What a policy promises to tickets of one priority, in seconds of working time."""

    policy = models.ForeignKey(
        SlaPolicy, on_delete=models.CASCADE, related_name="targets", db_index=False
    )
    priority = models.PositiveSmallIntegerField(choices=Priority)
    first_response = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_TARGET)]
    )
    next_response = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_TARGET)]
    )
    resolution = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MAX_TARGET)]
    )

    class Meta:
        ordering = ["-priority"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "priority"], name="one_target_per_policy_and_priority"
            )
        ]

    def __str__(self) -> str:
        return f"{Priority(self.priority).label} of {self.policy_id}"


class SlaClock(models.Model):
    """One promise about one ticket. `cycle` counts: each customer's question starts a new one.

    `due_at` is null while the clock is paused, never stale. A breach is a fact: it stays, though
    a change of priority may move the due time afterwards. Written by `tickets.sla` only.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        PAUSED = "paused"
        MET = "met"
        BREACHED = "breached"
        CANCELLED = "cancelled"

    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, related_name="clocks", db_index=False
    )
    metric = models.CharField(max_length=16, choices=Metric)
    cycle = models.PositiveIntegerField(default=1)
    # As of the last time the due time was worked out. Without a constraint, as Ticket.sla_policy.
    policy = models.ForeignKey(
        SlaPolicy,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    target_seconds = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    warn_at = models.DateTimeField(null=True)
    warned_at = models.DateTimeField(null=True)
    breached_at = models.DateTimeField(null=True)
    met_at = models.DateTimeField(null=True)
    # Met, late or not, or cancelled; and the working seconds that it took.
    ended_at = models.DateTimeField(null=True)
    elapsed_seconds = models.PositiveIntegerField(null=True)

    objects: ClassVar[models.Manager["SlaClock"]] = models.Manager()

    class Meta:
        ordering = ["ticket_id", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["ticket", "metric", "cycle"], name="one_clock_per_metric_and_cycle"
            ),
            models.CheckConstraint(
                condition=~Q(state="paused") | Q(due_at__isnull=True, warn_at__isnull=True),
                name="clock_paused_has_no_due_time",
            ),
            models.CheckConstraint(
                condition=Q(state="breached", breached_at__isnull=False)
                | ~Q(state="breached") & Q(breached_at__isnull=True),
                name="clock_breached_iff_breached_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="met") | Q(met_at__isnull=False, ended_at__isnull=False),
                name="clock_met_has_met_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.cycle} of {self.ticket_id}"


class SlaRevision(models.Model):
    """How often calendars, policies and escalation rules were changed: one row, one number.

    A ticket keeps the number that its clocks were worked out with; where it is an older one, a
    sweep works them out anew.
    """

    number = models.BigIntegerField(default=0)

    objects: ClassVar[models.Manager["SlaRevision"]] = models.Manager()

    def __str__(self) -> str:
        return str(self.number)
