"""Run the whole suite twice: `python -m servicedesk.tests [pytest arguments]`.

Once on SQLite, which is what `make run` uses, and once on PostgreSQL, which is what
production uses: each has locking and ordering of its own, and a desk that works on one may
fail on the other.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from servicedesk.tests.services import Service, ServiceUnusable, find_services

# pytest-xdist gives its workers ten seconds to end; this is a little more.
INTERRUPT_SECONDS = 15
# What pytest answers where a part of the suite was asked for that belongs to the other pass.
NOTHING_TO_RUN = 5
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    """How one pass over the suite ended."""

    name: str
    text: str
    failed: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


def main(arguments: Sequence[str]) -> int:
    _unwind_on_signals()
    try:
        with find_services() as (postgres, redis):
            print(f"{postgres}; {redis}", flush=True)
            missing = [str(service) for service in (postgres, redis) if not service.url]
            if missing and os.environ.get("CI"):
                return _refuse(f"CI must test with every service. {'; '.join(missing)}")
            with tempfile.TemporaryDirectory(prefix="desk-tests-") as home:
                outcomes = _run_passes(arguments, Path(home), postgres, redis, missing)
    except ServiceUnusable as error:
        return _refuse(str(error))
    print("  ".join(map(str, outcomes)), flush=True)
    return int(any(outcome.failed for outcome in outcomes))


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr, flush=True)
    return 2


def _unwind_on_signals() -> None:
    """Turn a request to stop into an exception, so that own servers are stopped on the way.

    A signal ignored from outside (`nohup`) stays ignored, except Ctrl-C, which shells ignore
    for every command they run in the background.
    """

    def stop(signum: int, _: FrameType | None) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + signum)

    for signum in STOP_SIGNALS:
        if signum == signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, stop)


def _run_passes(
    arguments: Sequence[str], home: Path, postgres: Service, redis: Service, missing: list[str]
) -> list[Outcome]:
    """Every pass, also when an earlier one failed: both answers are wanted."""
    outcomes = []
    for name, url in {
        "sqlite": f"sqlite:///{home / 'desk.sqlite3'}",
        "postgres": postgres.url,
    }.items():
        if not url:
            outcomes.append(Outcome(name, f"not run, {postgres}", failed=False))
            continue
        print(f"\n=== {name} ===", flush=True)
        (home / name).mkdir()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "servicedesk.settings.testing",
            "DATABASE_URL": url,
            # Empty rather than unset, so that a developer's `.env` does not fill it in.
            "REDIS_URL": "",
            "DESK_HOME": str(home / name),
            "TEST_DATABASE_URL": postgres.url,
            "TEST_REDIS_URL": redis.url,
            "TEST_SERVICES_MISSING": "; ".join(missing),
        }
        started = time.monotonic()
        code = _pytest(arguments, environment)
        seconds = round(time.monotonic() - started)
        if code == NOTHING_TO_RUN and arguments:
            outcomes.append(Outcome(name, "nothing of that to run", failed=False))
            continue
        text = f"failed (exit code {code}, {seconds} s)" if code else f"passed ({seconds} s)"
        outcomes.append(Outcome(name, text, failed=code != 0))
    return outcomes


def _pytest(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run pytest in a session of its own: Ctrl-C reaches it once, from us, not twice."""
    decided = any(
        argument.startswith(("-n", "--numprocesses")) or argument.endswith("no:xdist")
        for argument in arguments
    )
    workers = [] if decided else ["-n", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *workers, *arguments],
        env=environment,
        start_new_session=True,
    )
    try:
        return process.wait()
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End pytest in good order, then whatever its tests left running in its session."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(INTERRUPT_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
