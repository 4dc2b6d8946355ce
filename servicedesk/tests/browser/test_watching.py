"""The watch and the line themselves: a test that cannot fail shows nothing."""

import pytest

from servicedesk.tests.browser.accessibility import barriers

pytestmark = pytest.mark.once

STRICT = {
    "Content-Type": "text/html",
    "Content-Security-Policy": "default-src 'self'; script-src 'self'",
}
PAGE = """<!doctype html><html lang=en><title>A page</title>
<main><h1>A page</h1><input><p>What it says</main>"""
TRY = "fetch('/health/live').then(({ status }) => status, () => 'failed')"
# What goes wrong, and what the watch says of it.
WRONGS = {
    "console.error('a complaint')": "console error: a complaint",
    "setTimeout(() => { throw new Error('a throw') })": "uncaught: a throw",
    "document.body.append(Object.assign(document.createElement('script'), {text: '0'}))": (
        "CSP refused inline"
    ),
    "window.__xss = 'image'": "hostile text was run: image",
    "alert('an alert')": "dialog: an alert",
    "fetch('/broken').then(() => 0)": "answered 500",
}


@pytest.fixture
def nobody(anybody):
    """At a page with the policy that the desk's pages have."""
    nobody = anybody("nobody")
    nobody.page.route("**/strict", lambda route: route.fulfill(body=PAGE, headers=STRICT))
    nobody.page.route("**/broken", lambda route: route.fulfill(status=500))
    nobody.page.goto("/strict")
    return nobody


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_goes_wrong_is_found(nobody, wrong):
    nobody.page.evaluate(wrong)
    nobody.page.wait_for_function("() => document.readyState === 'complete'")
    nobody.page.wait_for_timeout(100)
    assert any(WRONGS[wrong] in problem for problem in nobody.watch.problems)
    nobody.watch.expect(".*")


def test_what_a_test_brings_about_is_not_held_against_it(nobody):
    nobody.page.evaluate("console.error('planned')")
    nobody.page.evaluate("0")
    nobody.watch.expect("planned")
    assert nobody.watch.problems == []


def test_a_field_without_a_label_is_a_barrier(nobody):
    found = barriers(nobody.page)
    assert [fault.partition(" ")[0] for fault in found] == ["label"]


def test_a_cut_line_carries_nothing_until_it_is_mended(person):
    sam = person("sam")
    sam.page.goto("/admin/password_change/")
    sam.page.evaluate("window.socket = new WebSocket(`ws://${location.host}/ws/`, 'desk.v1'); null")
    sam.page.wait_for_function("() => socket.readyState === WebSocket.OPEN")
    sam.watch.expect_outage()
    sam.line.cut()
    sam.page.wait_for_function("() => socket.readyState === WebSocket.CLOSED")
    assert sam.page.evaluate(TRY) == "failed"
    sam.line.mend()
    assert sam.page.evaluate(TRY) == 200
