"""The tabs above the ticket list: ways of looking at it that everybody has."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True)
class Tab:
    """`params` are the list's own parameters, so that a tab is nothing but a link."""

    label: str
    params: Mapping[str, str]

    @property
    def query(self) -> str:
        return f"?{urlencode(self.params)}"


BUILT_IN = (
    Tab("My open", {"open": "yes", "assignee": "me"}),
    Tab("My teams' unassigned", {"open": "yes", "team": "mine", "assignee": "none"}),
    Tab("Breaching soon", {"sla": "at_risk"}),
    Tab("All open", {"open": "yes"}),
    Tab("All", {}),
)
# Change how the list is shown, and not which tickets are in it.
PRESENTATION = {"o", "p", "all"}


def tabs_for(params: Mapping[str, str]) -> list[tuple[Tab, bool]]:
    """Each tab, and whether the list shows just what it stands for."""
    asked = {name: value for name, value in params.items() if name not in PRESENTATION}
    return [(tab, dict(tab.params) == asked) for tab in BUILT_IN]
