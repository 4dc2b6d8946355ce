from django.db import models
from django.db.models.functions import Lower

from agents.models import Skill, Team
from servicedesk.api.text import refuse_control_characters


class Category(models.Model):
    """What a ticket is about. It may bring a team and the skills that such tickets need."""

    name = models.CharField(max_length=100, validators=[refuse_control_characters])
    team = models.ForeignKey(
        Team,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="categories",
        help_text="Who gets tickets of this category, unless the ticket names a team.",
    )
    skills = models.ManyToManyField(
        Skill,
        blank=True,
        related_name="categories",
        help_text="What a ticket of this category needs, unless the ticket names skills.",
    )

    class Meta:
        ordering = ["name", "id"]
        verbose_name_plural = "categories"
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="category_name_is_unique",
                violation_error_message="There is a category of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A free label, made on first use. Names are kept in lower case."""

    name = models.CharField(max_length=50, unique=True, validators=[refuse_control_characters])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
