from collections.abc import Iterable
from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower

from servicedesk.api.text import refuse_control_characters


class Named(models.Model):
    """What people refer to by a name that is unique, whatever its case."""

    name = models.CharField(max_length=100, validators=[refuse_control_characters])
    # Relations of what belongs to the row and goes with it, by accessor.
    parts: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        abstract = True
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="%(class)s_name_is_unique",
                violation_error_message="This name is taken.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def is_used(self) -> bool:
        """Whether anything but its parts refers to it: a query for each kind of what may."""
        relations = {str(relation.get_accessor_name()) for relation in self._meta.related_objects}
        return any(getattr(self, name).exists() for name in sorted(relations - self.parts))


class Team(Named):
    """Agents who share a queue of tickets."""

    lead = models.ForeignKey(
        "agents.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="led_teams",
        help_text="Who gets the team's tickets when they are escalated.",
    )


class SkillQuerySet(models.QuerySet["Skill"]):
    def named(self, names: Iterable[str]) -> "SkillQuerySet":
        """The skills of these names, whatever the case."""
        wanted = list(names)
        lowered = [name.lower() for name in wanted]
        # As written, too: SQLite lowers ASCII only, and so finds no "Übersetzung" in lower case.
        found = models.Q(lower_name__in=lowered) | models.Q(name__in=wanted)
        return self.alias(lower_name=Lower("name")).filter(found)


class Skill(Named):
    """Something that a ticket can need and an agent can know."""

    objects = SkillQuerySet.as_manager()
