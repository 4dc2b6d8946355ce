"""`make fresh`: does the desk start from nothing but a clone, and do what the README says?

Clones the last commit into an empty folder, runs `make run` there with a fresh environment, holds
the README's dialogue with it, and stops it.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from servicedesk.tests import dialogue
from servicedesk.tests.processes import ROOT, free_port, stop, wait_until_ready

INSTALLING_TAKES_AT_MOST = 600
KEPT = {"PATH", "HOME", "LANG", "TMPDIR"}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="desk-fresh-") as name:
        folder = Path(name) / "desk"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        return _try(folder)


def _try(folder: Path) -> int:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    # Nothing of the caller's settings, but what reaches the package index.
    environment = {
        key: value for key, value in os.environ.items() if key in KEPT or key.startswith("PIP_")
    }
    server = subprocess.Popen(
        ["make", "run", f"PORT={port}"], cwd=folder, env=environment, start_new_session=True
    )
    try:
        wait_until_ready(address, server, INSTALLING_TAKES_AT_MOST)
        password = (folder / "var" / "demo_password").read_text().strip()
        lines = dialogue.run(address, password, folder)
        print(*lines, sep="\n")  # noqa: T201
        dialogue.judge(lines)
    finally:
        stop(server)
    print("A fresh clone starts and does what the README says.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
