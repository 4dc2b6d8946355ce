"""axe-core, on whatever a page shows at the moment."""

from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from servicedesk.tests.browser.pages import settle

GRAVE = {"serious", "critical"}
# Without it, axe fetches style sheets by itself, and some from the wrong place.
OPTIONS = {"preload": False}
# What a theme decides; the rest is the same in both.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
THEMES: tuple[tuple[Literal["light", "dark"], dict[str, Any]], ...] = (
    ("light", OPTIONS),
    ("dark", OPTIONS | COLOURS),
)


def barriers(page: Page) -> list[str]:
    """What keeps people out, in both themes: the rule, the element and the reason."""
    found = []
    for scheme, options in THEMES:
        page.emulate_media(color_scheme=scheme)
        settle(page)
        for violation in Axe().run(page, options=options).response["violations"]:
            if violation["impact"] in GRAVE:
                found += [_sentence(scheme, violation["id"], node) for node in violation["nodes"]]
    return found


def _sentence(scheme: str, rule: str, node: dict[str, str]) -> str:
    reason = node["failureSummary"].partition("\n")[2].strip()
    return f"{rule} ({scheme}): {node['html'][:150]}: {reason[:200]}"
