"""Files go with a merger, to whoever sees the survivor, and its log says so."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import create_user, update_agent
from attachments import services as file_services
from attachments.models import Attachment
from attachments.services import news
from attachments.tests.desk_of_files import draft_of, keep, send, with_limits, words
from realtime.database import in_database
from realtime.tests.sockets import signed_in
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.models import Kind, Ticket, TicketEvent

SECRET = f"{INTERNAL_CANARY}.txt"


@pytest.fixture
def at():
    return timezone.now()


def agent_of(team: Team, name: str) -> User:
    user = create_user(username=name, name=name.title(), role=Role.AGENT)
    update_agent(agent=user.agent, teams=[team], at=timezone.now())
    return user


@pytest.fixture
def printers(db) -> Team:
    return Team.objects.create(name="Printers")


@pytest.fixture
def dana(printers) -> User:
    """Of the source's team only."""
    return agent_of(printers, "dana")


@pytest.fixture
def erin(team) -> User:
    """Of the survivor's team only."""
    return agent_of(team, "erin")


@pytest.fixture
def source(alice, printers, at) -> Ticket:
    return services.open_ticket(requester=alice, actor=alice, subject="Smoke", team=printers, at=at)


@pytest.fixture
def survivor(charlie, team, at) -> Ticket:
    return services.open_ticket(
        requester=charlie, actor=charlie, subject="More smoke", team=team, at=at
    )


def merge(source: Ticket, survivor: Ticket, actor: User) -> None:
    services.merge(source=source, into=survivor, actor=actor, at=timezone.now())


def names_of(client, ticket: Ticket) -> list[str]:
    files = client.get(f"/api/files/ticket/{ticket.pk}").json()["results"]
    return [file["filename"] for file in files]


def test_files_follow_in_the_order_in_which_they_came(
    alice, charlie, dana, sam, source, survivor, as_user, at
) -> None:
    for n, (who, place) in enumerate([(alice, source), (charlie, survivor), (alice, source)]):
        keep(who, (f"{n}.txt", words(n)), ticket=place, at=at + timedelta(seconds=n))
    keep(dana, (SECRET, words("x")), ticket=source, is_internal=True, at=at + timedelta(seconds=9))

    merge(source, survivor, sam)

    assert names_of(as_user(sam), survivor) == ["0.txt", "1.txt", "2.txt", SECRET]
    assert names_of(as_user(charlie), survivor) == ["0.txt", "1.txt", "2.txt"]
    assert names_of(as_user(sam), source) == []


def test_who_sees_the_survivor_sees_them_and_nobody_else(
    alice, dana, erin, sam, source, survivor, as_user
) -> None:
    (public,) = keep(alice, ("open.txt", words(1)), ticket=source)
    (secret,) = keep(dana, (SECRET, words(2)), ticket=source, is_internal=True)
    statuses = {}
    for when in ("before", "after"):
        for who in (alice, dana, erin, sam):
            for file in (public, secret):
                for path in ("", "/download"):
                    answer = as_user(who).get(f"/api/files/{file.pk}{path}")
                    statuses[when, who.username, file.filename, path] = answer.status_code
        if when == "before":
            merge(source, survivor, sam)
    for path in ("", "/download"):
        seen = {key[:3]: status for key, status in statuses.items() if key[3] == path}
        assert seen == {
            ("before", "alice", "open.txt"): 200,
            ("before", "alice", SECRET): 404,
            ("before", "dana", "open.txt"): 200,
            ("before", "dana", SECRET): 200,
            ("before", "erin", "open.txt"): 404,
            ("before", "erin", SECRET): 404,
            ("before", "sam", "open.txt"): 200,
            ("before", "sam", SECRET): 200,
            # alice takes part in the survivor now.
            ("after", "alice", "open.txt"): 200,
            ("after", "alice", SECRET): 404,
            ("after", "dana", "open.txt"): 404,
            ("after", "dana", SECRET): 404,
            ("after", "erin", "open.txt"): 200,
            ("after", "erin", SECRET): 200,
            ("after", "sam", "open.txt"): 200,
            ("after", "sam", SECRET): 200,
        }


def test_the_survivors_log_says_that_they_came(
    alice, charlie, dana, sam, source, survivor, as_user
):
    keep(alice, ("open.txt", words(1)), ticket=source)
    keep(dana, (SECRET, words(2)), ticket=source, is_internal=True)
    (gone,) = keep(alice, ("gone.txt", words(3)), ticket=source)
    file_services.remove(file=gone, actor=sam, at=timezone.now())
    merge(source, survivor, sam)

    def attached(client, ticket):
        log = client.get(f"/api/tickets/{ticket.pk}/events").json()
        assert [event["seq"] for event in log["results"]] == list(range(1, log["head"] + 1))
        events = [event for event in log["results"] if event["event"] == "file.attached"]
        return [event["data"]["file"]["filename"] for event in events]

    assert attached(as_user(charlie), survivor) == ["open.txt"]
    assert attached(as_user(sam), survivor) == ["open.txt", SECRET]
    # What the source's log has said stays said.
    assert attached(as_user(sam), source) == ["open.txt", SECRET, "gone.txt"]
    assert attached(as_user(alice), source) == ["open.txt", "gone.txt"]


def test_messages_keep_their_files(alice, charlie, sam, source, survivor, as_user) -> None:
    client = as_user(alice)
    pk = draft_of(client)
    body = {"body": "See this", "attachments": [pk], "client_msg_id": "m1"}
    client.post(f"/api/tickets/{source.pk}/messages", body)
    merge(source, survivor, sam)
    said = as_user(charlie).get(f"/api/tickets/{survivor.pk}/messages").json()["results"]
    (message,) = [each for each in said if each["body"] == "See this"]
    assert [file["id"] for file in message["attachments"]] == [pk]
    assert message["attachments"][0]["ticket"] == survivor.pk
    # Sent again, to the old address, it is the same message still.
    again = client.post(f"/api/tickets/{source.pk}/messages", body)
    assert again.status_code == 200, again.content


def test_drafts_go_to_the_survivor_with_a_message_to_the_source(
    alice, sam, source, survivor, as_user
) -> None:
    client = as_user(alice)
    pk = draft_of(client)
    merge(source, survivor, sam)
    body = {"body": "And this", "attachments": [pk]}
    assert client.post(f"/api/tickets/{source.pk}/messages", body).status_code == 201
    assert client.get(f"/api/files/{pk}").json()["ticket"] == survivor.pk


def test_what_was_merged_takes_no_files_itself(alice, sam, source, survivor, as_user) -> None:
    merge(source, survivor, sam)
    answer = send(as_user(alice), ("a.txt", words(1)), ticket=source.pk)
    assert (answer.status_code, answer.json()["code"]) == (409, "ticket_merged")
    assert not Attachment.objects.exists()


def test_a_merger_never_loses_files_for_want_of_room(
    alice, charlie, sam, source, survivor, as_user, settings
) -> None:
    settings.ATTACHMENTS = with_limits(files_per_ticket=3)
    for who, place in ((alice, source), (charlie, survivor)):
        keep(who, *((f"{n}.txt", words((who.pk, n))) for n in range(3)), ticket=place)
    merge(source, survivor, sam)
    assert len(names_of(as_user(sam), survivor)) == 6
    answer = send(as_user(charlie), ("7.txt", words(7)), ticket=survivor.pk)
    assert answer.json()["code"] == "too_many_files"


def test_who_uploaded_may_take_it_back_from_the_survivor(
    alice, sam, source, survivor, as_user
) -> None:
    (new,) = keep(alice, ("new.txt", words(1)), ticket=source)
    (old,) = keep(
        alice, ("old.txt", words(2)), ticket=source, at=timezone.now() - timedelta(minutes=16)
    )
    merge(source, survivor, sam)
    client = as_user(alice)
    assert client.delete(f"/api/files/{new.pk}").status_code == 204
    assert client.delete(f"/api/files/{old.pk}").status_code == 403
    removed = TicketEvent.objects.get(kind=Kind.FILE_REMOVED)
    assert removed.ticket_id == survivor.pk


def test_what_is_found_out_later_is_told_to_the_survivor(alice, sam, source, survivor) -> None:
    (file,) = keep(alice, ("a.txt", words(1)), ticket=source)
    Attachment.objects.update(is_scan_untold=True)
    merge(source, survivor, sam)
    assert news.tell_ticket(source.pk) is False
    assert file.blob_id is not None
    news.tell(file.blob_id)
    assert TicketEvent.objects.get(kind=Kind.FILE_SCANNED).ticket_id == survivor.pk


async def test_the_survivors_room_hears_of_them(alice, charlie, dana, sam, source, survivor):
    await in_database(keep, alice, ("open.txt", words(1)), ticket=source)
    await in_database(keep, dana, (SECRET, words(2)), ticket=source, is_internal=True)
    async with signed_in(charlie) as customer, signed_in(sam) as staff:
        await customer.join(survivor)
        await staff.join(survivor)
        await in_database(merge, source, survivor, sam)
        event = await customer.event("file.attached")
        assert event["data"]["file"]["filename"] == "open.txt"
        assert event["data"]["file"]["ticket"] == survivor.pk
        named = [(await staff.event("file.attached"))["data"]["file"]["filename"] for _ in "ab"]
        assert named == ["open.txt", SECRET]
        assert await customer.hears_nothing("file.attached")
