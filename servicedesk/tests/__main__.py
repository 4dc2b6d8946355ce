"""Run the whole suite twice: `python -m servicedesk.tests [pytest arguments]`.

Once on SQLite, which is what `make run` uses, and once on PostgreSQL, which is what
production uses: each has locking and ordering of its own, and a desk that works on one may
fail on the other. Both run at the same time: much of the second is waiting for servers.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from servicedesk.tests.services import Service, ServiceUnusable, find_services

# pytest-xdist gives its workers ten seconds to end; this is a little more.
INTERRUPT_SECONDS = 15
# The second pass waits much, and has more to do.
WORKERS = {"sqlite": 1, "postgres": 2}
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
    """Both, also when one of them fails: both answers are wanted. Side by side, the first one's
    words come when the other has had its say; one by one where the number of workers is given, as
    for what has to have the machine for itself."""
    is_decided = any(
        argument.startswith(("-n", "--numprocesses")) or argument.endswith("no:xdist")
        for argument in arguments
    )
    passes = {"sqlite": f"sqlite:///{home / 'desk.sqlite3'}", "postgres": postgres.url}
    outcomes, running = [], []
    with ExitStack() as stack:
        for name, url in passes.items():
            if not url:
                outcomes.append(Outcome(name, f"not run, {postgres}", failed=False))
                continue
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
            is_last = name == "postgres" or not postgres.url
            output = None if is_last or is_decided else home / f"{name}.txt"
            spread = [] if is_decided else ["-n", str(WORKERS[name])]
            started = Pass(
                name,
                [*spread, *arguments],
                environment,
                output=output,
                is_part=bool(arguments),
            )
            running.append(stack.enter_context(started))
            if is_decided:
                outcomes.append(running.pop().outcome())
        # The one that is seen first.
        outcomes += [each.outcome() for each in reversed(running)]
    return outcomes


class Pass:
    """pytest, in a session of its own: Ctrl-C reaches it once, from us, not twice."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        output: Path | None,
        is_part: bool,
    ) -> None:
        self.name, self._output, self._is_part = name, output, is_part
        self._command = [sys.executable, "-m", "pytest", *arguments]
        self._environment = environment

    def __enter__(self) -> "Pass":
        self._started = time.monotonic()
        with ExitStack() as stack:
            said = stack.enter_context(self._output.open("wb")) if self._output else None
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=said, start_new_session=True
            )
        if not self._output:
            print(f"\n=== {self.name} ===", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)

    def outcome(self) -> Outcome:
        code = self._process.wait()
        seconds = round(time.monotonic() - self._started)
        if self._output:
            print(f"\n=== {self.name} ===\n{self._output.read_text(errors='replace')}", flush=True)
        if code == NOTHING_TO_RUN and self._is_part:
            return Outcome(self.name, "nothing of that to run", failed=False)
        text = f"failed (exit code {code}, {seconds} s)" if code else f"passed ({seconds} s)"
        return Outcome(self.name, text, failed=code != 0)


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
