"""The worker, the demo and the server as processes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from io import StringIO
from threading import Barrier, Event, Semaphore, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from agents.models import AgentProfile, Session, SignInFailures, User
from servicedesk import sweeps
from servicedesk.models import Heartbeat, IdempotencyKey
from servicedesk.sweeps import SweepResult
from servicedesk.tests.processes import ROOT, desk
from tickets.models import Ticket, TicketEvent


@pytest.fixture
def own_sweeps(monkeypatch):
    """A registry of its own, so that a test decides what there is to sweep."""
    found: dict[str, tuple[sweeps.Sweep, str]] = {}
    monkeypatch.setattr(sweeps, "_sweeps", found)
    return found


def test_one_round_runs_every_sweep_and_leaves_a_sign_of_life(db):
    out = StringIO()
    call_command("worker", "--once", "--json", stdout=out)
    results = json.loads(out.getvalue())
    assert set(results) == set(sweeps.registered())
    assert {"announce_events", "assign_tickets", "send_notifications"} <= set(results)
    assert Heartbeat.objects.get(name="worker").at > timezone.now() - timedelta(minutes=1)


def test_a_failing_sweep_does_not_stop_the_others(own_sweeps, caplog):
    def broken(*, batch: int) -> SweepResult:
        raise RuntimeError("broken")

    seen: list[int] = []

    def works(*, batch: int) -> SweepResult:
        seen.append(batch)
        return SweepResult()

    sweeps.register("broken", broken)
    sweeps.register("works", works)
    results = sweeps.run_round(batch=5)
    assert seen == [5]
    assert results["broken"].failed == 1
    assert "sweep_failed" in caplog.text


def test_a_sweep_is_repeated_until_it_finds_nothing(own_sweeps):
    left = [3, 2, 1]

    def counting(*, batch: int) -> SweepResult:
        return SweepResult(handled=1 if left and left.pop() else 0)

    assert sweeps.drain(counting, batch=1).handled == 3


def test_stopping_finishes_the_batch_in_hand_and_begins_no_other(own_sweeps):
    stop, done = Event(), []

    def batch_of_work(*, batch: int) -> SweepResult:
        stop.set()
        done.append(batch)
        return SweepResult(handled=1)

    sweeps.drain(batch_of_work, batch=1, stop=stop.is_set)
    assert done == [1]


class Pile:
    """A sweep with so many batches to do."""

    def __init__(
        self, batches: int, log: list[str], name: str, then=lambda: None, lane=sweeps.DESK
    ) -> None:
        self.left, self.log, self.name, self.then = batches, log, name, then
        sweeps.register(name, self, lane=lane)

    def __call__(self, *, batch: int) -> SweepResult:
        if not self.left:
            return SweepResult()
        self.left -= 1
        self.log.append(self.name)
        self.then()
        return SweepResult(handled=batch)


@pytest.fixture
def slow(monkeypatch):
    """Every batch uses up the share of its sweep."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(sweeps, "time", clock)
    call = Pile.__call__

    def slowly(pile: Pile, *, batch: int) -> SweepResult:
        result = call(pile, batch=batch)
        clock.now += sweeps.SHARE * bool(result.handled)
        return result

    monkeypatch.setattr(Pile, "__call__", slowly)


def test_a_sweep_with_much_to_do_lets_the_others_have_their_turn(own_sweeps, slow):
    log: list[str] = []
    Pile(3, log, "long")
    Pile(1, log, "short")
    results = sweeps.run_round(batch=10, after_turn=lambda: log.append("beat"))
    assert log == ["long", "short", "beat", "long", "beat", "long", "beat", "beat"]
    assert {name: result.handled for name, result in results.items()} == {"long": 30, "short": 10}


def test_within_its_share_a_sweep_does_batch_after_batch(own_sweeps):
    log: list[str] = []
    Pile(3, log, "long")
    Pile(1, log, "short")
    turn = sweeps.take_turns(batch=10)
    assert log == ["long", "long", "long", "short"]
    assert not turn.leaves_work


def test_one_round_also_does_what_a_later_sweep_left_for_an_earlier_one(own_sweeps):
    log: list[str] = []
    early = Pile(0, log, "early")
    Pile(1, log, "late", then=lambda: setattr(early, "left", 1))
    sweeps.run_round(batch=1)
    assert log == ["late", "early"]


def test_a_round_that_is_stopped_begins_no_other_turn(own_sweeps, slow):
    stop, log = Event(), list[str]()
    Pile(5, log, "long", then=stop.set)
    Pile(5, log, "other")
    assert sweeps.run_round(batch=1, stop=stop.is_set)["long"].handled == 1
    assert log == ["long"]


def test_the_worker_rests_only_where_nothing_is_left(own_sweeps, slow):
    log: list[str] = []
    Pile(3, log, "long")

    class Rest(Event):
        def wait(self, timeout: float | None = None) -> bool:
            log.append("rest")
            self.set()
            return True

    sweeps.run_forever(Rest(), interval=5, batch=1, after_round=lambda: log.append("beat"))
    assert log == ["long", "beat"] * 3 + ["beat", "rest"]


def test_the_worker_rests_though_something_happens_all_the_time(own_sweeps):
    rests = []

    def a_little(*, batch: int) -> SweepResult:
        return SweepResult(handled=int(seen.pop()))

    class Rest(Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout)
            self.set()
            return True

    seen = [False, True]
    sweeps.register("a_little", a_little)
    sweeps.run_forever(Rest(), interval=5, batch=1, after_round=lambda: None)
    assert rests == [5]


def test_the_worker_outlives_a_database_that_is_away(db, own_sweeps, caplog):
    stop, rounds = Event(), []

    def after_round() -> None:
        rounds.append(1)
        if len(rounds) == 2:
            stop.set()
        raise RuntimeError("the database is away")

    sweeps.run_forever(stop, interval=0, batch=1, after_round=after_round)
    assert len(rounds) == 2
    assert "worker_round_failed" in caplog.text


# --- Lanes ----------------------------------------------------------------------------


def in_lanes(stop: Event, after_round=lambda: None) -> Thread:
    """A worker as `manage.py worker` runs it, in a thread."""

    def run() -> None:
        try:
            sweeps.run_lanes(stop, interval=0.01, batch=1, after_round=after_round)
        finally:
            # As the end of its process does.
            connections.close_all()

    worker = Thread(target=run)
    worker.start()
    return worker


def test_a_sweep_that_hangs_over_files_keeps_no_desk_waiting(own_sweeps):
    stop, hangs, goes_on = Event(), Event(), Event()
    desk, beats = Semaphore(0), Semaphore(0)

    def hanging(*, batch: int) -> SweepResult:
        hangs.set()
        assert goes_on.wait(60)
        return SweepResult()

    def quick(*, batch: int) -> SweepResult:
        desk.release()
        return SweepResult()

    # First in the order of registration, where it would hold up the other.
    sweeps.register("hanging", hanging, lane=sweeps.FILES)
    sweeps.register("quick", quick)
    worker = in_lanes(stop, beats.release)
    try:
        assert hangs.wait(10)
        while desk.acquire(blocking=False):
            pass
        # And so over and over, all while the other hangs.
        assert all(desk.acquire(timeout=10) and beats.acquire(timeout=10) for _ in range(20))
        assert not goes_on.is_set()
    finally:
        stop.set()
        goes_on.set()
        worker.join(10)
    assert not worker.is_alive()


def test_stopping_finishes_the_batch_in_hand_in_every_lane(own_sweeps):
    stop, begun, goes_on, log = Event(), Event(), Event(), list[str]()

    def slow(*, batch: int) -> SweepResult:
        begun.set()
        assert goes_on.wait(60)
        log.append("finished")
        return SweepResult(handled=1)

    sweeps.register("slow", slow, lane=sweeps.FILES)
    worker = in_lanes(stop)
    assert begun.wait(10)
    stop.set()
    worker.join(0.3)
    assert worker.is_alive()
    goes_on.set()
    worker.join(10)
    assert not worker.is_alive()
    assert log == ["finished"]


def test_each_lane_has_a_connection_of_its_own_and_closes_it(db, own_sweeps):
    stop, all_and_we = Event(), Barrier(len(sweeps.LANES) + 1, timeout=10)
    used: dict[str, Any] = {}

    def looks(lane: str):
        def sweep(*, batch: int) -> SweepResult:
            Heartbeat.objects.count()
            if lane not in used:
                used[lane] = connections["default"]
                all_and_we.wait()
            return SweepResult()

        return sweep

    for lane in sweeps.LANES:
        sweeps.register(f"looks_{lane}", looks(lane), lane=lane)
    worker = in_lanes(stop)
    all_and_we.wait()
    stop.set()
    worker.join(10)
    assert used["desk"] is not used["files"]
    assert used["files"].connection is None


def test_a_lane_outlives_a_sweep_that_fails(own_sweeps):
    stop, tries = Event(), Semaphore(0)

    def broken(*, batch: int) -> SweepResult:
        tries.release()
        raise RuntimeError("broken")

    sweeps.register("broken", broken, lane=sweeps.FILES)
    worker = in_lanes(stop)
    try:
        assert all(tries.acquire(timeout=10) for _ in range(3))
    finally:
        stop.set()
        worker.join(10)


def test_one_round_runs_every_lane_in_the_order_of_registration(own_sweeps):
    log: list[str] = []
    Pile(1, log, "scans", lane=sweeps.FILES)
    Pile(1, log, "mails")
    late = Pile(0, log, "previews", lane=sweeps.FILES)
    Pile(1, log, "closing", then=lambda: setattr(late, "left", 1))
    sweeps.run_round(batch=1)
    assert log == ["scans", "mails", "closing", "previews"]


def test_what_takes_long_over_files_is_in_lanes_of_its_own():
    assert set(sweeps.registered([sweeps.FILES])) == {"render_previews", "purge_attachments"}
    assert set(sweeps.registered([sweeps.SCANS])) == {"scan_attachments"}


# --- What else the worker does, and the processes -------------------------------------


def test_old_keys_sessions_and_failures_are_forgotten_and_fresh_ones_kept(alice):
    long_ago = timezone.now() - timedelta(days=90)
    for key, at in (("old", long_ago), ("fresh", timezone.now())):
        IdempotencyKey.objects.create(user=alice, key=key, status=200, created_at=at)
        SignInFailures.objects.create(key=key, expires_at=at + timedelta(hours=1))
        Session.objects.create(user=alice, refresh_jti=key, expires_at=at + timedelta(hours=1))
    call_command("worker", "--once")
    assert [row.key for row in IdempotencyKey.objects.all()] == ["fresh"]
    assert [row.key for row in SignInFailures.objects.all()] == ["fresh"]
    assert [row.refresh_jti for row in Session.objects.all()] == ["fresh"]


def test_the_demo_is_the_same_the_second_time(db):
    def everything():
        return (
            list(User.objects.order_by("pk").values()),
            list(AgentProfile.objects.order_by("pk").values()),
            list(Ticket.objects.order_by("pk").values()),
            list(TicketEvent.objects.order_by("pk").values()),
        )

    call_command("demo", "--password", "pw", stdout=StringIO())
    before = everything()
    assert {row["status"] for row in before[2]} == {
        "open",
        "pending",
        "on_hold",
        "resolved",
        "closed",
        "cancelled",
    }
    call_command("demo", "--password", "pw", stdout=StringIO())
    assert everything() == before


def test_the_demo_prints_every_login_and_its_password(db):
    out = StringIO()
    call_command("demo", "--password", "one-of-mine", stdout=out)
    text = out.getvalue()
    assert "one-of-mine" in text
    assert all(name in text for name in ("alice", "charlie", "bob", "dana", "sam", "admin"))
    assert User.objects.get(username="admin").is_superuser


# On SQLite, whatever the suite runs on.
@pytest.mark.once
def test_the_worker_process_ends_with_success_on_sigterm(db, tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "servicedesk.settings.development",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'desk.sqlite3'}",
        "DESK_HOME": str(tmp_path),
        "REDIS_URL": "",
        "LOG_LEVEL": "INFO",
    }
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], check=True, cwd=ROOT, env=environment)
    worker = subprocess.Popen([*manage, "worker", "--interval", "60"], cwd=ROOT, env=environment)
    try:
        _wait_for_a_heartbeat(tmp_path / "desk.sqlite3")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
    finally:
        worker.kill()
        worker.wait()


def _wait_for_a_heartbeat(database, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with sqlite3.connect(database) as connection:
            if connection.execute("SELECT count(*) FROM servicedesk_heartbeat").fetchone()[0]:
                return
        time.sleep(0.2)
    raise TimeoutError("the worker gave no sign of life")


@pytest.mark.once
def test_the_server_runs_the_worker_beside_it_and_ends_on_sigterm(tmp_path):
    with desk(tmp_path, "demo-password") as address:
        assert address.startswith("http://127.0.0.1:")
    log = (tmp_path / "server.log").read_text()
    assert "The desk is open on" in log
    assert "Traceback" not in log
