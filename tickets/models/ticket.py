import secrets
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from agents.models import Skill, Team, User
from servicedesk.api.text import refuse_control_characters
from tickets.lifecycle import ENDED_STATUSES, OPEN_STATUSES, WORKED_STATUSES, Status
from tickets.models.category import Category, Tag

MAX_ESCALATION_LEVEL = 3


class Priority(models.IntegerChoices):
    """Stored as a rank, so that the database orders by urgency; spoken of by `key`."""

    LOW = 1, "Low"
    NORMAL = 2, "Normal"
    HIGH = 3, "High"
    URGENT = 4, "Urgent"
    CRITICAL = 5, "Critical"

    @property
    def key(self) -> str:
        return self.name.lower()

    @classmethod
    def from_key(cls, key: str) -> "Priority":
        """Raises KeyError for an unknown name."""
        return cls[key.upper()]

    def raised(self) -> "Priority":
        return Priority(min(self + 1, Priority.CRITICAL))


PRIORITY_NAMES = [(priority.key, priority.label) for priority in Priority]


class Channel(models.TextChoices):
    """How the request reached the desk."""

    WEB = "web"
    API = "api"
    EMAIL = "email"
    PHONE = "phone"
    CHAT = "chat"


class SlaStanding(models.TextChoices):
    """How a ticket's clocks stand; `running` becomes at risk and breached as time passes."""

    NONE = "none"
    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


# Orders tickets without a due time behind all others.
NO_DUE_TIME = datetime(9999, 12, 31, tzinfo=UTC)


def new_epoch() -> str:
    return secrets.token_hex(4)


class TicketQuerySet(models.QuerySet["Ticket"]):
    def visible_to(self, user: Any) -> "TicketQuerySet":
        """The tickets this user may know of; the only place that decides it. Lazy, one query.

        Whoever asked or takes part sees a ticket; agents also those in their hands, of their
        teams and of no team; supervisors all.
        """
        if not getattr(user, "is_active", False):
            return self.none()
        if user.is_supervisor:
            return self
        if not user.is_desk_staff:
            return self._asked_or_joined_by(user)
        takes_part = Participant.objects.filter(ticket=OuterRef("pk"), user=user.pk)
        own_teams = Team.objects.filter(agents=user.pk).values("pk")
        return self.filter(
            Q(requester=user.pk)
            | Q(Exists(takes_part))
            | Q(team=None)
            | Q(assignee=user.pk)
            | Q(team__in=own_teams)
        )

    def _asked_or_joined_by(self, user: Any) -> "TicketQuerySet":
        """A customer sees few of many tickets: two index look-ups, where an OR of the two
        conditions would read the whole table."""
        asked = Ticket.objects.filter(requester=user.pk).order_by().values("pk")
        joined = Participant.objects.filter(user=user.pk).order_by().values("ticket")
        return self.filter(pk__in=asked.union(joined, all=True))

    def unassigned(self) -> "TicketQuerySet":
        """In nobody's hands though somebody should work on them."""
        return self.filter(assignee=None, status__in=WORKED_STATUSES)

    def unstarted(self) -> "TicketQuerySet":
        """Nobody works on it yet: the customer has not heard of them. As `is_unstarted`."""
        return self.filter(status__in=WORKED_STATUSES, first_responded_at=None)

    def with_people(self) -> "TicketQuerySet":
        """What a ticket's representation reads, in a fixed number of queries."""
        named = self.select_related("category", "team", "requester", "assignee", "sla_policy")
        return named.prefetch_related("tags", "required_skills")


class Ticket(models.Model):
    """A request to the desk, from opening to closing. Written only by `tickets.services`."""

    subject = models.CharField(max_length=200, validators=[refuse_control_characters])
    description = models.TextField(blank=True, max_length=50_000)
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.WEB)

    # No index of their own: each of these four leads one of the indexes below.
    category = models.ForeignKey(
        Category,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tickets",
        db_index=False,
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tickets",
        db_index=False,
    )
    required_skills = models.ManyToManyField(Skill, blank=True, related_name="tickets")
    tags = models.ManyToManyField(Tag, blank=True, related_name="tickets")

    requester = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="requested_tickets", db_index=False
    )
    assignee = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="assigned_tickets",
        db_index=False,
    )
    participants = models.ManyToManyField(
        User, through="Participant", related_name="joined_tickets", blank=True
    )

    escalation_level = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(MAX_ESCALATION_LEVEL)]
    )
    reopen_count = models.PositiveIntegerField(default=0)
    resolution = models.TextField(blank=True)
    follow_up_of = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="follow_ups"
    )
    # The ticket that this one was merged into, which goes on in its place.
    merged_into = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="merged_tickets"
    )

    created_at = models.DateTimeField(default=timezone.now)
    # The last change that staff can see, and the last that the customer can see: a note must
    # not show by moving the ticket up in the customer's list.
    updated_at = models.DateTimeField(default=timezone.now)
    public_updated_at = models.DateTimeField(default=timezone.now)
    first_responded_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    # Since when nobody has it, and since when the customer waits for the next answer; null where
    # somebody does, and where they do not.
    queued_at = models.DateTimeField(null=True, blank=True, editable=False)
    waiting_since = models.DateTimeField(null=True, blank=True, editable=False)

    # What tickets.sla.keeping makes of the ticket's clocks, so that lists need not read them:
    # the policy, how they stand as long as no time passes, the next due time of those that run
    # and the first instant at which one is at risk. The policy without a constraint: a ticket may
    # be opened while its policy is deleted, and is worked out anew a moment later.
    sla_policy = models.ForeignKey(
        "SlaPolicy",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tickets",
        db_index=False,
        db_constraint=False,
    )
    sla_standing = models.CharField(
        max_length=10, choices=SlaStanding, default=SlaStanding.NONE, editable=False
    )
    sla_due_at = models.DateTimeField(null=True, editable=False)
    sla_warn_at = models.DateTimeField(null=True, editable=False)
    # The next instant at which time alone changes something: a warning, a breach, an escalation.
    next_sla_at = models.DateTimeField(null=True, editable=False)
    # With which calendars, policies and rules all of that was worked out.
    sla_revision = models.BigIntegerField(default=0, editable=False)

    # How often the ticket's own fields changed: what ETag and If-Match compare.
    version = models.PositiveIntegerField(default=1, editable=False)
    # The event log: its incarnation, the heads of the two sequences, and how far the
    # receivers have been told of it.
    epoch = models.CharField(max_length=8, default=new_epoch, editable=False)
    last_seq = models.PositiveIntegerField(default=0, editable=False)
    last_public_seq = models.PositiveIntegerField(default=0, editable=False)
    announced_seq = models.PositiveIntegerField(default=0, editable=False)

    # The ticket's name in the system that it was imported from.
    external_id = models.CharField(max_length=64, null=True, unique=True, editable=False)

    objects: ClassVar[TicketQuerySet] = TicketQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-updated_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="ticket_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(priority__in=Priority.values), name="ticket_priority_is_known"
            ),
            models.CheckConstraint(
                condition=Q(escalation_level__lte=MAX_ESCALATION_LEVEL),
                name="ticket_escalation_level_is_0_to_3",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.RESOLVED) | Q(resolved_at__isnull=False),
                name="ticket_resolved_has_resolved_at",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[Status.CLOSED, Status.CANCELLED], closed_at__isnull=False)
                | Q(closed_at__isnull=True) & ~Q(status__in=[Status.CLOSED, Status.CANCELLED]),
                name="ticket_closed_at_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(last_public_seq__lte=F("last_seq")),
                name="ticket_public_log_is_part_of_log",
            ),
        ]
        indexes = [
            # The lists of the API and the console, newest change first.
            models.Index(fields=["-updated_at", "-id"], name="tickets_by_change"),
            models.Index(fields=["-created_at", "-id"], name="tickets_by_opening"),
            models.Index(fields=["priority", "id"], name="tickets_by_priority"),
            models.Index(fields=["team", "-updated_at", "-id"], name="tickets_of_team"),
            models.Index(fields=["category", "-updated_at", "-id"], name="tickets_of_category"),
            models.Index(fields=["assignee", "-updated_at", "-id"], name="tickets_of_assignee"),
            models.Index(
                fields=["requester", "-public_updated_at", "-id"], name="tickets_of_requester"
            ),
            models.Index(fields=["status", "-updated_at", "-id"], name="tickets_by_status"),
            # candidates: how much each agent has in work; stats: what is open.
            models.Index(
                fields=["assignee", "status"],
                name="tickets_in_the_open",
                condition=Q(status__in=OPEN_STATUSES),
            ),
            # assign_tickets: the queue of what nobody has, most urgent and oldest first.
            models.Index(
                fields=["-priority", "created_at", "id"],
                name="tickets_waiting_for_an_agent",
                condition=Q(assignee__isnull=True, status__in=WORKED_STATUSES),
            ),
            # escalate_tickets: one range scan, whatever is not due.
            models.Index(
                fields=["next_sla_at"],
                name="tickets_to_be_looked_at",
                condition=Q(next_sla_at__isnull=False),
            ),
            # The filter sla=at_risk, and the figures of it.
            models.Index(
                fields=["sla_warn_at"],
                name="tickets_running_out_of_time",
                condition=Q(sla_standing=SlaStanding.RUNNING),
            ),
            # The filters sla=breached, paused and met, in the order of the lists. What runs, which
            # is what changes most, is not in it.
            models.Index(
                fields=["sla_standing", "-updated_at", "-id"],
                name="tickets_by_standing",
                condition=Q(
                    sla_standing__in=[SlaStanding.PAUSED, SlaStanding.MET, SlaStanding.BREACHED]
                ),
            ),
            # The lists ordered by due time.
            models.Index(
                Coalesce("sla_due_at", models.Value(NO_DUE_TIME)), "id", name="tickets_by_due_time"
            ),
            # recompute_clocks: what was worked out before the last change of a calendar or policy.
            models.Index(
                fields=["sla_revision"],
                name="tickets_by_sla_revision",
                condition=Q(status__in=OPEN_STATUSES),
            ),
            # close_resolved_tickets: what was resolved long enough ago.
            models.Index(
                fields=["resolved_at"],
                name="tickets_resolved",
                condition=Q(status=Status.RESOLVED),
            ),
            # announce_events: what a receiver has not been told of.
            models.Index(
                fields=["updated_at"],
                name="tickets_not_announced",
                condition=Q(announced_seq__lt=F("last_seq")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.subject}"

    @property
    def number(self) -> str:
        return f"SD-{self.pk}"

    @property
    def weight(self) -> int:
        """What the ticket weighs on its assignee's capacity: 1 in work, 0 otherwise."""
        return int(self.status in WORKED_STATUSES)

    @property
    def is_unstarted(self) -> bool:
        return self.status in WORKED_STATUSES and self.first_responded_at is None

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED_STATUSES


class Participant(models.Model):
    """Somebody besides the requester who may see the ticket."""

    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, related_name="participations", db_index=False
    )
    user = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="participations", db_index=False
    )
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["ticket", "user"], name="participant_once_per_ticket")
        ]
        # visible_to: which tickets a user takes part in.
        indexes = [models.Index(fields=["user", "ticket"], name="participations_of_user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.ticket_id}"
