"""What purge_attachments drops, what it leaves alone, and that nothing is lost by it."""

import json
import os
import threading
import time
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone

from attachments import storage
from attachments.models import Attachment, Blob, DailyUse, LooseBytes, Preview
from attachments.refusals import StorageUnavailable
from attachments.services import remove, uploading
from attachments.services.known import GOING
from attachments.services.purging import (
    delete_loose,
    drop_old_drafts,
    purge,
    remove_left_behind,
)
from attachments.services.verifying import Tally, verify
from attachments.sweeps import purge_attachments
from attachments.tests.keeping import draw, keep, put, stored_keys
from servicedesk import sweeps
from servicedesk.sweeps import SweepResult, drain
from servicedesk.tests.processes import free_port
from tickets import services

pytestmark = pytest.mark.usefixtures("db", "each_storage")
HOUR = timedelta(hours=1)


@pytest.fixture
def at():
    return timezone.now()


@pytest.fixture
def ticket(alice, at):
    return services.open_ticket(requester=alice, actor=alice, subject="The printer", at=at)


def purge_all(at) -> SweepResult:
    return drain(lambda *, batch: purge(at=at, batch=batch), batch=500)


def command(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("purge_attachments", "--json", *options, stdout=out)
    said: dict[str, Any] = json.loads(out.getvalue())
    return said


def age(key: str, by: timedelta) -> None:
    """As if it had been written so long ago, where the storage lets a test say so."""
    from django.conf import settings

    then = time.time() - by.total_seconds()
    os.utime(settings.ATTACHMENTS_FOLDER / key, (then, then))


def nothing_is_lost() -> bool:
    return not list(verify(Tally(), is_quick=False, batch=10))


def test_the_bytes_of_a_removed_file_go_and_others_stay(alice, ticket, at) -> None:
    gone, stays = keep(b"one", alice, ticket=ticket), keep(b"two", alice, ticket=ticket)
    assert gone.blob is not None
    assert stays.blob is not None
    drawn = draw(gone)
    assert stored_keys() == {gone.blob.key, stays.blob.key, drawn}
    remove(file=gone, actor=alice, at=at)

    result = purge_all(timezone.now())

    assert (result.handled, result.failed) == (2, 0)
    assert stored_keys() == {stays.blob.key}
    assert not LooseBytes.objects.exists()
    assert nothing_is_lost()


def test_bytes_that_two_files_have_stay_until_both_are_gone(alice, ticket, at) -> None:
    files = [keep(b"the same", alice, ticket=ticket) for _ in range(2)]
    purge_all(timezone.now())
    assert len(stored_keys()) == 1

    remove(file=files[0], actor=alice, at=at)
    purge_all(timezone.now())
    assert len(stored_keys()) == 1

    remove(file=files[1], actor=alice, at=at)
    purge_all(timezone.now())
    assert stored_keys() == set()


def test_drafts_are_dropped_after_their_time_with_their_bytes(alice, ticket, settings, at) -> None:
    limit = at - settings.DRAFT_LIFETIME
    old = keep(b"old", alice, at=limit - timedelta(seconds=1))
    young = keep(b"young", alice, at=limit + HOUR)
    sent = keep(b"sent", alice, ticket=ticket, at=limit - HOUR)

    purge_all(timezone.now())

    assert set(Attachment.objects.values_list("pk", flat=True)) == {young.pk, sent.pk}
    assert old.blob is not None
    assert old.blob.key not in stored_keys()
    assert len(stored_keys()) == 2
    assert nothing_is_lost()


def test_a_draft_whose_content_is_on_a_ticket_leaves_the_content(
    alice, ticket, settings, at
) -> None:
    keep(b"both", alice, at=at - settings.DRAFT_LIFETIME - HOUR)
    sent = keep(b"both", alice, ticket=ticket)

    purge_all(timezone.now())

    assert list(Attachment.objects.all()) == [sent]
    assert len(stored_keys()) == 1
    assert nothing_is_lost()


def test_an_upload_that_died_is_tidied_up_after_the_grace_and_not_before(settings, at) -> None:
    stored = put(b"half way", due_at=at + settings.LOOSE_BYTES_GRACE)

    purge_all(at + settings.LOOSE_BYTES_GRACE - timedelta(seconds=1))
    assert stored_keys() == {stored.key}

    purge_all(at + settings.LOOSE_BYTES_GRACE)
    assert stored_keys() == set()
    assert not LooseBytes.objects.exists()


def test_a_row_whose_bytes_were_never_written_goes_too(at) -> None:
    LooseBytes.objects.create(key=storage.new_key(), due_at=at)

    assert purge_all(at).handled == 1
    assert not LooseBytes.objects.exists()


def test_use_of_days_that_are_over_is_forgotten(alice, at) -> None:
    for days in (0, 1, 2, 3, 10):
        DailyUse.objects.create(user=alice, day=(at - timedelta(days=days)).date(), used=5)

    purge_all(at)

    left = sorted((at.date() - day).days for day in DailyUse.objects.values_list("day", flat=True))
    assert left == [0, 1, 2]


def test_twice_is_the_same_as_once(alice, ticket, at) -> None:
    remove(file=keep(b"one", alice, ticket=ticket), actor=alice, at=at)
    keep(b"two", alice, ticket=ticket)
    first = purge_all(timezone.now())
    left = stored_keys()

    second = purge_all(timezone.now())

    assert (first.handled, second) == (1, SweepResult())
    assert stored_keys() == left


def test_a_purge_that_died_in_the_middle_is_finished_by_the_next(alice, at, monkeypatch) -> None:
    keys = [put(bytes([number]) * 9, due_at=at).key for number in range(3)]
    delete, deleted = storage.delete, []

    def dies(key: str) -> None:
        delete(key)
        deleted.append(key)
        if len(deleted) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(storage, "delete", dies)
    with pytest.raises(KeyboardInterrupt):
        delete_loose(at, 10)
    monkeypatch.undo()

    # The bytes of the second are gone and its row is not: they are deleted once more.
    assert LooseBytes.objects.count() == 2
    assert delete_loose(at, 10) == SweepResult()
    assert delete_loose(at + HOUR, 10).handled == 2
    assert not stored_keys() & set(keys)


def test_a_storage_that_is_away_loses_no_row(alice, settings, at) -> None:
    where = settings.ATTACHMENTS_STORAGE
    put(b"one", due_at=at)
    put(b"two", due_at=at)
    settings.ATTACHMENTS_STORAGE = (
        f"s3://desk?endpoint_url=http%3A%2F%2F127.0.0.1%3A{free_port()}"
        "&region=us-east-1&access_key=a&secret_key=b"
    )

    result = delete_loose(at, 10)

    assert (result.handled, result.failed) == (0, 2)
    assert LooseBytes.objects.count() == 2
    settings.ATTACHMENTS_STORAGE = where
    assert delete_loose(at, 10) == SweepResult()
    assert delete_loose(at + timedelta(minutes=2), 10).handled == 2
    assert stored_keys() == set()


def test_the_worker_runs_it(alice, ticket, at) -> None:
    remove(file=keep(b"one", alice, ticket=ticket), actor=alice, at=at)

    assert "purge_attachments" in sweeps.registered()
    assert purge_attachments(batch=50).handled == 1
    assert stored_keys() == set()


# --- Uploads that go on meanwhile -----------------------------------------------------------


def test_an_upload_slower_than_the_grace_fails_and_is_not_kept_without_bytes(alice, at) -> None:
    stored = put(b"slow", due_at=at)
    assert delete_loose(at, 10).handled == 1

    with pytest.raises(StorageUnavailable):
        uploading.take([stored], uploader=alice, ticket=None, at=timezone.now())

    assert not Attachment.objects.exists()
    assert not Blob.objects.exists()


def test_an_upload_that_comes_while_its_bytes_are_deleted_fails(alice, at, monkeypatch) -> None:
    stored, delete, refused = put(b"slow", due_at=at), storage.delete, []

    def slow_delete(key: str) -> None:
        try:
            uploading.take([stored], uploader=alice, ticket=None, at=timezone.now())
        except StorageUnavailable as error:
            refused.append(error)
        delete(key)

    monkeypatch.setattr(storage, "delete", slow_delete)
    delete_loose(at, 10)

    assert len(refused) == 1
    assert not Blob.objects.exists()


@pytest.mark.postgres
def test_bytes_that_an_upload_is_about_to_take_are_left_to_it(alice, at) -> None:
    """The upload's transaction has taken the row and is not committed yet."""
    stored = put(b"just in time", due_at=at)
    taken, looked = threading.Event(), threading.Event()
    results = []

    def sweep() -> None:
        try:
            taken.wait(20)
            results.append(delete_loose(at, 10))
        finally:
            looked.set()
            connections.close_all()

    thread = threading.Thread(target=sweep)
    thread.start()
    with transaction.atomic():
        uploading.take([stored], uploader=alice, ticket=None, at=at)
        taken.set()
        assert looked.wait(20)
    thread.join()

    assert results == [SweepResult()]
    assert stored_keys() == {stored.key}
    assert nothing_is_lost()


def test_uploads_removals_and_purges_at_once_lose_nothing(bob, settings) -> None:
    """Few contents, so that the same one is kept, let go and deleted again and again."""
    # However quick this machine is.
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "drafts_per_user": 10**6, "daily_mb": 10**6}
    stop, errors = threading.Event(), []

    def repeat(act):
        def run() -> None:
            try:
                number = 0
                while not stop.is_set():
                    act(number)
                    number += 1
            except Exception as error:
                errors.append(error)
            finally:
                connections.close_all()

        return threading.Thread(target=run)

    def upload(number: int) -> None:
        content = bytes([number % 3]) * 2000
        now = timezone.now()
        # A grace of nothing: the purge is after the bytes while they are being taken.
        try:
            file = keep(content, bob, at=now)
        except StorageUnavailable:
            return
        if number % 2:
            remove(file=file, actor=bob, at=now)

    uploads = [repeat(upload) for _ in range(3)]
    purges = [repeat(lambda number: purge(at=timezone.now(), batch=10)) for _ in range(2)]
    for thread in (*uploads, *purges):
        thread.start()
    time.sleep(4)
    stop.set()
    for thread in (*uploads, *purges):
        thread.join()

    assert errors == []
    assert nothing_is_lost()
    purge_all(timezone.now() + HOUR)
    # What was written after its row was purged already: no row is left to speak of it.
    remove_left_behind(timezone.now() + 2 * HOUR)
    assert nothing_is_lost()
    assert stored_keys() == set(Blob.objects.values_list("key", flat=True))


@pytest.mark.postgres
def test_a_draft_that_is_sent_while_it_is_dropped_is_sent_or_dropped(
    alice, ticket, settings, at
) -> None:
    file = keep(b"late", alice, at=at - settings.DRAFT_LIFETIME - HOUR)
    sent, dropped = threading.Event(), []

    def drop() -> None:
        try:
            sent.wait(20)
            dropped.append(drop_old_drafts(at, 10))
        finally:
            connections.close_all()

    thread = threading.Thread(target=drop)
    thread.start()
    with transaction.atomic():
        Attachment.objects.select_for_update().get(pk=file.pk)
        Attachment.objects.filter(pk=file.pk).update(ticket=ticket, attached_at=at)
        sent.set()
        time.sleep(0.3)
    thread.join()

    assert dropped == [0]
    purge_all(timezone.now())
    assert Attachment.objects.get().ticket == ticket
    assert nothing_is_lost()


# --- The command ----------------------------------------------------------------------------


def test_the_command_says_what_it_did(alice, ticket, at) -> None:
    remove(file=keep(b"one", alice, ticket=ticket), actor=alice, at=at)

    said = command()

    assert (said["handled"], said["failed"]) == (1, 0)
    assert command()["handled"] == 0


def test_a_dry_run_changes_nothing(alice, ticket, settings, at) -> None:
    remove(file=keep(b"one", alice, ticket=ticket), actor=alice, at=at)
    keep(b"two", alice, at=at - settings.DRAFT_LIFETIME - HOUR)
    before = stored_keys()

    said = command("--dry-run", "--unknown")

    assert (said["handled"], said["drafts"], said["loose"], said["unknown"]) == (0, 1, 1, 0)
    assert stored_keys() == before
    assert Attachment.objects.count() == 2
    with pytest.raises(CommandError):
        command("--dry-run", "--loop")


def test_what_no_row_knows_is_removed_once_it_is_old(alice, ticket, settings) -> None:
    file = keep(b"known", alice, ticket=ticket)
    assert file.blob is not None
    drawn = draw(file)
    going = storage.new_key()
    LooseBytes.objects.create(key=GOING + going, due_at=timezone.now() + HOUR)
    lost = storage.new_key()
    for key in (going, lost):
        storage.save(key, BytesIO(b"x"))
    known = {file.blob.key, drawn, going}

    command("--unknown")
    assert stored_keys() == known | {lost}

    settings.LOOSE_BYTES_GRACE = -HOUR
    assert command("--unknown")["handled"] == 1
    assert stored_keys() == known
    assert nothing_is_lost()
    assert Preview.objects.count() == 1


def test_only_a_folder_is_looked_through_without_being_asked(each_storage, settings) -> None:
    settings.LOOSE_BYTES_GRACE = -HOUR
    storage.save(storage.new_key(), BytesIO(b"x"))

    assert command()["handled"] == (1 if each_storage == "folder" else 0)


def test_what_is_not_named_as_ours_is_left_alone(each_storage, s3_or_folder_file, settings) -> None:
    settings.LOOSE_BYTES_GRACE = -HOUR

    assert command("--unknown")["handled"] == 0
    assert stored_keys() == {s3_or_folder_file}


@pytest.fixture
def s3_or_folder_file(each_storage, request, settings) -> str:
    """Somebody else's, in the midst of the desk's."""
    name = "3f/notes.txt"
    if each_storage == "folder":
        path = settings.ATTACHMENTS_FOLDER / name
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    else:
        store = request.getfixturevalue("object_store")
        bucket = settings.ATTACHMENTS_STORAGE.split("/")[2]
        store.client.put_object(Bucket=bucket, Key=f"files/{name}", Body=b"mine")
    return name


def test_a_folder_that_is_not_this_databases_is_not_emptied(
    folder_storage, settings, monkeypatch
) -> None:
    settings.ATTACHMENTS_STORAGE = ""
    settings.LOOSE_BYTES_GRACE = -HOUR
    monkeypatch.setattr("attachments.management.commands.purge_attachments.SUSPICIOUS", 3)
    keys = {storage.new_key() for _ in range(4)}
    for key in keys:
        storage.save(key, BytesIO(b"x"))

    with pytest.raises(CommandError, match="--unknown"):
        command()
    assert stored_keys() == keys

    assert command("--unknown")["handled"] == 4


def test_what_a_killed_writer_left_is_found_in_a_folder(folder_storage, settings) -> None:
    settings.ATTACHMENTS_STORAGE = ""
    path = folder_storage / f"{storage.new_key()}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert command()["handled"] == 0

    age(f"{path.parent.name}/{path.name}", 2 * HOUR)

    assert command()["handled"] == 1
    assert not path.exists()
