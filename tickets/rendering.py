"""Markdown in, safe HTML out; at the moment of reading, so that a stricter rule covers old text."""

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


@lru_cache(maxsize=2048)
def render_markdown(text: str) -> str:
    """The sanitised HTML of a message. Links open without telling where they were clicked."""
    return nh3.clean(
        _markdown.render(text),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
