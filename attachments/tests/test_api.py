"""Files over HTTP: what is taken and refused, by name, and what comes back."""

import base64
import hashlib
import json
from itertools import permutations
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from attachments.models import Attachment, Blob, DailyUse, LooseBytes, Preview
from attachments.tests.corpus import GOOD, HOSTILE
from realtime.protocol import commands
from tickets import services
from tickets.api import serializers
from tickets.files import MAX_ATTACHED
from tickets.models import TicketEvent

MB = 1024 * 1024
on_each_storage = pytest.mark.usefixtures("each_storage")


@pytest.fixture
def ticket(alice):
    return services.open_ticket(
        requester=alice, actor=alice, subject="The printer", at=timezone.now()
    )


@pytest.fixture
def client(as_user, alice):
    return as_user(alice)


def a_file(name, content=b"some words"):
    return SimpleUploadedFile(name, content)


def upload(client, *files, **fields):
    return client.post("/api/files/upload", {"file": list(files), **fields}, format="multipart")


def download(client, file):
    return b"".join(client.get(f"/api/files/{file['id']}/download").streaming_content)


# --- What is taken ---------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_real_file_is_taken_and_comes_back_as_it_was(client, ticket, name):
    content = GOOD[name]()

    response = upload(client, a_file(name, content), ticket=ticket.pk)

    assert response.status_code == 201, response.content
    (file,) = response.json()["files"]
    assert response.json()["errors"] == []
    assert (file["filename"], file["size"], file["ticket"]) == (name, len(content), ticket.pk)
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert download(client, file) == content
    assert client.get(f"/api/files/{file['id']}").json() == file


@pytest.mark.once
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.filename[:40])
def test_a_hostile_file_is_refused_with_its_code(client, ticket, hostile):
    response = _raw_upload(client, hostile.filename, hostile.make(), ticket.pk)

    problem = response.json()
    assert problem["code"] == hostile.code, problem
    assert problem["refused"][0]["filename"] == hostile.filename
    assert response.status_code == problem["status"] >= 400
    assert not Attachment.objects.exists()
    assert not Blob.objects.exists()
    assert not TicketEvent.objects.filter(kind="file.attached").exists()


def _raw_upload(client, name, content, ticket):
    """As an attacker writes it: no library has a say about the name."""
    boundary = "a-boundary-of-our-own"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="ticket"\r\n\r\n{ticket}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode("utf-8", "surrogatepass")
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )
    return client.generic(
        "POST", "/api/files/upload", body, f"multipart/form-data; boundary={boundary}"
    )


@on_each_storage
@pytest.mark.parametrize("order", list(permutations(["bad", "good.txt", "fine.csv"])))
def test_one_bad_file_in_any_place_keeps_no_good_one_out(client, ticket, order):
    files = [a_file("bad.exe" if name == "bad" else name) for name in order]

    response = upload(client, *files, ticket=ticket.pk)

    assert response.status_code == 207
    good = [name for name in order if name != "bad"]
    assert [file["filename"] for file in response.json()["files"]] == good
    (refused,) = response.json()["errors"]
    assert (refused["filename"], refused["code"]) == ("bad.exe", "file_type_not_allowed")
    assert refused["position"] == order.index("bad")
    listed = client.get(f"/api/files/ticket/{ticket.pk}").json()["results"]
    assert [file["filename"] for file in listed] == good


@on_each_storage
def test_where_none_is_taken_the_first_refusal_is_the_answer(client, ticket):
    response = upload(client, a_file("none.txt", b""), a_file("bad.exe"), ticket=ticket.pk)

    assert response.status_code == 400
    assert response.json()["code"] == "file_empty"
    codes = [refused["code"] for refused in response.json()["refused"]]
    assert codes == ["file_empty", "file_type_not_allowed"]
    assert not LooseBytes.objects.exists()


@pytest.mark.parametrize(
    ("fields", "files"),
    [
        ({}, []),
        ({"file": "words, not a file"}, []),
        ({"ticket": "x"}, ["a.txt"]),
        ({"internal": "perhaps"}, ["a.txt"]),
        ({"tickets": "1"}, ["a.txt"]),
        ({"internal": "true"}, ["a.txt"]),
    ],
)
def test_an_upload_that_is_not_understood_stores_nothing(client, fields, files):
    response = client.post(
        "/api/files/upload",
        {**fields, **({"file": [a_file(name) for name in files]} if files else {})},
        format="multipart",
    )

    assert response.status_code == 400
    assert not Attachment.objects.exists()


def test_a_body_that_is_no_form_is_refused(client):
    assert client.post("/api/files/upload", {"file": "x"}).status_code == 415
    broken = client.generic("POST", "/api/files/upload", b"x", "multipart/form-data")
    assert broken.status_code == 400


def test_more_files_than_a_request_may_have(client):
    response = upload(client, *(a_file(f"{n}.txt") for n in range(21)))

    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")
    assert not Attachment.objects.exists()


def test_a_ticket_takes_no_more_than_its_number_of_files(client, ticket, settings):
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "files_per_ticket": 3}
    upload(client, a_file("1.txt"), a_file("2.txt"), ticket=ticket.pk)

    response = upload(client, a_file("3.txt"), a_file("4.txt"), ticket=ticket.pk)
    assert response.status_code == 207
    assert [error["code"] for error in response.json()["errors"]] == ["too_many_files"]

    response = upload(client, a_file("5.txt"), ticket=ticket.pk)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")


def test_a_category_may_have_a_count_and_a_quota_of_its_own(client, ticket, settings):
    text = {**settings.ATTACHMENTS["categories"]["text"], "files_per_ticket": 1, "daily_mb": 1}
    categories = {**settings.ATTACHMENTS["categories"], "text": text}
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "categories": categories}
    assert upload(client, a_file("1.txt"), ticket=ticket.pk).status_code == 201

    assert upload(client, a_file("2.txt"), ticket=ticket.pk).json()["code"] == "too_many_files"
    large = upload(client, a_file("3.txt", b"x" * MB))
    assert (large.status_code, large.json()["code"]) == (413, "quota_exceeded")
    assert upload(client, a_file("4.eml", GOOD["mail.eml"]())).status_code == 201


def test_the_quota_of_a_day_counts_what_was_taken(client, settings):
    settings.ATTACHMENTS = {**settings.ATTACHMENTS, "daily_mb": 2}
    assert upload(client, a_file("1.txt", b"x" * MB)).status_code == 201
    assert upload(client, a_file("2.txt", b"x" * (MB + 1))).json()["code"] == "quota_exceeded"
    assert upload(client, a_file("3.txt", b"y" * MB)).status_code == 201
    assert upload(client, a_file("4.txt", b"y")).json()["code"] == "quota_exceeded"
    assert DailyUse.objects.get().used == 2 * MB


# --- Drafts ----------------------------------------------------------------------------


@on_each_storage
def test_a_draft_goes_with_a_message(client, ticket, as_user, bob):
    (draft,) = upload(client, a_file("log.txt")).json()["files"]
    assert draft["ticket"] is None

    response = client.post(
        f"/api/tickets/{ticket.pk}/messages", {"body": "See this", "attachments": [draft["id"]]}
    )

    assert response.status_code == 201
    (attached,) = response.json()["attachments"]
    assert (attached["id"], attached["ticket"]) == (draft["id"], ticket.pk)
    (message,) = as_user(bob).get(f"/api/tickets/{ticket.pk}/messages").json()["results"]
    assert [file["id"] for file in message["attachments"]] == [draft["id"]]


@on_each_storage
def test_a_draft_goes_with_a_new_ticket(client):
    (draft,) = upload(client, a_file("log.txt")).json()["files"]

    response = client.post("/api/tickets/", {"subject": "Help", "attachments": [draft["id"]]})

    assert response.status_code == 201
    pk = response.json()["id"]
    (file,) = client.get(f"/api/files/ticket/{pk}").json()["results"]
    assert (file["id"], file["ticket"]) == (draft["id"], pk)
    kinds = [event["event"] for event in client.get(f"/api/tickets/{pk}/events").json()["results"]]
    assert kinds[:2] == ["ticket.opened", "file.attached"]


def test_a_message_may_be_a_file_and_no_words_but_not_nothing(client, ticket):
    (draft,) = upload(client, a_file("log.txt")).json()["files"]
    url = f"/api/tickets/{ticket.pk}/messages"
    sent = client.post(url, {"body": "", "attachments": [draft["id"]]})
    assert (sent.status_code, len(sent.json()["attachments"])) == (201, 1)
    nothing = client.post(url, {"body": " \n", "attachments": []})
    assert nothing.status_code == 400
    assert nothing.json()["errors"][0] | {"detail": ""} == {
        "pointer": "/body", "code": "blank", "detail": "",
    }  # fmt: skip


def test_what_other_apps_know_of_files_is_what_they_are():
    assert set(serializers.SCAN_STATUSES) == set(Blob.Scan)
    assert set(serializers.PREVIEW_STATUSES) == {"none", *Preview.Status}
    assert commands.MAX_ATTACHED == MAX_ATTACHED


def test_a_file_that_is_not_ones_own_to_send_goes_with_nothing(client, ticket, as_user, bob):
    (theirs,) = upload(as_user(bob), a_file("log.txt")).json()["files"]
    for pk in (theirs["id"], str(uuid4())):
        response = client.post(
            f"/api/tickets/{ticket.pk}/messages", {"body": "See this", "attachments": [pk]}
        )
        assert response.status_code == 400
        assert response.json()["errors"][0]["pointer"] == "/attachments"
    assert not ticket.messages.exists()


def test_an_internal_file_goes_with_a_note_only(ticket, as_user, bob, client):
    agent = as_user(bob)
    (draft,) = upload(agent, a_file("plan.txt"), internal="true").json()["files"]
    body = {"body": "See this", "attachments": [draft["id"]]}
    assert agent.post(f"/api/tickets/{ticket.pk}/messages", body).status_code == 400

    note = agent.post(f"/api/tickets/{ticket.pk}/messages", {**body, "internal": True})

    assert note.status_code == 201
    assert note.json()["attachments"][0]["internal"] is True
    assert client.get(f"/api/files/{draft['id']}").status_code == 404


def test_a_file_sent_with_a_note_becomes_internal(ticket, as_user, bob, client):
    agent = as_user(bob)
    (draft,) = upload(agent, a_file("plan.txt")).json()["files"]
    body = {"body": "For us", "internal": True, "attachments": [draft["id"]]}
    assert agent.post(f"/api/tickets/{ticket.pk}/messages", body).status_code == 201
    assert client.get(f"/api/files/{draft['id']}").status_code == 404
    assert client.get(f"/api/files/ticket/{ticket.pk}").json()["results"] == []


# --- Taking away -----------------------------------------------------------------------


@on_each_storage
def test_deleting_takes_the_bytes_with_the_last_file_that_has_them(client, ticket):
    one, other = (
        upload(client, a_file(name), ticket=ticket.pk).json()["files"][0]
        for name in ("one.txt", "other.txt")
    )
    assert Blob.objects.count() == 1

    assert client.delete(f"/api/files/{one['id']}").status_code == 204
    assert client.delete(f"/api/files/{one['id']}").status_code == 404
    assert download(client, other) == b"some words"

    assert client.delete(f"/api/files/{other['id']}").status_code == 204
    assert not Blob.objects.exists()
    events = client.get(f"/api/tickets/{ticket.pk}/events").json()["results"]
    removed = [event["data"]["file"] for event in events if event["event"] == "file.removed"]
    assert [file["filename"] for file in removed] == ["one.txt", "other.txt"]


# --- Before sending --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "size", "codes", "category"),
    [
        ("a.png", 10, [], "image"),
        ("a.png", 11 * MB, ["file_too_large"], "image"),
        ("a.exe", 10, ["file_type_not_allowed"], None),
        ("a.php.png", 10, ["file_type_not_allowed"], "image"),
        ("a.txt", 0, ["file_empty"], "text"),
        ("../a.txt", 10, ["invalid_filename"], None),
        ("a.heic", 10, ["file_type_not_allowed"], None),
    ],
)
def test_validating_says_what_an_upload_would(client, filename, size, codes, category):
    response = client.post("/api/files/validate", {"filename": filename, "size": size})

    assert response.status_code == 200
    judged = response.json()
    assert [reason["code"] for reason in judged["reasons"]] == codes
    assert judged["allowed"] is (not codes)
    assert judged["category"] == category


def test_validating_looks_at_the_first_bytes(client):
    head = base64.b64encode(b"MZ" + b"\0" * 200).decode()
    body = {"filename": "a.png", "size": 5000, "head_base64": head}
    judged = client.post("/api/files/validate", body).json()
    assert [reason["code"] for reason in judged["reasons"]] == ["content_mismatch"]

    whole = GOOD["photo.png"]()
    good = {"filename": "a.png", "size": len(whole)}
    head = base64.b64encode(whole[:64]).decode()
    assert client.post("/api/files/validate", {**good, "head_base64": head}).json()["allowed"]
    bad = client.post("/api/files/validate", {**good, "head_base64": "§"})
    assert bad.status_code == 400
    assert not Attachment.objects.exists()


def test_everything_that_is_answered_is_json_of_the_document(client, ticket):
    """The client holds it against the document; here that a thumbnail's size is held, too."""
    (file,) = upload(client, a_file("p.png", GOOD["photo.png"]())).json()["files"]
    bad = client.get(f"/api/files/{file['id']}/thumbnail?size=77")
    assert bad.status_code == 400
    waiting = client.get(f"/api/files/{file['id']}/thumbnail")
    assert (waiting.status_code, waiting.json()["code"]) == (404, "preview_unavailable")
    assert json.loads(client.get("/api/files/x").content)["status"] == 404
