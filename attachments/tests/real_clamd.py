"""The clamd of this machine, where one is installed, with a signature of the test's own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attachments.tests.clamd_server import EICAR
from servicedesk.tests.processes import stop

# Distributions put it where only root looks.
PROGRAM = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
NAME = "Test.Eicar"
MB = 1024 * 1024


@contextmanager
def real_clamd(folder: Path, **options: str) -> Iterator[str]:
    """Answers what CLAMD says of it. `options` are those of clamd.conf; the stream has 4 MB."""
    assert PROGRAM is not None
    for name in ("signatures", "work"):
        (folder / name).mkdir(exist_ok=True)
    # Name, any type of file, anywhere in it, the bytes.
    (folder / "signatures" / "test.ndb").write_text(f"{NAME}:0:*:{EICAR.hex()}\n")
    address = folder / "clamd.sock"
    settings = {
        "Foreground": "yes",
        "LocalSocket": str(address),
        "DatabaseDirectory": str(folder / "signatures"),
        "TemporaryDirectory": str(folder / "work"),
        "LogFile": str(folder / "clamd.log"),
        "StreamMaxLength": "4M",
        "MaxThreads": "2",
        **options,
    }
    config = folder / "clamd.conf"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    server = subprocess.Popen(
        [PROGRAM, "--config-file", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(address, server)
        yield f"unix:{address}"
    finally:
        stop(server)


def _wait_for(address: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"clamd ended with {server.returncode}")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(address)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("clamd was not ready within 60 s")
