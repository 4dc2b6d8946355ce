from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agents.models import Named, Skill, Team
from servicedesk.api.text import refuse_control_characters

MAX_HANDLING_MINUTES = 60 * 24 * 366


class Category(Named):
    """What a ticket is about. It may bring a team and the skills that such tickets need."""

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

    handling_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_HANDLING_MINUTES)],
        help_text="How long an agent works on such a ticket; blank: the desk's average.",
    )

    class Meta(Named.Meta):
        verbose_name_plural = "categories"


MAX_TAG = 50
# So many a ticket has.
MAX_TAGS = 20


class Tag(models.Model):
    """A free label, made on first use. Names are kept in lower case."""

    name = models.CharField(max_length=MAX_TAG, unique=True, validators=[refuse_control_characters])

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
