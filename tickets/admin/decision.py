"""Why the assignee has the ticket: the score of everybody, in words."""

import json
from dataclasses import dataclass
from typing import Any

from tickets.models import AssignmentDecision, Ticket

# The parts of a score, as the pages call them.
LABELS = {
    "skill": "Skill",
    "headroom": "Room",
    "sla_fit": "In time",
    "rest": "Rest",
    "affinity": "Knows them",
}


@dataclass(frozen=True)
class Why:
    """A decision; its candidates and weights with the parts under their labels."""

    decision: AssignmentDecision
    candidates: list[dict[str, Any]]
    weights: dict[str, Any]


def context_of(ticket: Ticket) -> dict[str, Any]:
    """`part_labels` are for the recommendations, which the page asks for by itself."""
    return {"why": _why(ticket), "part_labels": json.dumps(LABELS)}


def _why(ticket: Ticket) -> Why | None:
    if ticket.assignee_id is None:
        return None
    found = AssignmentDecision.objects.filter(ticket=ticket).select_related("agent").first()
    if found is None:
        return None
    candidates = [{**each, "parts": _labelled(each["parts"])} for each in found.candidates]
    return Why(found, candidates, _labelled(found.weights))


def _labelled(parts: dict[str, Any]) -> dict[str, Any]:
    return {LABELS.get(name, name): value for name, value in parts.items()}
