from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Skill, Team
from servicedesk.errors import FieldError
from tickets.models import Category


@transaction.atomic
def create_category(
    *, name: str, team: Team | None = None, required_skills: Sequence[Skill] = ()
) -> Category:
    """A new category. Raises FieldError where the name is taken."""
    category = Category(name=name, team=team)
    try:
        category.full_clean()
    except ValidationError as exc:
        raise FieldError("name", exc.messages[0], "unique") from exc
    category.save()
    category.skills.set(required_skills)
    return category
