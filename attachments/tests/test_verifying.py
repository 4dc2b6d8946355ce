"""verify_storage finds what is missing or altered, names whose it is, and cries no wolf."""

import json
import threading
import time
from datetime import timedelta
from io import BytesIO, StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from attachments import storage
from attachments.models import Blob, LooseBytes
from attachments.services import remove
from attachments.services.purging import purge
from attachments.services.verifying import Tally, verify
from attachments.tests.keeping import draw, keep
from servicedesk.tests.processes import free_port
from tickets import services

pytestmark = pytest.mark.usefixtures("db", "each_storage")
HOUR = timedelta(hours=1)


@pytest.fixture
def ticket(alice):
    return services.open_ticket(
        requester=alice, actor=alice, subject="The printer", at=timezone.now()
    )


def run(*options: str) -> tuple[str, bool]:
    """What the command prints, and whether it failed."""
    out = StringIO()
    try:
        call_command("verify_storage", *options, stdout=out)
    except CommandError:
        return out.getvalue(), True
    return out.getvalue(), False


def found(*options: str) -> dict[str, Any]:
    text, failed = run("--json", *options)
    said: dict[str, Any] = json.loads(text)
    assert failed == bool(said["failed"])
    return said


def replace(key: str, content: bytes) -> None:
    storage.delete(key)
    storage.save(key, BytesIO(content))


def key_of(file) -> str:
    return Blob.objects.get(pk=file.blob_id).key


def test_all_is_well(alice, ticket) -> None:
    draw(keep(b"a file", alice, ticket=ticket))
    keep(b"a draft", alice)

    said = found()

    assert (said["handled"], said["failed"], said["skipped"]) == (3, 0, 0)
    assert (said["contents"], said["parts"], said["unknown"]) == (2, 1, 0)
    assert said["bytes"] == len(b"a file" + b"a draft" + b"drawn")


def test_missing_truncated_and_flipped_bytes_are_found_and_named(alice, ticket) -> None:
    contents = [bytes([number]) * 1000 for number in range(5)]
    files = [keep(content, alice, ticket=ticket) for content in contents]
    storage.delete(key_of(files[1]))
    replace(key_of(files[2]), contents[2][:-1])
    replace(key_of(files[3]), contents[3][:500] + b"\xff" + contents[3][501:])

    said = found("--batch", "2")

    problems = {each["files"][0]["id"]: each for each in said["problems"]}
    assert {pk: each["problem"] for pk, each in problems.items()} == {
        str(files[1].pk): "missing",
        str(files[2].pk): "altered",
        str(files[3].pk): "altered",
    }
    assert all(each["files"][0]["ticket"] == ticket.pk for each in problems.values())
    assert said["failed"] == 3


def test_quick_sees_sizes_only(alice, ticket) -> None:
    one, two = keep(b"one", alice, ticket=ticket), keep(b"two", alice, ticket=ticket)
    replace(key_of(one), b"eno")
    storage.delete(key_of(two))

    assert [each["problem"] for each in found("--quick")["problems"]] == ["missing"]
    assert found()["failed"] == 2


def test_all_files_of_a_content_are_named_in_text_too(alice, bob, ticket) -> None:
    on_ticket, draft = keep(b"same", alice, ticket=ticket), keep(b"same", bob)
    storage.delete(key_of(draft))

    text, failed = run()

    assert failed
    assert f"{on_ticket.pk}  SD-{ticket.pk}  a.txt" in text
    assert f"{draft.pk}  a draft  a.txt" in text


def test_a_preview_that_is_missing_or_cut_off_is_found(alice, ticket) -> None:
    one, two = keep(b"one", alice, ticket=ticket), keep(b"two", alice, ticket=ticket)
    storage.delete(draw(one))
    replace(draw(two), b"draw")

    said = found()

    assert {each["of"] for each in said["problems"]} == {"preview"}
    assert [each["problem"] for each in said["problems"]] == ["missing", "altered"]
    assert said["problems"][0]["files"][0]["id"] == str(one.pk)


def test_bytes_that_no_row_knows_are_listed_and_no_error(alice, settings) -> None:
    key = storage.new_key()
    storage.save(key, BytesIO(b"lost"))
    LooseBytes.objects.create(key=storage.new_key(), due_at=timezone.now())

    said = found()
    assert (said["recent"], said["unknown"], said["failed"]) == (1, 0, 0)

    settings.LOOSE_BYTES_GRACE = -HOUR
    said = found()
    assert (said["recent"], said["unknown"], said["unknown_keys"]) == (0, 1, [key])
    assert f"unknown  {key}  4 bytes" in run()[0]


def test_a_file_that_is_removed_meanwhile_is_no_loss(alice, ticket, monkeypatch) -> None:
    file = keep(b"going", alice, ticket=ticket)
    look = storage.size_of

    def after_removal(key: str) -> int | None:
        remove(file=file, actor=alice, at=timezone.now())
        purge(at=timezone.now(), batch=10)
        return look(key)

    monkeypatch.setattr(storage, "size_of", after_removal)
    tally = Tally()

    assert list(verify(tally, is_quick=False, batch=10)) == []
    assert tally.vanished == 1


def test_it_cries_no_wolf_while_files_come_and_go(alice, bob, ticket) -> None:
    stop, errors = threading.Event(), []

    def churn() -> None:
        try:
            while not stop.is_set():
                file = keep(b"x" * 500, bob)
                remove(file=file, actor=bob, at=timezone.now())
                purge(at=timezone.now(), batch=10)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    keep(b"stays", alice, ticket=ticket)
    thread = threading.Thread(target=churn)
    thread.start()
    until = time.monotonic() + 3
    problems = []
    while time.monotonic() < until:
        problems += list(verify(Tally(), is_quick=False, batch=10))
    stop.set()
    thread.join()

    assert errors == []
    assert problems == []


def test_a_storage_that_is_away_is_not_taken_for_loss(alice, ticket, settings) -> None:
    keep(b"there", alice, ticket=ticket)
    settings.ATTACHMENTS_STORAGE = (
        f"s3://desk?endpoint_url=http%3A%2F%2F127.0.0.1%3A{free_port()}"
        "&region=us-east-1&access_key=a&secret_key=b"
    )

    with pytest.raises(CommandError, match="does not answer"):
        call_command("verify_storage", stdout=StringIO())
