from django.db import models

from agents.models import User
from tickets.models.category import Category


class CategoryExperience(models.Model):
    """How many tickets of a category an agent has resolved: a skill that nobody had to declare."""

    agent = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="experience", db_index=False
    )
    category = models.ForeignKey(
        Category, on_delete=models.CASCADE, related_name="experience", db_index=False
    )
    resolved = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            # Led by the category: assignment reads all agents' experience with one.
            models.UniqueConstraint(
                fields=["category", "agent"], name="one_experience_per_category_and_agent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.agent_id} resolved {self.resolved} of {self.category_id}"
