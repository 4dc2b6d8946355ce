"""What somebody tried in order to get something in, to fill the disk, or to keep others waiting."""

import gc
import gzip
import io
import os
import struct
import time
import zipfile
import zlib

import pytest
from django.conf import settings as desk
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from attachments import policy
from attachments.inspection import inspect
from attachments.models import Attachment, DailyUse, LooseBytes
from attachments.received import Received
from attachments.refusals import ArchiveUnsafe, ContentMismatch, FileRefused
from attachments.services.purging import purge
from attachments.tests.keeping import stored_keys
from tickets import services
from tickets.lifecycle import Status

MB = 1024 * 1024
RULES = policy.from_settings(desk.ATTACHMENTS)
EVIL = b"../../evil"
once = pytest.mark.once


def inspected(name, content):
    return inspect(io.BytesIO(content), name, len(content), RULES)


# --- Archives that two programs read in two ways ---------------------------------------


def tar_header(name, size=0, kind=b"0"):
    header = bytearray(512)
    header[: len(name)] = name
    header[100:107], header[124:135] = b"0000644", b"%011o" % size
    header[156:157], header[257:265] = kind, b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padded(body):
    return body + b"\0" * (-len(body) % 512)


def member(name, body=b"hi"):
    return tar_header(name, len(body)) + padded(body)


def record(keyword, value):
    """`12 path=a.b`, which counts its own digits."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest) + 2
    return b"%d" % length + rest


def notes(kind, *records):
    body = b"".join(record(*each) for each in records)
    return tar_header(b"notes", len(body), kind) + padded(body)


def long_name(name):
    return tar_header(b"././@LongLink", len(name) + 1, b"L") + padded(name + b"\0")


INNER = member(b"../../hidden")
TARS = {
    "the first of two names leads out": notes(b"x", (b"path", EVIL)) + long_name(b"fine.txt"),
    "the second is pax": long_name(EVIL) + notes(b"x", (b"path", b"fine.txt")),
    "one name twice": notes(b"x", (b"path", EVIL), (b"path", b"fine.txt")),
    "a name for all": notes(b"g", (b"path", b"fine.txt")) + notes(b"x", (b"path", b"ok.txt")),
    "a size for all": notes(b"g", (b"size", b"1024")) + INNER,
    "a folder with content": tar_header(b"folder/", len(INNER), b"5") + INNER,
    "an old folder with content": tar_header(b"folder/", len(INNER), b"\0") + INNER,
}


@once
@pytest.mark.parametrize("how", TARS)
def test_a_tar_that_programs_read_in_two_ways_is_refused(how):
    with pytest.raises(ArchiveUnsafe):
        inspected("a.tar", TARS[how] + member(b"a.txt") + b"\0" * 1024)


@once
def test_a_tar_with_notes_that_all_agree_on_is_taken():
    content = (
        notes(b"g", (b"comment", b"0123456789abcdef"))
        + notes(b"x", (b"path", b"long.txt"), (b"mtime", b"1700000000.5"))
        + member(b"short.txt")
        + long_name(b"folder/another.txt")
        + member(b"folder/ano")
        + tar_header(b"folder/", 0, b"5")
    )
    assert inspected("a.tar", content + b"\0" * 1024) == "application/x-tar"


@once
def test_a_tar_of_nothing_but_notes_is_not_read_for_long():
    """Each of the 64 KB was copied at each of its records: 50 MB took 12 s."""
    many = b"9 a=bcde\n" * 7000
    note = tar_header(b"notes", len(many), b"x") + padded(many)
    started = time.process_time()
    with pytest.raises(FileRefused):
        inspected("a.tar", note * 780 + member(b"a.txt") + b"\0" * 1024)
    assert time.process_time() - started < 6


def zip_local(name, body, *, extra=b"", size=None):
    sizes = len(body) if size is None else size
    return (
        struct.pack(
            "<4sHHHHHIIIHH",
            *(b"PK\3\4", 20, 0, 0, 0, 0x21, zlib.crc32(body)),
            *(sizes, sizes, len(name), len(extra)),
        )
        + name
        + extra
        + body
    )


def zip_central(name, body, offset, extra=b""):
    return (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII",
            *(b"PK\1\2", 20, 20, 0, 0, 0, 0x21, zlib.crc32(body), len(body), len(body)),
            *(len(name), len(extra), 0, 0, 0, 0, offset),
        )
        + name
        + extra
    )


def zip_end(count, size, offset):
    return struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, 0)


def zip_end64(count, size, offset, at):
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, at, 1)


FINE = zip_local(b"fine.txt", b"fine")
HIDDEN = zip_local(EVIL, b"evil")
DIRECTORY = zip_central(b"fine.txt", b"fine", 0)


def two_directories():
    other = zip_central(EVIL, b"evil", len(FINE))
    start = len(FINE + HIDDEN)
    at = start + len(other)
    return (
        FINE + HIDDEN + other + DIRECTORY
        + zip_end64(1, len(DIRECTORY), at, at + len(DIRECTORY))
        + zip_end(1, len(other), start)
    )  # fmt: skip


def hidden_member():
    end = zip_end(1, len(DIRECTORY), len(FINE + HIDDEN))
    return FINE + HIDDEN + DIRECTORY + end


def smaller_in_front():
    """The directory says that the hidden member is part of the first; what stands before the
    first says otherwise."""
    body = b"f" + HIDDEN
    first = zip_local(b"fine.txt", body, size=1)
    directory = zip_central(b"fine.txt", body, 0)
    return first + directory + zip_end(1, len(directory), len(first))


def another_name():
    extra = struct.pack("<HHBI", 0x7075, 5 + len(EVIL), 1, zlib.crc32(b"fine.txt")) + EVIL
    first = zip_local(b"fine.txt", b"fine", extra=extra)
    directory = zip_central(b"fine.txt", b"fine", 0, extra)
    return first + directory + zip_end(1, len(directory), len(first))


@once
@pytest.mark.parametrize("make", [two_directories, hidden_member, smaller_in_front, another_name])
@pytest.mark.parametrize("name", ["a.zip", "a.docx"])
def test_a_zip_that_programs_read_in_two_ways_is_refused(make, name):
    with pytest.raises(ArchiveUnsafe):
        inspected(name, make())


@once
def test_a_zip_whose_numbers_stand_in_two_places_and_agree_is_taken():
    at = len(FINE)
    content = (
        FINE + DIRECTORY
        + zip_end64(1, len(DIRECTORY), at, at + len(DIRECTORY))
        + zip_end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    )  # fmt: skip
    assert inspected("a.zip", content) == "application/zip"


@once
def test_a_zip_that_was_written_to_a_pipe_is_taken():
    """The sizes of its members stand after them."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, piece):
            self.content += bytes(piece)
            return len(piece)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.txt", "b/c.txt"):
            archive.writestr(name, b"words " * 100)
    assert inspected("a.zip", pipe.content) == "application/zip"


@once
@pytest.mark.parametrize("name", ["a.gz", "a.tar"])
def test_an_archive_that_is_a_zip_as_well_is_refused(name):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("../../evil", "evil")
    first = gzip.compress(b"words") if name == "a.gz" else member(b"a.txt") + b"\0" * 1024
    inspected(name, first)
    with pytest.raises(ContentMismatch):
        inspected(name, first + archive.getvalue())


# --- Images that take long to be looked at ---------------------------------------------


def picture(kind):
    written = io.BytesIO()
    Image.new("RGB", (10, 10)).save(written, kind)
    return written.getvalue()


def png_chunk(kind, body=b""):
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def after(beginning, content, filling, size):
    return content[:beginning] + filling * (size // len(filling)) + content[beginning:]


SLOW = {
    "comments.jpg": lambda: after(2, picture("JPEG"), b"\xff\xfe\0\2", 9 * MB),
    "filling.jpg": lambda: after(2, picture("JPEG"), b"\xff", 9 * MB),
    "metadata.jpg": lambda: after(2, picture("JPEG"), b"\xff\xe1\0\x08Exif\0\0", 9 * MB),
    # After the signature and the first chunk.
    "chunks.png": lambda: after(33, picture("PNG"), png_chunk(b"teSt"), 9 * MB),
}


@once
@pytest.mark.parametrize("name", SLOW)
def test_an_image_of_countless_parts_is_refused_before_pillow_sees_it(name):
    """Pillow took 3 to 5 s and 180 MB for each, in the server's own process."""
    content = SLOW[name]()
    started = time.process_time()
    with pytest.raises(ContentMismatch):
        inspected(name, content)
    assert time.process_time() - started < 1


# --- Uploads that nobody keeps ----------------------------------------------------------


@pytest.fixture
def ticket(alice):
    return services.open_ticket(
        requester=alice, actor=alice, subject="The printer", at=timezone.now()
    )


def send(client, *files, key=None, **fields):
    headers = {"headers": {"Idempotency-Key": key}} if key else {}
    return client.post(
        "/api/files/upload", {"file": list(files), **fields}, format="multipart", **headers
    )


def a_text():
    return SimpleUploadedFile("a.txt", os.urandom(500).hex().encode())


def assert_nothing_waits():
    """Nothing is left in the storage but what a file has, once what is due is tidied up."""
    purge(at=timezone.now(), batch=50)
    assert not LooseBytes.objects.exists()
    kept = set(Attachment.objects.values_list("blob__key", flat=True))
    assert stored_keys() == kept


@pytest.mark.parametrize("key", [None, "a-key"])
def test_what_is_sent_to_a_finished_ticket_is_not_left_on_the_disk(as_user, alice, ticket, key):
    """It counts for nobody's day; it stayed for an hour, so 100 MB a request filled the disk."""
    services.change_status(ticket=ticket, to=Status.CANCELLED, actor=alice, at=timezone.now())

    response = send(as_user(alice), a_text(), ticket=ticket.pk, key=key)

    assert (response.status_code, response.json()["code"]) == (409, "ticket_ended")
    assert not stored_keys()
    assert_nothing_waits()


@pytest.mark.parametrize("key", [None, "a-key"])
def test_what_is_sent_beyond_the_day_is_not_stored(as_user, alice, ticket, key):
    client = as_user(alice)
    assert send(client, a_text(), ticket=ticket.pk).status_code == 201
    DailyUse.objects.update(used=policy.current().daily_bytes)
    before = stored_keys()

    response = send(client, a_text(), ticket=ticket.pk, key=key)

    assert (response.status_code, response.json()["code"]) == (413, "quota_exceeded")
    assert stored_keys() == before
    assert_nothing_waits()


@pytest.mark.parametrize("key", [None, "a-key"])
def test_what_no_longer_fits_onto_a_ticket_is_not_left_on_the_disk(
    as_user, alice, ticket, settings, key
):
    """With a key the refusal undid the note that the bytes may go."""
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "files_per_ticket": 1}
    client = as_user(alice)
    assert send(client, a_text(), ticket=ticket.pk).status_code == 201

    response = send(client, a_text(), ticket=ticket.pk, key=key)

    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")
    assert_nothing_waits()


@pytest.fixture
def without_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize(
    ("name", "fields", "status"),
    [
        ("a.txt", {}, 201),
        ("a.exe", {}, 415),
        ("a.txt", {"ticket": 999_999}, 404),
        ("a.txt", {"internal": "perhaps"}, 400),
        ("a.txt", {"surprise": "x"}, 400),
    ],
)
def test_what_came_in_is_off_the_disk_with_the_answer(as_user, alice, name, fields, status):
    """Each refusal kept its files open until Python collected its traceback: 250 MB a request."""
    response = send(as_user(alice), SimpleUploadedFile(name, b"words"), **fields)
    assert response.status_code == status
    assert_all_closed(1)


@pytest.mark.usefixtures("without_collection")
def test_too_many_files_are_off_the_disk_with_the_answer(as_user, alice):
    most = policy.current().files_per_request
    response = send(as_user(alice), *(a_text() for _ in range(most + 1)))
    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")
    assert_all_closed(most)


def assert_all_closed(count):
    """Nothing holds them, or they are closed; not more than `count` have been made."""
    left = [each for each in gc.get_objects() if type(each) is Received]
    assert len(left) <= count
    assert all(each.file.closed for each in left)


# --- Parts that get lost ----------------------------------------------------------------

GOOD = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nwords'
LOST = {
    "a name that is no UTF-8": b'Content-Disposition: form-data; name="file"; '
    b'filename="caf\xe9.txt"\r\n\r\nmore',
    "a name in an unknown encoding": b'Content-Disposition: form-data; name="file"; '
    b"filename*=nope''b.txt\r\n\r\nmore",
    "no field": b'Content-Disposition: form-data; filename="b.txt"\r\n\r\nmore',
    "nothing said of it": b"X-Y: z\r\n\r\nmore",
}


def send_parts(client, *parts, end=b"--frontier--\r\n"):
    body = b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + end
    return client.generic(
        "POST", "/api/files/upload", body, "multipart/form-data; boundary=frontier"
    )


@pytest.mark.parametrize("what", LOST)
@pytest.mark.parametrize("is_last", [True, False])
def test_no_file_gets_lost_without_a_word(as_user, alice, what, is_last):
    """Django passes over such a part, and 201 would say that all went well."""
    parts = [GOOD, LOST[what]] if is_last else [LOST[what], GOOD]
    response = send_parts(as_user(alice), *parts)
    assert (response.status_code, response.json()["code"]) == (400, "parse_error")
    assert not Attachment.objects.exists()


@pytest.mark.parametrize("cut", [0, 3, 400_000])
def test_a_body_that_ends_too_early_is_refused_whole(as_user, alice, cut):
    last = GOOD.replace(b"a.txt", b"b.txt") + b"x" * 500_000
    response = send_parts(as_user(alice), GOOD, last[: len(last) - cut], end=b"")
    assert (response.status_code, response.json()["code"]) == (400, "parse_error")
    assert not Attachment.objects.exists()


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 256 * 1024 - 60, 256 * 1024, 700_001])
def test_a_delimiter_is_found_wherever_the_body_is_cut_for_reading(as_user, alice, size):
    first = GOOD.replace(b"a.txt", b"b.txt") + b"x" * size
    response = send_parts(as_user(alice), first, GOOD)
    assert response.status_code == 201, response.content
    assert len(response.json()["files"]) == 2
