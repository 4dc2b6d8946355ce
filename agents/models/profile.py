from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from agents.models.team import Skill, Team
from agents.models.user import User, has_desk_role


class Availability(models.TextChoices):
    """What an agent has decided; whether a socket of theirs is open is *presence*."""

    AVAILABLE = "available"
    AWAY = "away"
    OFFLINE = "offline"


class AgentQuerySet(models.QuerySet["AgentProfile"]):
    def in_service(self) -> "AgentQuerySet":
        """Those who still have a role for it, with what their representation reads."""
        return (
            self.filter(has_desk_role("user__"))
            .select_related("user")
            .prefetch_related("teams", "skills__skill")
        )

    def leaving(self) -> "AgentQuerySet":
        """Those whose tickets somebody else should have: all of who works here no longer, what is
        not started of who wishes so."""
        gone = Q(user__is_active=False) | ~has_desk_role("user__")
        return self.filter(gone | Q(hands_back=True)).select_related("user")


class AgentProfile(models.Model):
    """What the assignment needs to know of somebody who works on tickets."""

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, related_name="agent", primary_key=True
    )
    teams = models.ManyToManyField(Team, related_name="agents", blank=True)
    capacity = models.PositiveIntegerField(
        default=10,
        validators=[MaxValueValidator(1000)],
        help_text="How many tickets in work (new or open) the agent takes at once.",
    )
    availability = models.CharField(
        max_length=10, choices=Availability, default=Availability.OFFLINE
    )
    # They left and want what they have not started in other hands; until that is done.
    hands_back = models.BooleanField(default=False, editable=False)
    # Tickets in work, kept by the claim's conditional UPDATE; `reconcile` reports any drift.
    open_load = models.PositiveIntegerField(default=0, editable=False)
    last_assigned_at = models.DateTimeField(null=True, blank=True, editable=False)
    # How many tickets out of the queue they got since when: whoever comes online first must not
    # be flooded with all that has waited.
    queue_burst_at = models.DateTimeField(null=True, blank=True, editable=False)
    queue_burst = models.PositiveIntegerField(default=0, editable=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["user_id"]
        indexes = [
            # Read by assignment.candidates: who could take a ticket right now.
            models.Index(
                fields=["open_load"],
                name="agents_who_are_available",
                condition=Q(availability=Availability.AVAILABLE),
            )
        ]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def utilisation(self) -> float:
        """Load by capacity, 0.0 for an agent without any."""
        return round(self.open_load / self.capacity, 3) if self.capacity else 0.0


class AgentSkill(models.Model):
    """How well an agent knows something: 1 (a little) to 5 (the one whom others ask)."""

    MAX_LEVEL = 5

    agent = models.ForeignKey(AgentProfile, on_delete=models.CASCADE, related_name="skills")
    skill = models.ForeignKey(Skill, on_delete=models.CASCADE, related_name="agents")
    level = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(MAX_LEVEL)]
    )

    class Meta:
        ordering = ["skill__name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "skill"], name="one_level_per_agent_and_skill"
            ),
            models.CheckConstraint(
                condition=Q(level__gte=1, level__lte=5), name="skill_level_is_1_to_5"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.skill} {self.level}"
