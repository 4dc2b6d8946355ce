"""A clamd that does as it is told: a real server on a free port, or on a socket in the file system.

It speaks INSTREAM as clamd does and knows one virus, the test file of EICAR.
"""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# In two parts, so that no scanner takes this file for one.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
NAME = b"Win.Test.EICAR_HDB-1"


@dataclass
class Script:
    """What it does with the next scans. `answer` is said in place of the right one; beyond `limit`
    bytes, or after so many, it hangs up, and at what holds `dies_of` without a word. One that
    dribbles answers a byte at a time, 20 a second."""

    answer: bytes | None = None
    hangs: bool = False
    hangs_up_after: int | None = None
    limit: int | None = None
    dies_of: bytes | None = None
    dribbles: bool = False
    # What it has seen.
    connections: int = 0
    scanned: list[int] = field(default_factory=list)
    has_scanned: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        script: Script = self.server.script  # type: ignore[attr-defined]
        script.connections += 1
        if self.rfile.read(10) != b"zINSTREAM\0":
            self.wfile.write(b"UNKNOWN COMMAND\0")
            return
        seen, content = 0, _Search(EICAR, script.dies_of)
        while size := self._size():
            chunk = self.rfile.read(size)
            seen += len(chunk)
            content.look_at(chunk)
            if script.hangs_up_after is not None and seen > script.hangs_up_after:
                return
            if script.limit is not None and seen > script.limit:
                self.wfile.write(script.answer or b"INSTREAM size limit exceeded. ERROR\0")
                return
        script.scanned.append(seen)
        script.has_scanned.set()
        if script.hangs:
            script.release.wait(60)
            return
        if script.dies_of in content.found:
            return
        is_bad = EICAR in content.found
        right = b"stream: " + NAME + b" FOUND\0" if is_bad else b"stream: OK\0"
        answer = right if script.answer is None else script.answer
        if not script.dribbles:
            self.wfile.write(answer)
            return
        with suppress(ConnectionError):
            for byte in answer:
                self.wfile.write(bytes([byte]))
                script.release.wait(0.05)

    def _size(self) -> int:
        """Of the next chunk; 0 at the end, also where the other side died."""
        header = self.rfile.read(4)
        size: int = struct.unpack("!I", header)[0] if len(header) == 4 else 0
        return size


class _Search:
    """Which of these are in a content that comes in chunks."""

    def __init__(self, *wanted: bytes | None) -> None:
        self.wanted = [each for each in wanted if each]
        self.found: set[bytes | None] = set()
        self._tail = b""

    def look_at(self, chunk: bytes) -> None:
        self._tail += chunk
        self.found |= {each for each in self.wanted if each in self._tail}
        self._tail = self._tail[-max(map(len, self.wanted)) :]


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def clamd(place: Path | int = 0) -> Iterator[tuple[str, Script]]:
    """Answers what CLAMD says of it, and its script. `place`: a port (0: a free one), or a path."""
    script = Script()
    server: Any = (
        _Unix(str(place), _Handler)
        if isinstance(place, Path)
        else _Tcp(("127.0.0.1", place), _Handler)
    )
    server.script = script
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    is_path = isinstance(place, Path)
    address = f"unix:{place}" if is_path else f"tcp://127.0.0.1:{server.server_address[1]}"
    try:
        yield address, script
    finally:
        script.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
        if isinstance(place, Path):
            place.unlink(missing_ok=True)
