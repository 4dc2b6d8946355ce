"""Refusals of the services as sentences for the console."""

from servicedesk.api.preconditions import VersionConflict
from servicedesk.errors import DomainError
from tickets.services.assign import NoAgentAvailable

NAMED = 5


def sentence(refusal: DomainError) -> str:
    """What to tell the person whose action was refused, and what they can do."""
    if isinstance(refusal, VersionConflict):
        return (
            "Somebody changed this ticket while you were looking at it; nothing was done. "
            "What you wrote is still here: look at what is new, then send it again."
        )
    if isinstance(refusal, NoAgentAvailable):
        why = [f"{row['agent']['name']}: {row['summary']}" for row in refusal.extra["candidates"]]
        return " ".join([refusal.detail, *why[:NAMED]])
    return refusal.detail
