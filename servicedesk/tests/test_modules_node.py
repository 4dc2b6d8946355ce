"""The pages' shared modules, as far as they work without a page."""

from pathlib import Path

import pytest

from servicedesk.tests.node import run

pytestmark = pytest.mark.once

SCRIPTS = Path(__file__).parent / "js"


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
def test_the_modules_keep_their_rules(zone: str):
    scripts = sorted(SCRIPTS.glob("*.test.mjs"))
    assert scripts
    run(*scripts, TZ=zone)
