"""Previews of files: wanted, drawn, told and forgotten; whatever dies, whoever else draws."""

import io
import os
import random
import signal
import subprocess
import threading
from datetime import timedelta

import orjson
import pytest
from django.core.management import call_command
from django.db import close_old_connections, connections, transaction
from django.utils import timezone
from PIL import Image

from attachments import storage
from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.previews import limits, running
from attachments.refusals import StorageUnavailable
from attachments.services import news, previewing
from attachments.services.previewing import (
    RENDER_ATTEMPTS,
    RENDER_LEASE,
    forget,
    release,
    render,
    wanted,
)
from attachments.sweeps import render_previews
from tickets.models import Kind
from tickets.services import open_ticket

PENDING, READY, FAILED = Preview.Status.PENDING, Preview.Status.READY, Preview.Status.FAILED


on_each_storage = pytest.mark.usefixtures("each_storage")


class Killed(BaseException):
    """As if the process had been killed here: nothing of ours handles it."""


@pytest.fixture(autouse=True)
def no_scanner(db, settings):
    settings.SCAN_MODE = "off"


@pytest.fixture
def ticket(alice):
    return open_ticket(requester=alice, subject="A picture", actor=alice, at=timezone.now())


def picture():
    file = io.BytesIO()
    Image.new("RGB", (600, 300), (200, 10, 10)).save(file, "PNG")
    return file.getvalue()


def content(data=None, scan=Blob.Scan.SKIPPED):
    """A content that is kept, with its bytes in the storage."""
    data = picture() if data is None else data
    key = storage.new_key()
    storage.save(key, io.BytesIO(data))
    at = timezone.now()
    is_due = scan in (Blob.Scan.PENDING, Blob.Scan.FAILED)
    return Blob.objects.create(
        sha256=random.randbytes(32).hex(),
        size=len(data),
        key=key,
        scan_status=scan,
        scan_due_at=at if is_due else None,
    )


def upload(blob, user, content_type="image/png", ticket=None, **fields):
    """A file with this content, as an upload makes it."""
    at = timezone.now()
    return Attachment.objects.create(
        blob=blob,
        preview=wanted(blob, content_type, at),
        ticket=ticket,
        attached_at=at if ticket else None,
        uploaded_by=user,
        filename="a.png",
        size=blob.size,
        sha256=blob.sha256,
        content_type=content_type,
        category="image",
        **fields,
    )


def preview_of(file):
    return Preview.objects.get(attachments=file.pk)


def in_store():
    return {stored.key for stored in storage.keys()}  # noqa: SIM118


def vouched_for():
    """Every key that a row knows, and whether it is loose."""
    kept = {blob.key for blob in Blob.objects.all()}
    for preview in Preview.objects.all():
        kept |= {part["key"] for part in preview.parts.values()}
    return kept, set(LooseBytes.objects.values_list("key", flat=True))


def nothing_is_lost_or_left():
    kept, loose = vouched_for()
    stored = in_store()
    return kept <= stored and stored <= kept | loose and not kept & loose


def make_due():
    """As if the time had passed that whoever holds a preview has for it."""
    Preview.objects.filter(status=PENDING).update(due_at=timezone.now() - timedelta(seconds=1))


def kinds(ticket):
    return list(ticket.events.order_by("seq").values_list("kind", flat=True))


# --- Wanting --------------------------------------------------------------------------


def test_one_preview_is_wanted_of_one_content_and_type(alice):
    blob = content(b"a,b\n")
    files = [
        upload(blob, alice, content_type) for content_type in ("text/csv", "text/csv", "text/plain")
    ]
    assert files[0].preview == files[1].preview != files[2].preview
    assert {file.preview_status for file in files} == {"pending"}


def test_of_what_cannot_be_seen_none_is_wanted(alice):
    file = upload(content(b"PK"), alice, "application/gzip")
    assert (file.preview, file.preview_status) == (None, "none")
    assert upload(content(scan=Blob.Scan.INFECTED), alice).preview is None


# --- Drawing --------------------------------------------------------------------------


@on_each_storage
def test_a_picture_gets_its_thumbnails_and_its_ticket_hears_of_it(alice, ticket):
    file = upload(content(), alice, ticket=ticket)
    assert render_previews(batch=10).handled == 1
    preview = preview_of(file)
    assert (preview.status, preview.due_at, preview.note) == (READY, None, "")
    assert set(preview.parts) == {"256", "1024"}
    for side, part in preview.parts.items():
        data = b"".join(storage.read(part["key"]))
        assert (part["size"], part["content_type"]) == (len(data), "image/webp")
        assert max(Image.open(io.BytesIO(data)).size) == min(int(side), 600)
    assert kinds(ticket)[-1] == Kind.FILE_PREVIEWED
    assert ticket.events.last().data == {"file": str(file.pk)}
    assert not Attachment.objects.filter(is_preview_untold=True)
    assert not LooseBytes.objects.exists()
    assert nothing_is_lost_or_left()


@on_each_storage
def test_json_is_kept_as_a_part_of_that_name(alice):
    file = upload(content(b"a;b\n1;2\n"), alice, "text/csv")
    assert render_previews(batch=10).handled == 1
    part = preview_of(file).parts["json"]
    assert part["content_type"] == "application/json"
    shown = orjson.loads(b"".join(storage.read(part["key"])))
    assert shown == {"kind": "table", "rows": [["a", "b"], ["1", "2"]], "truncated": False}


def test_the_log_of_a_ticket_says_it_once(alice, ticket):
    upload(content(), alice, ticket=ticket)
    before = len(kinds(ticket))
    for _ in range(3):
        render_previews(batch=10)
    assert kinds(ticket)[before:] == [Kind.FILE_PREVIEWED]


def test_an_internal_file_is_not_spoken_of_to_the_customer(bob, ticket):
    upload(content(), bob, ticket=ticket, is_internal=True)
    render_previews(batch=10)
    assert ticket.events.last().public_data is None


def test_what_cannot_be_drawn_is_settled_and_says_why(alice, ticket):
    file = upload(content(b"no picture"), alice, ticket=ticket)
    assert render_previews(batch=10).handled == 1
    preview = preview_of(file)
    assert (preview.status, preview.parts) == (FAILED, {})
    assert preview.note == "The file cannot be read."
    assert kinds(ticket)[-1] == Kind.FILE_PREVIEWED
    assert render_previews(batch=10).handled == 0


def test_a_larger_limit_of_pixels_is_the_policys(alice, settings):
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "image_megapixels": 0.1}
    file = upload(content(), alice)
    render_previews(batch=10)
    assert preview_of(file).note == "There is too much in the file to draw it."


def test_what_is_not_due_is_left_alone(alice):
    file = upload(content(), alice)
    Preview.objects.update(due_at=timezone.now() + timedelta(minutes=1))
    assert render(preview_of(file)).skipped == 1
    assert render_previews(batch=10).handled == 0
    assert preview_of(file).status == PENDING


def test_a_batch_is_as_large_as_asked_for(alice):
    for _ in range(3):
        upload(content(b"hello"), alice, "text/plain")
    assert render_previews(batch=2).handled == 2
    assert render_previews(batch=2).handled == 1


def test_the_command_draws_everything(alice, capsys):
    for _ in range(3):
        upload(content(b"hello"), alice, "text/plain")
    call_command("render_previews", "--json", "--batch", "2")
    figures = orjson.loads(capsys.readouterr().out)
    assert (figures["handled"], figures["skipped"], figures["failed"]) == (3, 0, 0)
    call_command("render_previews", "--json")
    assert orjson.loads(capsys.readouterr().out)["handled"] == 0


# --- The scanner comes first ----------------------------------------------------------


def test_nothing_is_drawn_before_it_is_clean_where_scanning_fails_closed(alice, settings):
    settings.SCAN_MODE = "closed"
    blob = content(scan=Blob.Scan.PENDING)
    file = upload(blob, alice)
    assert render_previews(batch=10).handled == 0
    make_due()
    assert render_previews(batch=10).skipped == 1
    assert (preview_of(file).status, preview_of(file).attempts) == (PENDING, 0)
    assert preview_of(file).due_at > timezone.now() + timedelta(minutes=30)

    blob.scan_status = Blob.Scan.CLEAN
    blob.scan_due_at = None
    blob.save()
    release(blob, timezone.now())
    assert render_previews(batch=10).handled == 1
    assert preview_of(file).status == READY


@pytest.mark.parametrize("mode", ["open", "off"])
def test_elsewhere_nothing_waits_for_the_scanner(alice, settings, mode):
    settings.SCAN_MODE = mode
    file = upload(content(scan=Blob.Scan.PENDING), alice)
    render_previews(batch=10)
    assert preview_of(file).status == READY


def test_what_the_scanner_skipped_has_no_preview_until_it_does_look(alice, settings, ticket):
    settings.SCAN_MODE = "closed"
    blob = content(scan=Blob.Scan.SKIPPED)
    file = upload(blob, alice, ticket=ticket)
    assert render_previews(batch=10).handled == 1
    assert (preview_of(file).status, preview_of(file).attempts) == (FAILED, 0)
    assert kinds(ticket)[-1] == Kind.FILE_PREVIEWED
    Blob.objects.update(scan_status=Blob.Scan.CLEAN)
    release(Blob.objects.get(), timezone.now())
    render_previews(batch=10)
    assert preview_of(file).status == READY


def test_release_leaves_alone_what_is_drawn_failed_or_being_drawn(alice):
    blob = content()
    rows = [upload(blob, alice, kind).preview for kind in ("image/png", "image/gif", "image/webp")]
    lease = timezone.now() + RENDER_LEASE
    Preview.objects.filter(pk=rows[0].pk).update(status=READY, due_at=None, attempts=1)
    Preview.objects.filter(pk=rows[1].pk).update(status=FAILED, due_at=None, attempts=1)
    Preview.objects.filter(pk=rows[2].pk).update(due_at=lease, attempts=1)
    release(blob, timezone.now())
    found = list(Preview.objects.order_by("pk").values_list("status", "due_at"))
    assert found == [(READY, None), (FAILED, None), (PENDING, lease)]


@on_each_storage
def test_the_infected_loses_its_previews_and_gets_them_back_when_it_was_not(alice):
    blob = content()
    file = upload(blob, alice)
    render_previews(batch=10)
    keys = {part["key"] for part in preview_of(file).parts.values()}
    Blob.objects.update(scan_status=Blob.Scan.INFECTED)
    with transaction.atomic():
        forget(Blob.objects.get(), timezone.now())
    file.refresh_from_db()
    assert file.preview is None
    assert set(LooseBytes.objects.values_list("key", flat=True)) == keys
    assert not LooseBytes.objects.filter(due_at__gt=timezone.now())
    assert nothing_is_lost_or_left()

    Blob.objects.update(scan_status=Blob.Scan.CLEAN)
    release(Blob.objects.get(), timezone.now())
    render_previews(batch=10)
    assert preview_of(file).status == READY
    assert nothing_is_lost_or_left()


# --- What goes away meanwhile ---------------------------------------------------------


def while_drawing(monkeypatch, happens):
    """Something happens after the file was drawn and before that is written down."""
    draw = running.draw

    def drawn(*args, **options):
        parts = draw(*args, **options)
        happens()
        return parts

    monkeypatch.setattr(running, "draw", drawn)


@on_each_storage
def test_a_content_that_is_removed_meanwhile_leaves_no_bytes(alice, monkeypatch):
    file = upload(content(), alice)

    @transaction.atomic
    def remove():
        file.delete()
        blob = Blob.objects.get()
        forget(blob, timezone.now())
        LooseBytes.objects.create(key=blob.key, due_at=timezone.now())
        blob.delete()

    while_drawing(monkeypatch, remove)
    assert render_previews(batch=10).skipped == 1
    assert LooseBytes.objects.filter(due_at__lte=timezone.now()).count() == 3
    assert nothing_is_lost_or_left()


def test_a_content_found_infected_meanwhile_leaves_no_bytes(alice, monkeypatch):
    file = upload(content(), alice)
    while_drawing(monkeypatch, lambda: Blob.objects.update(scan_status=Blob.Scan.INFECTED))
    assert render_previews(batch=10).skipped == 1
    file.refresh_from_db()
    assert file.preview is None
    assert LooseBytes.objects.filter(due_at__lte=timezone.now()).count() == 2
    assert nothing_is_lost_or_left()


def test_who_comes_too_late_leaves_the_other_ones_work(alice, monkeypatch):
    file = upload(content(), alice)
    slow = preview_of(file)

    def be_overtaken():
        monkeypatch.undo()
        make_due()
        assert render(slow).handled == 1

    while_drawing(monkeypatch, be_overtaken)
    assert render(slow).skipped == 1
    assert preview_of(file).status == READY
    assert LooseBytes.objects.count() == 2
    assert nothing_is_lost_or_left()


def test_what_was_tidied_away_before_it_was_taken_is_drawn_again(alice, monkeypatch):
    file = upload(content(), alice)
    stored = previewing._stored

    def and_purged(parts):
        kept = stored(parts)
        LooseBytes.objects.all().delete()
        for part in kept.values():
            storage.delete(str(part["key"]))
        return kept

    monkeypatch.setattr(previewing, "_stored", and_purged)
    assert render_previews(batch=10).failed == 1
    assert (preview_of(file).status, preview_of(file).parts) == (PENDING, {})
    monkeypatch.undo()
    make_due()
    render_previews(batch=10)
    assert preview_of(file).status == READY


# --- What is the matter with the surroundings -----------------------------------------


def away(*_, **__):
    raise StorageUnavailable


@pytest.mark.parametrize("call", ["read", "save"])
def test_without_the_storage_it_is_tried_again_later_and_at_last_given_up(alice, monkeypatch, call):
    file = upload(content(), alice)
    monkeypatch.setattr(storage, call, away)
    pauses = []
    for _ in range(RENDER_ATTEMPTS - 1):
        before = timezone.now()
        assert render_previews(batch=10).failed == 1
        assert preview_of(file).status == PENDING
        pauses.append(round((preview_of(file).due_at - before) / timedelta(minutes=1)))
        make_due()
    assert pauses == [1, 5, 25, 125]
    assert render_previews(batch=10).failed == 1
    assert preview_of(file).status == FAILED
    assert preview_of(file).note
    assert render_previews(batch=10).failed == 0


def test_a_storage_that_comes_back_costs_nothing(alice, monkeypatch):
    file = upload(content(), alice)
    monkeypatch.setattr(storage, "read", away)
    render_previews(batch=10)
    monkeypatch.undo()
    assert render_previews(batch=10).handled == 0
    make_due()
    assert render_previews(batch=10).handled == 1
    assert preview_of(file).status == READY


def test_where_the_storage_is_away_the_others_are_not_tried(alice, monkeypatch):
    for _ in range(5):
        upload(content(), alice)
    monkeypatch.setattr(storage, "read", away)
    assert render_previews(batch=10).failed == 1
    assert Preview.objects.filter(attempts=0).count() == 4


@on_each_storage
def test_missing_bytes_are_looked_for_again_and_given_up(alice):
    file = upload(content(), alice)
    storage.delete(Blob.objects.get().key)
    assert render_previews(batch=10).failed == 1
    assert preview_of(file).status == PENDING


def test_a_program_that_hangs_is_tried_again(alice, monkeypatch, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import time; time.sleep(1000)")
    monkeypatch.setattr(running, "PROGRAM", program)
    monkeypatch.setattr(limits, "SECONDS", 0.5)
    file = upload(content(), alice)
    assert render_previews(batch=10).failed == 1
    assert preview_of(file).status == PENDING


def test_a_file_that_nobody_survives_is_given_up(alice, monkeypatch):
    file = upload(content(), alice)

    def die(*_, **__):
        raise Killed

    monkeypatch.setattr(running, "draw", die)
    for _ in range(RENDER_ATTEMPTS):
        with pytest.raises(Killed):
            render_previews(batch=10)
        make_due()
    assert render_previews(batch=10).handled == 1
    assert preview_of(file).status == FAILED
    assert "did not survive" in preview_of(file).note


# --- Killed anywhere ------------------------------------------------------------------

STEPS = [
    (previewing, "_claim"),
    (storage, "read"),
    (running, "draw"),
    (storage, "new_key"),
    (LooseBytes.objects, "create"),
    (storage, "save"),
    (previewing, "_stored"),
    (previewing, "_is_written"),
    (news, "tell"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
def test_killed_at_any_step_nothing_is_lost_and_the_sweeps_finish(
    alice, ticket, monkeypatch, where, name, when
):
    file = upload(content(), alice, ticket=ticket)
    real = getattr(where, name)

    def killed(*args, **options):
        if when == "after":
            real(*args, **options)
        raise Killed

    monkeypatch.setattr(where, name, killed)
    with pytest.raises(Killed):
        render_previews(batch=10)
    monkeypatch.undo()
    assert nothing_is_lost_or_left()

    make_due()
    render_previews(batch=10)
    assert preview_of(file).status == READY
    assert nothing_is_lost_or_left()
    news.tell(file.blob_id)
    assert kinds(ticket).count(Kind.FILE_PREVIEWED) == 1


@on_each_storage
def test_killed_between_the_two_thumbnails_nothing_is_lost(alice, monkeypatch):
    file = upload(content(), alice)
    save, saved = storage.save, list[str]()

    def killed(key, data):
        if saved:
            raise Killed
        saved.append(key)
        save(key, data)

    monkeypatch.setattr(storage, "save", killed)
    with pytest.raises(Killed):
        render_previews(batch=10)
    monkeypatch.undo()
    assert nothing_is_lost_or_left()
    assert set(saved) <= vouched_for()[1]
    make_due()
    render_previews(batch=10)
    assert preview_of(file).status == READY
    assert nothing_is_lost_or_left()


def test_a_child_that_is_killed_is_replaced(alice, monkeypatch):
    file = upload(content(), alice)
    run = subprocess.Popen

    def killed(*args, **options):
        process = run(*args, **options)
        os.kill(process.pid, signal.SIGKILL)
        return process

    monkeypatch.setattr(subprocess, "Popen", killed)
    assert render_previews(batch=10).failed == 1
    monkeypatch.undo()
    make_due()
    render_previews(batch=10)
    assert preview_of(file).status == READY


# --- Several at once ------------------------------------------------------------------


@on_each_storage
def test_renderers_at_once_draw_each_preview_once(alice, monkeypatch):
    for number in range(6):
        upload(content(b"number %d" % number), alice, "text/plain")
    start, drawn, draw = threading.Barrier(3), [], running.draw

    def counted(file, **options):
        file.seek(0)
        drawn.append(file.read())
        return draw(file, **options)

    monkeypatch.setattr(running, "draw", counted)
    totals = []

    def one():
        try:
            close_old_connections()
            start.wait(10)
            totals.append(render_previews(batch=10))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(drawn) == [b"number %d" % number for number in range(6)]
    assert sum(total.handled for total in totals) == 6
    assert sum(total.failed for total in totals) == 0
    assert not Preview.objects.exclude(status=READY)
    assert nothing_is_lost_or_left()
