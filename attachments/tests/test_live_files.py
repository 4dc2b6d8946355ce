"""What the log of a ticket says of files: to whom, in which order, once; over HTTP and sockets.

Every frame is held against the AsyncAPI document, and what a customer's socket hears against what
customers may get: an internal file's name holds the canary.
"""

from typing import Any

import pytest
from django.utils import timezone

from attachments import services as file_services
from attachments.models import Attachment, Blob
from attachments.services import news, scanning
from attachments.sweeps import render_previews, scan_attachments, tell_of_files
from attachments.tests.clamd_server import clamd
from attachments.tests.desk_of_files import draft_of, keep, picture, send, send_over_http, words
from realtime.database import in_database
from realtime.tests.cluster import lone_desk, token_of
from realtime.tests.live import LiveClient
from realtime.tests.sockets import signed_in
from servicedesk.sweeps import drain
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Kind, Message, Ticket, TicketEvent

ATTACHED, SCANNED, PREVIEWED, REMOVED = (
    "file.attached",
    "file.scanned",
    "file.previewed",
    "file.removed",
)
SECRET = f"{INTERNAL_CANARY}.txt"


@pytest.fixture
def ticket(alice, sam) -> Ticket:
    return services.open_ticket(
        requester=alice, actor=alice, subject="The printer", at=timezone.now()
    )


@pytest.fixture
def scanner(settings):
    with clamd() as (settings.CLAMD, script):
        settings.SCAN_MODE = "closed"
        yield script


def sweep() -> None:
    drain(scan_attachments, batch=50)
    drain(render_previews, batch=50)


def put(uploader, ticket, name="a.txt", content=None, **options) -> Attachment:
    (file,) = keep(uploader, (name, content or words(name)), ticket=ticket, **options)
    return file


def log_of(client: Any, ticket: Ticket, after: int = 0) -> list[dict[str, Any]]:
    """The log that the client sees, which must have no hole."""
    page = client.get(f"/api/tickets/{ticket.pk}/events?after={after}").json()
    events: list[dict[str, Any]] = page["results"]
    assert [event["seq"] for event in events] == list(range(after + 1, page["head"] + 1))
    return events


def of_files(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """`(event, filename)` of those that tell of a file."""
    found = [event for event in events if event["event"].startswith("file.")]
    return [(event["event"], event["data"]["file"]["filename"]) for event in found]


# --- Over HTTP -------------------------------------------------------------------------


def test_the_life_of_a_file_is_in_the_log(alice, bob, ticket, as_user, scanner) -> None:
    file = put(alice, ticket, "photo.png", picture())
    sweep()
    file_services.remove(file=file, actor=bob, at=timezone.now())

    events = [e for e in log_of(as_user(alice), ticket) if e["event"].startswith("file.")]

    assert [event["event"] for event in events] == [ATTACHED, SCANNED, PREVIEWED, REMOVED]
    actors = [event["actor"] and event["actor"]["name"] for event in events]
    assert actors == ["Alice", None, None, "Bob"]
    # The log names the file; what is said of it is how it is now.
    assert {event["data"]["file"]["id"] for event in events} == {str(file.pk)}
    assert {event["data"]["file"]["preview_status"] for event in events} == {"none"}


def test_what_is_internal_is_in_the_log_of_staff_only(alice, bob, ticket, as_user, scanner):
    put(bob, ticket, SECRET, is_internal=True)
    put(alice, ticket, "open.txt")
    sweep()
    told = {(kind, name) for kind in (ATTACHED, SCANNED, PREVIEWED) for name in ("open.txt",)}
    assert set(of_files(log_of(as_user(alice), ticket))) == told
    secret = {(kind, SECRET) for kind in (ATTACHED, SCANNED, PREVIEWED)}
    assert set(of_files(log_of(as_user(bob), ticket))) == told | secret
    assert INTERNAL_CANARY not in as_user(alice).get(f"/api/tickets/{ticket.pk}/").content.decode()


def test_each_file_of_an_upload_is_told_of_in_its_order(alice, ticket, as_user) -> None:
    names = ["c.txt", "a.txt", "b.txt"]
    answer = send(as_user(alice), *((name, words(name)) for name in names), ticket=ticket.pk)
    assert [file["filename"] for file in answer.json()["files"]] == names
    assert of_files(log_of(as_user(alice), ticket)) == [(ATTACHED, name) for name in names]
    listed = as_user(alice).get(f"/api/files/ticket/{ticket.pk}").json()["results"]
    assert [file["filename"] for file in listed] == names


def test_a_draft_is_told_of_when_it_is_sent_and_not_of_its_scan(alice, ticket, as_user, scanner):
    client = as_user(alice)
    early = draft_of(client, "early.txt")
    sweep()
    assert of_files(log_of(client, ticket)) == []
    late = draft_of(client, "late.txt")
    body = {"body": "See these", "attachments": [early, late]}
    assert client.post(f"/api/tickets/{ticket.pk}/messages", body).status_code == 201
    sweep()
    tell_of_files()
    assert of_files(log_of(client, ticket)) == [
        (ATTACHED, "early.txt"),
        (ATTACHED, "late.txt"),
        (SCANNED, "late.txt"),
        (PREVIEWED, "late.txt"),
    ]


def test_a_message_comes_before_its_files_and_carries_them(alice, ticket, as_user) -> None:
    client = as_user(alice)
    pk = draft_of(client)
    body = {"body": "See this", "attachments": [pk]}
    client.post(f"/api/tickets/{ticket.pk}/messages", body)
    message, file = [
        event for event in log_of(client, ticket) if event["event"] in ("message.created", ATTACHED)
    ]
    assert [message["event"], file["event"]] == ["message.created", ATTACHED]
    assert [each["id"] for each in message["data"]["message"]["attachments"]] == [pk]
    assert message["data"]["message"]["attachments"] == [file["data"]["file"]]


def test_a_ticket_is_opened_with_its_files(alice, as_user) -> None:
    client = as_user(alice)
    ids = [draft_of(client, f"{n}.txt") for n in range(2)]
    answer = client.post("/api/tickets/", {"subject": "Help", "attachments": ids})
    assert answer.status_code == 201
    ticket = Ticket.objects.get(pk=answer.json()["id"])
    events = log_of(client, ticket)
    assert events[0]["event"] == "ticket.opened"
    assert of_files(events) == [(ATTACHED, "0.txt"), (ATTACHED, "1.txt")]


def test_a_ticket_that_cannot_have_a_file_is_not_opened(alice, bob, as_user) -> None:
    client, others = as_user(alice), draft_of(as_user(bob))
    own = draft_of(client)
    answer = client.post("/api/tickets/", {"subject": "Help", "attachments": [own, others]})
    assert answer.status_code == 400
    assert not Ticket.objects.exists()
    assert client.get(f"/api/files/{own}").json()["ticket"] is None


def test_a_change_of_the_scanners_mind_is_told_each_time(alice, ticket, as_user, scanner) -> None:
    put(alice, ticket, "a.txt")
    for answer, _status in ((b"stream: Some.Virus FOUND\0", "infected"), (None, "clean")):
        scanner.answer = answer
        scanning.rescan(Blob.objects.all(), timezone.now())
        drain(scan_attachments, batch=50)
        # Once more finds the same, which is no news.
        scanning.rescan(Blob.objects.all(), timezone.now())
        drain(scan_attachments, batch=50)
    told = [kind for kind, _ in of_files(log_of(as_user(alice), ticket))]
    assert told.count(SCANNED) == 2


def test_whoever_dies_before_telling_lets_another_tell(
    alice, ticket, as_user, scanner, monkeypatch
) -> None:
    put(alice, ticket, "a.txt")

    class Killed(BaseException):
        pass

    def die(blob_id: int) -> None:
        raise Killed

    monkeypatch.setattr(news, "tell", die)
    with pytest.raises(Killed):
        scan_attachments()
    monkeypatch.undo()
    assert of_files(log_of(as_user(alice), ticket)) == [(ATTACHED, "a.txt")]
    assert tell_of_files().handled == 1
    assert tell_of_files().handled == 0
    assert of_files(log_of(as_user(alice), ticket)) == [(ATTACHED, "a.txt"), (SCANNED, "a.txt")]


# --- Said twice, done once -------------------------------------------------------------


def test_a_message_that_is_sent_again_with_its_files_is_the_same(alice, ticket, as_user) -> None:
    client = as_user(alice)
    one, other = draft_of(client, "1.txt"), draft_of(client, "2.txt")
    address = f"/api/tickets/{ticket.pk}/messages"
    body = {"body": "See this", "client_msg_id": "m1", "attachments": [one]}
    first, again = client.post(address, body), client.post(address, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    for files in ([], [other], [one, other]):
        answer = client.post(address, {**body, "attachments": files})
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert Message.objects.count() == 1
    assert of_files(log_of(client, ticket)) == [(ATTACHED, "1.txt")]


def test_a_message_is_the_same_though_its_file_was_taken_away(alice, ticket, as_user) -> None:
    """A front end sends again what it does not know to have arrived, whatever happened since."""
    client = as_user(alice)
    pk = draft_of(client)
    address = f"/api/tickets/{ticket.pk}/messages"
    body = {"body": "See this", "client_msg_id": "m1", "attachments": [pk]}
    client.post(address, body)
    client.delete(f"/api/files/{pk}")
    again = client.post(address, body)
    assert (again.status_code, again.json()["attachments"]) == (200, [])


def test_an_upload_that_is_sent_again_is_answered_again(alice, ticket, as_user) -> None:
    client, files = as_user(alice), [("1.txt", words(1)), ("2.txt", words(2))]
    first = send(client, *files, ticket=ticket.pk, key="k1")
    again = send(client, *files, ticket=ticket.pk, key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Attachment.objects.count() == 2
    assert len(of_files(log_of(client, ticket))) == 2


@pytest.mark.parametrize(
    "files",
    [
        [("1.txt", words(2))],
        [("2.txt", words(1))],
        [("1.txt", words(1)), ("2.txt", words(2))],
    ],
)
def test_a_key_that_was_used_for_other_files_is_refused(alice, ticket, as_user, files) -> None:
    client = as_user(alice)
    assert send(client, ("1.txt", words(1)), key="k1").status_code == 201
    other = send(client, *files, key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = send(client, ("1.txt", words(1)), ticket=ticket.pk, key="k1")
    assert elsewhere.status_code == 422
    assert Attachment.objects.count() == 1


def test_an_upload_of_which_some_is_refused_is_answered_again(alice, as_user) -> None:
    client, files = as_user(alice), [("1.txt", words(1)), ("bad.exe", b"MZ"), ("3.txt", words(3))]
    first, again = send(client, *files, key="k1"), send(client, *files, key="k1")
    assert (first.status_code, again.status_code) == (207, 207)
    assert first.json() == again.json()
    assert [error["filename"] for error in again.json()["errors"]] == ["bad.exe"]
    assert Attachment.objects.count() == 2


def test_an_upload_that_was_refused_may_be_mended_under_its_key(alice, as_user) -> None:
    client = as_user(alice)
    assert send(client, ("bad.exe", b"MZ"), key="k1").status_code == 415
    assert send(client, ("good.txt", b"words"), key="k1").status_code == 201


def test_an_answer_is_not_given_again_to_whoever_sees_the_ticket_no_more(
    charlie, sam, ticket, as_user
) -> None:
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    client = as_user(charlie)
    assert send(client, ("1.txt", words(1)), ticket=ticket.pk, key="k1").status_code == 201
    services.remove_participant(ticket=ticket, user_id=charlie.pk, actor=sam, at=timezone.now())
    assert send(client, ("1.txt", words(1)), ticket=ticket.pk, key="k1").status_code == 404


# --- Over sockets ----------------------------------------------------------------------


async def test_customers_and_staff_hear_of_files_as_their_logs_have_it(
    alice, bob, ticket, scanner
) -> None:
    async with signed_in(alice) as customer, signed_in(bob) as agent:
        await customer.join(ticket)
        await agent.join(ticket)
        await in_database(put, bob, ticket, SECRET, is_internal=True)
        file = await in_database(put, alice, ticket, "open.txt")
        await in_database(sweep)
        await in_database(file_services.remove, file=file, actor=bob, at=timezone.now())
        heard = [await customer.event(kind) for kind in (ATTACHED, SCANNED, PREVIEWED, REMOVED)]
        first = heard[0]["seq"]
        assert [event["seq"] for event in heard] == list(range(first, first + 4))
        assert {event["data"]["file"]["filename"] for event in heard} == {"open.txt"}
        assert heard[1]["data"]["file"]["scan_status"] == "clean"
        named = [
            (await agent.event(kind))["data"]["file"]["filename"]
            for kind in (ATTACHED, ATTACHED, SCANNED, SCANNED, PREVIEWED, PREVIEWED, REMOVED)
        ]
        assert set(named[:2]) == set(named[2:4]) == set(named[4:6]) == {SECRET, "open.txt"}
        assert await customer.hears_nothing(ATTACHED)


async def test_a_message_over_the_socket_brings_its_files_to_everybody(alice, bob, ticket) -> None:
    pk = str((await in_database(put, alice, None)).pk)
    async with signed_in(alice) as customer, signed_in(bob) as agent:
        await agent.join(ticket)
        data = {"ticket": ticket.pk, "body": "See", "client_msg_id": "m1", "attachments": [pk]}
        first = await customer.done("message.send", **data)
        assert [file["id"] for file in first["message"]["attachments"]] == [pk]
        event = await agent.event("message.created")
        assert event["data"]["message"]["attachments"] == first["message"]["attachments"]
        assert (await agent.event(ATTACHED))["seq"] == event["seq"] + 1
        assert await customer.done("message.send", **data) == first
        code = await customer.refused("message.send", **{**data, "attachments": []})
        assert code == "idempotency_conflict"
        assert await agent.hears_nothing("message.created")


async def test_whoever_comes_back_hears_what_they_missed_of_files(alice, bob, ticket, scanner):
    async with signed_in(alice) as socket:
        joined = await socket.done("room.join", ticket=ticket.pk)
    await in_database(put, bob, ticket, SECRET, is_internal=True)
    await in_database(put, alice, ticket, "open.txt")
    await in_database(sweep)
    async with signed_in(alice) as socket:
        missed = await socket.join(ticket, last_seq=joined["head"], epoch=joined["epoch"])
    assert [event["event"] for event in missed] == [ATTACHED, SCANNED, PREVIEWED]
    seqs = [event["seq"] for event in missed]
    assert seqs == list(range(joined["head"] + 1, joined["head"] + 4))


async def test_of_a_real_server_everybody_hears_in_order(alice, bob, ticket, tmp_path) -> None:
    """LiveClient holds each stream to have no hole, none twice."""
    of_alice, of_bob = [await in_database(token_of, who) for who in (alice, bob)]
    with lone_desk(tmp_path) as desk:
        async with (
            await LiveClient.connect(desk.address, token=of_alice) as customer,
            await LiveClient.connect(desk.address, token=of_bob) as agent,
        ):
            await customer.join(ticket.pk)
            await agent.join(ticket.pk)
            for n in range(5):
                token, name, is_internal = (
                    (of_bob, SECRET, "true") if n % 2 else (of_alice, f"{n}.txt", "false")
                )
                status, _ = await in_database(
                    send_over_http,
                    desk.address,
                    token,
                    (name, words(n)),
                    ticket=ticket.pk,
                    internal=is_internal,
                )
                assert status == 201
            heads = await in_database(Ticket.objects.values_list("last_seq", "last_public_seq").get)
            await agent.reaches(ticket.pk, heads[0])
            await customer.reaches(ticket.pk, heads[1])
            heard = [[e["event"] for e in who.events(ticket.pk)] for who in (customer, agent)]
            assert [events.count(ATTACHED) for events in heard] == [3, 5]


def test_every_kind_that_tells_of_files_is_told(alice, ticket) -> None:
    """So that a new one is not forgotten here."""
    kinds = {kind.value for kind in Kind if kind.value.startswith("file.")}
    assert kinds == {ATTACHED, SCANNED, PREVIEWED, REMOVED}
    assert not TicketEvent.objects.filter(kind__in=kinds).exists()
