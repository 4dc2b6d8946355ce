"""What many do with files at once, on PostgreSQL and on SQLite: real threads, and a real server.

Each of these fails without the lock or the condition that decides it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import Http404
from django.utils import timezone

from agents.models import User
from attachments import services as file_services
from attachments.models import Attachment, Blob, DailyUse, LooseBytes, Preview
from attachments.received import Received
from attachments.refusals import FileRefused
from attachments.scanning import scan
from attachments.services import news, previewing, quota, scanning
from attachments.services.attaching import attach
from attachments.services.purging import delete_loose
from attachments.sweeps import render_previews, scan_attachments, tell_of_files
from attachments.tests.clamd_server import clamd
from attachments.tests.desk_of_files import (
    MB,
    assert_nothing_lost,
    assert_tidy,
    bytes_of,
    keep,
    purge_all,
    send_over_http,
    with_limits,
    words,
)
from realtime.tests.cluster import lone_desk, token_of
from servicedesk.errors import FieldError
from servicedesk.sweeps import drain
from servicedesk.tests import contract
from tickets import services
from tickets.events import record
from tickets.locks import lock_ticket
from tickets.models import Kind, Message, Ticket, TicketEvent
from tickets.tests.state import assert_consistent
from tickets.tests.test_races import Meeting, at_once, client_of

pytestmark = pytest.mark.usefixtures("db")
# SQLite lets one write at a time: there are fewer orders in which two can meet.
ROUNDS = 15 if connection.vendor == "postgresql" else 5


@pytest.fixture(autouse=True, scope="module")
def _document() -> None:
    """Clients hold answers against the OpenAPI document, which must not be made by many at once."""
    contract.document()


@pytest.fixture
def ticket(alice) -> Ticket:
    return new_ticket(alice)


def new_ticket(requester: User) -> Ticket:
    return services.open_ticket(
        requester=requester, actor=requester, subject="The printer", at=timezone.now()
    )


def kinds_of(answers: list[Any]) -> Counter[str]:
    """How often each kind of answer came; anything but these is a defect."""
    return Counter(type(answer).__name__ for answer in answers)


def assert_settled() -> None:
    """Files and logs are whole, and after the sweeps nothing lies about."""
    assert_nothing_lost()
    purge_all(timezone.now() + timedelta(hours=2))
    assert_tidy()
    assert_consistent(announced=False)


# --- Room for three --------------------------------------------------------------------

SIZE = MB // 4
ROOMS: dict[str, dict[str, Any]] = {
    "bytes of a day": {"daily_mb": 3 * SIZE / MB},
    "bytes of a category": {"text": {"daily_mb": 3 * SIZE / MB}},
    "files of a ticket": {"files_per_ticket": 3},
    "files of a category": {"text": {"files_per_ticket": 3}},
    "drafts": {"drafts_per_user": 3},
}
CODES = {"bytes": "quota_exceeded", "files": "too_many_files", "drafts": "too_many_files"}


@pytest.mark.parametrize("room", ROOMS)
def test_of_ten_uploads_at_once_exactly_those_that_fit_are_taken(
    alice, ticket, room, settings
) -> None:
    settings.ATTACHMENTS = with_limits(**ROOMS[room])
    onto = None if room == "drafts" else ticket

    answers = at_once(
        *(partial(keep, alice, (f"{n}.txt", words(n, SIZE)), ticket=onto) for n in range(10))
    )

    taken = [answer for answer in answers if isinstance(answer, list)]
    refused = [answer for answer in answers if isinstance(answer, FileRefused)]
    assert (len(taken), len(refused)) == (3, 7), answers
    assert {each.code for each in refused} == {CODES[room.split()[0]]}
    assert Attachment.objects.count() == Blob.objects.count() == 3
    assert set(DailyUse.objects.values_list("used", flat=True)) == {3 * SIZE}
    told = TicketEvent.objects.filter(kind=Kind.FILE_ATTACHED).count()
    assert told == (0 if onto is None else 3)
    assert_settled()


def test_many_people_fill_one_ticket_and_no_further(ticket, alice, sam, bob, dana, settings):
    settings.ATTACHMENTS = with_limits(files_per_ticket=3)
    people = [alice, sam, bob, dana] * 3
    answers = at_once(
        *(partial(keep, who, (f"{n}.txt", words(n)), ticket=ticket) for n, who in enumerate(people))
    )
    assert kinds_of(answers) == {"list": 3, "TooManyFiles": 9}
    assert_settled()


def test_several_files_each_at_once_fill_what_there_is(alice, ticket, settings) -> None:
    """Of the files of one request those that fit are taken."""
    settings.ATTACHMENTS = with_limits(files_per_ticket=10)

    def send(first: int) -> int:
        at = timezone.now()
        received = [Received.of(f"{n}.txt", words(first + n)) for n in range(3)]
        stored, _ = file_services.store(received, uploader=alice, at=at)
        return len(file_services.take(stored, uploader=alice, ticket=ticket, at=at).files)

    answers = at_once(*(partial(send, 10 * n) for n in range(6)))
    assert sum(answers) == Attachment.objects.count() == 10, answers
    assert_settled()


def test_two_who_use_both_limits_in_either_order_do_not_wait_for_each_other(
    alice, settings
) -> None:
    """One limit counts for all categories, one for texts alone; what was changed last lies last
    in the table, and would be met last."""
    settings.ATTACHMENTS = with_limits(text={"daily_mb": 100})
    for n in range(ROUNDS):
        answers = at_once(
            partial(keep, alice, (f"{n}.eml", MAIL), ("a.txt", words((n, 1)))),
            partial(keep, alice, ("b.txt", words((n, 2))), (f"{n}.eml", MAIL)),
        )
        assert kinds_of(answers) == {"list": 2}, answers
    assert DailyUse.objects.get(category="text").used == 2 * ROUNDS * 200


MAIL = b"From: a@desk.example\r\nTo: b@desk.example\r\nSubject: x\r\n\r\nHello\r\n"


# --- The same over HTTP, of a server as it ships ---------------------------------------


@pytest.mark.parametrize("room", ["bytes of a day", "files of a ticket", "drafts"])
def test_of_ten_requests_at_once_a_server_takes_those_that_fit(alice, room, tmp_path, settings):
    """Limits are as shipped; all but the room for three is used up before."""
    then = timezone.now()
    ticket = None if room == "drafts" else new_ticket(alice)
    limits, token = settings.ATTACHMENTS, token_of(alice)
    if room == "bytes of a day":
        used = limits["daily_mb"] * MB - 3 * SIZE
        for day in (then, then + timedelta(days=1)):
            DailyUse.objects.create(user=alice, day=day.date(), category="", used=used)
    else:
        most = limits["drafts_per_user" if room == "drafts" else "files_per_ticket"]
        for start in range(0, most - 3, 20):
            some = [(f"{n}.txt", b"x") for n in range(start, min(start + 20, most - 3))]
            keep(alice, *some, ticket=ticket)
    before = Attachment.objects.count()
    fields = {} if ticket is None else {"ticket": ticket.pk}
    with lone_desk(tmp_path) as desk:
        answers = at_once(
            *(
                partial(
                    send_over_http, desk.address, token, (f"n{n}.txt", words(n, SIZE)), **fields
                )
                for n in range(10)
            )
        )
    assert Counter(status for status, _ in answers) == {201: 3, 413: 7}, answers
    codes = {body["code"] for status, body in answers if status == 413}
    assert codes == {CODES[room.split()[0]]}
    assert Attachment.objects.count() == before + 3
    assert_settled()


def test_a_server_that_many_send_the_same_content_keeps_it_once(alice, ticket, tmp_path) -> None:
    token, content = token_of(alice), words("same", MB)
    with lone_desk(tmp_path) as desk:
        answers = at_once(
            *(
                partial(
                    send_over_http, desk.address, token, (f"{n}.txt", content), ticket=ticket.pk
                )
                for n in range(10)
            )
        )
    assert [status for status, _ in answers] == [201] * 10, answers
    assert (Blob.objects.count(), Attachment.objects.count()) == (1, 10)
    assert_settled()


# --- One content, many hands -----------------------------------------------------------


def test_the_same_content_sent_by_ten_at_once_is_kept_once(alice, bob, sam) -> None:
    people = [alice, bob, sam, alice, bob, sam, alice, bob, sam, alice]
    content = words("same", MB)
    answers = at_once(*(partial(keep, who, (f"{n}.txt", content)) for n, who in enumerate(people)))
    assert kinds_of(answers) == {"list": 10}, answers
    assert (Blob.objects.count(), Attachment.objects.count()) == (1, 10)
    assert all(bytes_of(file) == content for [file] in answers)
    assert LooseBytes.objects.count() == 9
    assert_settled()


def test_contents_in_any_order_do_not_wait_for_each_other(alice, bob) -> None:
    """Two requests with the same files, one the other way round."""
    for n in range(ROUNDS):
        files = [(f"{part}.txt", words((n, part))) for part in range(4)]
        answers = at_once(
            partial(keep, alice, *files),
            partial(keep, bob, *files[::-1]),
            partial(keep, alice, *files[2:], *files[:2]),
        )
        assert kinds_of(answers) == {"list": 3}, answers
    assert Blob.objects.count() == 4 * ROUNDS
    assert_settled()


@pytest.mark.parametrize("place", ["draft", "ticket"])
def test_a_content_that_comes_while_its_last_file_goes_stays(
    alice, bob, ticket, place, settings
) -> None:
    """With somebody tidying up all the time, to whom loose bytes mean nothing."""
    settings.ATTACHMENTS = with_limits(files_per_ticket=1000, drafts_per_user=1000)
    content, onto = words("again"), ticket if place == "ticket" else None
    is_over = threading.Event()

    def tidy_up() -> None:
        while not is_over.is_set():
            delete_loose(timezone.now(), 50)
            # SQLite lets no one in by turns.
            time.sleep(0.02)

    def rounds() -> None:
        (file,) = keep(alice, ("0.txt", content), ticket=onto)
        for n in range(2 * ROUNDS):
            remove = partial(file_services.remove, file=file, actor=alice, at=timezone.now())
            removed, kept = at_once(
                remove, partial(keep, bob if n % 2 else alice, ("n.txt", content), ticket=onto)
            )
            assert removed is None, repr(removed)
            assert isinstance(kept, list), repr(kept)
            (new,) = kept
            assert bytes_of(Attachment.objects.get(pk=new.pk)) == content
            file_services.remove(file=new, actor=new.uploaded_by, at=timezone.now())
            (file,) = keep(alice, ("n.txt", content), ticket=onto)
        is_over.set()

    def until_over(call: Callable[[], None]) -> Any:
        try:
            return call()
        finally:
            is_over.set()

    answers = at_once(tidy_up, partial(until_over, rounds))
    assert answers == [None, None]
    assert_settled()


def test_a_content_that_is_let_go_between_two_looks_is_written_anew(alice, monkeypatch) -> None:
    """Who keeps a content finds its row gone when they look again, and makes one themselves."""
    content = words("gone")
    (old,) = keep(alice, ("a.txt", content))
    meeting = Meeting(2)
    real = quota.open_day

    def open_day(*args: Any) -> None:
        real(*args)
        meeting.wait()

    monkeypatch.setattr(quota, "open_day", open_day)

    def remove() -> None:
        meeting.wait()
        file_services.remove(file=old, actor=alice, at=timezone.now())

    _, kept = at_once(remove, partial(keep, alice, ("b.txt", content)))
    assert isinstance(kept, list), repr(kept)
    assert bytes_of(kept[0]) == content
    assert_settled()


# --- One file, many hands --------------------------------------------------------------


def write(ticket: Ticket, author: User, *files: Attachment, **options: Any) -> Message:
    posted = services.post_message(
        ticket=ticket,
        author=author,
        body="See this",
        attachments=[file.pk for file in files],
        at=timezone.now(),
        **options,
    )
    return posted.message


def test_a_draft_goes_with_one_of_two_messages(alice, ticket) -> None:
    other = new_ticket(alice)
    for n in range(ROUNDS):
        (draft,) = keep(alice, (f"{n}.txt", words(n)))
        places = [ticket, other] if n % 2 else [ticket, ticket]
        answers = at_once(*(partial(write, place, alice, draft) for place in places))
        assert kinds_of(answers) == {"Message": 1, "FieldError": 1}, answers
        (message,) = [answer for answer in answers if isinstance(answer, Message)]
        draft.refresh_from_db()
        assert (draft.ticket_id, draft.message_id) == (message.ticket_id, message.pk)
    assert TicketEvent.objects.filter(kind=Kind.FILE_ATTACHED).count() == ROUNDS
    assert_settled()


def test_a_draft_that_is_sent_over_http_twice_goes_once(alice, ticket) -> None:
    """And nobody is told of a defect of ours."""
    for n in range(5):
        (draft,) = keep(alice, (f"{n}.txt", words(n)))
        body = {"body": "x", "attachments": [str(draft.pk)]}
        clients = [client_of(alice) for _ in range(6)]
        answers = at_once(
            *(partial(c.post, f"/api/tickets/{ticket.pk}/messages", body) for c in clients)
        )
        assert Counter(answer.status_code for answer in answers) == {201: 1, 400: 5}
    assert_settled()


def test_whoever_deletes_second_finds_nothing(alice, ticket) -> None:
    for n in range(5):
        onto = ticket if n % 2 else None
        (file,) = keep(alice, (f"{n}.txt", words(n)), ticket=onto)
        (_twin,) = keep(alice, (f"twin-{n}.txt", words(n)))
        clients = [client_of(alice) for _ in range(4)]
        answers = at_once(*(partial(c.delete, f"/api/files/{file.pk}") for c in clients))
        assert Counter(answer.status_code for answer in answers) == {204: 1, 404: 3}
    assert TicketEvent.objects.filter(kind=Kind.FILE_REMOVED).count() == 2
    assert_settled()


def test_a_file_that_is_removed_while_it_is_sent_is_gone(alice, ticket) -> None:
    """Either it is not there to be sent, or it is taken off the message that it went with."""
    for n in range(ROUNDS):
        (draft,) = keep(alice, (f"{n}.txt", words(n)))
        removed, sent = at_once(
            partial(file_services.remove, file=draft, actor=alice, at=timezone.now()),
            partial(write, ticket, alice, draft),
        )
        assert removed is None, repr(removed)
        assert isinstance(sent, (Message, FieldError)), repr(sent)
        assert not Attachment.objects.present().filter(pk=draft.pk).exists()
    told = Counter(TicketEvent.objects.values_list("kind", flat=True))
    assert told[Kind.FILE_ATTACHED] == told[Kind.FILE_REMOVED]
    assert_settled()


def test_a_file_that_is_removed_while_its_ticket_is_merged_is_gone(alice, sam) -> None:
    for n in range(ROUNDS):
        source, survivor = new_ticket(alice), new_ticket(alice)
        if n % 2:
            source, survivor = survivor, source
        gone, stays = keep(
            alice, ("gone.txt", words(n)), ("stays.txt", words((n, 1))), ticket=source
        )
        removed, merged = at_once(
            partial(file_services.remove, file=gone, actor=alice, at=timezone.now()),
            partial(services.merge, source=source, into=survivor, actor=sam, at=timezone.now()),
        )
        assert removed is None, repr(removed)
        assert isinstance(merged, Ticket), repr(merged)
        left = Attachment.objects.present().filter(ticket__in=[source, survivor])
        assert [(file.pk, file.ticket_id) for file in left] == [(stays.pk, survivor.pk)]
    assert_settled()


def test_a_file_that_moves_between_being_found_and_being_locked_is_removed(
    alice, sam, ticket, monkeypatch
) -> None:
    survivor = new_ticket(alice)
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    stale = Attachment.objects.get(pk=file.pk)
    services.merge(source=ticket, into=survivor, actor=sam, at=timezone.now())
    file_services.remove(file=stale, actor=alice, at=timezone.now())
    assert not Attachment.objects.present().exists()
    with pytest.raises(Http404):
        file_services.remove(file=stale, actor=alice, at=timezone.now())
    assert_settled()


def test_an_upload_onto_a_ticket_that_is_merged_meanwhile_is_refused_or_goes_along(
    alice, sam
) -> None:
    for n in range(ROUNDS):
        source, survivor = new_ticket(alice), new_ticket(alice)
        kept, merged = at_once(
            partial(keep, alice, ("a.txt", words(n)), ticket=source),
            partial(services.merge, source=source, into=survivor, actor=sam, at=timezone.now()),
        )
        assert isinstance(merged, Ticket), repr(merged)
        if isinstance(kept, list):
            assert Attachment.objects.get(pk=kept[0].pk).ticket_id == survivor.pk
        else:
            assert type(kept).__name__ == "TicketMerged", repr(kept)
    assert_settled()


# --- While the scanner looks -----------------------------------------------------------


@pytest.fixture
def scanner(settings):
    with clamd() as (settings.CLAMD, script):
        settings.SCAN_MODE = "closed"
        yield script


@pytest.mark.parametrize("place", ["draft", "ticket"])
def test_a_file_that_is_removed_while_it_is_scanned_is_told_of_no_more(
    alice, ticket, place, scanner, monkeypatch
) -> None:
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket if place == "ticket" else None)
    blob = Blob.objects.get()

    def look(*args: Any) -> Any:
        verdict = scan(*args)
        file_services.remove(file=file, actor=alice, at=timezone.now())
        return verdict

    monkeypatch.setattr(scanning, "scan", look)
    assert scanning.scan_blob(blob).handled == 0
    assert not TicketEvent.objects.filter(kind=Kind.FILE_SCANNED).exists()
    assert_settled()


def test_whatever_is_done_with_a_file_while_it_is_scanned_is_told_once(
    alice, bob, sam, ticket, scanner
) -> None:
    """Scanned, sent, merged, drawn and told of by several at once."""
    place = ticket
    for n in range(ROUNDS):
        twins = keep(alice, ("a.txt", words(n)), ("b.txt", words(n)))
        (other,) = keep(bob, ("c.txt", words(n)), ticket=place)
        survivor = new_ticket(alice)
        blob = Blob.objects.get(sha256=other.sha256)
        answers = at_once(
            partial(scanning.scan_blob, blob),
            partial(write, place, alice, *twins[::-1]),
            partial(services.merge, source=place, into=survivor, actor=sam, at=timezone.now()),
            partial(news.tell, blob.pk),
        )
        wrong = [answer for answer in answers if isinstance(answer, Exception)]
        assert not wrong, answers
        place = survivor
        assert previewing.render(Preview.objects.get(blob=blob)).handled == 1
        news.tell(blob.pk)
    for file in Attachment.objects.all():
        events = TicketEvent.objects.filter(data__file=str(file.pk))
        told = Counter(event.kind for event in events)
        assert told[Kind.FILE_PREVIEWED] == 1, told
        # A draft that was scanned before it was sent is not told of again.
        assert told[Kind.FILE_SCANNED] <= 1, told
        if file.uploaded_by_id == bob.pk:
            assert told[Kind.FILE_SCANNED] == 1, told
    assert_settled()


def test_two_tell_what_was_found_out_once(alice, ticket) -> None:
    files = keep(alice, *((f"{n}.txt", words(n % 3)) for n in range(9)), ticket=ticket)
    blobs = list(Blob.objects.values_list("pk", flat=True))
    for n in range(5):
        Attachment.objects.update(is_scan_untold=True)
        tell = [partial(news.tell, pk) for pk in blobs * 2]
        answers = at_once(*tell, partial(write, ticket, alice))
        assert [answer for answer in answers if isinstance(answer, Exception)] == []
        told = Counter(
            event.data["file"] for event in TicketEvent.objects.filter(kind=Kind.FILE_SCANNED)
        )
        assert told == {str(file.pk): n + 1 for file in files}
    assert_settled()


def test_files_of_one_content_are_sent_while_it_is_scanned(
    alice, scanner, monkeypatch, settings
) -> None:
    """Both have all of them to lock, in whatever order they lie in the table."""
    settings.ATTACHMENTS = with_limits(files_per_ticket=1000)
    for n in range(ROUNDS * 2 // 3):
        drafts = keep(alice, *((f"{part}.txt", words(n)) for part in range(60)))
        answers = _scanned_and_sent(drafts, new_ticket(alice), 0.0005 * n, monkeypatch)
        assert [answer for answer in answers if isinstance(answer, Exception)] == []
    drain(tell_of_files, batch=100)
    assert_settled()


def _scanned_and_sent(
    drafts: list[Attachment], place: Ticket, later: float, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Both begin to write at the same time; who sends, so many seconds later."""
    meeting = Meeting(2)

    def look(*args: Any) -> Any:
        verdict = scan(*args)
        meeting.wait()
        return verdict

    def send() -> None:
        author, now = drafts[0].uploaded_by, timezone.now()
        # Where only one may write at a time, the other does not wait for it.
        if connection.vendor == "sqlite":
            meeting.wait()
        with transaction.atomic():
            ticket = lock_ticket(place.pk)
            if connection.vendor != "sqlite":
                meeting.wait()
                time.sleep(later)
            ids = [draft.pk for draft in drafts]
            record(ticket, *attach(ids, ticket=ticket, author=author, at=now), actor=author, at=now)

    monkeypatch.setattr(scanning, "scan", look)
    blob = Blob.objects.get(sha256=drafts[0].sha256)
    return at_once(partial(scanning.scan_blob, blob), send)


# --- Nobody waits for ever -------------------------------------------------------------


def test_whoever_does_everything_at_once_meets_no_deadlock(
    alice, bob, sam, scanner, settings
) -> None:
    """Uploads, replies, removals, mergers and tidying up in any order, in threads of their own,
    for a while; only refusals that a person understands come back."""
    settings.ATTACHMENTS = with_limits(
        files_per_ticket=10_000, drafts_per_user=10_000, text={"daily_mb": 500}
    )
    tickets = [new_ticket(alice) for _ in range(4)]
    contents = [(f"{n}.txt", words(n)) for n in range(5)]

    def live(seed: int) -> Counter[str]:
        met: Counter[str] = Counter()
        for n in range(40):
            who = (alice, bob, sam)[(seed + n) % 3]
            place = tickets[(seed * 7 + n) % 4]
            some = [contents[(seed + n + step) % 5] for step in range(3)]
            drafts = Attachment.objects.filter(uploaded_by=who, ticket=None)[:3]
            present = Attachment.objects.present().visible_to(who).order_by("?").first()
            acts: list[Callable[[], Any]] = [
                partial(keep, who, *some),
                partial(keep, who, *some[::-1], ticket=place),
                partial(write, place, who, *list(drafts)[::-1]),
                partial(file_services.remove, file=present, actor=sam, at=timezone.now())
                if present
                else lambda: None,
                partial(purge_all, timezone.now()),
                partial(scan_attachments, batch=20),
                partial(scanning.rescan, Blob.objects.exclude(scan_status="clean"), timezone.now()),
                partial(render_previews, batch=2),
                partial(tell_of_files, batch=20),
            ]
            # What it cannot make anything of it is asked again.
            scanner.answer = (b"stream: x ERROR\0", None)[n % 2]
            try:
                acts[(seed + 3 * n) % len(acts)]()
            except (FieldError, Http404, FileRefused) as refusal:
                met[type(refusal).__name__] += 1
        return met

    answers = at_once(*(partial(live, seed) for seed in range(5)))
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    drain(tell_of_files, batch=100)
    assert_settled()
