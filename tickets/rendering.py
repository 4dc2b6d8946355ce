"""Markdown in, safe HTML out; at the moment of reading, so that a stricter rule covers old text."""

import sys
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
# No images: a remote one would tell its server who reads the ticket, and when.
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto", "tel"}

_markdown = MarkdownIt(
    "commonmark", {"html": False, "breaks": True, "linkify": True, "maxNesting": 20}
).enable(["table", "strikethrough", "linkify"])


# A table's missing cells are made up, at most this many: the library's own bound (65,536) turns a
# hostile 50,000 characters into 850 KB and two seconds of work. By `sys.modules`, because the
# package gives the module's name to its function.
sys.modules["markdown_it.rules_block.table"].MAX_AUTOCOMPLETED_CELLS = 2000  # type: ignore[attr-defined]
# Longer texts are rendered each time: thousands of them would fill the memory.
CACHED_LENGTH = 4000


def render_markdown(text: str) -> str:
    """The sanitised HTML of a message. Links open without telling where they were clicked."""
    return _remembered(text) if len(text) <= CACHED_LENGTH else _render(text)


def _render(text: str) -> str:
    return sanitise(_markdown.render(text))


def sanitise(html: str) -> str:
    """What people may see of HTML; twice is the same as once."""
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        # No link into the desk itself: one click on it would act as the reader.
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )


_remembered = lru_cache(maxsize=2048)(_render)
