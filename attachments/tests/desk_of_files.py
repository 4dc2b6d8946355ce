"""Files, whoever sends and takes them away, and what must hold of them at any time."""

import hashlib
import http.client
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from agents.models import User
from attachments import services, storage
from attachments.models import Attachment, Blob, LooseBytes, Preview
from attachments.received import Received
from attachments.services.known import unknown
from attachments.services.news import untold
from attachments.services.purging import purge
from attachments.services.verifying import Tally, verify
from attachments.sweeps import render_previews, scan_attachments, tell_of_files
from attachments.tests.keeping import stored_keys
from servicedesk.sweeps import drain
from tickets.models import Ticket

MB = 1024 * 1024
# Whatever a process was doing when it died may be taken up by another after so long.
ALL_GRACES = timedelta(hours=3)


# --- Contents --------------------------------------------------------------------------


def words(seed: Any, size: int = 200) -> bytes:
    """A text of so many bytes that is the same for the same seed only."""
    line = f"{hashlib.sha256(str(seed).encode()).hexdigest()}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def picture(colour: str = "teal", *, side: int = 300) -> bytes:
    """A PNG."""
    buffer = BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "png")
    return buffer.getvalue()


# --- Doors -----------------------------------------------------------------------------


def send(client: Any, *files: tuple[str, bytes], **fields: Any) -> Any:
    """The answer to an upload by a test client; files are `(name, content)`."""
    parts = [SimpleUploadedFile(name, content) for name, content in files]
    headers = {"HTTP_IDEMPOTENCY_KEY": fields.pop("key")} if "key" in fields else {}
    body = {"file": parts, **fields}
    return client.post("/api/files/upload", body, format="multipart", **headers)


def draft_of(client: Any, name: str = "log.txt", content: bytes = b"", **fields: Any) -> str:
    """The id of a new file of the client's."""
    answer = send(client, (name, content or words(name)), **fields)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["files"][0]["id"])


def send_over_http(
    address: str, token: str, *files: tuple[str, bytes], **fields: Any
) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer of a real server, such as http://127.0.0.1:8000."""
    boundary = secrets.token_hex(8)
    parts = [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    parts += [(f'name="file"; filename="{name}"', content) for name, content in files]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {what}\r\n\r\n".encode() + value + b"\r\n"
        for what, value in parts
    )
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    try:
        connection.request(
            "POST",
            "/api/files/upload",
            body + f"--{boundary}--\r\n".encode(),
            {
                "Authorization": f"Bearer {token}",
                "Content-Type": f"multipart/form-data; boundary={boundary}",
            },
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def keep(
    uploader: User,
    *files: tuple[str, bytes],
    ticket: Ticket | None = None,
    is_internal: bool = False,
    at: datetime | None = None,
) -> list[Attachment]:
    """New files, through the services. Raises FileRefused, the first of all."""
    at = at or timezone.now()
    stored, refused = services.store(
        [Received.of(*each) for each in files], uploader=uploader, at=at
    )
    outcome = services.take(
        stored, uploader=uploader, ticket=ticket, is_internal=is_internal, at=at
    )
    for refusal in [*refused, *outcome.refusals]:
        raise refusal.error
    return outcome.files


def bytes_of(file: Attachment) -> bytes:
    assert file.blob is not None
    return b"".join(storage.read(file.blob.key))


# --- Sweeping up -----------------------------------------------------------------------


def finish() -> None:
    """All that the sweeps have to do by now."""
    sweeps: Sequence[Callable[..., Any]] = (scan_attachments, render_previews, tell_of_files)
    for sweep in sweeps:
        drain(sweep, batch=500)
    purge_all(timezone.now())


def purge_all(at: datetime) -> None:
    result = drain(lambda *, batch: purge(at=at, batch=batch), batch=500)
    assert result.failed == 0


# --- What must hold --------------------------------------------------------------------


def assert_nothing_lost() -> None:
    """Whatever a row promises is there, whole."""
    assert not list(verify(Tally(), is_quick=False, batch=50))


def assert_kept_for_a_reason() -> None:
    """Every content hangs on a file, and every file on its content."""
    assert not Blob.objects.filter(attachments=None).exists()
    assert not Preview.objects.filter(blob=None).exists()
    assert not Attachment.objects.filter(removed_at=None, blob=None).exists()


def assert_tidy() -> None:
    """Nothing is lost, nothing lies about, and nothing is left to be done."""
    assert_nothing_lost()
    assert_kept_for_a_reason()
    assert not LooseBytes.objects.exists()
    assert not list(unknown())
    assert stored_keys() == _promised()
    assert not untold(Attachment.objects.all()).exists()


def _promised() -> set[str]:
    parts = Preview.objects.values_list("parts", flat=True)
    drawn = {part["key"] for each in parts for part in each.values()}
    return set(Blob.objects.values_list("key", flat=True)) | drawn


def with_limits(**limits: Any) -> dict[str, Any]:
    """settings.ATTACHMENTS with other limits; `text` are those of the category."""
    categories = dict(settings.ATTACHMENTS["categories"])
    categories["text"] = {**categories["text"], **limits.pop("text", {})}
    return {**settings.ATTACHMENTS, **limits, "categories": categories}
