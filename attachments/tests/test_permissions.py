"""Who may do what with whose file: two tables, each cell of them tried at every door.

What somebody may not know of answers as if there were nothing, whatever they send along: 404, to
the letter the answer to an id that nobody has. What they see but may not do answers 403.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import create_user, update_agent, update_user
from attachments import services as file_services
from attachments.models import Attachment, Blob
from attachments.services.previewing import forget
from attachments.tests.desk_of_files import draft_of, finish, keep, picture, send
from realtime.database import in_database
from realtime.tests.sockets import signed_in
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Message, Ticket, TicketEvent

pytestmark = pytest.mark.once

# gone: deactivated, and a participant until then. former: a participant when they uploaded "lost".
READS = """
                   anonymous gone stranger former requester participant team other_team supervisor
    requesters           401  401      404    404       200         200  200        404        200
    old                  401  401      404    404       200         200  200        404        200
    participants         401  401      404    404       200         200  200        404        200
    lost                 401  401      404    404       200         200  200        404        200
    agents               401  401      404    404       200         200  200        404        200
    notes                401  401      404    404       404         404  200        404        200
    internal             401  401      404    404       404         404  200        404        200
    draft_requester      401  401      404    404       200         404  404        404        404
    draft_former         401  401      404    200       404         404  404        404        404
    draft_team           401  401      404    404       404         404  200        404        404
    removed              401  401      404    404       404         404  404        404        404
    nobodys              401  401      404    404       404         404  404        404        404
"""
TAKES_AWAY = """
                   anonymous gone stranger former requester participant team other_team supervisor
    requesters           401  401      404    404       204         403  204        404        204
    old                  401  401      404    404       403         403  204        404        204
    participants         401  401      404    404       403         204  204        404        204
    lost                 401  401      404    404       403         403  204        404        204
    agents               401  401      404    404       403         403  204        404        204
    notes                401  401      404    404       404         404  204        404        204
    internal             401  401      404    404       404         404  204        404        204
    draft_requester      401  401      404    404       204         404  404        404        404
    draft_former         401  401      404    204       404         404  404        404        404
    draft_team           401  401      404    404       404         404  204        404        404
    removed              401  401      404    404       404         404  404        404        404
    nobodys              401  401      404    404       404         404  404        404        404
"""
# What is asked of the ticket itself.
USES_TICKET = """
                   anonymous gone stranger former requester participant team other_team supervisor
    list                 401  401      404    404       200         200  200        404        200
    upload               401  401      404    404       201         201  201        404        201
    upload_internal      401  401      404    404       400         400  201        404        201
    reply_with_own       401  401      404    404       201         201  201        404        201
    reply_with_others    401  401      404    404       400         400  400        404        400
    validate             401  401      200    200       200         200  200        200        200
"""


def rows_of(table: str) -> dict[str, dict[str, int]]:
    """`{row: {person: status}}`"""
    first, *lines = table.strip().splitlines()
    people = first.split()
    rows = (line.split() for line in lines)
    return {row: dict(zip(people, map(int, cells), strict=True)) for row, *cells in rows}


READING, REMOVING, USING = map(rows_of, (READS, TAKES_AWAY, USES_TICKET))
PEOPLE = list(READING["requesters"])
# The suite tries the conditions of one of the three kinds of bytes with each file and person, in
# turn; `make chaos` of all.
IN_TURN = "FILE_KILLS" not in os.environ
ON_TICKET = ["requesters", "old", "participants", "lost", "agents", "notes", "internal"]


@dataclass
class Desk:
    """One ticket of a team's, and a file of every kind on it and beside it."""

    ticket: Ticket
    people: dict[str, User]
    files: dict[str, Attachment] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    def id_of(self, file: str) -> str:
        return str(self.files[file].pk)


@pytest.fixture
def desk(alice, charlie, dana, sam, as_user, anonymous) -> Desk:
    at = timezone.now() - timedelta(minutes=30)
    team = Team.objects.create(name="Network")
    update_agent(agent=dana.agent, teams=[team], at=at)
    erin = create_user(username="erin", name="Erin", role=Role.AGENT)
    update_agent(agent=erin.agent, teams=[Team.objects.create(name="Printers")], at=at)
    made = {name: create_user(username=name) for name in ("gone", "former", "friend")}
    people = {
        "gone": made["gone"],
        "stranger": charlie,
        "former": made["former"],
        "requester": alice,
        "participant": made["friend"],
        "team": dana,
        "other_team": erin,
        "supervisor": sam,
    }
    ticket = services.open_ticket(
        requester=alice, actor=alice, subject="The printer", team=team, at=at
    )
    for guest in made.values():
        services.add_participant(ticket=ticket, user=guest, actor=sam, at=at)
    desk = Desk(ticket, people)
    desk.clients = {"anonymous": anonymous, **{name: as_user(who) for name, who in people.items()}}
    _put_files(desk, at)
    services.remove_participant(ticket=ticket, user_id=made["former"].pk, actor=sam, at=at)
    update_user(user=made["gone"], actor=sam, at=timezone.now(), is_active=False)
    finish()
    return desk


def _put_files(desk: Desk, then: datetime) -> None:
    content, ticket, people = picture(), desk.ticket, desk.people

    def new(name: str, who: str, *, is_draft: bool = False, **options: Any) -> None:
        options["ticket"] = None if is_draft else ticket
        (file,) = keep(people[who], (f"{name}.png", content), **options)
        desk.files[name] = file

    new("requesters", "requester")
    new("old", "requester", at=then)
    new("participants", "participant")
    new("lost", "former")
    new("agents", "team")
    new("internal", "team", is_internal=True)
    new("notes", "team", is_draft=True)
    services.post_message(
        ticket=ticket,
        author=people["team"],
        body=INTERNAL_CANARY,
        is_internal=True,
        attachments=[desk.files["notes"].pk],
        at=timezone.now(),
    )
    new("draft_requester", "requester", is_draft=True)
    new("draft_former", "former", is_draft=True)
    new("draft_team", "team", is_draft=True)
    new("removed", "requester")
    file_services.remove(file=desk.files["removed"], actor=people["supervisor"], at=timezone.now())
    desk.files["nobodys"] = Attachment(pk=uuid4(), sha256=desk.files["old"].sha256)


# --- Reading ---------------------------------------------------------------------------

Door = tuple[str, str, dict[str, str], int]


def doors(etags: dict[str, str], turn: int | None = None) -> Iterator[Door]:
    """Method, what follows the file's address, headers, and the status where it may be read."""
    yield "get", "", {}, 200
    yield "get", "", {"HTTP_IF_NONE_MATCH": etags["/download"]}, 200
    for number, (path, etag) in enumerate(etags.items()):
        a_part = {"HTTP_RANGE": "bytes=0-3"}
        yield "get", path, {}, 200
        yield "head", path, {}, 200
        if IN_TURN and turn is not None and number != turn % len(etags):
            continue
        yield "get", path, {"HTTP_IF_NONE_MATCH": etag}, 304
        yield "get", path, {"HTTP_IF_NONE_MATCH": "*"}, 304
        yield "head", path, {"HTTP_IF_NONE_MATCH": etag}, 304
        yield "get", path, {"HTTP_IF_MATCH": '"another"'}, 412
        yield "get", path, a_part, 206
        yield "get", path, {**a_part, "HTTP_IF_RANGE": etag}, 206
        yield "get", path, {**a_part, "HTTP_IF_RANGE": '"another"'}, 200
        yield "get", path, {"HTTP_RANGE": "bytes=99999999-"}, 416
    yield "get", "/thumbnail?size=1024", {}, 200
    yield "get", "/thumbnail?size=77", {}, 400
    yield "get", "/download?disposition=sideways", {}, 400


# What says something of the bytes, if only that there are some.
TELLING = ("ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "Retry-After")


def etags_of(desk: Desk) -> dict[str, str]:
    """Those that somebody has from when they were allowed to look."""
    client, address = desk.clients["supervisor"], f"/api/files/{desk.id_of('old')}"
    return {
        path: client.get(f"{address}{path}")["ETag"]
        for path in ("/download", "/preview", "/thumbnail")
    }


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def assert_says_nothing(answer: Any, door: Door, like: Any) -> None:
    """As if there were no such file."""
    assert answer.status_code == like.status_code, door
    assert body_of(answer) == body_of(like), door
    assert [name for name in TELLING if name in answer] == [], door


def ask(client: Any, pk: object, door: Door) -> Any:
    method, path, headers, _ = door
    return getattr(client, method)(f"/api/files/{pk}{path}", **headers)


@pytest.mark.parametrize("who", PEOPLE)
def test_who_reads_what(desk: Desk, who: str) -> None:
    client, etags = desk.clients[who], etags_of(desk)
    nothing = {str(door): ask(client, uuid4(), door) for door in doors(etags)}
    for turn, (name, cells) in enumerate(READING.items(), start=PEOPLE.index(who)):
        for door in doors(etags, turn):
            answer = ask(client, desk.id_of(name), door)
            if cells[who] == 200:
                assert answer.status_code == door[-1], (name, door)
                body_of(answer)
            else:
                assert answer.status_code == cells[who], (name, door)
                assert_says_nothing(answer, door, like=nothing[str(door)])


def test_what_is_listed_is_what_may_be_read(desk: Desk) -> None:
    for who in PEOPLE:
        client = desk.clients[who]
        answer = client.get(f"/api/files/ticket/{desk.ticket.pk}")
        assert answer.status_code == USING["list"][who], who
        if answer.status_code != 200:
            continue
        readable = {desk.id_of(name) for name in ON_TICKET if READING[name][who] == 200}
        assert {file["id"] for file in answer.json()["results"]} == readable, who
        said = client.get(f"/api/tickets/{desk.ticket.pk}/messages").json()["results"]
        shown = {file["id"] for message in said for file in message["attachments"]}
        assert shown == ({desk.id_of("notes")} & readable), who


# --- Taking away -----------------------------------------------------------------------


@pytest.mark.parametrize("who", PEOPLE)
def test_who_takes_away_what(desk: Desk, who: str) -> None:
    client = desk.clients[who]
    for name, cells in REMOVING.items():
        before = set(Attachment.objects.present().values_list("pk", flat=True))
        events = TicketEvent.objects.count()
        answer = client.delete(f"/api/files/{desk.id_of(name)}")
        assert answer.status_code == cells[who], name
        after = set(Attachment.objects.present().values_list("pk", flat=True))
        if cells[who] == 204:
            assert before - after == {desk.files[name].pk}
            assert client.delete(f"/api/files/{desk.id_of(name)}").status_code == 404
            continue
        assert (after, TicketEvent.objects.count()) == (before, events)
        if cells[who] == 404:
            assert answer.json() == client.delete(f"/api/files/{uuid4()}").json()


@pytest.mark.parametrize(("minutes", "status"), [(14, 204), (16, 403)])
def test_who_uploaded_may_take_it_back_for_a_quarter_of_an_hour(
    alice, as_user, minutes, status
) -> None:
    then = timezone.now() - timedelta(minutes=minutes)
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=then)
    (file,) = keep(alice, ("a.txt", b"words"), ticket=ticket, at=then)
    assert as_user(alice).delete(f"/api/files/{file.pk}").status_code == status


def test_the_quarter_begins_when_a_draft_is_sent(alice, as_user) -> None:
    now = timezone.now()
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=now)
    (file,) = keep(alice, ("a.txt", b"words"), at=now - timedelta(hours=20))
    services.post_message(ticket=ticket, author=alice, body="x", attachments=[file.pk], at=now)
    assert as_user(alice).delete(f"/api/files/{file.pk}").status_code == 204


# --- The ticket ------------------------------------------------------------------------


@pytest.mark.parametrize("internal", [False, True])
def test_who_uploads_to_the_ticket(desk: Desk, internal: bool) -> None:
    for who in PEOPLE:
        before = Attachment.objects.count()
        answer = send(
            desk.clients[who],
            ("new.txt", b"words"),
            ticket=desk.ticket.pk,
            internal=str(internal).lower(),
        )
        expected = USING["upload_internal" if internal else "upload"][who]
        assert answer.status_code == expected, (who, answer.content)
        assert Attachment.objects.count() == before + (expected == 201), who


def test_who_asks_beforehand(desk: Desk) -> None:
    for who in PEOPLE:
        body = {"filename": "a.txt", "size": 10}
        answer = desk.clients[who].post("/api/files/validate", body)
        assert answer.status_code == USING["validate"][who], who


def own_draft(desk: Desk, who: str) -> str:
    """Of people who are not there (any more): one of somebody else's."""
    if who in ("anonymous", "gone"):
        return desk.id_of("draft_requester")
    return draft_of(desk.clients[who])


def others_files(desk: Desk, who: str) -> list[str]:
    """Whatever is not theirs to send: of others, on the ticket or not, and of nobody."""
    own = {
        "requester": {"requesters", "old", "draft_requester"},
        "participant": {"participants"},
        "former": {"lost", "draft_former"},
        "team": {"agents", "notes", "internal", "draft_team"},
    }
    return [desk.id_of(name) for name in READING if name not in own.get(who, set())]


@pytest.mark.parametrize("who", PEOPLE)
def test_who_sends_a_file_with_a_reply(desk: Desk, who: str) -> None:
    client, address = desk.clients[who], f"/api/tickets/{desk.ticket.pk}/messages"
    answer = client.post(address, {"body": "x", "attachments": [own_draft(desk, who)]})
    assert answer.status_code == USING["reply_with_own"][who]
    said = Message.objects.count()
    refusals = set()
    for pk in others_files(desk, who):
        answer = client.post(address, {"body": "x", "attachments": [pk]})
        assert answer.status_code == USING["reply_with_others"][who]
        refusals.add(answer.content)
    assert len(refusals) == 1, "the answer tells a file from none"
    assert Message.objects.count() == said


@pytest.mark.parametrize("who", [who for who in PEOPLE if who not in ("anonymous", "gone")])
async def test_who_sends_a_file_over_the_socket(desk: Desk, who: str) -> None:
    own = await in_database(own_draft, desk, who)
    async with signed_in(desk.people[who]) as socket:

        async def sends(pk: str, name: str) -> dict[str, Any]:
            data = {"ticket": desk.ticket.pk, "body": "x", "client_msg_id": name}
            while True:
                answer: dict[str, Any] = await socket.ask("message.send", **data, attachments=[pk])
                if answer.get("code") != "rate_limited":
                    return answer
                await asyncio.sleep(answer["retry_after_ms"] / 1000)

        answer = await sends(own, "own")
        if USING["reply_with_own"][who] == 404:
            assert answer["code"] == "not_found"
        else:
            assert [file["id"] for file in answer["data"]["message"]["attachments"]] == [own]
        refusals = set()
        for pk in others_files(desk, who):
            answer = await sends(pk, pk)
            refusals.add(json.dumps({**answer, "re": ""}, sort_keys=True))
        assert len(refusals) == 1, "the answer tells a file from none"
        expected = "not_found" if USING["reply_with_others"][who] == 404 else "validation_failed"
        assert json.loads(refusals.pop())["code"] == expected


def test_what_is_internal_goes_with_no_reply_and_what_is_public_with_no_note(desk: Desk) -> None:
    """Else customers would see the one, and have seen the other."""
    client, address = desk.clients["team"], f"/api/tickets/{desk.ticket.pk}/messages"
    for name, is_note in (("internal", False), ("agents", True)):
        body = {"body": "x", "attachments": [desk.id_of(name)], "internal": is_note}
        assert client.post(address, body).status_code == 400
    log = desk.clients["requester"].get(f"/api/tickets/{desk.ticket.pk}/events").json()["results"]
    told = [event["data"]["file"] for event in log if event["event"].startswith("file.")]
    assert {file["internal"] for file in told} == {False}


# --- What the scanner says -------------------------------------------------------------

UNREADABLE = {
    # The scanner's word, in each mode: the code that whoever sees the file gets, or "".
    "infected": {"off": "file_infected", "open": "file_infected", "closed": "file_infected"},
    "pending": {"off": "", "open": "", "closed": "scan_pending"},
    "failed": {"off": "", "open": "", "closed": "scan_pending"},
    "skipped": {"off": "", "open": "", "closed": "scan_skipped"},
    "clean": {"off": "", "open": "", "closed": ""},
}


@pytest.mark.parametrize("state", sorted(UNREADABLE))
def test_what_the_scanner_has_not_cleared_is_told_to_those_who_see_it(
    desk: Desk, state: str, settings
) -> None:
    etags = etags_of(desk)
    blob = desk.files["old"].blob
    assert blob is not None
    Blob.objects.filter(pk=blob.pk).update(scan_status=state, scan_due_at=timezone.now())
    people = ("anonymous", "stranger", "former", "requester", "supervisor")
    for turn, (mode, who) in enumerate(product(UNREADABLE[state], people)):
        settings.SCAN_MODE = mode
        expected = READING["old"][who]
        for door in doors(etags, None if expected == 200 else turn):
            answer = ask(desk.clients[who], desk.id_of("old"), door)
            if expected != 200:
                assert answer.status_code == expected, (mode, who, door)
            else:
                assert_is_as_scanned(answer, door, state, UNREADABLE[state][mode])


def assert_is_as_scanned(answer: Any, door: Door, state: str, code: str) -> None:
    """Refused with the code, if there is one."""
    method, path, _, where_allowed = door
    if not path:
        assert answer.json()["scan_status"] == state
    elif not code:
        assert answer.status_code == where_allowed, door
    else:
        assert answer.status_code == 403, door
        assert ("Retry-After" in answer) is (code == "scan_pending"), door
        assert [name for name in TELLING[:-1] if name in answer] == [], door
        if method == "get":
            assert answer.json()["code"] == code, door


def test_of_what_is_infected_nothing_can_be_seen_and_all_else_goes_on(desk: Desk) -> None:
    blob = Blob.objects.get()
    Blob.objects.update(scan_status=Blob.Scan.INFECTED, scan_due_at=None)
    with transaction.atomic():
        forget(blob, timezone.now())
    client, address = desk.clients["requester"], f"/api/files/{desk.id_of('old')}"
    shown = client.get(address).json()
    assert (shown["scan_status"], shown["preview_status"]) == ("infected", "none")
    assert shown["links"]["thumbnail"] is None
    assert client.get(f"/api/files/ticket/{desk.ticket.pk}").status_code == 200
    assert client.delete(f"/api/files/{desk.id_of('requesters')}").status_code == 204


# --- The same content elsewhere --------------------------------------------------------


def test_to_have_the_same_bytes_is_no_right_to_anybodys_file(desk: Desk) -> None:
    client = desk.clients["stranger"]
    own = draft_of(client, "mine.png", picture())
    assert Blob.objects.count() == 1
    etag = client.get(f"/api/files/{own}/download")["ETag"]
    for name in ("old", "notes", "draft_requester"):
        address = f"/api/files/{desk.id_of(name)}/download"
        assert client.get(address, HTTP_IF_NONE_MATCH=etag).status_code == 404
    # Nor does it say that somebody else has them: as for a file of one's own only.
    assert client.delete(f"/api/files/{own}").status_code == 204
    assert client.get(f"/api/files/{own}/download").status_code == 404
    assert desk.clients["requester"].get(f"/api/files/{desk.id_of('old')}").status_code == 200
