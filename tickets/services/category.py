from collections.abc import Iterable

from django.db import transaction

from agents.models import Skill, Team
from agents.saving import save_clean
from tickets.models import Category


@transaction.atomic
def create_category(
    *,
    name: str,
    team: Team | None = None,
    required_skills: Iterable[Skill] = (),
    handling_minutes: int | None = None,
) -> Category:
    """A new category. Raises FieldError where the name is taken."""
    category = Category(name=name, team=team, handling_minutes=handling_minutes)
    save_clean(category)
    category.skills.set(required_skills)
    return category


@transaction.atomic
def update_category(
    *,
    category: Category,
    name: str,
    team: Team | None,
    required_skills: Iterable[Skill],
    handling_minutes: int | None,
) -> Category:
    """Change what such tickets get from now on. Raises FieldError where the name is taken."""
    locked = Category.objects.select_for_update(no_key=True).get(pk=category.pk)
    locked.name, locked.team, locked.handling_minutes = name, team, handling_minutes
    save_clean(locked, update_fields=["name", "team", "handling_minutes"])
    locked.skills.set(required_skills)
    return locked
