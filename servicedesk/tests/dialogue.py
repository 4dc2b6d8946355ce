"""The README's dialogue, as anybody would paste it: found, run by bash with curl, and judged."""

import os
import re
import subprocess
from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"
MARK = "<!-- dialogue:"
EXPECTED = [
    r'"status":"open"',
    r'"assignee":\{"id":\d+,"name":"Bob Brown"\}',
    r'"summary":"Knows vpn 5/5; .*"',
    r'"body_html":"<p>The gateway is <strong>back</strong>; please try again\.</p>\\n"',
    r'"status":"resolved"',
    r'"seq":\d+',
    r'"status":"open"',
    r'"reopen_count":1',
]


def script() -> str:
    """The block of shell that stands behind the mark."""
    text = README.read_text()
    found = re.search(r"```bash\n(.*?)```", text[text.index(MARK) :], re.DOTALL)
    assert found, "the README has lost its dialogue"
    return found[1]


def run(address: str, password: str, folder: Path) -> list[str]:
    """What the dialogue prints against the desk at `address`, line by line."""
    environment = {**os.environ, "DESK": address, "DEMO_PASSWORD": password}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script()],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()


def judge(lines: list[str]) -> None:
    """Raise AssertionError unless the dialogue went as the README says."""
    assert len(lines) == len(EXPECTED), lines
    for line, pattern in zip(lines, EXPECTED, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern!r}"
