"""Real desks side by side, for tests that kill them: processes of `manage.py serve` over the
database of the test run, with a Redis of their own.

The fixture `cluster` (conftest.py) is shared by the tests of this folder and healed for each.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.utils import timezone

from agents import sessions
from agents.models import User
from realtime.database import in_database
from realtime.tests.live import PATIENCE, LiveClient
from servicedesk.tests.processes import ROOT, free_port, wait_until_ready
from servicedesk.tests.services import Server, own_redis

# `make chaos` takes its time, and holds the desk to times that a busy machine may miss.
IS_CHAOS = "CHAOS_SECONDS" in os.environ


def database_url() -> str:
    """Of the database that the tests themselves use."""
    of = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{of['NAME']}"
    user, password = quote(of["USER"], safe=""), quote(of["PASSWORD"], safe="")
    return f"postgres://{user}:{password}@{of['HOST']}:{of['PORT']}/{of['NAME']}"


@dataclass
class Process:
    """A program of the desk that can be killed, paused and started again."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    popen: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(
                [sys.executable, *self.arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
            )

    @property
    def is_running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def send(self, number: signal.Signals) -> None:
        assert self.popen is not None
        self.popen.send_signal(number)

    def kill(self) -> None:
        """With -9: it can say and clean up nothing."""
        if self.is_running:
            self.send(signal.SIGKILL)
            self.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        self.send(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code."""
        assert self.popen is not None
        return self.popen.wait(seconds)

    @property
    def memory(self) -> float:
        """What it holds of the machine's memory, in MiB."""
        command = ["ps", "-o", "rss=", "-p", str(self.pid)]
        return int(subprocess.run(command, check=True, capture_output=True).stdout) / 1024


@dataclass
class Desk(Process):
    """One process that serves."""

    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        assert self.popen is not None
        try:
            wait_until_ready(self.address, self.popen, 2 * PATIENCE)
        except Exception as exc:
            exc.add_note(self.log.read_text()[-4000:])
            raise

    async def client(self, user: User, **options: Any) -> LiveClient:
        """A socket of this user, by a session of its own; `options` as of LiveClient.connect."""
        token = await in_database(token_of, user)
        return await LiveClient.connect(self.address, token=token, **options)

    def call(self, token: str, method: str, path: str, body: Any = None) -> Any:
        """The answer of the API below /api/, which must be a good one."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            http.request(method, f"/api{path}", json.dumps(body), headers)
            answer = http.getresponse()
            content = answer.read()
        finally:
            http.close()
        assert answer.status < 400, content
        return json.loads(content) if content else None


def environment_of(folder: Path, redis_url: str = "") -> dict[str, str]:
    """For a program that shares the database of the tests; it keeps its files in `folder`."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.testing",
        "DATABASE_URL": database_url(),
        "REDIS_URL": redis_url,
        "DESK_HOME": str(folder),
    }


def new_desk(folder: Path, redis_url: str = "") -> Desk:
    """One that is not started yet; without Redis it is the only one that its sockets know of."""
    port = free_port()
    arguments = ["manage.py", "serve", "--port", str(port), "--grace", "5"]
    log = folder / f"desk-{port}.log"
    return Desk(arguments, environment_of(folder, redis_url), log, port=port)


@contextmanager
def lone_desk(folder: Path) -> Iterator[Desk]:
    """One desk without Redis, as `make run` has it."""
    desk = new_desk(folder)
    try:
        desk.start()
        desk.wait_until_ready()
        yield desk
    finally:
        desk.kill()


@dataclass
class Cluster:
    """Desks that share a database and a Redis."""

    redis: Server
    folder: Path
    desks: list[Desk]

    @property
    def channel_layers(self) -> dict[str, Any]:
        """The setting with which another process, such as the test's, is part of the cluster."""
        backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
        return {"default": {"BACKEND": backend, "CONFIG": {"hosts": [self.redis.url]}}}

    def program(self, name: str, *arguments: str) -> Process:
        """One that is not started yet."""
        environment = environment_of(self.folder, self.redis.url)
        return Process(list(arguments), environment, self.folder / f"{name}.log")

    def heal(self) -> None:
        """Start whatever does not run, desks at the same time."""
        if self.redis.process is None:
            self.redis.start()
        self.start_desks()

    def start_desks(self) -> None:
        ended = [desk for desk in self.desks if not desk.is_running]
        for desk in ended:
            desk.start()
        for desk in ended:
            desk.wait_until_ready()

    @contextmanager
    def redis_paused(self) -> Iterator[None]:
        """It takes connections and answers nothing."""
        pid = self.redis.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def running_cluster(folder: Path, count: int = 2) -> Iterator[Cluster]:
    """So many desks, each on a port of its own."""
    with own_redis() as redis:
        cluster = Cluster(redis, folder, [new_desk(folder, redis.url) for _ in range(count)])
        try:
            cluster.heal()
            yield cluster
        finally:
            for desk in cluster.desks:
                desk.kill()


def token_of(user: User) -> str:
    """An access token of a new session."""
    return sessions.start(user=user, at=timezone.now()).access
