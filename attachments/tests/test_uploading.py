"""What an upload holds while it waits."""

import pytest
from django.db import connection
from django.utils import timezone

from attachments import storage
from attachments.received import Received
from attachments.services import store


@pytest.mark.postgres
def test_no_connection_of_the_pool_waits_for_the_storage(alice, monkeypatch):
    held = []
    monkeypatch.setattr(storage, "save", lambda *_: held.append(connection.connection))
    received = [Received.of(name, b"text") for name in ("a.txt", "b.txt")]
    stored, _ = store(received, uploader=alice, at=timezone.now())
    assert len(stored) == 2
    assert held == [None, None]
