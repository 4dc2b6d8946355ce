"""Canned replies over HTTP and in the console: who reads, who writes, what is refused."""

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Role, Team
from agents.services import create_user, update_agent
from tickets import services
from tickets.models import CannedReply, Ticket
from tickets.models.message import MAX_BODY
from tickets.tests.test_admin import opened

URL = "/api/canned-replies/"
PAGE = "/admin/tickets/cannedreply/"
BODY = "Dear {{requester.first_name}},\n\nwe look into *{{ticket.title}}*.\n\n{{agent.name}}"


def canned(sam, title="Looking", body=BODY, **fields):
    return services.create_canned_reply(
        title=title, body=body, actor=sam, at=timezone.now(), **fields
    )


def titles(answer):
    assert answer.status_code == 200, answer.content
    return [row["title"] for row in answer.json()["results"]]


def refusal(answer):
    assert answer.status_code == 400, answer.content
    (error,) = answer.json()["errors"]
    return error["pointer"], error["detail"]


@pytest.fixture
def client(as_user, sam):
    return as_user(sam)


@pytest.fixture
def bobs_team(bob, team):
    update_agent(agent=bob.agent, at=timezone.now(), teams=[team])
    return team


# --- Who may --------------------------------------------------------------------------


def test_a_supervisor_makes_reads_changes_and_deletes(client, sam, team):
    made = client.post(URL, {"title": "Looking", "body": BODY, "team": team.pk})
    assert made.status_code == 201
    row = made.json()
    assert row["team"] == {"id": team.pk, "name": team.name}
    assert row["created_by"] == row["updated_by"] == {"id": sam.pk, "name": "Sam"}
    assert row["is_active"] is True
    assert client.get(f"{URL}{row['id']}/").json() == row

    changed = client.patch(f"{URL}{row['id']}", {"title": "Seen", "team": None}).json()
    assert (changed["title"], changed["team"], changed["body"]) == ("Seen", None, BODY)
    assert changed["updated_at"] > row["updated_at"]
    assert changed["created_at"] == row["created_at"]

    assert client.delete(f"{URL}{row['id']}/").status_code == 204
    assert not CannedReply.objects.exists()
    assert client.delete(f"{URL}{row['id']}/").status_code == 404


def test_who_changed_it_last_is_told(as_user, sam):
    row = canned(sam)
    ruth = create_user(
        username="ruth", name="Ruth", email="ruth@desk.example", role=Role.SUPERVISOR
    )
    changed = as_user(ruth).patch(f"{URL}{row.pk}/", {"body": "Hello"}).json()
    assert (changed["created_by"]["id"], changed["updated_by"]["name"]) == (sam.pk, "Ruth")


def test_agents_read_those_of_their_teams_and_everybodys(as_user, sam, bob, bobs_team):
    other = Team.objects.create(name="Other")
    shared, own = canned(sam, "Shared"), canned(sam, "Own", team=bobs_team)
    hidden, retired = canned(sam, "Hidden", team=other), canned(sam, "Retired", is_active=False)
    browser = as_user(bob)

    assert titles(browser.get(URL)) == ["Own", "Shared"]
    assert titles(browser.get(f"{URL}?active=false")) == []
    for row, status in ((shared, 200), (own, 200), (hidden, 404), (retired, 404)):
        assert browser.get(f"{URL}{row.pk}/").status_code == status, row


def test_agents_write_nothing(as_user, sam, bob):
    row = canned(sam)
    browser, before = as_user(bob), list(CannedReply.objects.values())
    assert browser.post(URL, {"title": "Mine", "body": "x"}).status_code == 403
    for pk in (row.pk, 999):
        assert browser.patch(f"{URL}{pk}/", {"title": "Mine"}).status_code == 403
        assert browser.delete(f"{URL}{pk}/").status_code == 403
    assert list(CannedReply.objects.values()) == before


def test_customers_and_strangers_see_none(as_user, anonymous, alice, sam):
    row = canned(sam)
    ticket = opened(alice)
    for path in (URL, f"{URL}{row.pk}/", f"{URL}{row.pk}/?ticket={ticket.pk}"):
        assert as_user(alice).get(path).status_code == 403
        assert anonymous.get(path).status_code == 401


# --- The list -------------------------------------------------------------------------


def test_the_list_finds_words_of_the_title_and_of_the_body(client, sam):
    canned(sam, "VPN certificate", "Please renew it.")
    canned(sam, "Password", "Renew your VPN password with {{agent.name}}.")
    canned(sam, "Goodbye", "Thank you.")
    assert titles(client.get(URL)) == ["Goodbye", "Password", "VPN certificate"]
    assert titles(client.get(f"{URL}?q=vpn renew")) == ["Password", "VPN certificate"]
    assert titles(client.get(f"{URL}?q=VPN certificate")) == ["VPN certificate"]
    for nothing in ("%25", "_", "nowhere", "\\"):
        assert titles(client.get(f"{URL}?q=xyz{nothing}")) == []


def test_the_list_goes_on_page_by_page(client, sam):
    for number in range(5):
        canned(sam, "Same" if number < 3 else f"Title {number}")
    seen, address = [], f"{URL}?page_size=2"
    while address:
        page = client.get(address).json()
        seen += [(row["title"], row["id"]) for row in page["results"]]
        address = page["next"]
    assert seen == sorted(seen)
    assert len(set(seen)) == 5


def test_supervisors_find_those_out_of_use(client, sam):
    canned(sam, "Used")
    canned(sam, "Retired", is_active=False)
    assert titles(client.get(URL)) == ["Used"]
    assert titles(client.get(f"{URL}?active=false")) == ["Retired"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("q=%00", "/q"), ("q=" + "x" * 201, "/q"), ("active=maybe", "/active")],
)
def test_a_bad_parameter_is_refused(client, query, pointer):
    assert refusal(client.get(f"{URL}?{query}"))[0] == pointer


def test_the_list_costs_the_same_however_long_it_is(client, sam, team):
    canned(sam, "First", team=team)
    with CaptureQueriesContext(connection) as few:
        client.get(URL)
    for number in range(9):
        canned(sam, f"Number {number}", team=Team.objects.create(name=f"Team {number}"))
    with CaptureQueriesContext(connection) as many:
        assert len(titles(client.get(URL))) == 10
    assert len(many) == len(few)


# --- Filled in ------------------------------------------------------------------------


def test_it_is_filled_in_for_a_ticket(as_user, alice, bob, sam, team):
    body = " ".join(
        f"{{{{{name}}}}}"
        for name in (
            "requester.name", "requester.first_name", "ticket.number", "ticket.title",
            "agent.name", "team.name",
        )
    )  # fmt: skip
    row = canned(sam, body=body)
    alice.name = "Alice van Dyke"
    alice.save(update_fields=["name"])
    ticket = opened(alice, "<b>It</b> & more")
    browser = as_user(bob)

    answer = browser.get(f"{URL}{row.pk}/?ticket={ticket.pk}").json()
    assert answer["body"] == body
    assert answer["filled"] == (
        f"Alice van Dyke Alice {ticket.number} \\<b\\>It\\</b\\> \\& more Bob "
    )
    Ticket.objects.filter(pk=ticket.pk).update(team=team, assignee=bob)
    answer = browser.get(f"{URL}{row.pk}/?ticket={ticket.pk}").json()
    assert answer["filled"].endswith(" Bob Network")
    assert "filled" not in browser.get(f"{URL}{row.pk}/").json()


def test_a_requester_without_a_name_has_a_username(client, alice, sam):
    row = canned(sam, body="{{requester.first_name}}")
    type(alice).objects.filter(pk=alice.pk).update(name="")
    ticket = opened(alice)
    assert client.get(f"{URL}{row.pk}/?ticket={ticket.pk}").json()["filled"] == "alice"


def test_a_ticket_out_of_sight_answers_as_one_that_is_not_there(as_user, alice, dana, sam, bob):
    row = canned(sam)
    ticket = opened(alice)
    Ticket.objects.filter(pk=ticket.pk).update(
        team=Team.objects.create(name="Closed team"), assignee=bob
    )
    answers = [as_user(dana).get(f"{URL}{row.pk}/?ticket={pk}") for pk in (ticket.pk, 999_999)]
    assert [answer.status_code for answer in answers] == [404] * 2
    assert answers[0].json() == answers[1].json()


def test_what_is_no_id_of_a_ticket_is_refused(client, sam):
    row = canned(sam)
    for odd in ("", "x", "0", "-1", "1.5", str(2**63)):
        assert refusal(client.get(f"{URL}{row.pk}/", {"ticket": odd}))[0] == "/ticket"


# --- What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "x" * 101}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"body": " \n"}, "/body"),
        ({"body": "x" * (MAX_BODY + 1)}, "/body"),
        ({"body": "{{ticket.password}}"}, "/body"),
        ({"body": "{{ticket.number"}, "/body"),
        ({"is_active": "yes"}, "/is_active"),
        ({"owner": 1}, "/owner"),
    ],
)
def test_what_makes_no_sense_is_refused(client, sam, wrong, pointer):
    assert refusal(client.post(URL, {"title": "T", "body": "B", **wrong}))[0] == pointer
    assert not CannedReply.objects.exists()
    row = canned(sam)
    assert refusal(client.patch(f"{URL}{row.pk}/", wrong))[0] == pointer
    row.refresh_from_db()
    assert (row.title, row.body) == ("Looking", BODY)


def test_an_unknown_placeholder_is_named_with_its_place(client):
    answer = client.post(URL, {"title": "T", "body": "Dear\n{{customer}},"})
    assert refusal(answer)[1].startswith("There is no placeholder {{customer}} (line 2, char")
    assert answer.json()["errors"][0]["code"] == "unknown_placeholder"


def test_a_team_that_is_not_there_is_refused(client):
    assert client.post(URL, {"title": "T", "body": "B", "team": 999}).status_code == 404


def test_a_team_with_a_canned_reply_is_in_use(sam, team, console):
    canned(sam, team=team)
    page = console(sam).post(f"/admin/agents/team/{team.pk}/delete/", {"post": "yes"})
    assert page.status_code == 403
    assert Team.objects.filter(pk=team.pk).exists()


# --- In the console -------------------------------------------------------------------


def test_supervisors_write_them_in_the_console(console, sam, team):
    browser = console(sam)
    body = BODY.replace("\n", "\r\n")
    fields = {"title": "Looking", "body": body, "team": team.pk, "is_active": "on"}
    assert browser.post(f"{PAGE}add/", fields).status_code == 302

    row = CannedReply.objects.get()
    assert (row.title, row.body, row.team, row.is_active) == ("Looking", BODY, team, True)
    assert (row.created_by, row.updated_by) == (sam, sam)
    assert LogEntry.objects.filter(object_id=str(row.pk)).exists()

    changed = {"title": "Seen", "body": "Hello", "team": ""}
    assert browser.post(f"{PAGE}{row.pk}/change/", changed).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.body, row.team, row.is_active) == ("Seen", "Hello", None, False)

    assert browser.post(f"{PAGE}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not CannedReply.objects.exists()


def test_the_form_says_what_may_be_written_and_what_was_wrong(console, sam):
    browser = console(sam)
    page = browser.get(f"{PAGE}add/").content.decode()
    assert "<code>{{requester.first_name}}</code>" in page

    answer = browser.post(f"{PAGE}add/", {"title": "T", "body": "{{x}}", "is_active": "on"})
    assert answer.status_code == 200
    (told,) = answer.context["adminform"].form.errors["body"]
    assert told.startswith("There is no placeholder {{x}} (line 1, character 1).")
    assert not CannedReply.objects.exists()


def test_the_consoles_list_searches(console, sam):
    canned(sam, "Looking")
    canned(sam, "Goodbye", "Thank you.")
    page = console(sam).get(PAGE, {"q": "thank"}).content.decode()
    assert "Goodbye" in page
    assert "Looking" not in page


def test_nobody_else_has_these_pages(console, sam, alice, bob):
    row = canned(sam)
    for path in (PAGE, f"{PAGE}add/", f"{PAGE}{row.pk}/change/", f"{PAGE}{row.pk}/delete/"):
        assert console(bob).get(path).status_code == 403
        assert console(alice).get(path).status_code == 302
    console(bob).post(f"{PAGE}{row.pk}/delete/", {"post": "yes"})
    assert CannedReply.objects.exists()
