"""S3 as a server of its own on a free port of this machine: what is tested is what goes over HTTP,
not a client that was made to believe."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

import boto3

from servicedesk.tests.processes import free_port, stop

ACCESS_KEY, SECRET_KEY = "desk", "only-for-tests"


@dataclass(frozen=True)
class ObjectStore:
    url: str

    @property
    def client(self):
        """A client of the test's own, to look from the other side."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )

    def address(self, bucket: str) -> str:
        """What ATTACHMENTS_STORAGE says."""
        return (
            f"s3://{bucket}/files?endpoint_url={quote(self.url, safe='')}&region=us-east-1"
            f"&access_key={ACCESS_KEY}&secret_key={SECRET_KEY}"
        )

    def new_bucket(self) -> str:
        """An empty one."""
        name = f"desk-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name


@contextmanager
def running_object_store() -> Iterator[ObjectStore]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(
        command,
        env={**os.environ, "MOTO_S3_CUSTOM_ENDPOINTS": f"http://127.0.0.1:{port}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, server)
        yield ObjectStore(f"http://127.0.0.1:{port}")
    finally:
        stop(server)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the object store ended with {server.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the object store was not ready within 60 s")
