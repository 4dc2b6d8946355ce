"""Files on a ticket's page of the console: shown with what was said, and sent with a reply."""

import os
import re
import tempfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from attachments import on_tickets, services
from attachments.models import Attachment, Blob, Preview
from attachments.tests.desk_of_files import bytes_of, keep, picture, with_limits, words
from servicedesk.server.http import body_limit
from tickets import services as ticket_services
from tickets.models import Message

BODY = "Please try **this**."


def address(ticket, action="change"):
    return f"/admin/tickets/ticket/{ticket.pk}/{action}/"


def reply(browser, ticket, *files, audience="public", key="k1", body=BODY, **data):
    return browser.post(
        address(ticket, "reply/act"),
        {
            "version": ticket.version,
            "body": body,
            "audience": audience,
            "client_msg_id": key,
            "file": [SimpleUploadedFile(name, content) for name, content in files],
            **data,
        },
    )


def said(answer):
    """The messages of the page, as one text."""
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.fixture
def ticket(alice, bob):
    return ticket_services.open_ticket(
        requester=alice, actor=alice, subject="VPN drops", at=timezone.now()
    )


# --- What is shown --------------------------------------------------------------------


def test_files_stand_under_their_message_and_the_others_under_the_opening(
    ticket, alice, bob, console
):
    (shot,) = keep(alice, ("shot.png", picture()))
    ticket_services.post_message(
        ticket=ticket, author=alice, body="See this", attachments=[shot.pk], at=timezone.now()
    )
    (log,) = keep(alice, ("vpn.log", words(1)), ticket=ticket)
    Preview.objects.filter(content_type="image/png").update(status="ready", due_at=None)

    page = console(bob).get(address(ticket)).content.decode()

    opening, under = page.index("vpn.log"), page.index("shot.png")
    assert opening < page.index("See this") < under < page.index('id="reply"')
    assert f'src="/api/files/{shot.pk}/thumbnail"' in page
    assert f'href="/api/files/{log.pk}/download"' in page
    assert f'href="/admin/attachments/attachment/{log.pk}/change/"' in page


def test_infected_files_are_struck_and_cannot_be_opened(ticket, alice, bob, console):
    (file,) = keep(alice, ("bad.txt", words(1)), ticket=ticket)
    Blob.objects.update(scan_status="infected", scan_due_at=None)

    page = console(bob).get(address(ticket)).content.decode()

    assert re.search(r'<li [^>]*class="is-infected">.*?bad\.txt.*?quarantine', page, re.DOTALL)
    assert f"/api/files/{file.pk}" not in page


def test_what_waits_for_the_scanner_says_so(ticket, alice, bob, console, settings):
    settings.SCAN_MODE = "closed"
    (file,) = keep(alice, ("new.txt", words(1)), ticket=ticket)

    page = console(bob).get(address(ticket)).content.decode()
    assert "Waiting for the scanner" in page
    assert f"/api/files/{file.pk}/download" not in page

    settings.SCAN_MODE = "open"
    assert f"/api/files/{file.pk}/download" in console(bob).get(address(ticket)).content.decode()


def test_removed_files_are_not_shown(ticket, alice, bob, console):
    (file,) = keep(alice, ("gone.txt", words(1)), ticket=ticket)
    services.remove(file=file, actor=bob, at=timezone.now())

    page = console(bob).get(address(ticket)).content.decode()

    # The history alone speaks of it.
    assert page.count("gone.txt") == 2
    assert f"/api/files/{file.pk}" not in page


# --- What is sent ---------------------------------------------------------------------


@pytest.mark.parametrize("audience", ["public", "internal"])
def test_a_reply_takes_files_along(ticket, bob, console, audience):
    content = words(1, 50_000)

    answer = reply(
        console(bob), ticket, ("a.txt", content), ("b.png", picture()), audience=audience
    )

    assert answer.status_code == 302
    message = Message.objects.get()
    first, second = Attachment.objects.order_by("created_at")
    assert (message.body, message.is_internal) == (BODY, audience == "internal")
    assert [first.filename, second.filename] == ["a.txt", "b.png"]
    for file in (first, second):
        assert file.message_id == message.pk
        assert file.is_internal is message.is_internal
        assert file.uploaded_by_id == bob.pk
    assert bytes_of(first) == content


def test_a_reply_without_files_is_as_before(ticket, bob, console):
    assert reply(console(bob), ticket).status_code == 302
    assert Message.objects.get().body == BODY


def test_a_refused_file_holds_everything_back_and_loses_nothing(ticket, bob, console):
    browser = console(bob)

    answer = reply(browser, ticket, ("tool.exe", b"MZ"), ("good.txt", words(1)), ("no.txt", b""))

    assert answer.status_code == 400
    assert "tool.exe: Files named .exe are never taken." in said(answer)
    assert "no.txt" in said(answer)
    page = answer.content.decode()
    assert BODY in page
    assert not Message.objects.exists()
    draft = Attachment.objects.get()
    assert f'name="draft" value="{draft.pk}" checked' in page

    # Sent again, the good one goes along without being chosen again.
    again = reply(browser, ticket, ("more.txt", words(2)), draft=[str(draft.pk)])
    assert again.status_code == 302
    message = Message.objects.get()
    files = Attachment.objects.filter(message=message)
    assert {file.filename for file in files} == {"good.txt", "more.txt"}


def test_a_kept_file_may_be_left_out(ticket, bob, console):
    browser = console(bob)
    reply(browser, ticket, ("tool.exe", b"MZ"), ("good.txt", words(1)))

    assert reply(browser, ticket).status_code == 302
    assert not Attachment.objects.exclude(message=None).exists()


def test_drafts_of_others_are_neither_sent_nor_named(ticket, alice, bob, console):
    (foreign,) = keep(alice, ("private.txt", words(1)))

    answer = reply(console(bob), ticket, draft=[str(foreign.pk)])

    assert answer.status_code == 400
    assert "private.txt" not in answer.content.decode()
    assert not Message.objects.exists()
    foreign.refresh_from_db()
    assert foreign.is_draft
    for nonsense in ("x", "../..", "\x00", "1"):
        assert reply(console(bob), ticket, draft=[nonsense]).status_code == 400, nonsense


def test_a_second_click_says_and_sends_it_once(ticket, bob, console):
    browser = console(bob)
    for _ in range(2):
        assert reply(browser, ticket, ("a.txt", words(1)), ("b.txt", words(2))).status_code == 302

    message = Message.objects.get()
    assert Attachment.objects.filter(message=message).count() == 2

    # Something else under the same name is not taken for the same.
    for other in ({"body": "Else"}, {"audience": "internal"}):
        assert reply(browser, ticket, ("a.txt", words(1)), **other).status_code == 409, other
    assert reply(browser, ticket, ("a.txt", words(9)), ("b.txt", words(2))).status_code == 409
    assert Message.objects.count() == 1


def test_a_full_ticket_holds_the_reply_back(ticket, bob, console, settings):
    settings.ATTACHMENTS = with_limits(files_per_ticket=1)

    answer = reply(console(bob), ticket, ("a.txt", words(1)), ("b.txt", words(2)))

    assert answer.status_code == 413
    assert "A ticket has at most 1 files." in said(answer)
    assert BODY in answer.content.decode()
    assert not Message.objects.exists()


def test_too_many_files_at_a_time_are_not_even_looked_at(ticket, bob, console):
    files = [(f"{number}.txt", words(number)) for number in range(21)]

    answer = reply(console(bob), ticket, *files)

    assert answer.status_code == 400
    assert "at most 20 files" in said(answer)
    assert not Attachment.objects.exists()


def test_a_storage_that_is_away_loses_no_words(ticket, bob, console, settings, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    settings.ATTACHMENTS_FOLDER = blocked

    answer = reply(console(bob), ticket, ("a.txt", words(1)))

    assert answer.status_code == 503
    assert BODY in answer.content.decode()
    assert not Message.objects.exists()


def test_what_is_read_of_a_body_is_more_on_a_tickets_page_only(settings):
    small, large = settings.JSON_BODY_MAX_BYTES, settings.UPLOAD_BODY_MAX_BYTES
    assert body_limit("/admin/tickets/ticket/7/reply/act/") == large
    for path in (
        "/admin/",
        "/admin/tickets/",
        "/admin/tickets/category/1/",
        "/admin/login/",
    ):
        assert body_limit(path) == small, path


def test_uploads_of_the_form_have_no_name_on_the_disk(ticket, bob, console, monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    receive, seen = on_tickets.receive, []

    def spy(uploads, **who):
        names = [os.fstat(each.fileno()).st_nlink for each in uploads]
        seen.append((list(folder.iterdir()), names))
        return receive(uploads, **who)

    monkeypatch.setattr(on_tickets, "receive", spy)
    content = words(1, 3 * 1024 * 1024)

    assert reply(console(bob), ticket, ("large.txt", content)).status_code == 302
    assert seen == [([], [0])]
    assert bytes_of(Attachment.objects.get()) == content
