"""Tickets in the console: the list, the page, and that only services change anything."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.admin.base import BoundedPaginator
from agents.models import Skill, Team
from tickets import services
from tickets.lifecycle import Status
from tickets.models import AssignmentDecision, Category, Message, Priority, Ticket, TicketEvent

LIST = "/admin/tickets/ticket/"
HOSTILE = "<script>alert(1)</script>{{ 7|add:7 }}"


def opened(requester, subject="VPN drops", **fields):
    ticket = services.open_ticket(
        requester=requester, actor=requester, subject=subject, at=timezone.now(), **fields
    )
    return Ticket.objects.get(pk=ticket.pk)


def page_of(ticket):
    return f"{LIST}{ticket.pk}/change/"


def act(browser, ticket, action, **data):
    """Press a button of a page that shows the ticket as it is now."""
    version = Ticket.objects.get(pk=ticket.pk).version
    return browser.post(f"{LIST}{ticket.pk}/{action}/act/", {"version": version, **data})


def reply(browser, ticket, body, audience="public", key="k1"):
    return act(browser, ticket, "reply", body=body, audience=audience, client_msg_id=key)


def everything():
    """All that an action may change, to show that a refused one changed nothing."""
    kinds = (Ticket, TicketEvent, Message, AssignmentDecision)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


def shown(answer):
    return [ticket.pk for ticket in answer.context["cl"].result_list]


@pytest.fixture
def hidden(alice, dana):
    """A ticket of a team that bob is not in."""
    return opened(alice, "Payroll is wrong", team=Team.objects.create(name="Payroll"))


# --- The list -------------------------------------------------------------------------


def test_the_list_shows_tickets_newest_change_first(alice, bob, sam, console):
    first, second = opened(alice), opened(alice, "Printer jams", priority=Priority.CRITICAL)

    answer = console(sam).get(LIST)

    assert shown(answer) == [second.pk, first.pk]
    page = answer.content.decode()
    for text in (second.number, "Printer jams", "is-open", "Critical", "Bob", "Alice"):
        assert text in page


def test_an_agent_sees_in_the_list_only_what_is_theirs(alice, bob, sam, hidden, console):
    seen = opened(alice)

    assert shown(console(bob).get(LIST)) == [seen.pk]
    assert set(shown(console(sam).get(LIST))) == {seen.pk, hidden.pk}
    assert shown(console(bob).get(LIST, {"q": "payroll"})) == []
    assert shown(console(bob).get(LIST, {"q": hidden.number})) == []
    assert shown(console(bob).get(LIST, {"team": hidden.team_id})) == []


def test_the_list_is_searched_by_full_text_and_number(alice, bob, console):
    ticket = opened(alice, "Mail is slow")
    other = opened(alice, "Printer jams", description="On the third floor")
    services.post_message(
        ticket=ticket, author=bob, body="The gateway is busy", at=timezone.now(), is_internal=True
    )
    browser = console(bob)

    for query in ("mail", "gate", "slow gateway"[:4], ticket.number, ticket.number.lower()):
        assert shown(browser.get(LIST, {"q": query})) == [ticket.pk]
    assert shown(browser.get(LIST, {"q": "third"})) == [other.pk]
    assert shown(browser.get(LIST, {"q": "'; DROP TABLE"})) == []
    assert len(shown(browser.get(LIST, {"q": " "}))) == 2


def test_the_list_filters_by_status_priority_assignee_team_and_category(alice, bob, sam, console):
    team, category = Team.objects.create(name="Payroll"), Category.objects.create(name="Pay")
    taken = opened(alice, category=category)
    waiting = opened(alice, team=team, priority=Priority.URGENT)
    browser = console(sam)

    for query, found in {
        "status__exact=open": taken,
        "status__exact=new": waiting,
        "priority__exact=4": waiting,
        f"assignee={bob.pk}": taken,
        "assignee=bob": taken,
        "assignee=none": waiting,
        f"team={team.pk}": waiting,
        "team=payroll": waiting,
        f"category={category.pk}": taken,
    }.items():
        assert shown(browser.get(f"{LIST}?{query}")) == [found.pk], query
    assert shown(browser.get(f"{LIST}?assignee=me")) == []
    assert shown(browser.get(f"{LIST}?assignee=nobody-of-this-name")) == []
    for query in ("team=%00", "assignee=99999999999999999999", "q=%00", "status__exact=%00"):
        assert browser.get(f"{LIST}?{query}").status_code in (200, 302), query


def test_the_list_costs_the_same_however_many_tickets(alice, bob, sam, console):
    browser = console(sam)

    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(LIST).status_code == 200
        return len(queries)

    opened(alice)
    few = cost()
    for number in range(12):
        category = Category.objects.create(name=f"Category {number}")
        opened(alice, category=category, team=Team.objects.create(name=f"Team {number}"))
    assert cost() == few


def test_the_list_counts_no_further_than_its_bound(alice, sam, console, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 2)
    for _ in range(4):
        opened(alice)

    with CaptureQueriesContext(connection) as queries:
        answer = console(sam).get(LIST)

    counts = [q["sql"] for q in queries if "COUNT(*)" in q["sql"] and "tickets_ticket" in q["sql"]]
    assert len(counts) == 1
    assert "LIMIT 3" in counts[0]
    assert "2+ tickets" in " ".join(answer.content.decode().split())


@pytest.mark.parametrize(
    "query", ["description__regex=^(a%2B)%2B$", "subject__regex=(", "team__name=x", "nothing=x"]
)
def test_the_list_obeys_no_lookup_but_its_filters(alice, bob, console, query):
    opened(alice)

    assert console(bob).get(f"{LIST}?{query}").status_code == 400


def test_the_list_writes_times_short_and_says_their_zone_once(alice, sam, console):
    now = timezone.now()
    opened(alice)
    old = opened(alice)
    Ticket.objects.filter(pk=old.pk).update(updated_at=now.replace(year=2019, month=2, day=3))

    page = console(sam).get(LIST).content.decode()

    assert f'<td class="field-updated">3 Feb 2019, {now:%H:%M}</td>' in page
    assert f'<td class="field-updated">{now.day} {now:%b, %H:}' in page
    assert page.count("UTC") == 1


def columns(browser):
    return {
        name: number for number, name in enumerate(browser.get(LIST).context["cl"].list_display)
    }


def test_the_list_sorts_along_an_index_and_by_nothing_else(alice, sam, console):
    opened(alice)
    browser = console(sam)
    place = columns(browser)

    def order(value):
        query = str(browser.get(LIST, {"o": value}).context["cl"].queryset.query)
        return query.rpartition("ORDER BY ")[2].replace('"tickets_ticket".', "").replace('"', "")

    priority, updated = place["priority_label"], place["updated"]
    assert order(priority) == "priority DESC, id DESC"
    assert order(-priority) == "priority ASC, id ASC"
    assert order(updated) == "updated_at ASC, id ASC"
    for name in ("assignee_name", "subject", "requester", "status_pill"):
        assert order(place[name]) == "updated_at DESC, id DESC"


def test_the_filters_load_only_some_choices(alice, sam, console):
    for number in range(40):
        Category.objects.create(name=f"Category {number:02}")
        Team.objects.create(name=f"Team {number:02}")

    page = console(sam).get(LIST).content.decode()

    assert "Category 14" in page
    assert "Category 16" not in page
    assert "Team 16" not in page


# --- Who gets in ----------------------------------------------------------------------


@pytest.mark.parametrize("action", ["reply", "move", "assign", "claim", "priority", "escalate"])
def test_a_hidden_ticket_is_not_there_for_an_agent(bob, hidden, console, action):
    browser, before = console(bob), everything()

    assert browser.get(page_of(hidden)).status_code == 404
    assert browser.get(f"{LIST}{hidden.pk}/history/", follow=True).status_code == 404
    data = {"body": "x", "audience": "public", "client_msg_id": "x", "to": "open", "how": "auto"}
    assert act(browser, hidden, action, **data, reason="x").status_code == 404

    assert everything() == before


def test_a_customer_reaches_no_page_and_no_action(alice, charlie, bob, console):
    ticket = opened(alice)
    before = everything()

    for person in (alice, charlie):
        browser = console(person)
        assert browser.get(page_of(ticket)).url.startswith("/admin/login/")
        assert reply(browser, ticket, "x").url.startswith("/admin/login/")
        assert act(browser, ticket, "move", to="cancelled").url.startswith("/admin/login/")

    assert everything() == before


def test_a_ticket_that_is_not_there_is_a_404(sam, console):
    for pk in ("7", "0", "99999999999999999999", "x"):
        assert console(sam).get(f"{LIST}{pk}/change/").status_code == 404


def test_actions_want_a_post_with_its_csrf_token(alice, bob, sam):
    from django.test import Client

    ticket = opened(alice)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(sam)
    before = everything()

    assert browser.get(f"{LIST}{ticket.pk}/claim/act/").status_code == 302
    assert reply(browser, ticket, "x").status_code == 403

    assert everything() == before


# --- Nothing is written past the services ---------------------------------------------


def test_raw_fields_posted_to_the_page_change_nothing(alice, bob, dana, sam, console):
    ticket = opened(alice)
    before = everything()
    raw = {
        "status": "closed", "assignee": dana.pk, "version": 99, "priority": 5, "_save": "Save",
        "requester": dana.pk, "escalation_level": 3, "resolution": "x", "reopen_count": 9,
    }  # fmt: skip

    for person in (bob, sam):
        console(person).post(page_of(ticket), raw)

    assert everything() == before


def test_raw_fields_beside_an_edit_change_nothing_but_the_edit(alice, bob, dana, sam, console):
    ticket = opened(alice)
    raw = {"status": "closed", "assignee": dana.pk, "escalation_level": 3, "priority": 5}

    answer = act(console(sam), ticket, "edit", subject="Renamed", **raw)

    assert answer.status_code == 302
    after = Ticket.objects.get(pk=ticket.pk)
    assert after.subject == "Renamed"
    for name in ("status", "assignee_id", "escalation_level", "priority"):
        assert getattr(after, name) == getattr(ticket, name)


def test_tickets_are_neither_added_nor_deleted_here(alice, sam, console):
    ticket = opened(alice)
    browser = console(sam)

    assert browser.get(f"{LIST}add/").status_code == 403
    assert browser.post(f"{LIST}{ticket.pk}/delete/", {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [ticket.pk], "post": "yes"}
    browser.post(LIST, data)

    assert Ticket.objects.filter(pk=ticket.pk).exists()


# --- The page -------------------------------------------------------------------------


def test_the_page_tells_replies_from_notes(alice, bob, console):
    ticket = opened(alice, description="**Every** ten minutes")
    browser = console(bob)
    reply(browser, ticket, "I look into _it_", key="a")
    reply(browser, ticket, "Certificate errors", "internal", key="b")
    services.post_message(ticket=ticket, author=alice, body="Thanks", at=timezone.now())

    answer = browser.get(page_of(ticket))

    said = answer.context["said"]
    assert [(item.is_staff, item.is_internal) for item in said] == [
        (True, False), (True, True), (False, False),
    ]  # fmt: skip
    page = answer.content.decode()
    assert "<strong>Every</strong>" in page
    assert "<em>it</em>" in page
    assert page.count("desk-said is-note") == 1


def test_the_page_tells_the_history_and_why_it_was_assigned(alice, bob, dana, sam, console):
    ticket = opened(alice)
    browser = console(sam)
    act(browser, ticket, "priority", to="4", reason="The boss waits")
    act(browser, ticket, "escalate", reason="Still broken")
    act(browser, ticket, "assign", how="agent", agent="dana", force="on")
    act(browser, ticket, "edit", subject="Renamed", tags="vpn, Home")
    services.add_participant(ticket=ticket, user=dana, actor=sam, at=timezone.now())
    act(browser, ticket, "assign", how="queue")

    page = browser.get(page_of(ticket)).content.decode()

    for text in (
        "opened the ticket",
        "assigned it to Bob by the score",
        "status: New → Open",
        "priority: Normal → Urgent (The boss waits)",
        "escalated it to level 1, priority: Critical (Still broken)",
        "assigned it to Dana (before: Bob)",
        "changed subject, tags",
        "added Dana as participant",
        "put it back in the queue (it was with Dana)",
    ):
        assert text in page
    act(browser, ticket, "assign", how="auto")
    decided = browser.get(page_of(ticket)).content.decode()
    assert "Why Bob" in decided
    assert "<dt>Knows them</dt>" in decided


def test_the_page_costs_the_same_however_long_the_conversation(alice, bob, console):
    ticket = opened(alice)
    browser = console(bob)

    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(page_of(ticket)).status_code == 200
        return len(queries)

    reply(browser, ticket, "One", key="0")
    few = cost()
    for number in range(1, 9):
        reply(browser, ticket, f"More {number}", key=str(number))
        reply(browser, ticket, f"Note {number}", "internal", key=f"n{number}")
    assert cost() == few


def test_a_long_conversation_starts_with_its_newest_part(alice, bob, console, monkeypatch):
    monkeypatch.setattr("tickets.admin.page.MESSAGES_SHOWN", 2)
    ticket = opened(alice)
    browser = console(bob)
    for body in ("The first", "The second", "The third"):
        reply(browser, ticket, body, key=body)

    page = browser.get(page_of(ticket)).content.decode()
    assert "The first" not in page
    assert "The third" in page
    assert "The first" in browser.get(f"{page_of(ticket)}?all").content.decode()


def test_hostile_text_is_inert_on_list_and_page(alice, bob, sam, console):
    alice.name = bob.name = HOSTILE
    for user in (alice, bob):
        user.save(update_fields=["name"])
    team = Team.objects.create(name=HOSTILE)
    category = Category.objects.create(name=HOSTILE)
    ticket = opened(alice, HOSTILE, description=HOSTILE, category=category, tags=[HOSTILE[:50]])
    browser = console(sam)
    reply(browser, ticket, HOSTILE, "internal", key="a")
    act(browser, ticket, "priority", to="4", reason=HOSTILE)
    act(browser, ticket, "edit", subject=HOSTILE, team=team.pk, category=category.pk)

    for address in (LIST, page_of(ticket)):
        page = browser.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "{{ 7|add:7 }}" in page


# --- Its buttons ----------------------------------------------------------------------


def buttons(browser, ticket):
    moves = browser.get(page_of(ticket)).context["moves"]
    return {move.label: move.refused for move in moves}


def test_the_page_has_every_move_of_the_table_and_bars_the_others_with_reasons(
    alice, bob, sam, console
):
    ticket = opened(alice)
    assert set(buttons(console(bob), ticket)) == {
        "Wait for the customer", "Wait for a third party", "Resolve", "Cancel ticket",
    }  # fmt: skip
    act(console(bob), ticket, "move", to="cancelled", comment="A duplicate")

    assert buttons(console(sam), ticket) == {"Reopen": ""}
    assert buttons(console(bob), ticket) == {"Reopen": "Your role may not make this move."}
    page = console(bob).get(page_of(ticket)).content.decode()
    assert 'disabled title="Your role may not make this move."' in page


def test_the_box_for_words_opens_where_they_were_missing(alice, bob, console):
    ticket = opened(alice)
    fold = "<details{}>\n    <summary>With a comment or resolution"
    assert fold.format("") in console(bob).get(page_of(ticket)).content.decode()

    refused = act(console(bob), ticket, "move", to="cancelled")

    assert fold.format(" open") in refused.content.decode()


def test_a_move_is_made_with_its_comment_and_resolution(alice, bob, console):
    ticket = opened(alice)
    browser = console(bob)

    act(browser, ticket, "move", to="pending", comment="Which model?\r\nSend a photo.")
    assert Message.objects.get().body == "Which model?\nSend a photo."
    answer = act(browser, ticket, "move", to="resolved", resolution="A new cable")

    assert answer.status_code == 302
    after = Ticket.objects.get(pk=ticket.pk)
    assert (after.status, after.resolution) == (Status.RESOLVED, "A new cable")
    assert "A new cable" in browser.get(page_of(ticket)).content.decode()


@pytest.mark.parametrize(
    ("data", "status", "complaint"),
    [
        ({"to": "pending"}, 409, "Tell the customer what you are waiting for."),
        ({"to": "cancelled"}, 409, "Say why the ticket is cancelled."),
        ({"to": "new"}, 409, "cannot become new"),
        ({"to": "closed"}, 409, "cannot become closed"),
        ({"to": "gone"}, 400, "Select a valid choice"),
        ({"to": "on_hold", "resolution": "x"}, 400, "Only a ticket that becomes resolved"),
    ],
)
def test_a_refused_move_says_why_and_changes_nothing(alice, bob, console, data, status, complaint):
    ticket = opened(alice)
    before = everything()

    answer = act(console(bob), ticket, "move", **data)

    assert answer.status_code == status
    assert complaint in answer.content.decode()
    assert everything() == before


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("move", {"to": "on_hold", "comment": "My long explanation"}),
        ("assign", {"how": "agent", "agent": "dana"}),
        ("assign", {"how": "auto"}),
        ("assign", {"how": "queue"}),
        ("priority", {"to": "4", "reason": "My long explanation"}),
        ("escalate", {"reason": "My long explanation"}),
        ("edit", {"subject": "Renamed"}),
    ],
)
def test_a_stale_page_overwrites_nothing_and_keeps_what_was_written(
    alice, bob, dana, sam, console, action, data
):
    ticket = opened(alice)
    browser = console(sam)
    act(browser, ticket, "edit", subject="Changed by somebody else")
    before = everything()

    stale = {**data, "version": ticket.version}
    answer = act(browser, ticket, action, **stale)

    assert answer.status_code == 412
    assert everything() == before
    page = answer.content.decode()
    assert "Somebody changed this ticket while you were looking at it" in page
    for text in data.values():
        assert text not in ("My long explanation", "Renamed") or text in page
    fresh = Ticket.objects.get(pk=ticket.pk).version
    assert f'name="version" value="{fresh}"' in page


def test_an_action_without_the_version_of_its_page_is_refused(alice, bob, sam, console):
    ticket = opened(alice)
    before = everything()

    for version in ("", "x", "-"):
        answer = act(console(sam), ticket, "escalate", reason="x", version=version)
        assert answer.status_code == 400

    assert everything() == before


def test_a_reply_is_sent_once_however_often_it_is_clicked(alice, bob, console):
    ticket = opened(alice)

    for _ in range(2):
        assert reply(console(bob), ticket, "Hello").status_code == 302

    assert [message.body for message in Message.objects.all()] == ["Hello"]
    assert not Message.objects.get().is_internal


def test_a_note_stays_a_note_and_an_unclear_audience_is_refused(alice, bob, console):
    ticket = opened(alice)
    before = everything()

    for audience in ("", "everybody"):
        assert reply(console(bob), ticket, "Secret", audience).status_code == 400
    assert everything() == before

    reply(console(bob), ticket, "Secret", "internal")
    assert Message.objects.get().is_internal


def test_a_ticket_is_claimed_once(alice, bob, dana, sam, team, console):
    ticket = opened(alice, team=team)
    bob.agent.teams.add(team)
    assert "Take it" in console(bob).get(page_of(ticket)).content.decode()

    assert act(console(bob), ticket, "claim").status_code == 302
    again = act(console(sam), ticket, "claim")

    assert again.status_code == 409
    assert "Somebody has this ticket already." in again.content.decode()
    assert Ticket.objects.get(pk=ticket.pk).assignee == bob


def test_assigning_names_an_agent_and_says_why_not(alice, bob, dana, console):
    ticket = opened(alice)
    browser = console(bob)

    for name, status, complaint in (
        ("dana", 409, "away, offline or inactive"),
        ("alice", 400, "Only agents and supervisors"),
        ("nobody-here", 400, "no agent"),
        ("", 400, "no agent"),
    ):
        answer = act(browser, ticket, "assign", how="agent", agent=name)
        assert (answer.status_code, complaint in answer.content.decode()) == (status, True), name
    forced = act(browser, ticket, "assign", how="agent", agent="dana", force="on")

    assert forced.status_code == 403
    assert Ticket.objects.get(pk=ticket.pk).assignee == bob


def test_a_supervisor_forces_an_assignment_and_hears_when_nobody_can(alice, dana, sam, console):
    ticket = opened(alice)
    browser = console(sam)

    nobody = act(browser, ticket, "assign", how="auto")
    assert nobody.status_code == 409
    assert "Dana: Not now: not available." in nobody.content.decode()
    act(browser, ticket, "assign", how="agent", agent="Dana", force="on")

    assert Ticket.objects.get(pk=ticket.pk).assignee == dana


def test_an_agent_who_gives_a_ticket_out_of_sight_lands_on_the_list(alice, bob, console):
    ticket = opened(alice, team=Team.objects.create(name="Network"))
    bob.agent.teams.add(ticket.team)
    payroll = Team.objects.create(name="Payroll")

    answer = act(console(bob), ticket, "edit", subject=ticket.subject, team=payroll.pk)

    assert answer.url == LIST
    assert Ticket.objects.get(pk=ticket.pk).team == payroll


def test_the_details_are_edited_through_the_service(alice, bob, vpn, console):
    ticket = opened(alice)
    category = Category.objects.create(name="VPN")
    wifi = Skill.objects.create(name="wifi")
    data = {"subject": "Renamed", "category": category.pk, "tags": "Home, vpn,,"}

    act(console(bob), ticket, "edit", **data, required_skills=[vpn.pk, wifi.pk])

    after = Ticket.objects.get(pk=ticket.pk)
    assert (after.subject, after.category) == ("Renamed", category)
    assert set(after.required_skills.all()) == {vpn, wifi}
    assert {tag.name for tag in after.tags.all()} == {"home", "vpn"}
    last = TicketEvent.objects.filter(ticket=ticket).latest("seq")
    assert last.actor == bob
    assert last.data["fields"] == ["category", "required_skills", "subject", "tags"]


@pytest.mark.parametrize(
    "data",
    [
        {"subject": ""},
        {"subject": "Two\nlines"},
        {"subject": "x" * 201},
        {"subject": "x", "category": "999"},
        {"subject": "x", "tags": "y" * 51},
        {"subject": "x", "tags": ",".join(map(str, range(30)))},
        {"subject": "x", "required_skills": ["999"]},
    ],
)
def test_a_wrong_edit_is_explained_and_not_made(alice, bob, console, data):
    ticket = opened(alice)
    before = everything()

    answer = act(console(bob), ticket, "edit", **data)

    assert answer.status_code == 400
    assert b"errorlist" in answer.content
    assert everything() == before


def test_the_pickers_of_the_edit_form_find_what_is_typed(bob, console):
    Category.objects.create(name="VPN and remote access")
    query = {
        "app_label": "tickets",
        "model_name": "ticket",
        "field_name": "category",
        "term": "vpn",
    }

    found = console(bob).get("/admin/autocomplete/", query).json()["results"]

    assert [row["text"] for row in found] == ["VPN and remote access"]


def test_a_search_for_what_no_text_holds_finds_nothing(alice, bob, sam, console):
    Category.objects.create(name="VPN")
    query = {"app_label": "tickets", "model_name": "ticket", "field_name": "category"}

    answer = console(bob).get("/admin/autocomplete/", {**query, "term": "v\x00"})

    assert answer.json() == {"results": [], "pagination": {"more": False}}
    for address in (LIST, "/admin/tickets/category/", "/admin/agents/agentprofile/"):
        assert console(sam).get(f"{address}?q=%00&q=x").status_code == 302


# --- Categories -----------------------------------------------------------------------


def test_categories_are_managed_by_supervisors_and_read_by_agents(bob, sam, team, vpn, console):
    address = "/admin/tickets/category/"
    data = {"name": "VPN", "team": team.pk, "skills": [vpn.pk]}

    assert console(bob).post(f"{address}add/", data).status_code == 403
    console(sam).post(f"{address}add/", data)

    category = Category.objects.get()
    assert (category.team, list(category.skills.all())) == (team, [vpn])
    assert b"VPN" in console(bob).get(address).content


def test_the_console_changes_categories_by_the_services(sam, team, vpn, console, monkeypatch):
    category = Category.objects.create(name="VPN")
    browser, address = console(sam), f"/admin/tickets/category/{category.pk}/change/"
    changed, update = [], services.update_category

    def heard(**change):
        changed.append(change)
        return update(**change)

    monkeypatch.setattr(services, "update_category", heard)
    browser.post(address, {"name": "Remote", "team": team.pk, "skills": [vpn.pk]})

    category.refresh_from_db()
    assert (category.name, category.team, list(category.skills.all())) == ("Remote", team, [vpn])
    assert [set(change) for change in changed] == [
        {"category", "name", "team", "required_skills", "handling_minutes"}
    ]


def test_what_tickets_or_categories_use_cannot_be_deleted(alice, sam, team, vpn, console):
    category = Category.objects.create(name="VPN")
    category.skills.add(vpn)
    opened(alice, category=category, team=team)
    unused = Category.objects.create(name="Unused")
    browser = console(sam)

    used = (f"agents/team/{team.pk}", f"agents/skill/{vpn.pk}", f"tickets/category/{category.pk}")
    for address in used:
        assert browser.post(f"/admin/{address}/delete/", {"post": "yes"}).status_code == 403
    browser.post(f"/admin/tickets/category/{unused.pk}/delete/", {"post": "yes"})

    assert list(Category.objects.all()) == [category]
    assert Team.objects.filter(pk=team.pk).exists()
    assert Skill.objects.filter(pk=vpn.pk).exists()


def test_the_list_of_categories_costs_the_same_however_many(sam, console):
    browser = console(sam)

    def cost():
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/admin/tickets/category/").status_code == 200
        return len(queries)

    def add(number):
        category = Category.objects.create(
            name=f"Category {number}", team=Team.objects.create(name=f"Team {number}")
        )
        category.skills.add(Skill.objects.create(name=f"skill {number}"))

    add(0)
    few = cost()
    for number in range(1, 9):
        add(number)
    assert cost() == few
