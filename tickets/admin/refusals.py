"""Refusals of the services as sentences for the console."""

from servicedesk.api.preconditions import VersionConflict
from servicedesk.errors import DomainError
from tickets.assignment.scoring import summary
from tickets.services.assign import NoAgentAvailable

# How many agents the sentence names.
NAMED = 5


def sentence(refusal: DomainError) -> str:
    """What to tell the person whose action was refused, and what they can do."""
    if isinstance(refusal, VersionConflict):
        return (
            "Somebody changed this ticket while you were looking at it; nothing was done. "
            "What you wrote is still here: look at what is new, then send it again."
        )
    if isinstance(refusal, NoAgentAvailable):
        nearest = [
            f"{scored.candidate.name}: {summary(scored, refusal.work)}"
            for scored in refusal.ranked[:NAMED]
        ]
        return " ".join([refusal.detail, *nearest])
    return refusal.detail
