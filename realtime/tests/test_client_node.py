"""The reference client in node: its rules with a server that the tests play, then a real desk."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicedesk.tests.frames import INTERNAL_CANARY, CheckedSocket
from servicedesk.tests.node import run
from servicedesk.tests.processes import desk

pytestmark = pytest.mark.once

SCRIPTS = Path(__file__).parent / "js"
PASSWORD = "a-password-for-the-demo"


@pytest.fixture(scope="module")
def running_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with desk(tmp_path_factory.mktemp("desk"), PASSWORD) as address:
        yield address


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
