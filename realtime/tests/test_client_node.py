"""The reference client in node: its rules with a server that the tests play, then a real desk."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from servicedesk.tests.frames import INTERNAL_CANARY, CheckedSocket
from servicedesk.tests.processes import desk

pytestmark = pytest.mark.once

# Playwright brings a node of its own, so that nothing else has to be installed.
NODE = compute_driver_executable()[0]
SCRIPTS = Path(__file__).parent / "js"
PASSWORD = "a-password-for-the-demo"


@pytest.fixture(scope="module")
def running_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with desk(tmp_path_factory.mktemp("desk"), PASSWORD) as address:
        yield address


def run(*scripts: Path, **environment: str) -> None:
    """Run node's tests; their output is the reason where they fail."""
    command = [NODE, "--test", "--test-timeout=120000", *map(str, scripts)]
    # With NODE_* of the caller the tests would not be the same everywhere.
    own = {key: value for key, value in os.environ.items() if not key.startswith("NODE_")}
    done = subprocess.run(
        command, check=False, env=own | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_client_keeps_its_rules():
    scripts = sorted(SCRIPTS.glob("*.test.mjs"))
    assert scripts
    run(*scripts)


def test_the_client_gets_along_with_a_real_desk(running_desk: str, tmp_path: Path):
    frames = tmp_path / "frames"
    run(
        SCRIPTS / "against_a_desk.mjs",
        DESK=running_desk,
        PASSWORD=PASSWORD,
        CANARY=INTERNAL_CANARY,
        FRAMES=str(frames),
    )
    sockets: dict[int, CheckedSocket] = defaultdict(CheckedSocket)
    for line in frames.read_text().splitlines():
        number, direction, text = json.loads(line)
        if direction == "sent":
            sockets[number].sends(text)
        else:
            sockets[number].hears(text)
    assert {socket.role for socket in sockets.values()} >= {"agent", "customer", "supervisor"}
