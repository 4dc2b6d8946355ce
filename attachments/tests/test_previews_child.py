"""The program that draws, in the hands of whoever wrote the file: what it can do, and for how long.

The real child is used wherever a file alone does the harm; where it is taken to have been taken
over, a program of the test runs in its place.
"""

import io
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib
from pathlib import Path

import orjson
import pytest
from PIL import Image

from attachments.previews import answers, limits, running
from attachments.previews.answers import DrawingFailed
from attachments.previews.running import DrawingInterrupted, draw

# Nothing here knows the database.
pytestmark = pytest.mark.once

ROOT = Path(running.__file__).parents[2]
LINUX = sys.platform == "linux"


def drawn(data=b"x", kind="text", content_type="text/plain", pixels=40_000_000):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return draw(file, kind=kind, content_type=content_type, pixels=pixels)


def text_of(data=b"x"):
    (part,) = drawn(data)
    return orjson.loads(part.data)["text"]


@pytest.fixture
def instead(tmp_path, monkeypatch):
    """Runs a program of the test's in place of the child. It may `say` a text."""

    def use(source):
        program = tmp_path / "program.py"
        program.write_text(PRELUDE + textwrap.dedent(source))
        monkeypatch.setattr(running, "PROGRAM", program)

    return use


PRELUDE = f"""
import json, os, signal, socket, sys, time
sys.path.append({str(ROOT)!r})
from attachments.previews import confinement, limits

def say(text):
    part = json.dumps({{"kind": "text", "text": text, "truncated": False}}).encode()
    os.write(1, json.dumps({{"parts": {{"json": len(part)}}}}).encode() + b"\\n" + part)

"""


def is_there(pid):
    """Not where it is dead, and whoever inherited it has not looked yet."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not LINUX or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def is_reaped(pid):
    """Gone altogether: not even a zombie of ours."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def goes_away(pid):
    patience = time.monotonic() + 20
    while is_there(pid) and time.monotonic() < patience:
        time.sleep(0.01)
    return not is_there(pid)


# --- What it has of ours --------------------------------------------------------------


def test_nothing_of_the_desk_reaches_it(instead, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "very-secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://desk:secret@db/desk")
    secret = tempfile.TemporaryFile()  # noqa: SIM115
    os.set_inheritable(secret.fileno(), True)
    instead(
        """
        found = []
        for number in range(3, 200):
            try:
                os.fstat(number)
                found.append(number)
            except OSError:
                pass
        say(json.dumps([dict(os.environ), found, os.getcwd(), sys.argv[1:]]))
        """
    )
    environment, descriptors, folder, arguments = json.loads(text_of())
    # Python itself sets the one, where no language is given.
    assert set(environment) <= {"LC_CTYPE"}
    assert (descriptors, folder) == ([], "/")
    assert arguments == ["text", "none", "40000000"]
    secret.close()


def test_the_program_knows_nothing_of_django():
    source = """
        import sys
        sys.argv = ["child.py", "none", "none", "1"]
        sys.path.append(ROOT)
        from attachments.previews import child, images, listings, pages, texts
        print(sorted(name for name in sys.modules if name.split(".")[0] == "django"))
    """.replace("ROOT", repr(str(ROOT)))
    command = [sys.executable, "-I", "-c", textwrap.dedent(source)]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"[]\n"


# --- What it can do -------------------------------------------------------------------


def test_its_limits_cannot_be_lifted(instead):
    instead(
        """
        import resource
        confinement.limit()
        names = ("AS", "CPU", "FSIZE", "NOFILE", "NPROC", "CORE")
        numbers = {name: getattr(resource, "RLIMIT_" + name) for name in names}
        say(json.dumps({name: resource.getrlimit(number) for name, number in numbers.items()}))
        """
    )
    found = json.loads(text_of())
    assert found == {
        "AS": [limits.MEMORY] * 2,
        "CPU": [limits.CPU_SECONDS, limits.CPU_SECONDS + 2],
        "FSIZE": [limits.ANSWER] * 2,
        "NOFILE": [limits.OPEN_FILES] * 2,
        "NPROC": [0, 0],
        "CORE": [0, 0],
    }


@pytest.mark.skipif(not LINUX, reason="seccomp is Linux'")
def test_once_locked_it_opens_nothing_reaches_nobody_and_starts_nothing(instead, tmp_path):
    instead(
        f"""
        confinement.limit()
        is_locked = confinement.lock()
        import resource
        attempts = {{
            "read": lambda: os.open("/etc/passwd", os.O_RDONLY),
            "write": lambda: os.open({str(tmp_path / "new")!r}, os.O_WRONLY | os.O_CREAT),
            "list": lambda: os.listdir("/"),
            "look": lambda: os.stat("/etc/passwd"),
            "remove": lambda: os.unlink({str(tmp_path / "program.py")!r}),
            "link": lambda: os.symlink("/etc/passwd", {str(tmp_path / "link")!r}),
            "socket": lambda: socket.socket(),
            "unix": lambda: socket.socket(socket.AF_UNIX),
            "fork": lambda: os.fork(),
            "run": lambda: os.execv("/bin/true", ["true"]),
            "kill": lambda: os.kill(os.getpid(), 0),
            "lift": lambda: resource.setrlimit(resource.RLIMIT_CPU, (999, 999)),
            "ignore": lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN),
            "pipe": lambda: os.pipe(),
        }}
        found = {{}}
        for name, attempt in attempts.items():
            try:
                attempt()
                found[name] = "done"
            except OSError as exc:
                found[name] = exc.errno
            except ValueError:
                # What resource makes of the same refusal.
                found[name] = 1
        say(json.dumps([is_locked, found]))
        os._exit(0)
        """
    )
    is_locked, found = json.loads(text_of())
    assert is_locked
    assert set(found.values()) == {1}, found


def test_the_real_child_is_confined_when_it_reads(instead):
    instead(
        """
        from attachments.previews import child

        def outcome(attempt):
            try:
                return str(attempt())
            except (OSError, MemoryError) as exc:
                return type(exc).__name__

        def in_the_hands_of_the_file(file):
            found = [
                file.read().decode(),
                outcome(lambda: open("/etc/passwd").read()),
                outcome(lambda: len(bytearray(2 * 1024 * limits.MB))),
            ]
            page = {"kind": "text", "text": json.dumps(found), "truncated": False}
            return {"json": json.dumps(page).encode()}

        child._prepare = lambda *_: in_the_hands_of_the_file
        child.main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        """
    )
    file, opened, memory = json.loads(text_of(b"hello"))
    assert file == "hello"
    assert not LINUX or (opened, memory) == ("PermissionError", "MemoryError")


# --- What it costs --------------------------------------------------------------------


def test_one_that_hangs_is_ended_with_all_it_started(instead, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 1)
    pids = tmp_path / "pids"
    instead(
        f"""
        with open({str(pids)!r}, "w") as file:
            other = os.fork()
            if other:
                file.write(f"{{os.getpid()}} {{other}}")
                file.flush()
            time.sleep(1000)
        """
    )
    with pytest.raises(DrawingInterrupted, match="longer than 1 s"):
        drawn()
    own, other = map(int, pids.read_text().split())
    assert is_reaped(own)
    assert goes_away(other)


def test_what_one_leaves_running_is_ended(instead, tmp_path):
    pids = tmp_path / "pids"
    instead(
        f"""
        other = os.fork()
        if not other:
            time.sleep(1000)
        with open({str(pids)!r}, "w") as file:
            file.write(str(other))
        say("done")
        """
    )
    assert text_of() == "done"
    assert goes_away(int(pids.read_text()))


def test_one_that_thinks_for_too_long_is_ended_for_good(instead):
    instead(
        """
        limits.CPU_SECONDS = 1
        confinement.limit()
        confinement.lock()
        while True:
            pass
        """
    )
    with pytest.raises(DrawingFailed, match="too long"):
        drawn()


ENDLESS = """
    from attachments.previews import child
    limits.CPU_SECONDS = 1
    child.main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


def laughing_pdf():
    """Every level draws the next one a thousand times."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</XObject<</F 5 0 R>>>>>>",
    ]
    calls = b"/F Do " * 1000
    objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(calls), calls))
    form = (
        b"<</Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources<</XObject<</F %d 0 R>>>>"
        b"/Length %d>>stream\n%s\nendstream"
    )
    objects += [form % (number, len(calls), calls) for number in range(6, 9)]
    leaf = b"0 0 600 800 re f " * 1000
    objects.append(form % (9, len(leaf), leaf))
    body = b"".join(b"%d 0 obj%s\nendobj\n" % pair for pair in enumerate(objects, 1))
    return b"%%PDF-1.4\n%strailer<</Root 1 0 R/Size 9>>\n%%%%EOF" % body


def test_a_pdf_that_never_ends_is_given_up(instead):
    instead(ENDLESS)
    with pytest.raises(DrawingFailed, match="too long"):
        drawn(laughing_pdf(), "pdf", "application/pdf")


def claiming(width, height):
    """A PNG that says it has so many pixels, in colors, and has the first line of them."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 + width * 3)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def test_an_image_of_900_megapixels_is_not_decoded():
    with pytest.raises(DrawingFailed, match="too much in the file"):
        drawn(claiming(30_000, 30_000), "image", "image/png")


def test_where_it_slips_through_its_memory_is_bounded():
    with pytest.raises(DrawingFailed, match="memory"):
        drawn(claiming(30_000, 30_000), "image", "image/png", pixels=10**12)


def test_the_largest_image_costs_this_process_nothing():
    file = io.BytesIO()
    Image.new("RGBA", (8000, 5000)).save(file, "PNG")
    source = f"""
        import io, resource, sys, tempfile
        sys.path.append({str(ROOT)!r})
        from attachments.previews.running import draw
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak()
        with open(0, "rb") as pixels, tempfile.TemporaryFile() as file:
            file.write(pixels.read())
            parts = draw(file, kind="image", content_type="image/png", pixels=40_000_000)
        print(len(parts), peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    shown = subprocess.run(command, input=file.getvalue(), check=True, capture_output=True).stdout
    parts, kilobytes = map(int, shown.split())
    assert parts == 2
    assert kilobytes < 20_000


def test_one_that_takes_all_memory_gets_none(instead):
    instead(
        """
        confinement.limit()
        try:
            bytearray(2 * 1024 * limits.MB)
        except MemoryError:
            say("refused")
        """
    )
    assert text_of() == "refused"


def test_one_that_writes_a_gigabyte_does_not(instead, monkeypatch):
    sizes, read = list[int](), answers.read

    def measured(answer, size, kind):
        sizes.append(size)
        return read(answer, size, kind)

    monkeypatch.setattr(answers, "read", measured)
    instead(
        """
        confinement.limit()
        for _ in range(1024):
            try:
                os.write(1, bytes(limits.MB))
            except OSError:
                pass
        """
    )
    with pytest.raises(DrawingFailed, match="nonsense"):
        drawn()
    assert sizes == [limits.ANSWER]


def test_nothing_is_left_in_the_folder_of_temporary_files(instead, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert text_of(b"hello") == "hello"
    instead(f"say(str(os.listdir({str(folder)!r})))")
    # Not even while it runs: so nothing stays if whoever runs it is killed.
    assert text_of() == "[]"
    instead("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DrawingInterrupted):
        drawn()
    assert not list(folder.iterdir())


# --- How it ends ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
def test_a_file_that_breaks_the_program_has_no_preview(instead, number):
    instead(f"confinement.limit(); os.kill(os.getpid(), {int(number)})")
    with pytest.raises(DrawingFailed, match="broke the program"):
        drawn()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_somebody_ended_is_tried_again(instead, number):
    instead(f"os.kill(os.getpid(), {int(number)})")
    with pytest.raises(DrawingInterrupted):
        drawn()


def test_a_program_that_cannot_begin_is_not_the_fault_of_the_file(instead):
    instead("import no_such_library")
    with pytest.raises(DrawingInterrupted):
        drawn()


def test_a_machine_that_starts_nothing_is_not_the_fault_of_the_file(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/program")
    with pytest.raises(DrawingInterrupted, match="did not start"):
        drawn()


@pytest.mark.skipif(not LINUX, reason="elsewhere its own clock ends it")
def test_it_does_not_outlive_whoever_started_it(tmp_path):
    pids = tmp_path / "pids"
    program = tmp_path / "program.py"
    program.write_text(
        f"{PRELUDE}confinement.limit()\n"
        f"with open({str(pids)!r}, 'w') as file: file.write(str(os.getpid()))\n"
        "time.sleep(1000)\n"
    )
    source = f"""
        import pathlib, sys, tempfile
        sys.path.append({str(ROOT)!r})
        from attachments.previews import running
        running.PROGRAM = pathlib.Path({str(program)!r})
        with tempfile.TemporaryFile() as file:
            running.draw(file, kind="text", content_type="text/plain", pixels=1)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)])
    patience = time.monotonic() + 20
    while not (pids.exists() and pids.read_text()) and time.monotonic() < patience:
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    assert goes_away(int(pids.read_text()))


# --- What it answers ------------------------------------------------------------------


def webp(side=4):
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "WEBP")
    return file.getvalue()


def answer(header, *parts):
    return json.dumps(header).encode() + b"\n" + b"".join(parts)


def page(**members):
    return json.dumps({"truncated": False} | members).encode()


def of_json(part):
    return answer({"parts": {"json": len(part)}}, part)


IMAGE = webp()
N = len(IMAGE)
WAVE = b"RIFF\x08\0\0\0WAVEfmt "
DEEP = b"[" * 100_000

LIES = {
    "nothing": ("image", b""),
    "no-json": ("image", b"hello\n"),
    "a-list": ("image", b"[1]\n"),
    "deep": ("image", DEEP + b"\n"),
    "no-parts": ("image", answer({})),
    "no-end-of-line": ("image", b'{"parts": {' + b" " * 5000),
    "one-thumbnail": ("image", answer({"parts": {"256": N}}, IMAGE)),
    "a-third": ("image", answer({"parts": {"1024": N, "256": N, "x": N}}, IMAGE * 3)),
    "a-path": ("image", answer({"parts": {"../../etc": N, "256": N}}, IMAGE * 2)),
    "too-short": ("image", answer({"parts": {"1024": N, "256": N + 1}}, IMAGE * 2)),
    "too-long": ("image", answer({"parts": {"1024": N, "256": N}}, IMAGE * 3)),
    "negative": ("image", answer({"parts": {"1024": 2 * N + 5, "256": -5}}, IMAGE * 2)),
    "empty": ("image", answer({"parts": {"1024": 2 * N, "256": 0}}, IMAGE * 2)),
    "true": ("image", answer({"parts": {"1024": True, "256": N}}, IMAGE)),
    "floats": ("image", answer({"parts": {"1024": float(N), "256": N}}, IMAGE * 2)),
    "huge": ("image", answer({"parts": {"1024": 10**30, "256": N}}, IMAGE * 2)),
    "a-page": ("image", answer({"parts": {"1024": 13, "256": N}}, b"<script></scr", IMAGE)),
    "a-riff": (
        "image",
        answer({"parts": {"1024": 16, "256": N}}, b"RIFF\x08\0\0\0WAVEfmt ", IMAGE),
    ),
    "an-image-and-more": (
        "image",
        answer({"parts": {"1024": N + 8, "256": N}}, IMAGE + b"<script>", IMAGE),
    ),
    "an-image-for-a-text": ("text", answer({"parts": {"1024": N, "256": N}}, IMAGE * 2)),
    "text-for-a-pdf": ("pdf", of_json(page(kind="text", text="x"))),
    "html-for-a-text": ("text", of_json(page(kind="html", html="x"))),
    "no-string": ("text", of_json(page(kind="text", text=["x"]))),
    "too-much-text": ("text", of_json(page(kind="text", text="x" * (limits.TEXT_CHARS + 1)))),
    "half-a-character": ("text", of_json(b'{"kind":"text","text":"\\ud800","truncated":false}')),
    "maybe-cut": ("text", of_json(page(kind="text", text="x", truncated="no"))),
    "nan": ("text", of_json(b'{"kind":"text","text":NaN,"truncated":false}')),
    "deep-text": ("text", of_json(DEEP)),
    "too-many-rows": ("table", of_json(page(kind="table", rows=[["x"]] * (limits.ROWS + 1)))),
    "too-many-cells": ("table", of_json(page(kind="table", rows=[["x"] * (limits.COLUMNS + 1)]))),
    "a-number": ("table", of_json(page(kind="table", rows=[[1]]))),
    "no-entry": ("listing", of_json(page(kind="listing", entries=["x"]))),
    "no-size": ("listing", of_json(page(kind="listing", entries=[{"name": "x", "size": "1"}]))),
    "minus": ("listing", of_json(page(kind="listing", entries=[{"name": "x", "size": -1}]))),
    "a-word": ("text", answer({"refused": "<script>"})),
    "a-list-of-words": ("text", answer({"refused": ["broken"]})),
}


@pytest.mark.parametrize(("kind", "lie"), LIES.values(), ids=list(LIES))
def test_no_lie_is_believed(kind, lie):
    with pytest.raises(DrawingFailed, match="nonsense"):
        answers.read(io.BytesIO(lie), len(lie), kind)


def test_an_answer_that_is_too_long_is_not_even_read():
    class Unread(io.BytesIO):
        def read(self, *_):
            raise AssertionError

        readline = read

    with pytest.raises(DrawingFailed, match="nonsense"):
        answers.read(Unread(), limits.ANSWER + 1, "image")


def test_a_true_answer_is_believed():
    true = answer({"parts": {"1024": N, "256": N}}, IMAGE * 2)
    parts = answers.read(io.BytesIO(true), len(true), "pdf")
    assert [(part.name, part.data) for part in parts] == [("1024", IMAGE), ("256", IMAGE)]


def test_a_lie_through_the_whole_way(instead):
    instead('os.write(1, b\'{"parts": {"json": 7}}\\n<script>\')')
    with pytest.raises(DrawingFailed, match="nonsense"):
        drawn()


def test_html_is_sanitised_again_out_here(instead):
    hostile = '<p onclick="x()">hi</p><script>alert(1)</script><img src=x onerror=x()>'
    part = page(kind="html", html=hostile, more="than asked for")
    instead(f"os.write(1, {of_json(part)!r})")
    (found,) = drawn(kind="html", content_type="text/markdown")
    assert orjson.loads(found.data) == {"kind": "html", "html": "<p>hi</p>", "truncated": False}
