from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.http import Http404

from agents.services import delete_named
from tickets.models import Calendar, EscalationRule, SlaPolicy
from tickets.sla import revision


@transaction.atomic
def delete(row: Calendar | SlaPolicy | EscalationRule) -> None:
    """Drop a calendar, policy or rule. Raises InUse and Http404.

    In use is a calendar of a policy, and a policy of a ticket; a policy may be made inactive.
    """
    try:
        delete_named(row)
    except ObjectDoesNotExist as gone:
        raise Http404 from gone
    revision.bump()
