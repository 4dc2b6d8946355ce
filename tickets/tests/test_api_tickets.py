"""/api/tickets/: listing, opening, reading, editing, ETag."""

from datetime import timedelta
from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Availability, Skill
from agents.services import update_agent
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Category, Priority, Tag, Ticket, TicketEvent

DETAIL = {
    "id", "number", "subject", "description", "status", "priority", "channel", "category", "team",
    "required_skills", "tags", "requester", "participants", "assignee", "escalation_level",
    "reopen_count", "created_at", "updated_at", "first_responded_at", "resolved_at", "closed_at",
    "allowed_actions", "version", "stream", "resolution", "follow_up_of", "sla",
    "merged_into", "rating", "description_html", "resolution_html",
}  # fmt: skip
SUMMARY = DETAIL - {
    "description", "participants", "stream", "allowed_actions", "resolution", "follow_up_of",
    "merged_into", "rating", "description_html", "resolution_html",
}  # fmt: skip


@pytest.fixture
def open_as(db):
    """Opens a ticket as its requester; nobody is available unless a test says so."""

    def open_one(requester, subject="Printer is broken", **fields):
        at = fields.pop("at", timezone.now())
        return services.open_ticket(
            requester=requester, actor=requester, subject=subject, at=at, **fields
        )

    return open_one


def ids_of(response):
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def queries_of(client, url):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


# --- Opening --------------------------------------------------------------------------


def test_a_customer_opens_a_ticket_and_reads_the_whole_of_it(as_user, alice):
    response = as_user(alice).post(
        "/api/tickets/", {"subject": "No VPN", "description": "Since **today**.", "tags": ["Home"]}
    )
    assert response.status_code == 201
    body = response.json()
    assert set(body) == DETAIL
    assert body["number"] == f"SD-{body['id']}"
    assert (body["status"], body["priority"], body["channel"]) == ("new", "normal", "web")
    assert body["requester"] == {"id": alice.pk, "name": "Alice"}
    assert body["tags"] == ["home"]
    assert body["assignee"] is None
    assert body["stream"]["seq"] == 1
    assert body["created_at"].endswith("Z")
    assert response["ETag"] == f'"{body["version"]}"'


def test_a_new_ticket_shows_the_agent_who_was_free(as_user, alice, bob):
    body = as_user(alice).post("/api/tickets/", {"subject": "No VPN"}).json()
    assert body["assignee"] == {"id": bob.pk, "name": "Bob"}
    assert body["status"] == "open"
    assert "assignment" not in body


def test_staff_also_see_why_a_new_ticket_was_assigned(as_user, sam, bob, alice):
    body = as_user(sam).post("/api/tickets/", {"subject": "x", "requester": alice.pk}).json()
    assert body["requester"] == {"id": alice.pk, "name": "Alice", "email": "alice@desk.example"}
    assert body["assignment"]["agent"] == {"id": bob.pk, "name": "Bob"}
    assert body["assignment"]["method"] == "auto"
    assert body["assignment"]["candidates"][0]["eligible"] is True
    assert set(body["assignment"]["candidates"][0]["parts"]) == set(body["assignment"]["weights"])


def test_assignment_is_null_for_staff_where_nobody_was_free(as_user, sam):
    assert as_user(sam).post("/api/tickets/", {"subject": "x"}).json()["assignment"] is None


@pytest.mark.parametrize(
    "field", ["status", "assignee", "team", "channel", "requester", "escalation_level"]
)
def test_a_customer_may_not_say_what_is_the_desks_to_say(as_user, alice, team, field):
    value = {"status": "open", "channel": "phone"}.get(field, 1)
    response = as_user(alice).post("/api/tickets/", {"subject": "x", field: value})
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == f"/{field}"
    assert not Ticket.objects.exists()


def test_staff_say_everything(as_user, sam, alice, team, vpn):
    category = Category.objects.create(name="Remote work")
    body = as_user(sam).post(
        "/api/tickets/",
        {
            "subject": "Phoned in",
            "description": "",
            "priority": "urgent",
            "category": category.pk,
            "team": team.pk,
            "required_skills": ["VPN"],
            "tags": ["b", "A", "b"],
            "requester": alice.pk,
            "channel": "phone",
        },
    )
    assert body.status_code == 201, body.content
    shown = body.json()
    assert shown["category"] == {"id": category.pk, "name": "Remote work"}
    assert shown["team"] == {"id": team.pk, "name": "Network"}
    assert (shown["required_skills"], shown["tags"]) == (["vpn"], ["a", "b"])
    assert (shown["priority"], shown["channel"]) == ("urgent", "phone")


def test_a_category_brings_its_team_and_skills(as_user, alice, team, vpn):
    category = Category.objects.create(name="Remote work", team=team)
    category.skills.add(vpn)
    body = as_user(alice).post("/api/tickets/", {"subject": "x", "category": category.pk}).json()
    assert (body["team"]["id"], body["required_skills"]) == (team.pk, ["vpn"])


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/subject", "required"),
        ({"subject": ""}, "/subject", "blank"),
        ({"subject": "   "}, "/subject", "blank"),
        ({"subject": None}, "/subject", "null"),
        ({"subject": 5}, "/subject", "invalid"),
        ({"subject": ["x"]}, "/subject", "invalid"),
        ({"subject": "x" * 201}, "/subject", "max_length"),
        ({"subject": "a\nb"}, "/subject", "line_break"),
        ({"subject": "a\u2028b"}, "/subject", "line_break"),
        ({"subject": "x", "description": "d" * 50_001}, "/description", "max_length"),
        ({"subject": "x", "description": 1}, "/description", "invalid"),
        ({"subject": "x", "priority": "asap"}, "/priority", "invalid_choice"),
        ({"subject": "x", "priority": 3}, "/priority", "invalid_choice"),
        ({"subject": "x", "priority": []}, "/priority", "invalid_choice"),
        ({"subject": "x", "category": "1"}, "/category", "invalid"),
        ({"subject": "x", "category": True}, "/category", "invalid"),
        ({"subject": "x", "category": 1.0}, "/category", "invalid"),
        ({"subject": "x", "required_skills": ["magic"]}, "/required_skills", "unknown_skill"),
        ({"subject": "x", "required_skills": "vpn"}, "/required_skills", "not_a_list"),
        ({"subject": "x", "tags": ["a", ""]}, "/tags/1", "blank"),
        ({"subject": "x", "tags": [1]}, "/tags/0", "invalid"),
        ({"subject": "x", "tags": ["x" * 51]}, "/tags/0", "max_length"),
        ({"subject": "x", "tags": list("abcdefghijklmnopqrstu")}, "/tags", "max_length"),
        ({"subject": "x", "sla": {}}, "/sla", "unknown_field"),
    ],
)
def test_what_is_not_valid_is_named_by_its_pointer(as_user, alice, vpn, body, pointer, code):
    response = as_user(alice).post("/api/tickets/", body)
    assert response.status_code == 400
    problem = response.json()
    assert problem["code"] == "validation_failed"
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("field", ["category", "team", "requester"])
@pytest.mark.parametrize("value", [999_999, 0, -1])
def test_an_id_of_nothing_in_a_body_is_404(as_user, sam, field, value):
    response = as_user(sam).post("/api/tickets/", {"subject": "x", field: value})
    assert response.status_code == 404
    assert not Ticket.objects.exists()


def test_every_unknown_field_is_named(as_user, alice):
    problem = as_user(alice).post("/api/tickets/", {"subject": "x", "a/b": 1, "c~": 2}).json()
    assert [e["pointer"] for e in problem["errors"]] == ["/a~1b", "/c~0"]


def test_a_skill_with_an_umlaut_is_found_in_any_database(as_user, sam):
    Skill.objects.create(name="Übersetzung")
    response = as_user(sam).post(
        "/api/tickets/", {"subject": "x", "required_skills": ["Übersetzung"]}
    )
    assert response.status_code == 201, response.content


def test_a_subject_is_trimmed_and_a_description_is_not(as_user, alice):
    body = (
        as_user(alice)
        .post("/api/tickets/", {"subject": "  x ", "description": "    code\n"})
        .json()
    )
    assert (body["subject"], body["description"]) == ("x", "    code\n")


# --- Who sees what --------------------------------------------------------------------


def test_everybody_lists_what_they_may_see_and_nothing_else(
    as_user, alice, charlie, bob, dana, sam, team, open_as
):
    hers = open_as(alice)
    of_team = open_as(alice, team=team)
    his = open_as(charlie, team=team)
    Ticket.objects.update(assignee=None)
    Ticket.objects.filter(pk=hers.pk).update(assignee=None)
    update_agent(agent=dana.agent, at=timezone.now(), teams=[team])
    expected = {
        alice: {hers.pk, of_team.pk},
        charlie: {his.pk},
        bob: {hers.pk},
        dana: {hers.pk, of_team.pk, his.pk},
        sam: {hers.pk, of_team.pk, his.pk},
    }
    for user, ids in expected.items():
        client = as_user(user)
        assert set(ids_of(client.get("/api/tickets/"))) == ids, user
        for pk in (hers.pk, of_team.pk, his.pk):
            found = client.get(f"/api/tickets/{pk}/").status_code
            assert found == (200 if pk in ids else 404), (user, pk)


def test_an_assignee_sees_a_ticket_of_another_team(as_user, alice, bob, team, open_as):
    ticket = open_as(alice, team=team)
    assert as_user(bob).get(f"/api/tickets/{ticket.pk}/").status_code == 404
    Ticket.objects.filter(pk=ticket.pk).update(assignee=bob)
    assert as_user(bob).get(f"/api/tickets/{ticket.pk}/").status_code == 200


def test_a_participant_sees_the_ticket_and_no_address(as_user, alice, charlie, sam, open_as):
    ticket = open_as(alice)
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    response = as_user(charlie).get(f"/api/tickets/{ticket.pk}/")
    assert response.status_code == 200
    assert b"@" not in response.content
    assert response.json()["participants"] == [{"id": charlie.pk, "name": "Charlie"}]
    assert response.json()["allowed_actions"] == []


def test_a_customer_sees_no_address_in_any_list(as_user, alice, open_as):
    open_as(alice)
    assert b"@" not in as_user(alice).get("/api/tickets/").content


def test_a_summary_is_the_detail_without_its_long_members(as_user, alice, bob, open_as):
    open_as(alice)
    (row,) = as_user(alice).get("/api/tickets/").json()["results"]
    assert set(row) == SUMMARY


# --- Filters and orderings ------------------------------------------------------------


@pytest.fixture
def several(alice, charlie, bob, dana, sam, team, open_as):
    """One ticket for each thing that can be asked for."""
    update_agent(agent=bob.agent, at=timezone.now(), availability=Availability.OFFLINE)
    category = Category.objects.create(name="Hardware")
    now = timezone.now()
    made = {
        "plain": open_as(alice, "plain"),
        "urgent": open_as(alice, "urgent", priority=Priority.URGENT),
        "low": open_as(charlie, "low", priority=Priority.LOW),
        "team": open_as(charlie, "team", team=team),
        "category": open_as(alice, "category", category=category),
        "tagged": open_as(alice, "tagged", tags=["Red", "blue"]),
        "old": open_as(alice, "old", at=now - timedelta(days=30)),
    }
    services.assign(ticket=made["plain"], to=dana, actor=sam, at=now, force=True)
    services.escalate(ticket=made["urgent"], reason="slow", actor=sam, at=now)
    services.change_status(ticket=made["low"], to=Status.ON_HOLD, actor=sam, at=now)
    return made


FILTERS = [
    ("status=open", "plain"),
    ("status=open,on_hold", "plain low"),
    ("status=new", "urgent team category tagged old"),
    ("status=open,", "plain"),
    ("status=", "plain urgent low team category tagged old"),
    ("priority=low", "low"),
    ("priority=low,critical", "low urgent"),
    ("assignee={dana}", "plain"),
    ("assignee=none", "urgent low team category tagged old"),
    ("assignee=me", ""),
    ("assignee={dana},none", "plain urgent low team category tagged old"),
    ("team={team}", "team"),
    ("team=none", "plain urgent low category tagged old"),
    ("requester={charlie}", "low team"),
    ("requester={charlie},{alice}", "plain urgent low team category tagged old"),
    ("requester=999999", ""),
    ("category={category}", "category"),
    ("tag=red", "tagged"),
    ("tag=RED,nope", "tagged"),
    ("tag=nope", ""),
    ("escalated=true", "urgent"),
    ("escalated=false", "plain low team category tagged old"),
    ("created_before={week}", "old"),
    ("created_after={week}", "plain urgent low team category tagged"),
    ("updated_after={soon}", ""),
    ("q=tagged", "tagged"),
    ("status=new&priority=normal&requester={alice}&created_after={week}", "category tagged"),
]


def test_each_filter_narrows_the_list(as_user, sam, alice, charlie, dana, team, several):
    values = {
        "dana": dana.pk,
        "alice": alice.pk,
        "charlie": charlie.pk,
        "team": team.pk,
        "category": several["category"].category_id,
        "week": (timezone.now() - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "soon": (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    client = as_user(sam)
    for query, names in FILTERS:
        found = ids_of(client.get(f"/api/tickets/?{query.format(**values)}"))
        assert sorted(found) == sorted(several[name].pk for name in names.split()), query


REFUSED = [
    ("nope=1", "/nope"),
    ("sla=none", "/sla"),
    ("sla=late", "/sla"),
    ("status=nope", "/status"),
    ("status=open,nope", "/status"),
    ("priority=1", "/priority"),
    ("assignee=bob", "/assignee"),
    ("assignee=-1", "/assignee"),
    ("assignee=1e3", "/assignee"),
    ("assignee=99999999999999999999", "/assignee"),
    ("assignee=%D9%A3", "/assignee"),
    ("team=me", "/team"),
    ("requester=none", "/requester"),
    ("category=x", "/category"),
    ("escalated=yes", "/escalated"),
    ("escalated=", "/escalated"),
    ("created_after=yesterday", "/created_after"),
    ("created_after=9999-12-31T23:59:59-14:00", "/created_after"),
    ("created_before=0001-01-01T00:00:00%2B14:00", "/created_before"),
    ("updated_after=2026-13-01", "/updated_after"),
    ("ordering=nope", "/ordering"),
    ("ordering=due_order", "/ordering"),
    ("ordering=--created_at", "/ordering"),
    ("ordering=requester__password", "/ordering"),
    ("count=all", "/count"),
    ("page_size=0", "/page_size"),
    ("tag=" + "x" * 501, "/tag"),
    ("q=" + "x" * 201, "/q"),
]


def test_an_unknown_filter_value_or_ordering_is_400(as_user, sam):
    client = as_user(sam)
    for query, pointer in REFUSED:
        response = client.get(f"/api/tickets/?{query}")
        assert response.status_code == 400, query
        assert response.json()["code"] == "validation_failed"
        assert response.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("name", ["q", "tag", "status", "assignee", "cursor", "created_after"])
def test_a_nul_in_a_filter_is_400(as_user, sam, name):
    assert as_user(sam).get(f"/api/tickets/?{name}=a%00b").status_code == 400


def test_a_thousand_parameters_are_400(as_user, sam):
    query = "&".join(f"p{n}=1" for n in range(1200))
    assert as_user(sam).get(f"/api/tickets/?{query}").status_code == 400


def test_each_ordering_sorts_both_ways(as_user, sam, several):
    client = as_user(sam)
    for name, sign in product(("updated_at", "created_at", "priority"), ("", "-")):
        found = ids_of(client.get(f"/api/tickets/?ordering={sign}{name}"))
        expected = sorted(
            Ticket.objects.all(), key=lambda t: (getattr(t, name), t.pk), reverse=sign == "-"
        )
        assert found == [ticket.pk for ticket in expected]


def test_the_newest_change_comes_first_by_default(as_user, sam, several):
    newest = Ticket.objects.order_by("-updated_at", "-pk")
    assert ids_of(as_user(sam).get("/api/tickets/")) == [ticket.pk for ticket in newest]


def test_an_internal_note_moves_no_ticket_in_its_customers_list(as_user, alice, bob, open_as):
    first, second = open_as(alice, "first"), open_as(alice, "second")
    services.post_message(ticket=first, author=bob, body="hm", is_internal=True, at=timezone.now())
    client = as_user(alice)
    before = client.get(f"/api/tickets/{first.pk}/").json()
    assert ids_of(client.get("/api/tickets/"))[0] == second.pk
    assert ids_of(client.get("/api/tickets/?ordering=-updated_at"))[0] == second.pk
    after_note = before["updated_at"].replace("Z", "%2B00:00")
    assert first.pk in ids_of(client.get(f"/api/tickets/?updated_after={after_note}"))
    assert ids_of(as_user(bob).get("/api/tickets/"))[0] == first.pk


def test_the_count_comes_only_where_it_is_asked_for(as_user, sam, several):
    client = as_user(sam)
    assert "count" not in client.get("/api/tickets/").json()
    assert client.get("/api/tickets/?count=exact&page_size=1&status=new").json()["count"] == 5


def test_the_list_costs_the_same_whatever_its_length(as_user, alice, sam, bob, team, vpn, open_as):
    category = Category.objects.create(name="Hardware", team=team)

    def fill(count):
        for number in range(count):
            open_as(
                alice, f"t{number}", category=category, tags=[f"tag{number}"], required_skills=[vpn]
            )

    fill(2)
    clients = [as_user(user) for user in (alice, sam, bob)]
    before = [queries_of(client, "/api/tickets/?page_size=100") for client in clients]
    fill(18)
    assert [queries_of(client, "/api/tickets/?page_size=100") for client in clients] == before


def test_a_detail_costs_the_same_whoever_takes_part(as_user, alice, charlie, dana, sam, open_as):
    ticket = open_as(alice)
    client = as_user(alice)
    before = queries_of(client, f"/api/tickets/{ticket.pk}/")
    for user in (charlie, dana, sam):
        services.add_participant(ticket=ticket, user=user, actor=sam, at=timezone.now())
    assert queries_of(client, f"/api/tickets/{ticket.pk}/") == before


# --- Editing and ETag -----------------------------------------------------------------


def test_staff_edit_what_a_ticket_says(as_user, alice, sam, team, vpn, open_as):
    category = Category.objects.create(name="Hardware")
    ticket = open_as(alice)
    changes = {
        "subject": "New",
        "description": "Text",
        "category": category.pk,
        "team": team.pk,
        "required_skills": ["vpn"],
        "tags": ["x"],
        "priority": "high",
    }
    response = as_user(sam).patch(f"/api/tickets/{ticket.pk}/", changes)
    assert response.status_code == 200
    body = response.json()
    for name in ("subject", "description", "required_skills", "tags", "priority"):
        assert body[name] == changes[name]
    assert (body["category"]["id"], body["team"]["id"]) == (category.pk, team.pk)
    assert response["ETag"] == f'"{ticket.version + 1}"'
    cleared = (
        as_user(sam)
        .patch(
            f"/api/tickets/{ticket.pk}/",
            {"category": None, "team": None, "required_skills": [], "tags": [], "description": ""},
        )
        .json()
    )
    assert (cleared["category"], cleared["team"]) == (None, None)
    assert (cleared["tags"], cleared["required_skills"], cleared["description"]) == ([], [], "")


@pytest.mark.parametrize("field", ["status", "assignee", "requester", "version", "channel", "id"])
def test_what_has_a_path_of_its_own_is_not_patched(as_user, alice, sam, open_as, field):
    ticket = open_as(alice)
    response = as_user(sam).patch(f"/api/tickets/{ticket.pk}/", {field: 1})
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "unknown_field"


def test_a_customer_edits_nothing(as_user, alice, open_as):
    ticket = open_as(alice)
    assert as_user(alice).patch(f"/api/tickets/{ticket.pk}/", {"subject": "x"}).status_code == 403
    ticket.refresh_from_db()
    assert ticket.subject == "Printer is broken"


def test_an_edit_that_changes_nothing_leaves_no_trace(as_user, alice, sam, open_as):
    ticket = open_as(alice, tags=["a"])
    events = TicketEvent.objects.count()
    body = {"subject": ticket.subject, "tags": ["A"], "priority": "normal"}
    response = as_user(sam).patch(f"/api/tickets/{ticket.pk}/", body)
    assert response["ETag"] == f'"{ticket.version}"'
    assert TicketEvent.objects.count() == events
    assert Tag.objects.count() == 1


def patched(client, ticket, header):
    return client.patch(f"/api/tickets/{ticket.pk}/", {"subject": "Mine"}, HTTP_IF_MATCH=header)


@pytest.mark.parametrize(
    "header", ['"1"', "*", ' "1" ', '"0", "1"', '"9","1","7"', 'W/"1", "1"', '"a,b", "1"', '"1",']
)
def test_the_version_that_was_read_may_be_changed(as_user, alice, sam, open_as, header):
    assert patched(as_user(sam), open_as(alice), header).status_code == 200


@pytest.mark.parametrize(
    "header",
    ['"2"', 'W/"1"', '"0"', '""', '"1.0"', '"01"', '"9", "8"', '"a,1"', '"' + "9" * 500 + '"'],
)
def test_any_other_version_is_412(as_user, alice, sam, open_as, header):
    ticket = open_as(alice)
    response = patched(as_user(sam), ticket, header)
    assert response.status_code == 412
    assert response.json()["code"] == "version_conflict"
    assert response.json()["version"] == ticket.version
    ticket.refresh_from_db()
    assert ticket.subject == "Printer is broken"


@pytest.mark.parametrize("header", ["1", '"1', "", "w/1", '"1" "1"', '"7", *', "é", '"\x7f"', ",,"])
def test_what_is_no_entity_tag_is_400(as_user, alice, sam, open_as, header):
    response = patched(as_user(sam), open_as(alice), header)
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/If-Match"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("status", {"status": "on_hold"}),
        ("priority", {"priority": "high"}),
        ("assign", {"assignee": None}),
        ("assign", {"assignee": "auto"}),
    ],
)
def test_if_match_guards_every_change_of_a_ticket(as_user, alice, sam, open_as, path, body):
    ticket = open_as(alice)
    response = as_user(sam).put(f"/api/tickets/{ticket.pk}/{path}", body, HTTP_IF_MATCH='"99"')
    assert response.status_code == 412


def test_a_message_does_not_make_a_ticket_stale(as_user, alice, sam, bob, open_as):
    ticket = open_as(alice)
    read = as_user(sam).get(f"/api/tickets/{ticket.pk}/")
    as_user(alice).post(f"/api/tickets/{ticket.pk}/messages", {"body": "and another thing"})
    assert patched(as_user(sam), ticket, read["ETag"]).status_code == 200


def test_a_tag_that_grows_in_lower_case_is_refused(as_user, alice):
    answer = as_user(alice).post("/api/tickets/", {"subject": "x", "tags": ["\u0130" * 50]})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/tags"


@pytest.mark.postgres
def test_a_customers_list_is_read_by_index_however_many_tickets_there_are(alice, charlie):
    at = timezone.now()
    Ticket.objects.bulk_create(
        Ticket(subject="x", requester=charlie, created_at=at) for _ in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tickets_ticket; ANALYZE tickets_participant")
    plan = Ticket.objects.visible_to(alice).order_by("-public_updated_at", "-pk")[:26].explain()
    assert "Seq Scan on tickets_ticket" not in plan
    assert "tickets_of_requester" in plan
