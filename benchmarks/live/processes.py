"""A server under measurement: its CPU time and memory, read from /proc."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servicedesk.tests.processes import ROOT, free_port

START_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Serving:
    """A server process that listens on `port`."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """User and system time of the process so far."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        # The name in parentheses may hold anything; what follows it has fixed places.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def leave_a_core() -> set[int]:
    """Keep this process, and all it starts, off the first core. Answers every core: a server may
    use what it likes, as it would in real life; bound to one, threads would seem cheaper."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {min(cores)} or cores)
    return cores


@contextmanager
def serving(
    arguments: Sequence[str], environment: dict[str, str], cores: set[int]
) -> Iterator[Serving]:
    """`python ARGUMENTS` with `{port}` filled in, from when it listens until the block ends."""
    port = free_port()
    command = [sys.executable, *(argument.format(port=port) for argument in arguments)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        os.sched_setaffinity(process.pid, cores)
        try:
            _wait_until_it_listens(port, process)
            yield Serving(process.pid, port)
        except Exception:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-4000:])
            raise
        finally:
            process.kill()
            process.wait()


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listened on port {port} within {START_SECONDS} s")
