"""Running the child: alone, with nothing of ours, and never for long."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog

from attachments.previews import IMAGE_FORMATS, answers, limits
from attachments.previews.answers import DrawingFailed, Part

log = structlog.get_logger(__name__)

PROGRAM = Path(__file__).with_name("child.py")
# What it says where it could not even begin, for whoever runs the desk.
COMPLAINT_MAX = 2000


class DrawingInterrupted(Exception):
    """Not the file's fault, as far as anybody can tell: another try may well succeed."""


def draw(file: BinaryIO, *, kind: str, content_type: str, pixels: int) -> list[Part]:
    """The parts of the preview of a file, which has a descriptor and is read from its beginning.

    Images of more than `pixels` are refused. Raises DrawingFailed and DrawingInterrupted.

    What goes in and out are files without a name, so that nothing is left behind by whoever is
    killed, and nobody in there has a say in which file is read out here.
    """
    image_format = IMAGE_FORMATS.get(content_type, "none")
    command = [sys.executable, "-I", "-B", "-W", "ignore", str(PROGRAM)]
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaint:
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        code = _run([*command, kind, image_format, str(pixels)], file, answer, complaint)
        if code == 1:
            complaint.seek(0)
            text = complaint.read(COMPLAINT_MAX).decode(errors="replace")
            log.error("preview_program_broken", complaint=text)
        _judge(code)
        answer.seek(0)
        return answers.read(answer, os.fstat(answer.fileno()).st_size, kind)


def _run(command: list[str], file: BinaryIO, answer: BinaryIO, complaint: BinaryIO) -> int:
    """Its exit code; whatever it has begun is over when this returns."""
    try:
        process = subprocess.Popen(  # noqa: S603  (all of it is ours)
            command,
            stdin=file,
            stdout=answer,
            stderr=complaint,
            env={},
            cwd="/",
            start_new_session=True,
        )
    except OSError as exc:
        raise DrawingInterrupted(f"The drawing program did not start: {exc}.") from exc
    with process:
        try:
            return process.wait(limits.SECONDS)
        except subprocess.TimeoutExpired:
            raise DrawingInterrupted(f"Drawing took longer than {limits.SECONDS} s.") from None
        finally:
            # The session is the child's own, and it leads it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _judge(code: int) -> None:
    if code == -signal.SIGXCPU:
        raise DrawingFailed("Drawing the file takes too long.")
    if code in (1, -signal.SIGKILL, -signal.SIGTERM):
        raise DrawingInterrupted("The drawing program was ended, or could not begin.")
    if code != 0:
        raise DrawingFailed("The file broke the program that draws it.")
