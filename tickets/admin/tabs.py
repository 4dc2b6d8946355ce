"""The tabs above the ticket list: ways of looking at it that everybody has, and saved views."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from agents.models import User
from tickets.admin.views import PARAMETER
from tickets.models import SavedView
from tickets.services import views


@dataclass(frozen=True)
class Tab:
    """`params` are the list's own parameters, so that a tab is nothing but a link. `empty` says
    what it means that nothing is shown."""

    label: str
    params: Mapping[str, str]
    empty: str = ""
    view: SavedView | None = None
    may_change: bool = False

    @property
    def query(self) -> str:
        return f"?{urlencode(self.params)}"


BUILT_IN = (
    Tab(
        "My open",
        {"open": "yes", "assignee": "me"},
        "Nothing waits for you. See what your teams have.",
    ),
    Tab(
        "My teams' unassigned",
        {"open": "yes", "team": "mine", "assignee": "none"},
        "Somebody takes care of everything that your teams have.",
    ),
    Tab("Breaching soon", {"sla": "at_risk"}, "No promise is about to be broken."),
    Tab("All open", {"open": "yes"}, "Everything is done. Enjoy the quiet."),
    Tab(
        "All",
        {},
        "There are no tickets yet. Customers open them in the portal, front ends over the API.",
    ),
)
# Change how the list is shown, and not which tickets are in it.
PRESENTATION = {"o", "p", "all"}


def tabs_for(params: Mapping[str, str], user: User) -> list[tuple[Tab, bool]]:
    """Each tab, and whether the list shows just what it stands for. One query."""
    asked = {name: value for name, value in params.items() if name not in PRESENTATION}
    saved = [
        Tab(
            label=view.name,
            params={PARAMETER: str(view.pk)},
            empty="Nothing is in this view now.",
            view=view,
            may_change=views.may_change(view, user),
        )
        for view in views.for_user(user)
    ]
    return [(tab, dict(tab.params) == asked) for tab in (*BUILT_IN, *saved)]
