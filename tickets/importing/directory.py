"""Everybody and everything that a batch of histories names, found or made, as ids."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agents.models import Role, Team
from tickets.importing import names, people
from tickets.importing.replay import History
from tickets.models import Category, Kind


@dataclass(frozen=True)
class Directory:
    """Ids by the names that the export uses."""

    agents: dict[str, int]
    customers: dict[str, int]
    teams: dict[str, int]
    categories: dict[str, int]
    tags: dict[str, int]


def look_up(histories: Sequence[History], counts: Counter[str]) -> Directory:
    """The directory of these histories; adds what had to be made to `counts`."""
    # Agents first: who is one may also have called, and is the same person.
    agents, counts["agents"] = people.find_or_make(_agents(histories), Role.AGENT)
    customers, counts["customers"] = people.find_or_make(
        {history.caller for history in histories}, Role.CUSTOMER
    )
    teams, counts["teams"] = names.find_or_make(Team, _teams(histories))
    categories, counts["categories"] = names.find_or_make(
        Category, {history.category for history in histories if history.category}
    )
    tags, counts["tags"] = names.find_or_make_tags({h.tag for h in histories if h.tag})
    return Directory(agents, customers, teams, categories, tags)


def _agents(histories: Iterable[History]) -> set[str]:
    """Everybody who ever had one of the tickets."""
    return {
        event.public["to"]
        for history in histories
        for event in history.events
        if event.kind is Kind.ASSIGNED and event.public["to"] is not None
    }


def _teams(histories: Iterable[History]) -> set[str]:
    """The tickets' own teams, and those for which somebody worked on them."""
    own = {history.team for history in histories if history.team}
    return own.union(team for history in histories for _, team in history.worked)
