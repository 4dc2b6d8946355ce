"""Canned replies' placeholders: what is refused, and that a value is never more than text."""

import html
import random

import pytest
from django.core.exceptions import ValidationError

from tickets.canned import PLACEHOLDERS, escaped, fill, refuse_unknown_placeholders
from tickets.rendering import render_markdown

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}
TRICKY = [
    "plain words", "# heading", "- list", "+ list", "1. list", "12) list", "> quote", "===", "---",
    "*bold* _em_ ~~gone~~ `code`", "```", "~~~", "| a | b |", "[text](https://evil.example)",
    "![x](https://evil.example/x.png)", "<https://evil.example>", "<script>alert(1)</script>",
    "https://evil.example", "http://localhost/x", "//evil.example", "www.evil.example",
    "evil.example", "mallory@evil.example", "mailto:mallory@evil.example", "&lt;b&gt; &copy; &#35;",
    "\\*not escaped\\*", "C:\\new\\", "foo_bar_baz", "{{agent.name}}", "{% now %}", "${x}",
    "O'Brien \"the\" admin", "v1.2.3", "Müller & Söhne", "  spaces   inside  ", "tab\there",
]  # fmt: skip


def shown(text: str) -> str:
    """The HTML of a paragraph that is nothing but this text."""
    return f"<p>{html.escape(text, quote=False)}</p>\n" if text else ""


def comparable(markup: str) -> str:
    return html.unescape(markup.replace("&lt;", "\0<").replace("&gt;", "\0>"))


# --- Filling in -----------------------------------------------------------------------


def test_every_placeholder_is_filled_in_wherever_it_stands():
    body = "".join(f"{{{{{name}}}}}, {{{{ {name} }}}}\n" for name in PLACEHOLDERS)
    expected = "".join(f"{escaped(VALUES[name])}, " * 2 for name in PLACEHOLDERS)
    assert fill(body, VALUES).replace("\n", ", ") == expected


def test_a_text_without_placeholders_stays_as_it_is():
    for body in ("", "Hello *you*", 'a } b {x} }} { {"a": {"b": 1}}', "# One\n\n- two\n"):
        assert fill(body, VALUES) == body


def test_a_value_is_never_looked_into_again():
    values = dict.fromkeys(PLACEHOLDERS, "secret") | {"requester.name": "{{agent.name}}"}
    assert fill("{{requester.name}}", values) == "{{agent\\.name}}"
    # Nor does it become a placeholder together with what stands beside it.
    values["requester.name"] = "{"
    assert fill("{{requester.name}}{ticket.number}}", values) == "{{ticket.number}}"


# --- Values are text ------------------------------------------------------------------


@pytest.mark.parametrize("value", TRICKY)
def test_a_value_reads_as_it_is(value):
    expected = shown(" ".join(value.split()))
    assert comparable(render_markdown(fill("{{ticket.title}}", {"ticket.title": value}))) == (
        comparable(expected)
    )


@pytest.mark.parametrize("value", TRICKY)
def test_a_value_does_nothing_to_the_text_around_it(value):
    body = 'Dear {{ticket.title}},\n\nabout "{{ticket.title}}":'
    line = html.escape(" ".join(value.split()), quote=False)
    expected = f'<p>Dear {line},</p>\n<p>about "{line}":</p>\n'
    rendered = render_markdown(fill(body, {"ticket.title": value}))
    assert comparable(rendered) == comparable(expected)


def test_no_mixture_of_signs_becomes_markup():
    signs = [
        "*", "_", "`", "[", "](", ")", "<", ">", "~~", "|", "#", "-", "+", "=", "1.", "a", " ",
        "\\", "&amp;", "!", "://", "www.", ".com", "@", ":", "'", '"', "{{", "}}", "\n",
    ]  # fmt: skip
    dice = random.Random(7)
    for _ in range(3000):
        value = "".join(dice.choices(signs, k=dice.randint(1, 9)))
        filled = fill("{{ticket.title}}", {"ticket.title": value})
        expected = shown(" ".join(value.split()))
        assert comparable(render_markdown(filled)) == comparable(expected), (value, filled)


def test_ordinary_text_is_not_littered_with_backslashes():
    for text in ("VPN drops: every ten minutes, since Monday (again)!", "Anne-Marie O'Neill"):
        assert escaped(text) == text


# --- What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{{subject}}", "There is no placeholder {{subject}} (line 1, character 1)."),
        ("Hi\n\nDear {{ name }}", "There is no placeholder {{name}} (line 3, character 6)."),
        ("{{Requester.Name}}", "There is no placeholder {{Requester.Name}} (line 1, "),
        ("{{}}", "There is no placeholder {{}} (line 1, character 1)."),
        ("{{agent.name}} {{agent}}", "There is no placeholder {{agent}} (line 1, character 16)."),
        ("{{requester.name|upper}}", "There is no placeholder {{requester.name|upper}}"),
        ("{{agent.__class__}}", "There is no placeholder {{agent.__class__}}"),
        ("{{" + "x" * 99 + "}}", "{{" + "x" * 40 + "}} (line 1"),
        ("Hello {{agent.name", "{{ is never closed (line 1, character 7)."),
        ("{{{agent.name}}}", "There is no placeholder {{{agent.name}}"),
    ],
)
def test_what_is_no_placeholder_is_named_with_its_place(body, told):
    with pytest.raises(ValidationError) as refused:
        refuse_unknown_placeholders(body)
    assert told in refused.value.messages[0]


def test_the_refusal_says_which_there_are():
    with pytest.raises(ValidationError) as refused:
        refuse_unknown_placeholders("{{x}}")
    assert all(name in refused.value.messages[0] for name in PLACEHOLDERS)


def test_known_placeholders_and_single_braces_pass():
    refuse_unknown_placeholders("".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS))
    refuse_unknown_placeholders("} {x} }} {% now %} ${x}")
