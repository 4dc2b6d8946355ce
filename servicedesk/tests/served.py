"""A server as a process of its own, what it prints, and ways to talk to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from websockets.sync.client import connect

from servicedesk.tests.processes import ROOT

# Seconds for what surely comes, also on a busy machine.
PATIENCE = 30


class Served:
    """A server process, what it prints, and ways to talk to it."""

    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log

    def connection(self):
        return closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE))

    def get(self, path, **headers):
        with self.connection() as connection:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().read().decode()

    def raw(self):
        return closing(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE))

    def socket(self, path, **options):
        options = {"compression": None, "open_timeout": PATIENCE, **options}
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    def says(self, text, times=1):
        """Wait until it has printed `text`."""
        deadline = time.monotonic() + PATIENCE
        is_running = True
        while self.log.read_text().count(text) < times:
            assert is_running, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            is_running = self.process.poll() is None
            time.sleep(0.02)

    def told(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.says("draining")

    def ends_with(self):
        return self.process.wait(PATIENCE)


@contextmanager
def process(folder, command, port, **environment):
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        yield Served(server, port, log)
    finally:
        server.kill()
        server.wait()
