from typing import Any

from django.db import models
from django.db.models import Q

from agents.models import Team, User
from servicedesk.api.text import refuse_control_characters
from tickets.canned import refuse_unknown_placeholders
from tickets.models.message import MAX_BODY

MAX_TITLE = 100


class CannedReplyQuerySet(models.QuerySet["CannedReply"]):
    def visible_to(self, user: Any) -> "CannedReplyQuerySet":
        """Supervisors see all; agents those in use, of their teams and of everybody. Lazy."""
        if not getattr(user, "is_desk_staff", False):
            return self.none()
        if user.is_supervisor:
            return self
        own_teams = Team.objects.filter(agents=user.pk).values("pk")
        return self.filter(Q(team=None) | Q(team__in=own_teams), is_active=True)

    def holding(self, text: str) -> "CannedReplyQuerySet":
        """Those with every one of the words, in the title or in the body."""
        rows = self
        for word in text.split():
            rows = rows.filter(Q(title__icontains=word) | Q(body__icontains=word))
        return rows


class CannedReply(models.Model):
    """A text to answer with: Markdown, with placeholders out of `tickets.canned`."""

    title = models.CharField(max_length=MAX_TITLE, validators=[refuse_control_characters])
    body = models.TextField(max_length=MAX_BODY, validators=[refuse_unknown_placeholders])
    # A reply of a team must not become everybody's because the team has gone.
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="canned_replies",
        help_text="Whose reply it is; empty: everybody's.",
    )
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", editable=False)
    updated_at = models.DateTimeField(editable=False)

    objects = CannedReplyQuerySet.as_manager()

    class Meta:
        ordering = ["title", "id"]
        verbose_name_plural = "canned replies"

    def __str__(self) -> str:
        return self.title
