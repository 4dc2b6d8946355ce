"""What agents learn by resolving tickets."""

from django.db import IntegrityError, transaction
from django.db.models import F

from tickets.models import CategoryExperience


def learn(*, agent_id: int, category_id: int) -> None:
    """One more ticket of the category resolved. Counts right however many do it at once."""
    known = CategoryExperience.objects.filter(agent=agent_id, category=category_id)
    if known.update(resolved=F("resolved") + 1):
        return
    try:
        with transaction.atomic():
            CategoryExperience.objects.create(
                agent_id=agent_id, category_id=category_id, resolved=1
            )
    except IntegrityError:
        # Somebody else made the row a moment ago.
        known.update(resolved=F("resolved") + 1)
