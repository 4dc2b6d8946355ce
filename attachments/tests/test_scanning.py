"""Scanning by clamd, which is a real server here that does as it is told."""

import io
import os
import subprocess
import sys
import threading
import tracemalloc
from datetime import timedelta
from itertools import pairwise, product

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from attachments import access, checks, services, storage
from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.received import Received
from attachments.refusals import FileInfected, ScanPending, ScanSkipped, StorageUnavailable
from attachments.scanning import ScannerAway, clamd, scan
from attachments.services import scanning
from attachments.sweeps import scan_attachments, tell_of_files
from attachments.sweeps import scanning as sweep
from attachments.tests.clamd_server import EICAR
from attachments.tests.clamd_server import clamd as clamd_server
from attachments.tests.keeping import draw
from realtime.tests.cluster import database_url
from servicedesk.tests.processes import ROOT
from tickets.models import TicketEvent
from tickets.services import open_ticket

MB = 1024 * 1024
PENDING, CLEAN, INFECTED, SKIPPED, FAILED = (
    Blob.Scan.PENDING,
    Blob.Scan.CLEAN,
    Blob.Scan.INFECTED,
    Blob.Scan.SKIPPED,
    Blob.Scan.FAILED,
)


@pytest.fixture(params=["tcp", "unix"])
def each_clamd(request, settings, tmp_path):
    """Tests of what goes over the line run over both."""
    with clamd_server(tmp_path / "clamd.sock" if request.param == "unix" else 0) as found:
        settings.CLAMD, script = found
        settings.SCAN_MODE = "closed"
        yield script


@pytest.fixture
def server(settings):
    with clamd_server() as (settings.CLAMD, script):
        settings.SCAN_MODE = "closed"
        yield script


@pytest.fixture
def ticket(alice):
    return open_ticket(requester=alice, actor=alice, subject="A file", at=timezone.now())


def upload(user, content=b"some words", ticket=None, name="a.txt"):
    at = timezone.now()
    stored, refused = services.store([Received.of(name, content)], uploader=user, at=at)
    assert not refused
    (file,) = services.take(stored, uploader=user, ticket=ticket, at=at).files
    return file


def due_at(**of):
    moment = Blob.objects.get(**of).scan_due_at
    assert moment is not None
    return moment


def status_of(file):
    return Attachment.objects.with_facts().get(pk=file.pk).scan_status


def pieces(content, size):
    return (content[start : start + size] for start in range(0, len(content), size))


# --- What goes over the line -----------------------------------------------------------


def test_clean_and_infected(each_clamd):
    assert scan(iter([b"harmless"]), 8).status == CLEAN
    verdict = scan(iter([EICAR]), len(EICAR))
    assert (verdict.status, verdict.note) == (INFECTED, "Win.Test.EICAR_HDB-1")


@pytest.mark.parametrize("size", [1, 7, 34, 67])
def test_what_is_spread_over_chunks_is_found(each_clamd, size):
    content = b"." * 100 + EICAR + b"." * 100
    assert scan(pieces(content, size), len(content)).status == INFECTED


def test_what_is_too_large_is_skipped_whoever_says_so(each_clamd, settings):
    each_clamd.limit = 3 * MB
    chunks = (bytes(MB) for _ in range(20))
    assert scan(chunks, 20 * MB).status == SKIPPED
    settings.CLAMD_MAX_BYTES = 10
    count = each_clamd.connections
    assert scan(iter([bytes(11)]), 11).status == SKIPPED
    assert each_clamd.connections == count


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"stream: OK\0", CLEAN),
        (b"stream: Can't allocate memory ERROR\0", FAILED),
        (b"stream: X OK FOUND\0", INFECTED),
        (b"INSTREAM size limit exceeded. ERROR\0", SKIPPED),
        # What clamd says with AlertExceedsMax: it has not looked at everything.
        (b"stream: Heuristics.Limits.Exceeded.MaxFiles FOUND\0", SKIPPED),
    ],
)
def test_what_clamd_says_is_taken_exactly(server, answer, status):
    server.answer = answer
    assert scan(iter([b"x"]), 1).status == status


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"stream: OK",
        b"OK\0",
        b"stream: OK\n\0",
        b"stream: OK\0stream: OK\0",
        b"stream: OK FOUND? \0",
        b"stream: ok\0",
        b"\0",
        b"x" * 9000,
    ],
)
def test_what_is_no_answer_is_none(server, settings, answer):
    settings.CLAMD_TIMEOUT = 5
    server.answer = answer
    with pytest.raises(ScannerAway):
        scan(iter([b"x"]), 1)


def test_the_time_of_a_scan_is_that_of_all_of_it(server, settings):
    settings.CLAMD_TIMEOUT, server.dribbles = 0.5, True
    server.answer = b"stream: " + b"x" * 200 + b" FOUND\0"
    with pytest.raises(ScannerAway):
        scan(iter([b"x"]), 1)


def test_what_was_not_seen_whole_is_never_clean(each_clamd):
    assert scan(iter([b"x"]), 2).status == FAILED
    each_clamd.limit, each_clamd.answer = MB, b"stream: OK\0"
    assert scan((bytes(MB) for _ in range(20)), 20 * MB).status == FAILED


def test_what_was_found_can_be_written_down_whatever_it_is_called(server):
    server.answer = b"stream: \0Bad\n\xff" + b"x" * 500 + b" FOUND\0"
    verdict = scan(iter([b"x"]), 1)
    assert verdict.status == INFECTED
    assert len(verdict.note) <= 200
    assert verdict.note.isprintable()


def test_nobody_there_and_hanging_and_hanging_up(each_clamd, settings, tmp_path):
    settings.CLAMD_TIMEOUT = 0.5
    each_clamd.hangs = True
    with pytest.raises(ScannerAway):
        scan(iter([b"x"]), 1)
    each_clamd.hangs_up_after = MB
    with pytest.raises(ScannerAway):
        scan((bytes(MB) for _ in range(5)), 5 * MB)
    for nowhere in ("tcp://127.0.0.1:1", f"unix:{tmp_path}/nothing"):
        settings.CLAMD = nowhere
        with pytest.raises(ScannerAway):
            scan(iter([b"x"]), 1)


def test_memory_is_flat_whatever_the_size(each_clamd):
    tracemalloc.start()
    try:
        assert scan((bytes(128 * 1024) for _ in range(800)), 100 * MB).status == CLEAN
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert each_clamd.scanned == [100 * MB]
    assert peak < 5 * MB


def test_addresses():
    assert clamd.address("tcp://127.0.0.1:3310") == ("127.0.0.1", 3310)
    assert str(clamd.address("unix:/run/clamd.sock")) == "/run/clamd.sock"
    for wrong in ("", "unix:", "tcp://host", "host:3310", "http://host:1", "tcp://host:x"):
        with pytest.raises(ValueError, match="CLAMD"):
            clamd.address(wrong)


# --- What becomes of files -------------------------------------------------------------


def test_a_file_is_pending_then_scanned_and_its_ticket_told(server, alice, ticket):
    file, bad = upload(alice, ticket=ticket), upload(alice, EICAR, ticket, "bad.txt")
    assert (status_of(file), status_of(bad)) == (PENDING, PENDING)

    assert scan_attachments(batch=10).handled == 2
    assert scan_attachments(batch=10).handled == 0

    assert (status_of(file), status_of(bad)) == (CLEAN, INFECTED)
    told = TicketEvent.objects.filter(ticket=ticket, kind="file.scanned")
    assert {event.data["file"] for event in told} == {str(file.pk), str(bad.pk)}
    assert tell_of_files().handled == 0


def test_the_same_content_is_scanned_once_and_told_everywhere(server, alice, ticket):
    other = open_ticket(requester=alice, actor=alice, subject="Two", at=timezone.now())
    upload(alice, ticket=ticket), upload(alice, ticket=other), upload(alice)
    scan_attachments(batch=10)
    assert len(server.scanned) == 1
    told = TicketEvent.objects.filter(kind="file.scanned").values_list("ticket", flat=True)
    assert sorted(told) == [ticket.pk, other.pk]
    assert status_of(upload(alice)) == CLEAN


def test_without_scanning_files_are_skipped(settings, alice):
    settings.SCAN_MODE = "off"
    file = upload(alice)
    assert status_of(file) == SKIPPED
    assert scan_attachments(batch=10).handled == 0


def test_while_clamd_is_away_files_wait_and_one_attempt_stands_for_all(server, settings, alice):
    files = [upload(alice, f"{n}".encode()) for n in range(5)]
    there, settings.CLAMD = settings.CLAMD, "tcp://127.0.0.1:1"

    result = scan_attachments(batch=10)

    assert (result.handled, result.failed) == (0, 1)
    assert {status_of(file) for file in files} == {PENDING}
    settings.CLAMD = there
    Blob.objects.update(scan_due_at=timezone.now())
    assert scan_attachments(batch=10).handled == 5
    assert {status_of(file) for file in files} == {CLEAN}


def test_the_file_that_met_the_outage_is_due_again_soon(settings, alice):
    settings.SCAN_MODE, settings.CLAMD = "closed", "tcp://127.0.0.1:1"
    upload(alice)
    scan_attachments(batch=1)
    assert due_at() < timezone.now() + timedelta(minutes=1)
    assert Blob.objects.get().scan_attempts == 0


def test_it_comes_back_where_it_was(settings, alice, tmp_path):
    settings.SCAN_MODE = "closed"
    file, place = upload(alice), tmp_path / "clamd.sock"
    with clamd_server(place) as (settings.CLAMD, _):
        pass
    assert scan_attachments(batch=10).failed == 1
    with clamd_server(place):
        Blob.objects.update(scan_due_at=timezone.now())
        assert scan_attachments(batch=10).handled == 1
    assert status_of(file) == CLEAN


def test_a_content_that_always_stops_the_scanner_waits_longer_and_longer(server, alice):
    server.dies_of = b"poison"
    poison = upload(alice, b"with poison")
    others = [upload(alice, f"{n}".encode()) for n in range(3)]
    waits = []
    for _ in range(20):
        Blob.objects.filter(sha256=poison.sha256).update(scan_due_at=timezone.now())
        assert scan_attachments(batch=10).failed == 1
        waits.append(due_at(sha256=poison.sha256) - timezone.now())
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits[:5]))
    assert waits[-1] <= scanning.LONGEST_PAUSE

    # In the second round those had waited longer.
    assert {status_of(file) for file in others} == {CLEAN}
    assert status_of(poison) == PENDING
    server.dies_of = None
    Blob.objects.update(scan_due_at=timezone.now())
    scan_attachments(batch=10)
    assert status_of(poison) == CLEAN


def test_a_batch_ends_soon_though_every_scan_takes_long(server, alice, monkeypatch):
    for n in range(3):
        upload(alice, f"{n}".encode())
    monkeypatch.setattr(sweep, "SCAN_TIME", timedelta(0))
    assert scan_attachments(batch=10).handled == 1


def test_what_clamd_fails_on_is_tried_again_later_and_later(server, alice):
    server.answer = b"stream: Broken ERROR\0"
    file = upload(alice)
    waits = []
    for _ in range(3):
        Blob.objects.update(scan_due_at=timezone.now())
        scan_attachments(batch=1)
        waits.append(due_at() - timezone.now())
    assert status_of(file) == FAILED
    assert all(later > 1.5 * earlier for earlier, later in pairwise(waits))
    server.answer = None
    Blob.objects.update(scan_due_at=timezone.now())
    scan_attachments(batch=1)
    assert status_of(file) == CLEAN


def test_a_scanner_that_is_killed_holds_nothing_up_for_longer_than_its_lease(
    server, alice, settings, tmp_path
):
    settings.ATTACHMENTS_FOLDER = tmp_path / "files"
    file, server.hangs = upload(alice), True
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(),
        "DESK_HOME": str(tmp_path),
        "ATTACHMENTS_STORAGE": "",
        "CLAMD": settings.CLAMD,
        "SCAN_MODE": "closed",
    }
    command = [sys.executable, "manage.py", "scan_attachments"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        assert server.has_scanned.wait(60)
        child.kill()
    server.hangs = False

    assert status_of(file) == PENDING
    assert scan_attachments(batch=1).handled == 0
    later = timezone.now() + timedelta(seconds=settings.CLAMD_TIMEOUT) + scanning.MARGIN
    assert [blob.sha256 for blob in scanning.due(later)] == [file.sha256]

    Blob.objects.update(scan_due_at=timezone.now())
    assert scan_attachments(batch=1).handled == 1
    assert (status_of(file), len(server.scanned)) == (CLEAN, 2)


def test_two_scanners_at_once_scan_each_content_once(server, alice):
    for n in range(12):
        upload(alice, f"{n}".encode())
    handled = []

    def work():
        try:
            for _ in range(8):
                handled.append(scan_attachments(batch=10).handled)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(handled) == 12
    assert len(server.scanned) == 12


def test_a_content_that_goes_while_it_is_scanned(server, alice, monkeypatch):
    file = upload(alice)

    def removes(chunks, size):
        services.remove(file=file, actor=alice, at=timezone.now())
        return clamd.scan(chunks, size)

    monkeypatch.setattr(scanning, "scan", removes)
    assert scan_attachments(batch=1).handled == 0
    assert not Blob.objects.exists()


def test_a_storage_that_is_away_leaves_the_file_pending(server, alice, monkeypatch):
    file = upload(alice)

    def away(*args):
        raise StorageUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(storage, "read", away)
        assert scan_attachments(batch=1).failed == 1
    assert status_of(file) == PENDING


# --- What may be read ------------------------------------------------------------------

TABLE = {
    ("off", PENDING): None, ("off", CLEAN): None, ("off", SKIPPED): None, ("off", FAILED): None,
    ("open", PENDING): None, ("open", CLEAN): None, ("open", SKIPPED): None,
    ("open", FAILED): None,
    ("closed", PENDING): ScanPending, ("closed", CLEAN): None, ("closed", SKIPPED): ScanSkipped,
    ("closed", FAILED): ScanPending,
    ("off", INFECTED): FileInfected, ("open", INFECTED): FileInfected,
    ("closed", INFECTED): FileInfected,
}  # fmt: skip


def test_the_table_is_whole():
    assert set(TABLE) == set(product(checks.MODES, Blob.Scan))


@pytest.mark.parametrize(("mode", "status"), TABLE)
def test_who_reads_what(settings, mode, status):
    settings.SCAN_MODE = mode
    refusal = TABLE[mode, status]
    file = Attachment(blob=Blob(scan_status=status))
    if refusal is None:
        access.require_readable(file)
        return
    with pytest.raises(refusal):
        access.require_readable(file)


def test_over_http(server, as_user, alice, ticket):
    file, client = upload(alice, ticket=ticket), as_user(alice)
    url = f"/api/files/{file.pk}/download"
    waiting = client.get(url)
    assert (waiting.status_code, waiting.json()["code"]) == (403, "scan_pending")
    assert int(waiting["Retry-After"]) > 0
    scan_attachments(batch=1)
    assert b"".join(client.get(url).streaming_content) == b"some words"

    bad = upload(alice, EICAR, ticket, "bad.txt")
    scan_attachments(batch=1)
    for end in ("download", "thumbnail", "preview"):
        refused = client.get(f"/api/files/{bad.pk}/{end}")
        assert (refused.status_code, refused.json()["code"]) == (403, "file_infected")


# --- Once more -------------------------------------------------------------------------


def test_rescanning(server, alice, settings):
    settings.SCAN_MODE = "off"
    old = upload(alice, b"old")
    settings.SCAN_MODE = "closed"
    clean, bad = upload(alice, b"clean"), upload(alice, EICAR)
    scan_attachments(batch=10)
    out = io.StringIO()

    call_command("rescan_attachments", "--status", "skipped", "--json", stdout=out)

    assert '"handled":1' in out.getvalue()
    assert status_of(old) == PENDING
    call_command("rescan_attachments", "--all", stdout=out)
    # What was found stays until something else is.
    assert (status_of(clean), status_of(bad)) == (CLEAN, INFECTED)
    server.answer = b"stream: OK\0"
    assert scan_attachments(batch=10).handled == 3
    assert {status_of(file) for file in (old, clean, bad)} == {CLEAN}


def test_many_are_marked_a_few_at_a_time(server, alice, monkeypatch):
    monkeypatch.setattr(scanning, "AT_ONCE", 2)
    for n in range(5):
        upload(alice, f"{n}".encode())
    Blob.objects.update(scan_status=SKIPPED, scan_due_at=None)
    assert scanning.rescan(Blob.objects.filter(scan_status=SKIPPED), timezone.now()) == 5
    assert scan_attachments(batch=10).handled == 5


def test_what_is_to_be_scanned_again_while_it_is_scanned_is(server, alice, monkeypatch):
    file = upload(alice)

    def marks(chunks, size):
        scanning.rescan(Blob.objects.all(), timezone.now())
        return clamd.scan(chunks, size)

    with monkeypatch.context() as patch:
        patch.setattr(scanning, "scan", marks)
        assert scan_attachments(batch=1).handled == 0
    assert status_of(file) == PENDING
    assert scan_attachments(batch=1).handled == 1
    assert status_of(file) == CLEAN


def test_previews_wait_for_the_scanner_go_with_what_it_finds_and_come_back(server, alice):
    file = upload(alice)
    due = Preview.objects.filter(due_at__lte=timezone.now() + timedelta(minutes=1))
    assert (file.preview_status, due.exists()) == ("pending", False)
    scan_attachments(batch=1)
    assert due.exists()
    key = draw(file)

    server.answer = b"stream: Bad FOUND\0"
    scanning.rescan(Blob.objects.all(), timezone.now())
    scan_attachments(batch=1)
    assert not Preview.objects.exists()
    assert LooseBytes.objects.filter(key=key).exists()

    # A false positive: new signatures, and another look.
    server.answer = None
    scanning.rescan(Blob.objects.all(), timezone.now())
    assert status_of(file) == INFECTED
    scan_attachments(batch=1)
    assert status_of(file) == CLEAN
    assert Attachment.objects.get(pk=file.pk).preview_status == "pending"


def test_rescanning_wants_to_know_which_and_something_to_scan_with(server, settings, alice):
    upload(alice)
    with pytest.raises(CommandError):
        call_command("rescan_attachments")
    out = io.StringIO()
    call_command("rescan_attachments", "--older-than", "3", "--dry-run", stdout=out)
    assert "1 would be" in out.getvalue()
    settings.SCAN_MODE = "off"
    with pytest.raises(CommandError):
        call_command("rescan_attachments", "--all")


def test_the_check_names_what_is_wrong(settings):
    settings.SCAN_MODE, settings.CLAMD = "closed", "nonsense"
    categories = {"text": {"types": ["exe"], "max_mb": 1}}
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "categories": categories}
    assert len(checks.check_files(None)) == 2
    settings.SCAN_MODE = "perhaps"
    assert "SCAN_MODE" in checks.check_files(None)[1].msg
