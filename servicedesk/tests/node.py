"""Node's own test runner, for modules that need no browser."""

import os
import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

# Playwright brings a node of its own, so that nothing else has to be installed.
NODE = compute_driver_executable()[0]


def run(*scripts: Path, **environment: str) -> None:
    """Run these tests; their output is the reason where they fail."""
    command = [NODE, "--test", "--test-timeout=120000", *map(str, scripts)]
    # With NODE_* of the caller the tests would not be the same everywhere.
    own = {key: value for key, value in os.environ.items() if not key.startswith("NODE_")}
    done = subprocess.run(
        command, check=False, env=own | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
