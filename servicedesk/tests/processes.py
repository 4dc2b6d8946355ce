"""Real desks for tests: a server process of its own, on a free port, with its own home."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
MANAGE = (sys.executable, "manage.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(address: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Return once /health/ready answers 200; raise when the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(f"{address} was not ready within {seconds} s")


def stop(process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM) -> None:
    """SIGTERM, and SIGKILL for what does not listen; only this process and its group."""
    for number in (first, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


class Desk:
    """A demo desk on SQLite in `home`, with its worker; it keeps its port when it starts anew."""

    def __init__(self, home: Path, password: str, *, program: Sequence[str] = MANAGE) -> None:
        self._home = home
        self._program = program
        self._environment = {
            **{key: value for key, value in os.environ.items() if key not in {"DATABASE_URL"}},
            "DJANGO_SETTINGS_MODULE": "servicedesk.settings.development",
            "DESK_HOME": str(home),
            "DEMO_PASSWORD": password,
            "REDIS_URL": "",
        }
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [*self._program, *arguments],
            check=True,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
        )

    def start(self) -> None:
        with (self._home / "server.log").open("ab") as log:
            self._server = subprocess.Popen(
                [*self._program, "serve", "--worker", "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until_ready(self.address, self._server, 30)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """By SIGTERM, in good order and at the latest after a while; by SIGKILL, at once."""
        if self._server is not None:
            stop(self._server, number)


@cache
def _demo_home(password: str, **options: Any) -> tempfile.TemporaryDirectory[str]:
    """A home with demo data, to be copied: it takes seconds to make."""
    folder = tempfile.TemporaryDirectory(prefix="desk-demo-")
    new = Desk(Path(folder.name), password, **options)
    new.manage("migrate", "--verbosity", "0")
    new.manage("demo")
    return folder


@contextmanager
def demo_desk(home: Path, password: str, **options: Any) -> Iterator[Desk]:
    """A running desk with its demo data."""
    running = Desk(home, password, **options)
    shutil.copytree(_demo_home(password, **options).name, home, dirs_exist_ok=True)
    try:
        running.start()
        yield running
    finally:
        running.end()


@contextmanager
def desk(home: Path, password: str) -> Iterator[str]:
    """The address of one."""
    with demo_desk(home, password) as running:
        yield running.address
