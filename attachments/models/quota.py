from typing import ClassVar

from django.db import models

from agents.models import User


class DailyUse(models.Model):
    """How many bytes somebody has uploaded on a day (UTC): of a category, or (`""`) in all."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    category = models.CharField(max_length=20, blank=True)
    used = models.PositiveBigIntegerField(default=0)

    objects: ClassVar[models.Manager["DailyUse"]] = models.Manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "day", "category"], name="one_use_per_day"),
        ]
        # purge_attachments: days that are over.
        indexes = [models.Index(fields=["day"], name="uses_by_day")]

    def __str__(self) -> str:
        return f"{self.used} by {self.user_id} on {self.day}"
