from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from agents.models import User
from servicedesk.api.text import refuse_control_characters

MAX_VIEW_NAME = 60
MAX_VIEW_QUERY = 2000


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def visible_to(self, user: Any) -> "SavedViewQuerySet":
        """The shared ones and one's own; of others, not even supervisors see any. Lazy."""
        if not getattr(user, "is_desk_staff", False):
            return self.none()
        return self.filter(Q(owner=None) | Q(owner=user.pk))

    def shared_first(self) -> "SavedViewQuerySet":
        return self.order_by(F("owner").asc(nulls_first=True), "position", "pk")


class SavedView(models.Model):
    """A way of looking at the list of tickets, by its filters (`tickets.view_queries`)."""

    name = models.CharField(max_length=MAX_VIEW_NAME, validators=[refuse_control_characters])
    # Nobody's is everybody's: supervisors write those.
    owner = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, blank=True, related_name="saved_views"
    )
    query = models.CharField(max_length=MAX_VIEW_QUERY, blank=True)
    position = models.PositiveIntegerField(default=0)

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                "owner",
                name="saved_view_name_is_unique_for_its_owner",
                condition=Q(owner__isnull=False),
                violation_error_message="You have a view of this name.",
            ),
            models.UniqueConstraint(
                Lower("name"),
                name="shared_view_name_is_unique",
                condition=Q(owner__isnull=True),
                violation_error_message="There is a shared view of this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_shared(self) -> bool:
        return self.owner_id is None
