"""Files in the console: the list, the pages, the quarantine, and that only services write."""

import re

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Team
from attachments import services
from attachments.admin import removing, search
from attachments.models import Attachment, Blob, Preview
from attachments.tests.desk_of_files import keep, picture, words
from tickets import services as ticket_services
from tickets.models import TicketEvent

LIST = "/admin/attachments/attachment/"
QUARANTINE = "/admin/attachments/quarantined/"
STORAGE_USE = f"{LIST}storage/"
HOSTILE = "<script>alert(1)<b>{{ 7|floatformat }}.txt"


def opened(requester, **fields):
    return ticket_services.open_ticket(
        requester=requester, actor=requester, subject="VPN drops", at=timezone.now(), **fields
    )


def shown(answer):
    return [row.pk for row in answer.context["cl"].result_list]


def text_of(answer):
    """What stands on the page, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


def page_of(file):
    return f"{LIST}{file.pk}/change/"


def act(browser, action, *rows, place=LIST, **data):
    """Start an action on rows of the list."""
    chosen = [row.pk for row in rows]
    return browser.post(place, {"action": action, ACTION_CHECKBOX_NAME: chosen, **data})


def confirm(browser, action, *rows, place=LIST):
    return act(browser, action, *rows, place=place, **{removing.CONFIRMED: "yes"})


def infect(file, note="Win.Test.EICAR_HDB-1"):
    Blob.objects.filter(attachments=file).update(
        scan_status="infected", scan_note=note, scanned_at=timezone.now(), scan_due_at=None
    )


@pytest.fixture
def ticket(alice, bob):
    return opened(alice)


@pytest.fixture
def hidden(alice, dana):
    """A ticket of a team that bob is not in."""
    return opened(alice, team=Team.objects.create(name="Payroll"))


# --- The list -------------------------------------------------------------------------


def test_the_list_shows_files_newest_first_with_their_states(ticket, alice, sam, console):
    (old,) = keep(alice, ("old.txt", words(1)), ticket=ticket)
    (new,) = keep(sam, ("new.png", picture()), ticket=ticket, is_internal=True)
    infect(old)

    answer = console(sam).get(LIST)

    assert shown(answer) == [new.pk, old.pk]
    page = text_of(answer)
    for part in (ticket.number, "(internal)", "Infected", "Not scanned", "200 bytes", "Alice"):
        assert part in page


def test_an_agent_sees_what_the_api_shows_and_a_supervisor_drafts_of_others_too(
    ticket, hidden, alice, bob, sam, console
):
    (seen,) = keep(alice, ("seen.txt", words(1)), ticket=ticket)
    (own,) = keep(bob, ("own.txt", words(2)))
    (unseen,) = keep(alice, ("unseen.txt", words(3)), ticket=hidden)
    (draft,) = keep(alice, ("draft.txt", words(4)))

    agent, supervisor = console(bob), console(sam)

    assert set(shown(agent.get(LIST))) == {seen.pk, own.pk}
    assert set(shown(supervisor.get(LIST))) == {seen.pk, own.pk, unseen.pk, draft.pk}
    for file in (unseen, draft):
        assert agent.get(page_of(file)).status_code == 404
        assert shown(agent.get(LIST, {"q": file.filename})) == []
        assert shown(agent.get(LIST, {"q": file.sha256})) == []
    assert shown(agent.get(LIST, {"q": hidden.number})) == []
    page = text_of(supervisor.get(page_of(draft)))
    assert "Only who has uploaded a draft may open it." in page
    assert "/download" not in supervisor.get(page_of(draft)).content.decode()


def test_customers_and_nobody_have_no_door(ticket, alice, console, client):
    (file,) = keep(alice, ("seen.txt", words(1)), ticket=ticket)
    for browser in (client, console(alice)):
        for address in (LIST, page_of(file), QUARANTINE, STORAGE_USE):
            answer = browser.get(address)
            assert answer.status_code == 302, address
            assert "/admin/login/" in answer["Location"]
    # The page of the sign-in asks what nobody may see.
    assert client.get("/admin/login/").status_code == 200


def test_the_list_is_searched_by_ticket_hash_and_name(ticket, alice, sam, console, monkeypatch):
    (report,) = keep(alice, ("Quarterly report 2026.txt", words(1)), ticket=ticket)
    (other,) = keep(alice, ("notes.txt", words(2)))
    (twin,) = keep(alice, ("twin.txt", words(2)))
    browser = console(sam)

    def found(query):
        return set(shown(browser.get(LIST, {"q": query})))

    assert found(ticket.number) == found(ticket.number.lower()) == {report.pk}
    assert found(other.sha256) == found(other.sha256.upper()) == {other.pk, twin.pk}
    assert found("REPORT quarter") == found("2026") == {report.pk}
    assert found("%") == found("_") == found("'; DROP TABLE") == set()
    assert len(found(" ")) == 3
    # Names are looked for among the newest only.
    monkeypatch.setattr(search, "NAMES_SEARCHED", 2)
    assert found("notes") == {other.pk}
    assert found("report") == set()
    assert found(ticket.number) == {report.pk}


def test_the_list_filters_by_category_scan_and_place(ticket, alice, sam, console):
    (image,) = keep(alice, ("a.png", picture()), ticket=ticket)
    (note,) = keep(sam, ("b.txt", words(1)), ticket=ticket, is_internal=True)
    (draft,) = keep(alice, ("c.txt", words(2)))
    infect(note)
    Blob.objects.filter(attachments=draft).update(scan_status="pending", scan_due_at=timezone.now())
    browser = console(sam)

    for query, files in {
        "category=image": {image},
        "category=text": {note, draft},
        "category=nonsense": set(),
        "scan=infected": {note},
        "scan=skipped": {image},
        "scan=pending": {draft},
        "scan=nonsense": set(),
        "place=draft": {draft},
        "place=ticket": {image, note},
        "place=internal": {note},
        "place=nonsense": set(),
    }.items():
        answer = browser.get(f"{LIST}?{query}")
        assert set(shown(answer)) == {file.pk for file in files}, query
    # What is not offered is not obeyed, and no text breaks the page.
    for query in ("blob__key__startswith=a", "sha256=x"):
        assert browser.get(f"{LIST}?{query}").status_code == 400, query
    for query in ("q=%00", "scan=%00", "o=1"):
        assert browser.get(f"{LIST}?{query}").status_code in (200, 302), query


def test_the_lists_cost_the_same_however_many_files(ticket, alice, bob, sam, console):
    def cost(browser, address):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(address).status_code == 200
        return len(queries)

    def costs():
        return [
            cost(console(sam), LIST),
            cost(console(bob), LIST),
            cost(console(sam), QUARANTINE),
            cost(console(sam), STORAGE_USE),
            cost(console(sam), f"/admin/tickets/ticket/{ticket.pk}/change/"),
        ]

    def add(name):
        keep(alice, (name, words(name)), ticket=ticket)
        (bad,) = keep(alice, ("bad.txt", words(f"{name}!")), ticket=ticket)
        infect(bad)

    add("first.txt")
    few = costs()
    for number in range(7):
        add(f"{number}.txt")
    assert costs() == few


# --- No door past the services --------------------------------------------------------


@pytest.mark.parametrize("place", [LIST, QUARANTINE])
def test_no_form_of_djangos_own_writes(place, ticket, alice, sam, console):
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    infect(file)
    row = file if place == LIST else Blob.objects.get()
    before = [list(kind.objects.values()) for kind in (Attachment, Blob, TicketEvent)]
    browser = console(sam)

    assert browser.get(f"{place}add/").status_code == 403
    assert browser.post(f"{place}add/", {"filename": "x"}).status_code == 403
    assert browser.post(f"{place}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(f"{place}{row.pk}/change/", {"filename": "x", "scan_status": "clean"})
    browser.get(f"{place}{row.pk}/history/")
    act(browser, "delete_selected", row, place=place, post="yes")

    assert [list(kind.objects.values()) for kind in (Attachment, Blob, TicketEvent)] == before


def test_pages_of_what_is_not_there_are_404(sam, console):
    browser = console(sam)
    for address in ("00000000-0000-0000-0000-000000000000", "x", "1"):
        assert browser.get(f"{LIST}{address}/change/").status_code == 404
        assert browser.get(f"{QUARANTINE}{address}/change/").status_code == 404


# --- The page of a file ---------------------------------------------------------------


def test_the_page_says_what_is_known_and_links_by_the_api(
    ticket, alice, bob, console, folder_storage
):
    (file,) = keep(alice, ("shot.png", picture()), ticket=ticket)
    Preview.objects.update(status="ready", due_at=None)
    answer = console(bob).get(page_of(file))

    page = answer.content.decode()
    assert f'href="/api/files/{file.pk}/download"' in page
    assert f'src="/api/files/{file.pk}/thumbnail?size=1024"' in page
    for part in (file.sha256, "image/png", ticket.number, "Alice", "Nowhere else."):
        assert part in page


def test_a_file_that_is_not_given_out_has_no_link_and_says_why(
    ticket, alice, bob, console, settings
):
    settings.SCAN_MODE = "closed"
    (file,) = keep(alice, ("shot.png", picture()), ticket=ticket)
    Preview.objects.update(status="ready", due_at=None)
    page = console(bob).get(page_of(file)).content.decode()
    assert "It is being scanned" in page
    infect(file)
    page += console(bob).get(page_of(file)).content.decode()

    assert "The scanner found something harmful in it." in page
    assert "/download" not in page
    assert "/thumbnail" not in page


def test_the_same_content_elsewhere_is_named_to_who_may_know(
    ticket, hidden, alice, bob, sam, console
):
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    (twin,) = keep(alice, ("elsewhere.txt", words(1)), ticket=hidden)

    agents = console(bob).get(page_of(file)).content.decode()
    supervisors = console(sam).get(page_of(file)).content.decode()

    assert "elsewhere.txt" not in agents
    assert str(twin.pk) not in agents
    assert hidden.number not in agents
    assert "elsewhere.txt" in supervisors
    assert hidden.number in supervisors


def test_hostile_names_stay_text(ticket, alice, bob, sam, console):
    (file,) = keep(alice, (HOSTILE, words(1)), ticket=ticket)
    infect(file, note="<img src=x onerror=alert(1)>")
    (content,) = Blob.objects.all()
    browser = console(sam)
    pages = [
        browser.get(LIST),
        browser.get(page_of(file)),
        browser.get(QUARANTINE),
        browser.get(f"{QUARANTINE}{content.pk}/change/"),
        act(browser, "remove", file),
        browser.get(f"/admin/tickets/ticket/{ticket.pk}/change/"),
    ]
    for answer in pages:
        page = answer.content.decode()
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "{{ 7|floatformat }}" in page or "onerror" in page
        # A policy that forbids inline code and styles will hold on these pages.
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*json)|<style|\sstyle=", page)


# --- Removing -------------------------------------------------------------------------


def test_removing_asks_first_and_then_says_what_became_of_each(
    ticket, alice, bob, sam, console, monkeypatch
):
    first, second = keep(alice, ("a.txt", words(1)), ("b.txt", words(2)), ticket=ticket)
    browser = console(sam)

    asked = act(browser, "remove", first, second)
    assert asked.status_code == 200
    assert "Remove 2 files" in text_of(asked)
    assert Attachment.objects.present().count() == 2

    # Somebody is faster with one of them, after the page has found both.
    remove = services.remove

    def faster(*, file, actor, at):
        if file.pk == second.pk:
            remove(file=file, actor=bob, at=at)
        remove(file=file, actor=actor, at=at)

    monkeypatch.setattr(services, "remove", faster)
    done = text_of(confirm(browser, "remove", first, second))

    assert re.search(rf"a\.txt {ticket.number} Removed", done)
    assert re.search(rf"b\.txt {ticket.number} Not removed Somebody else", done)
    assert not Attachment.objects.present().exists()
    assert not Blob.objects.exists()
    removals = TicketEvent.objects.filter(ticket=ticket, kind="file.removed")
    assert {event.actor_id for event in removals} == {sam.pk, bob.pk}
    assert len(removals) == 2
    assert "nothing left to remove" in text_of(confirm(browser, "remove", first))


def test_an_agent_removes_only_what_they_see(ticket, hidden, alice, bob, console):
    (seen,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    (unseen,) = keep(alice, ("b.txt", words(2)), ticket=hidden)

    confirm(console(bob), "remove", seen, unseen)

    assert [file.pk for file in Attachment.objects.present()] == [unseen.pk]


def test_a_removal_needs_a_token_of_the_page(ticket, alice, sam):
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(sam)
    assert confirm(browser, "remove", file).status_code == 403
    assert Attachment.objects.present().count() == 1


def test_no_more_is_removed_at_a_time_than_is_shown(ticket, alice, sam, console, monkeypatch):
    monkeypatch.setattr("attachments.admin.files.MOST", 2)
    files = keep(alice, *((f"{n}.txt", words(n)) for n in range(3)), ticket=ticket)

    answer = confirm(console(sam), "remove", *files)

    assert answer.status_code == 302
    assert Attachment.objects.present().count() == 3


# --- Scanning again -------------------------------------------------------------------


def test_supervisors_have_files_scanned_again(ticket, alice, bob, sam, console, settings):
    settings.SCAN_MODE = "closed"
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)
    infect(file)

    act(console(bob), "rescan", file)
    assert Blob.objects.get().scan_due_at is None
    for place, row in ((LIST, file), (QUARANTINE, Blob.objects.get())):
        Blob.objects.update(scan_due_at=None)
        answer = act(console(sam), "rescan", row, place=place)
        assert answer.status_code == 302
        content = Blob.objects.get()
        assert content.scan_due_at is not None
        # Until the scanner says otherwise nobody gets it.
        assert content.scan_status == "infected"


def test_without_a_scanner_nothing_is_set_to_wait_for_one(ticket, alice, sam, console, settings):
    settings.SCAN_MODE = "off"
    (file,) = keep(alice, ("a.txt", words(1)), ticket=ticket)

    act(console(sam), "rescan", file)

    assert Blob.objects.get().scan_due_at is None
    assert "Scan again" not in console(sam).get(page_of(file)).content.decode()


# --- The quarantine -------------------------------------------------------------------


def test_the_quarantine_names_what_was_found_and_where_it_hangs(
    ticket, hidden, alice, bob, sam, console
):
    for name, place in (("a.txt", ticket), ("b.txt", hidden), ("c.txt", None)):
        (file,) = keep(alice, (name, words(1)), ticket=place)
    keep(alice, ("clean.txt", words(2)), ticket=ticket)
    infect(file)
    browser, content = console(sam), Blob.objects.get(attachments=file)

    answer = browser.get(QUARANTINE)
    assert shown(answer) == [content.pk]
    for page in (text_of(answer), text_of(browser.get(f"{QUARANTINE}{content.pk}/change/"))):
        for part in ("Win.Test.EICAR", "a.txt", "b.txt", ticket.number, hidden.number, "Draft"):
            assert part in page
        assert "clean.txt" not in page
    (clean,) = Blob.objects.exclude(pk=content.pk)
    assert browser.get(f"{QUARANTINE}{clean.pk}/change/").status_code == 404
    for address in (QUARANTINE, f"{QUARANTINE}{content.pk}/change/", STORAGE_USE):
        assert console(bob).get(address).status_code == 403
    assert "Quarantine" not in console(bob).get(LIST).content.decode()


def test_what_is_infected_is_removed_everywhere(ticket, hidden, alice, sam, console):
    for place in (ticket, hidden, None):
        (file,) = keep(alice, ("a.txt", words(1)), ticket=place)
    (clean,) = keep(alice, ("clean.txt", words(2)), ticket=ticket)
    infect(file)
    browser, content = console(sam), Blob.objects.get(attachments=file)

    asked = text_of(act(browser, "remove_everywhere", content, place=QUARANTINE))
    assert "Remove 3 files" in asked
    done = text_of(confirm(browser, "remove_everywhere", content, place=QUARANTINE))

    assert done.count("Removed") == 3
    assert [file.pk for file in Attachment.objects.present()] == [clean.pk]
    assert not Blob.objects.filter(pk=content.pk).exists()


def test_an_empty_quarantine_says_how_it_stands(alice, sam, console, settings):
    browser = console(sam)
    settings.SCAN_MODE = "off"
    assert "Nothing is scanned here." in text_of(browser.get(QUARANTINE))
    settings.SCAN_MODE = "closed"
    assert "Nothing waits for the scanner." in text_of(browser.get(QUARANTINE))
    keep(alice, ("a.txt", words(1)))
    assert "1 file waits for the scanner." in text_of(browser.get(QUARANTINE))


# --- What the storage is used for -----------------------------------------------------


def test_storage_use_counts_what_there_is(ticket, alice, charlie, bob, sam, console):
    keep(alice, ("a.txt", words(1, 1000)), ("b.txt", words(1, 1000)), ticket=ticket)
    keep(bob, ("c.txt", words(3, 3000)), ticket=ticket)
    (gone,) = keep(bob, ("gone.txt", words(4, 9000)), ticket=ticket)
    services.remove(file=gone, actor=sam, at=timezone.now())
    (draft,) = keep(charlie, ("d.png", picture()))
    infect(draft)

    context = console(sam).get(STORAGE_USE).context

    whole = 5000 + draft.size
    assert (context["uploads"].files, context["uploads"].size) == (4, whole)
    assert (context["kept"].files, context["kept"].size) == (3, whole - 1000)
    assert context["saved"] == 1000
    assert (context["drafts"].files, context["drafts"].size) == (1, draft.size)
    assert {use.label: (use.files, use.size) for use in context["by_category"]} == {
        "text": (3, 5000),
        "image": (1, draft.size),
    }
    assert {use.label: use.size for use in context["by_uploader"]} == {
        "Alice": 2000,
        "Bob": 3000,
        "Charlie": draft.size,
    }
    assert {use.label: use.size for use in context["by_requester"]} == {"Alice": 5000}
    assert {use.label: use.size for _, use in context["by_scan"]} == {
        "skipped": 4000,
        "infected": draft.size,
    }
    # What was removed waits for purge_attachments.
    assert context["loose"] == 2


def test_storage_use_of_an_empty_desk(sam, console):
    answer = console(sam).get(STORAGE_USE)
    assert answer.status_code == 200
    assert "Nothing yet." in text_of(answer)
