"""One desk and one Chromium for the whole package, and a context for each person."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect

from servicedesk.tests.browser.caller import Caller
from servicedesk.tests.browser.chromium import PASSWORD, PROGRAM, chromium, home_of, sign_in
from servicedesk.tests.browser.people import PATIENCE_MS, Person, at_a_browser
from servicedesk.tests.processes import Desk, demo_desk

# The package's scope, not the session's: as long as Playwright runs, no coroutine can be tested.
SCOPE: Final = "package"
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope=SCOPE)
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with demo_desk(tmp_path_factory.mktemp("desk"), PASSWORD) as running:
        yield running


@pytest.fixture(scope=SCOPE)
def browser() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("Debian's chromium is not installed; with CI set that fails the run")
    with chromium() as running:
        yield running


@pytest.fixture
def anybody(browser: Browser, desk: Desk) -> Iterator[Callable[..., Person]]:
    """Makes somebody at a browser who has not signed in. When the test is over, nothing may have
    gone wrong that it did not expect."""
    people: list[Person] = []

    def sit_down(username: str, **options: Any) -> Person:
        people.append(at_a_browser(browser, username, desk.port, **options))
        return people[-1]

    yield sit_down
    for person in people:
        person.close()
    problems = {person.username: person.watch.problems for person in people}
    assert not any(problems.values()), "\n".join(
        f"{name}: {problem}" for name, found in problems.items() for problem in found
    )


@pytest.fixture(scope=SCOPE)
def _cookies() -> dict[str, Any]:
    return {}


@pytest.fixture
def person(anybody: Callable[..., Person], _cookies: dict[str, Any]) -> Callable[..., Person]:
    """Makes somebody who has signed in; by one session each, for passwords are slow on purpose."""

    def signed_in(username: str, **options: Any) -> Person:
        somebody = anybody(username, **options)
        if username in _cookies:
            somebody.context.add_cookies(_cookies[username])
        else:
            somebody.page.goto(home_of(username))
            sign_in(somebody.page, username)
            _cookies[username] = somebody.context.cookies()
        return somebody

    return signed_in


@pytest.fixture(scope=SCOPE)
def caller(desk: Desk) -> Callable[[str], Caller]:
    """Makes somebody at the API, one for each name."""
    callers: dict[str, Caller] = {}

    def of(username: str) -> Caller:
        if username not in callers:
            callers[username] = Caller(desk.address, username)
        return callers[username]

    return of
