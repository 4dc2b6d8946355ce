"""The policy that every answer carries, and pages that need no exception from it."""

import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from django.test import Client

from tickets.tests.test_admin import opened

# As an answer has it, without what only an inline script or style would need.
OWN = re.compile(r"/(?!/)|data:image/")
FORBIDDEN = ("'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "*")


class Inline(HTMLParser):
    """Whatever of a page the policy would block."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on") or (value or "").startswith("javascript:"):
                self.found.append(f'<{tag} {name}="{value}">')
            is_loaded = name == "src" or (tag == "link" and name == "href")
            if is_loaded and not OWN.match(value or ""):
                self.found.append(f'<{tag} {name}="{value}">')


def test_the_policy_lets_in_nothing_inline_and_no_other_origin():
    policy = settings.CONTENT_SECURITY_POLICY

    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert not [each for each in FORBIDDEN if each in policy]


@pytest.mark.parametrize(
    "path",
    ["/", "/sign-in/", "/admin/login/", "/api/docs/", "/api/auth/me", "/nowhere/", "/health/live"],
)
def test_every_answer_carries_it(path, db):
    assert Client().get(path)["Content-Security-Policy"] == settings.CONTENT_SECURITY_POLICY


def test_what_is_caught_is_caught():
    inline = '<p style="top:0" onclick="x()"><style></style><script>x()</script>'

    assert Inline(inline).found == ['<p style="top:0">', '<p onclick="x()">', "<style>", "<script>"]
    for elsewhere in ("https://elsewhere.example/x.png", "//elsewhere.example/x.png"):
        assert Inline(f'<img src="{elsewhere}">').found


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (
            "sam",
            [
                "/admin/",
                "/admin/password_change/",
                "/admin/tickets/ticket/",
                "/admin/tickets/ticket/?q=x",
                "/admin/tickets/ticket/{ticket}/change/",
                "/admin/tickets/category/add/",
                "/admin/tickets/calendar/add/",
                "/admin/tickets/slapolicy/add/",
                "/admin/tickets/escalationrule/add/",
                "/admin/tickets/cannedreply/add/",
                "/admin/attachments/attachment/",
                "/admin/attachments/attachment/storage/",
                "/admin/agents/user/",
                "/admin/agents/user/add/",
                "/admin/agents/agentprofile/",
                "/admin/agents/agentprofile/{sam}/change/",
                "/admin/agents/team/add/",
            ],
        ),
        ("alice", ["/", "/new/", "/tickets/{ticket}/"]),
        ("nobody", ["/sign-in/", "/admin/login/", "/api/docs/"]),
    ],
)
def test_no_page_holds_what_it_blocks(name, paths, alice, sam, console):
    ticket = opened(alice)
    browser = Client() if name == "nobody" else console({"sam": sam, "alice": alice}[name])
    for path in paths:
        answer = browser.get(path.format(ticket=ticket.pk, sam=sam.pk))

        assert answer.status_code == 200, path
        assert Inline(answer.content.decode()).found == [], path
