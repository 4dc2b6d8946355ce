"""clamd's INSTREAM command (`man clamd`): sizes and chunks go in, one line comes out."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from attachments.models import Blob

CLEAN = b"stream: OK"
STREAM, FOUND = b"stream: ", b" FOUND"
# For its stream (StreamMaxLength), and with AlertExceedsMax for what it unpacks.
TOO_LARGE = b"size limit exceeded", b"Heuristics.Limits.Exceeded"
LENGTH = struct.Struct("!I")
MAX_ANSWER = 4096
CHUNK = 128 * 1024
# Characters that a note may have.
NOTE = 200
Scan = Blob.Scan


class ScannerAway(Exception):
    """There is no answer, or none that can be trusted: another try may well have one."""


class ScanInterrupted(ScannerAway):
    """clamd was there, and stopped at this: which may be its own trouble, or this content."""


@dataclass(frozen=True)
class Verdict:
    """`note` is the name of what was found, or why nothing was looked at."""

    status: Blob.Scan
    note: str = ""


def scan(chunks: Iterator[bytes], size: int) -> Verdict:
    """Let clamd look at `size` bytes, within settings.CLAMD_TIMEOUT. Raises ScannerAway.

    What is too large to be sent, or for clamd to take, is skipped; that is not clean.
    """
    if size > settings.CLAMD_MAX_BYTES:
        return Verdict(Scan.SKIPPED, "Larger than what is sent to the scanner.")
    deadline = time.monotonic() + settings.CLAMD_TIMEOUT
    with _connected(deadline) as connection:
        try:
            sent = _send(connection, chunks, deadline)
            verdict = _verdict(_receive(connection, deadline))
        except OSError as exc:
            raise ScanInterrupted(_reason(exc)) from exc
    if verdict.status == Scan.CLEAN and sent != size:
        return Verdict(Scan.FAILED, f"Only {sent} of {size} bytes were looked at.")
    return verdict


def address(text: str) -> Path | tuple[str, int]:
    """`unix:PATH` or `tcp://HOST:PORT`. Raises ValueError."""
    if text.startswith("unix:") and (path := text.removeprefix("unix:")):
        return Path(path)
    parts = urlsplit(text)
    with suppress(ValueError):  # of a port that is none
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise ValueError("CLAMD is unix:PATH or tcp://HOST:PORT.")


def _connected(deadline: float) -> socket.socket:
    """Raises ScannerAway."""
    place = address(settings.CLAMD)
    try:
        if not isinstance(place, Path):
            return socket.create_connection(place, timeout=_left(deadline))
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(str(place))
        except OSError:
            connection.close()
            raise
        return connection
    except OSError as exc:
        raise ScannerAway(_reason(exc)) from exc


def _reason(exc: OSError) -> str:
    return f"{settings.CLAMD}: {str(exc) or type(exc).__name__}"


def _left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _send(connection: socket.socket, chunks: Iterator[bytes], deadline: float) -> int:
    """Answers how many bytes went out. Whoever has heard enough answers and hangs up while we still
    send: then the answer is what counts."""
    sent = 0
    try:
        connection.sendall(b"zINSTREAM\0")
        for chunk in chunks:
            for start in range(0, len(chunk), CHUNK):
                piece = chunk[start : start + CHUNK]
                connection.settimeout(_left(deadline))
                connection.sendall(LENGTH.pack(len(piece)) + piece)
                sent += len(piece)
        connection.sendall(LENGTH.pack(0))
    except (BrokenPipeError, ConnectionResetError):
        return sent
    return sent


def _receive(connection: socket.socket, deadline: float) -> bytes:
    """One line, without its end."""
    answer = b""
    while b"\0" not in answer:
        connection.settimeout(_left(deadline))
        piece = connection.recv(MAX_ANSWER)
        answer += piece
        if not piece or len(answer) > MAX_ANSWER:
            raise ConnectionError(f"no whole answer: {answer[:80]!r}")
    return answer.removesuffix(b"\0")


def _verdict(answer: bytes) -> Verdict:
    """Only what says so exactly is clean. Raises ConnectionError for what is no answer at all."""
    if answer == CLEAN:
        return Verdict(Scan.CLEAN)
    text = "".join(filter(str.isprintable, answer.decode("utf-8", "replace")))[:NOTE]
    if any(sign in answer for sign in TOO_LARGE):
        return Verdict(Scan.SKIPPED, f"Larger than what the scanner takes: {text}"[:NOTE])
    if answer.startswith(STREAM) and answer.endswith(FOUND):
        return Verdict(Scan.INFECTED, text.removeprefix("stream: ").removesuffix(" FOUND"))
    if answer.endswith(b"ERROR"):
        return Verdict(Scan.FAILED, text)
    raise ConnectionError(f"not understood: {answer[:80]!r}")
