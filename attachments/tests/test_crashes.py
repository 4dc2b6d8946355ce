"""Whatever is killed with -9 in the middle of an upload, a deletion, a scan or a preview: nothing
is lost, and the sweeps finish the rest.

`FILE_KILLS` says how often (`make chaos`: fifty), `FILE_SEED` repeats a run.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from agents.models import User
from attachments import services as file_services
from attachments import storage
from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.services.known import unknown
from attachments.services.purging import purge
from attachments.sweeps import render_previews, scan_attachments
from attachments.tests.clamd_server import clamd
from attachments.tests.crash_steps import read
from attachments.tests.desk_of_files import (
    ALL_GRACES,
    assert_kept_for_a_reason,
    assert_nothing_lost,
    assert_tidy,
    bytes_of,
    finish,
    keep,
    words,
)
from realtime.tests.cluster import Process, environment_of
from tickets import services
from tickets.models import Kind, Ticket, TicketEvent
from tickets.tests.state import assert_consistent

# Each of the three at least once; on PostgreSQL, where they really write at once, twice.
KILLS = int(os.environ.get("FILE_KILLS") or (6 if connection.vendor == "postgresql" else 3))
# The suite tries every twelfth step, beginning somewhere; `make chaos` all.
STRIDE = 1 if "FILE_KILLS" in os.environ else 12
PATIENCE = 60
Act = Callable[[User, Ticket], None]


class Victim:
    """A program that is killed in the middle of its work and started again; `works` counts it."""

    def __init__(self, process: Process, works: Callable[[], int]) -> None:
        self.process, self.kills = process, 0
        self._works, self._before = works, 0

    def start(self) -> None:
        self._before = self._works()
        self.process.start()

    def has_done(self, steps: int) -> bool:
        assert self.process.is_running, self.process.log.read_text()[-4000:]
        return self._works() >= self._before + steps

    def kill(self) -> None:
        self.process.kill()
        self.kills += 1


def wait_until(victim: Victim, steps: int, others: list[Victim]) -> None:
    """Until it has done so much since it was started."""
    deadline = time.monotonic() + PATIENCE
    while not victim.has_done(steps):
        # Without the others it may have nothing to do.
        assert all(other.has_done(0) for other in others)
        assert time.monotonic() < deadline, f"{victim.process.log} ends with nothing new"
        time.sleep(0.01)


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("FILE_SEED") or random.randrange(1_000_000))
    print(f"FILE_SEED={chosen}")  # noqa: T201
    return chosen


@pytest.fixture
def environment(tmp_path: Path, settings):
    """Of a desk of its own folder that scans, over the database of the tests."""
    with clamd() as (address, _script):
        settings.CLAMD, settings.SCAN_MODE = address, "closed"
        yield {**environment_of(tmp_path), "CLAMD": address, "SCAN_MODE": "closed"}


def _finished() -> int:
    """How much a worker has finished by now."""
    kinds = [Kind.FILE_SCANNED, Kind.FILE_PREVIEWED]
    return TicketEvent.objects.filter(kind__in=kinds).count()


def _lines(diary: Path) -> int:
    return len(read(diary))


@pytest.fixture
def victims(alice, bob, environment, tmp_path: Path, seed: int):
    """Two who write, and a worker."""
    for n in range(3):
        services.open_ticket(
            requester=alice, actor=alice, subject=f"Printer {n}", at=timezone.now()
        )
    found = []
    for n in range(2):
        diary = tmp_path / f"diary-{n}"
        program = ["-m", "attachments.tests.crash_steps", str(seed + n), str(diary)]
        process = Process(program, environment, tmp_path / f"steps-{n}.log")
        found.append(Victim(process, partial(_lines, diary)))
    worker = ["manage.py", "worker", "--interval", "0.1", "--batch", "5"]
    found.append(Victim(Process(worker, environment, tmp_path / "worker.log"), _finished))
    yield found
    for victim in found:
        victim.process.kill()


def test_whatever_is_killed_nothing_is_lost_and_the_rest_is_finished(
    victims: list[Victim], tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    for victim in victims:
        victim.start()
    for number in range(KILLS):
        victim = victims[number % len(victims)]
        wait_until(victim, dice.randint(1, 20), victims)
        time.sleep(dice.uniform(0, 0.3))
        victim.kill()
        victim.start()
    for victim in victims:
        wait_until(victim, 1, [victim])
    for victim in victims:
        victim.kill()
    connections.close_all()

    _nothing_is_lost(tmp_path)
    left = _left_to_do()
    with time_machine.travel(timezone.now() + ALL_GRACES):
        finish()
        finish()
    _nothing_is_lost(tmp_path)
    _everything_is_finished()
    print(_counted(victims, left))  # noqa: T201


def _nothing_is_lost(folder: Path) -> None:
    """What was answered is so."""
    call_command("verify_storage", stdout=StringIO())
    assert_kept_for_a_reason()
    assert_consistent(announced=False)
    lines = [line for n in range(2) for line in read(folder / f"diary-{n}")]
    kept = {line["id"]: line["sha256"] for line in lines if line["what"] == "kept"}
    perhaps = {line["id"] for line in lines if line["what"] == "removing"}
    gone = {line["id"] for line in lines if line["what"] == "removed"}
    files = Attachment.objects.present().select_related("blob").in_bulk(map(str, kept))
    found = {str(pk): file.sha256 for pk, file in files.items()}
    missing = {pk for pk in kept if pk not in found} - perhaps
    assert not missing
    assert not gone & {str(pk) for pk in Attachment.objects.present().values_list("pk", flat=True)}
    for pk, sha256 in found.items():
        assert sha256 == kept[pk]
    for file in list(files.values())[:50]:
        assert len(bytes_of(file)) == file.size


def _left_to_do() -> dict[str, int]:
    """What the dead have left behind."""
    return {
        "loose": LooseBytes.objects.count(),
        "to scan": Blob.objects.filter(scan_due_at__isnull=False).count(),
        "to draw": Preview.objects.filter(due_at__isnull=False).count(),
        "unknown": sum(1 for _ in unknown()),
    }


def _everything_is_finished() -> None:
    assert_tidy()
    assert not Blob.objects.filter(scan_status=Blob.Scan.PENDING).exists()
    assert not Preview.objects.filter(status=Preview.Status.PENDING).exists()
    told: Counter[tuple[str, str]] = Counter()
    for event in TicketEvent.objects.filter(kind__startswith="file."):
        told[event.data["file"], event.kind] += 1
    assert set(told.values()) <= {1}, [each for each, times in told.items() if times > 1]
    for file in Attachment.objects.select_related("blob"):
        pk = str(file.pk)
        assert (told[pk, Kind.FILE_ATTACHED] == 1) is (file.ticket_id is not None)
        assert (told[pk, Kind.FILE_REMOVED] == 1) is (file.removed_at is not None)
        if file.filename.startswith("once") and file.ticket_id and not file.removed_at:
            # On its ticket before anybody can have looked at it.
            assert file.scan_status == "clean"
            assert told[pk, Kind.FILE_SCANNED] == 1, file
            assert told[pk, Kind.FILE_PREVIEWED] == 1, file
        if file.filename.startswith("eicar") and not file.removed_at:
            assert (file.scan_status, file.preview) == ("infected", None)
            assert told[pk, Kind.FILE_SCANNED] == 1, file


def _counted(victims: list[Victim], left: dict[str, int]) -> str:
    present = Attachment.objects.present().count()
    return (
        f"{connection.vendor}: {sum(v.kills for v in victims)} kills, "
        f"{Attachment.objects.count()} files of which {present} stayed, "
        f"{Blob.objects.count()} contents; left behind: {left}"
    )


# --- At every step ---------------------------------------------------------------------


class Killed(BaseException):
    """Nothing catches it."""


class Reaper:
    """Ends whatever goes on before its nth statement, or around its nth change of the storage."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            raise Killed

    def statement(self, execute: Callable[..., Any], *args: Any) -> Any:
        self.step()
        return execute(*args)

    def change(self, storing: Callable[..., None], *args: Any) -> None:
        self.step()
        storing(*args)
        self.step()


def _upload(user: User, ticket: Ticket) -> None:
    keep(user, ("1.txt", words(1)), ("2.txt", words(2)), ("1b.txt", words(1)), ticket=ticket)


def _remove(user: User, ticket: Ticket) -> None:
    for file in Attachment.objects.present():
        file_services.remove(file=file, actor=user, at=timezone.now())


def _purge(user: User, ticket: Ticket) -> None:
    purge(at=timezone.now(), batch=50)


def _scan(user: User, ticket: Ticket) -> None:
    scan_attachments()


def _draw(user: User, ticket: Ticket) -> None:
    render_previews()


@pytest.mark.parametrize(
    ("before", "act"),
    [
        ([], _upload),
        ([_upload], _upload),
        ([_upload], _remove),
        ([_upload, _remove], _purge),
        ([_upload], _scan),
        ([_upload, _scan], _draw),
        ([_upload, _scan, _draw], _remove),
    ],
)
def test_at_whatever_step_it_dies_nothing_is_lost(
    alice, environment, monkeypatch, seed: int, before: list[Act], act: Act
) -> None:
    """The same in slow motion: killed before each statement, and before and after each change of
    the storage."""
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=timezone.now())
    save, delete = storage.save, storage.delete
    for nth in count(random.Random(seed).randint(1, STRIDE), STRIDE):
        for each in before:
            each(alice, ticket)
        reaper = Reaper(nth)
        monkeypatch.setattr(storage, "save", partial(reaper.change, save))
        monkeypatch.setattr(storage, "delete", partial(reaper.change, delete))
        with suppress(Killed), connection.execute_wrapper(reaper.statement):
            act(alice, ticket)
        monkeypatch.setattr(storage, "save", save)
        monkeypatch.setattr(storage, "delete", delete)
        assert_nothing_lost()
        assert_kept_for_a_reason()
        assert not list(unknown()), f"killed at step {nth}"
        if reaper.left > 0:
            break
        with time_machine.travel(timezone.now() + ALL_GRACES):
            finish()
            assert_tidy()
        _remove(alice, ticket)
        with time_machine.travel(timezone.now() + ALL_GRACES):
            finish()
            assert not Blob.objects.exists()
    assert nth > 5
    assert_consistent(announced=False)


def test_a_draft_of_the_dead_goes_after_its_day(alice) -> None:
    """Nobody comes back for what they uploaded."""
    keep(alice, ("a.txt", words(1)))
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        finish()
    assert not Attachment.objects.exists()
    assert_tidy()
