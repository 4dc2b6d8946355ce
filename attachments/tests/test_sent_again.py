"""A content that is here already comes once more, and a request is sent again."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from attachments.models import Attachment, Blob
from attachments.tests.keeping import keep
from servicedesk.api.idempotency import Steps


def test_what_nobody_looked_at_is_scanned_once_it_comes_again(alice, settings):
    settings.SCAN_MODE = "off"
    assert keep(b"the same", alice).scan_status == Blob.Scan.SKIPPED
    settings.SCAN_MODE = "closed"
    file = keep(b"the same", alice)
    blob = Blob.objects.get()
    assert (file.scan_status, blob.scan_status) == ("pending", "pending")
    assert blob.scan_due_at is not None


@pytest.mark.parametrize("found", ["skipped", "clean", "infected"])
def test_what_the_scanner_has_seen_stays_when_it_comes_again(alice, settings, found):
    settings.SCAN_MODE = "closed"
    at = keep(b"the same", alice).created_at
    Blob.objects.update(scan_status=found, scanned_at=at, scan_due_at=None)
    assert keep(b"the same", alice).scan_status == found
    assert Blob.objects.get().scan_due_at is None


def test_a_file_that_is_gone_again_is_left_out_of_a_late_answer(as_user, alice, monkeypatch):
    """The server died after it had kept the files; one was removed before the client came back."""
    client = as_user(alice)
    client.raise_request_exception = False

    def send():
        files = [SimpleUploadedFile(name, b"text") for name in ("a.txt", "b.txt")]
        headers = {"Idempotency-Key": "once"}
        return client.post("/api/files/upload", {"file": files}, "multipart", headers=headers)

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "finish", _die)
        assert send().status_code == 500
    file = Attachment.objects.get(filename="a.txt")
    assert client.delete(f"/api/files/{file.pk}").status_code == 204
    again = send()
    assert again.status_code == 201
    assert [each["filename"] for each in again.json()["files"]] == ["b.txt"]


def _die(*_):
    raise RuntimeError("The server died here.")
