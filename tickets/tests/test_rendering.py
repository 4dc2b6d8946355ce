"""Markdown in, safe and small HTML out."""

import sys

import pytest

from tickets.rendering import CACHED_LENGTH, _remembered, render_markdown


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://tracker.example/pixel.png)",
        "[x](//evil.example/)",
        "[x](/admin/logout/)",
        '<a href="x" onclick="alert(1)">x</a>',
        "<svg><style><img src=x onerror=alert(1)>",
    ],
)
def test_nothing_active_and_no_link_into_the_desk_survives(hostile):
    html = render_markdown(hostile)
    for active in ("<script", "<img", "<svg", "<style", 'href="/', 'href="j', 'href="d', "<a on"):
        assert active not in html


def test_what_people_write_is_kept():
    html = render_markdown("**bold** ~~old~~ `code`\nnext line\n\n- one\n\n|a|b|\n|-|-|\n|1|2|")
    for tag in ("<strong>", "<s>", "<code>", "<br>", "<li>", "<td>1</td>"):
        assert tag in html
    link = render_markdown("see https://example.com/a")
    assert '<a href="https://example.com/a" rel="noopener noreferrer nofollow">' in link


def test_a_hostile_table_stays_small():
    # Without the lowered bound it is more than 800,000 characters.
    table = ("|a" * 100 + "\n" + "|-" * 100 + "\n" + "|\n" * 24000)[:50_000]
    assert len(render_markdown(table)) < 300_000


def test_the_bound_is_where_the_library_looks_for_it():
    module = sys.modules["markdown_it.rules_block.table"]
    assert module.MAX_AUTOCOMPLETED_CELLS == 2000


def test_only_short_texts_are_remembered():
    _remembered.cache_clear()
    before = _remembered.cache_info().currsize
    render_markdown("x" * (CACHED_LENGTH + 1))
    assert _remembered.cache_info().currsize == before
    render_markdown("a text nobody has rendered before")
    assert _remembered.cache_info().currsize == before + 1
