"""Real desks for tests: a server process of its own, on a free port, with its own home."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


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


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what does not listen; only this process and its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return


@contextmanager
def desk(home: Path, password: str) -> Iterator[str]:
    """A demo desk on SQLite in `home`, with its worker; answers its address."""
    environment = {
        **{key: value for key, value in os.environ.items() if key not in {"DATABASE_URL"}},
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.development",
        "DESK_HOME": str(home),
        "DEMO_PASSWORD": password,
        "REDIS_URL": "",
    }
    for command in ("migrate --verbosity 0", "demo"):
        arguments = [sys.executable, "manage.py", *command.split()]
        subprocess.run(arguments, check=True, cwd=ROOT, env=environment, capture_output=True)
    port = free_port()
    arguments = [sys.executable, "manage.py", "serve", "--worker", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", server, 30)
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(server)
