"""The console: who gets in, and how people are managed there."""

import pytest
from django.contrib.auth.hashers import check_password
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import services, sessions
from agents.admin.base import BoundedPaginator
from agents.models import AgentSkill, Availability, Role, Session, Skill, Team, User
from agents.services import create_user, update_agent
from servicedesk.errors import DomainError

SIGN_IN = "/admin/login/"
USERS = "/admin/agents/user/"
AGENTS = "/admin/agents/agentprofile/"
PASSWORD = "correct-horse-42"
NEW_PASSWORD = "battery-staple-43"


def queries_of(browser, address):
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200
    return queries


def sign_in(browser, name, password):
    return browser.post(SIGN_IN, {"username": name, "password": password, "next": "/admin/"})


def user_form(user, **changes):
    fields = {"username": user.username, "name": user.name, "email": user.email, "role": user.role}
    return {**fields, "is_active": "on", "new_password": "", **changes}


def skill_rows(*rows: tuple[object, ...], existing=0):
    """The inline forms of skills: (row id or None, skill, level)."""
    data = {
        "skills-TOTAL_FORMS": len(rows),
        "skills-INITIAL_FORMS": existing,
        "skills-MIN_NUM_FORMS": 0,
        "skills-MAX_NUM_FORMS": 1000,
    }
    for number, (pk, agent, skill, level) in enumerate(rows):
        values = {"id": pk or "", "agent": agent, "skill": skill, "level": level}
        data |= {f"skills-{number}-{name}": value for name, value in values.items()}
    return data


# --- Signing in -----------------------------------------------------------------------


def test_an_agent_signs_in_by_name_or_by_e_mail(db):
    create_user(username="eva", email="eva@desk.example", role=Role.AGENT, password=PASSWORD)

    for name in ("eva", "EVA", "Eva@desk.example"):
        browser = Client()
        assert sign_in(browser, name, PASSWORD).url == "/admin/"
        assert browser.get("/admin/").status_code == 200


def test_the_sign_in_page_counts_failures_as_the_api_does(db):
    create_user(username="eva", role=Role.AGENT, password=PASSWORD)
    browser = Client()

    for _ in range(5):
        answer = sign_in(browser, "eva", "wrong")
        assert b"The name or the password is wrong." in answer.content

    locked = sign_in(browser, "eva", PASSWORD)
    assert b"Too many failed attempts" in locked.content
    assert "_auth_user_id" not in browser.session
    api = Client().post(
        "/api/auth/token", {"username": "eva", "password": PASSWORD}, "application/json"
    )
    assert api.status_code == 429


def test_a_customer_cannot_enter(db, alice, console):
    User.objects.filter(pk=alice.pk).update(password="")
    create_user(username="carl", role=Role.CUSTOMER, password=PASSWORD)

    browser = Client()
    assert sign_in(browser, "carl", PASSWORD).status_code == 200
    assert "_auth_user_id" not in browser.session
    for address in ("/admin/", USERS, AGENTS, "/admin/tickets/ticket/"):
        answer = console(alice).get(address)
        assert answer.status_code == 302
        assert answer.url.startswith(SIGN_IN)


def test_a_customer_is_told_for_whom_the_console_is(db):
    create_user(username="carl", role=Role.CUSTOMER, password=PASSWORD)

    right = sign_in(Client(), "carl", PASSWORD).content
    wrong = sign_in(Client(), "carl", "wrong").content

    assert b"This console is for agents and supervisors." in right
    assert b"This console is for" not in wrong
    assert b"case-sensitive" not in right + wrong


def test_signing_in_leads_to_no_other_site(db):
    create_user(username="eva", role=Role.AGENT, password=PASSWORD)
    data = {"username": "eva", "password": PASSWORD, "next": "//evil.example"}

    assert Client().post(SIGN_IN, data)["Location"] == "/admin/"


# --- One's own password ---------------------------------------------------------------


def change_password(browser, old, new=NEW_PASSWORD):
    data = {"old_password": old, "new_password1": new, "new_password2": new}
    return browser.post("/admin/password_change/", data)


def test_a_changed_password_ends_every_session_but_the_own(db, console):
    eva = create_user(username="eva", role=Role.AGENT, password=PASSWORD)
    browser, elsewhere = console(eva), console(eva)
    pair = sessions.start(user=eva, at=timezone.now())

    assert change_password(browser, PASSWORD).url == "/admin/password_change/done/"

    assert browser.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302
    with pytest.raises(DomainError):
        sessions.verify(pair.access)
    assert sign_in(Client(), "eva", NEW_PASSWORD).url == "/admin/"


def test_guessing_the_old_password_is_counted_and_locked_as_signing_in_is(db, console):
    eva = create_user(username="eva", role=Role.AGENT, password=PASSWORD)
    browser = console(eva)

    for _ in range(5):
        assert b"The old password is wrong." in change_password(browser, "wrong").content

    assert b"Too many failed attempts" in change_password(browser, PASSWORD).content
    assert b"Too many failed attempts" in sign_in(Client(), "eva", PASSWORD).content
    assert User.objects.get(pk=eva.pk).password == eva.password


def test_a_weak_new_password_is_explained_and_not_taken(db, console):
    eva = create_user(username="eva", role=Role.AGENT, password=PASSWORD)

    answer = change_password(console(eva), PASSWORD, "12345")

    assert b"too short" in answer.content
    assert User.objects.get(pk=eva.pk).password == eva.password


# --- The first page -------------------------------------------------------------------


def test_tickets_come_first(bob, console):
    page = console(bob).get("/admin/")

    apps = [(app["app_label"], app["models"][0]["object_name"]) for app in page.context["app_list"]]
    assert apps == [
        ("tickets", "Ticket"),
        ("attachments", "Attachment"),
        ("agents", "AgentProfile"),
    ]
    nav = page.content.decode()
    assert 0 < nav.index(">Tickets</a>") < nav.index(">Categories</a>")
    assert "desk/favicon.svg" in nav


def test_agents_come_and_go_on_the_first_page(bob, console):
    browser = console(bob)
    assert '<option value="available" selected>' in browser.get("/admin/").content.decode()

    said = browser.post("/admin/availability/", {"availability": "away"}, follow=True)

    assert b"You are away now." in said.content
    assert User.objects.get(pk=bob.pk).agent.availability == Availability.AWAY


def test_nobody_comes_or_goes_by_a_link_a_wrong_word_or_unknown(bob, alice, console):
    console(bob).get("/admin/availability/?availability=away")
    console(bob).post("/admin/availability/", {"availability": "gone"})
    for browser in (Client(), console(alice)):
        answer = browser.post("/admin/availability/", {"availability": "away"})
        assert answer["Location"].startswith(SIGN_IN)

    assert User.objects.get(pk=bob.pk).agent.availability == Availability.AVAILABLE


def test_a_refusal_is_a_page_of_the_console_with_a_way_back(bob, console):
    refused = console(bob).get(USERS)

    assert refused.status_code == 403
    page = refused.content.decode()
    assert "Your role may not do this" in page
    assert '<a href="/admin/">Back to the console</a>' in page
    assert 'class="desk-nav"' in page


@pytest.mark.parametrize("address", ["", "agents/user/", "tickets/ticket/", "agents/team/"])
def test_nobody_enters_unknown(db, address):
    assert Client().get(f"/admin/{address}").headers["Location"].startswith(SIGN_IN)


# --- What an agent may do there -------------------------------------------------------


def test_an_agent_sees_the_teams_and_agents_but_no_accounts(bob, dana, team, console):
    browser = console(bob)

    assert browser.get(AGENTS).status_code == 200
    assert b"Dana" in browser.get(f"{AGENTS}{dana.pk}/change/").content
    assert browser.get("/admin/agents/team/").status_code == 200
    assert browser.get(USERS).status_code == 403
    assert browser.get(f"{USERS}{dana.pk}/change/").status_code == 403


def test_an_agent_changes_nobody(bob, dana, team, console):
    browser = console(bob)
    before = list(User.objects.order_by("pk").values())
    capacity = dana.agent.capacity

    posts = {
        f"{AGENTS}{dana.pk}/change/": {"capacity": 999, "availability": "available"},
        f"{AGENTS}{bob.pk}/change/": {"capacity": 999, "availability": "available"},
        f"{USERS}{bob.pk}/change/": user_form(bob, role="supervisor"),
        f"{USERS}add/": {"username": "mallory", "role": "supervisor"},
        "/admin/agents/team/add/": {"name": "Mine"},
        f"/admin/agents/team/{team.pk}/change/": {"name": "Mine"},
    }
    for address, data in posts.items():
        assert browser.post(address, data).status_code == 403

    assert list(User.objects.order_by("pk").values()) == before
    dana.agent.refresh_from_db()
    assert dana.agent.capacity == capacity
    assert not Team.objects.filter(name="Mine").exists()


# --- Accounts -------------------------------------------------------------------------


def test_a_supervisor_finds_and_filters_accounts(sam, alice, bob, console):
    browser = console(sam)

    assert b"alice@desk.example" in browser.get(USERS, {"q": "alic"}).content
    agents = browser.get(USERS, {"role__exact": "agent"}).content
    assert b"bob@desk.example" in agents
    assert b"alice@desk.example" not in agents


@pytest.mark.parametrize(
    "lookup",
    ["password__regex=^pbkdf2", "password=x", "username__startswith=a", "role__regex=^a",
     "security_stamp__gt=a", "agent__capacity=1"],
)  # fmt: skip
def test_the_accounts_are_looked_up_by_their_filters_alone(sam, alice, console, lookup):
    assert console(sam).get(f"{USERS}?username=alice&{lookup}").status_code == 400
    assert console(sam).get(f"{USERS}?{lookup}").status_code == 400
    assert console(sam).get(f"{USERS}?role=agent&is_active__exact=1&_popup=1").status_code == 200


def test_a_new_agent_gets_a_password_and_a_profile(sam, console):
    data = {"username": "eva", "name": "Eva", "email": "", "role": "agent", "is_active": "on"}

    answer = console(sam).post(f"{USERS}add/", {**data, "new_password": PASSWORD})

    eva = User.objects.get(username="eva")
    assert answer.status_code == 302
    assert check_password(PASSWORD, eva.password)
    assert eva.agent.availability == Availability.OFFLINE


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("username", "bob", "This username is taken."),
        ("username", "a@b", "no spaces or @"),
        ("email", "BOB@desk.example", "This e-mail address is taken."),
        ("new_password", "12345", "too short"),
        ("role", "owner", "not one of the available choices"),
    ],
)
def test_a_wrong_account_is_explained_and_not_made(sam, bob, console, field, value, complaint):
    data = {"username": "eva", "name": "", "email": "", "role": "agent", "is_active": "on"}

    answer = console(sam).post(f"{USERS}add/", {**data, field: value})

    assert answer.status_code == 200
    assert complaint in answer.content.decode()
    assert not User.objects.filter(username="eva").exists()


@pytest.mark.parametrize(
    "change", [{"role": "customer"}, {"is_active": ""}, {"new_password": PASSWORD}]
)
def test_a_new_role_or_password_or_deactivation_signs_out_everywhere(sam, bob, console, change):
    browser = console(bob)
    pair = sessions.start(user=bob, at=timezone.now())
    assert browser.get("/admin/").status_code == 200

    data = {k: v for k, v in user_form(bob, **change).items() if v or k == "new_password"}
    assert console(sam).post(f"{USERS}{bob.pk}/change/", data).status_code == 302

    assert browser.get("/admin/").status_code == 302
    with pytest.raises(DomainError):
        sessions.verify(pair.access)


def test_another_name_signs_nobody_out(sam, bob, console):
    browser = console(bob)

    console(sam).post(f"{USERS}{bob.pk}/change/", user_form(bob, name="Robert"))

    assert User.objects.get(pk=bob.pk).name == "Robert"
    assert browser.get("/admin/").status_code == 200


def test_the_last_supervisor_stays_one_and_is_told_why(sam, console):
    browser = console(sam)

    answer = browser.post(
        f"{USERS}{sam.pk}/change/", user_form(sam, role="agent", name="Samuel"), follow=True
    )

    assert b"This is the last active supervisor." in answer.content
    sam.refresh_from_db()
    assert (sam.role, sam.name) == (Role.SUPERVISOR, "Sam")


def test_superuser_and_stamp_are_no_fields_of_the_page(sam, bob, console):
    raw = {"is_superuser": "on", "security_stamp": "x", "password": "x", "date_joined_0": "x"}

    console(sam).post(f"{USERS}{bob.pk}/change/", user_form(bob, **raw))

    after = User.objects.get(pk=bob.pk)
    assert not after.is_superuser
    assert (after.security_stamp, after.password) == (bob.security_stamp, bob.password)


def test_accounts_and_profiles_are_never_deleted(sam, bob, console):
    browser = console(sam)

    for address in (USERS, AGENTS):
        assert browser.post(f"{address}{bob.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(USERS, {"action": "delete_selected", "_selected_action": [bob.pk], "post": "yes"})

    assert User.objects.filter(pk=bob.pk, agent__isnull=False).exists()


def test_signing_out_everywhere_is_an_action_of_the_list(sam, bob, console):
    sessions.start(user=bob, at=timezone.now())
    browser = console(bob)

    console(sam).post(USERS, {"action": "sign_out_everywhere", "_selected_action": [bob.pk]})

    assert not Session.objects.live().filter(user=bob).exists()
    assert browser.get("/admin/").status_code == 302


# --- Agents ---------------------------------------------------------------------------


def test_a_supervisor_sets_capacity_teams_and_skills_in_one_go(sam, bob, team, vpn, console):
    wifi = Skill.objects.create(name="wifi")
    update_agent(agent=bob.agent, at=timezone.now(), skills={vpn: 2})
    row = AgentSkill.objects.get()
    fields = {"capacity": 3, "availability": "away", "teams": [team.pk]}
    rows = skill_rows((row.pk, bob.pk, vpn.pk, 5), (None, bob.pk, wifi.pk, 1), existing=1)

    answer = console(sam).post(f"{AGENTS}{bob.pk}/change/", {**fields, **rows})

    assert answer.status_code == 302
    agent = User.objects.get(pk=bob.pk).agent
    assert (agent.capacity, agent.availability) == (3, "away")
    assert list(agent.teams.all()) == [team]
    assert {str(level) for level in agent.skills.all()} == {"vpn 5", "wifi 1"}


def test_a_skill_is_taken_away_and_none_stands_twice(sam, bob, vpn, console):
    update_agent(agent=bob.agent, at=timezone.now(), skills={vpn: 2})
    row = AgentSkill.objects.get()
    fields = {"capacity": 3, "availability": "away"}
    browser = console(sam)

    twice = skill_rows((row.pk, bob.pk, vpn.pk, 5), (None, bob.pk, vpn.pk, 1), existing=1)
    answer = browser.post(f"{AGENTS}{bob.pk}/change/", {**fields, **twice})
    assert b"duplicate" in answer.content

    gone = {**skill_rows((row.pk, bob.pk, vpn.pk, 5), existing=1), "skills-0-DELETE": "on"}
    browser.post(f"{AGENTS}{bob.pk}/change/", {**fields, **gone})
    assert not AgentSkill.objects.exists()


def test_the_load_of_an_agent_is_no_field(sam, bob, console):
    fields = {"capacity": 3, "availability": "away", "open_load": 77, **skill_rows()}

    console(sam).post(f"{AGENTS}{bob.pk}/change/", fields)

    agent = User.objects.get(pk=bob.pk).agent
    assert (agent.capacity, agent.open_load) == (3, 0)


def test_agents_are_filtered_by_team(sam, bob, dana, team, console):
    bob.agent.teams.add(team)

    page = console(sam).get(AGENTS, {"team": team.pk})

    assert [row.pk for row in page.context["cl"].result_list] == [bob.pk]


# --- Teams and skills -----------------------------------------------------------------


def test_teams_and_skills_are_made_and_renamed(sam, console):
    browser = console(sam)

    browser.post("/admin/agents/team/add/", {"name": "Network"})
    browser.post("/admin/agents/skill/add/", {"name": "vpn"})
    again = browser.post("/admin/agents/team/add/", {"name": "NETWORK"})
    team = Team.objects.get()
    browser.post(f"/admin/agents/team/{team.pk}/change/", {"name": "Networks"})

    assert b"This name is taken." in again.content
    assert Team.objects.get().name == "Networks"
    assert Skill.objects.get().name == "vpn"


def test_the_console_writes_teams_and_skills_by_the_services(sam, team, vpn, console, monkeypatch):
    def refuse(*args, **kwargs):
        raise services.InUse("The service was asked.")

    browser = console(sam)
    for name in ("create_named", "rename", "delete_named", "create_team", "update_team"):
        monkeypatch.setattr(services, name, refuse)
    for kind, row in (("team", team), ("skill", vpn)):
        for page, data in [
            ("add/", {"name": "New"}),
            (f"{row.pk}/change/", {"name": "Other"}),
            (f"{row.pk}/delete/", {"post": "yes"}),
        ]:
            answer = browser.post(f"/admin/agents/{kind}/{page}", data, follow=True)
            assert "The service was asked." in answer.content.decode()

    assert list(Team.objects.values_list("name", flat=True)) == ["Network"]
    assert list(Skill.objects.values_list("name", flat=True)) == ["vpn"]


def test_only_what_nothing_uses_can_be_deleted(sam, bob, team, vpn, console):
    unused = Team.objects.create(name="Unused")
    bob.agent.teams.add(team)
    update_agent(agent=bob.agent, at=timezone.now(), skills={vpn: 2})
    browser = console(sam)

    for address in (f"team/{team.pk}", f"skill/{vpn.pk}"):
        answer = browser.post(f"/admin/agents/{address}/delete/", {"post": "yes"})
        assert answer.status_code == 403
    browser.post(f"/admin/agents/team/{unused.pk}/delete/", {"post": "yes"})

    assert list(Team.objects.all()) == [team]
    assert Skill.objects.filter(pk=vpn.pk).exists()


# --- Lists stay fast ------------------------------------------------------------------


@pytest.mark.parametrize("address", [USERS, AGENTS, "/admin/agents/team/", "/admin/agents/skill/"])
def test_a_list_costs_the_same_however_many_rows(sam, console, address):
    browser = console(sam)

    def add(numbers):
        for number in numbers:
            user = create_user(username=f"agent{number}", role=Role.AGENT)
            skill = Skill.objects.create(name=f"skill {number}")
            group = Team.objects.create(name=f"team {number}")
            update_agent(agent=user.agent, at=timezone.now(), teams=[group], skills={skill: 2})

    add(range(2))
    few = len(queries_of(browser, address))
    add(range(2, 12))
    assert len(queries_of(browser, address)) == few


def test_no_list_counts_beyond_its_bound(sam, alice, bob, console, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "bound", 2)

    with CaptureQueriesContext(connection) as queries:
        page = console(sam).get(USERS)

    counts = [q["sql"] for q in queries if "COUNT(*)" in q["sql"] and "agents_user" in q["sql"]]
    assert len(counts) == 1
    assert "LIMIT 3" in counts[0]
    assert "ORDER BY" not in counts[0]
    assert "2+ users" in " ".join(page.content.decode().split())


def test_a_filter_loads_only_some_choices_and_takes_a_name_for_the_others(sam, bob, console):
    teams = [Team.objects.create(name=f"Team {number:02}") for number in range(20)]
    bob.agent.teams.add(teams[19])
    browser = console(sam)

    page = browser.get(AGENTS).content.decode()
    assert "Team 14" in page
    assert "Team 15" not in page
    for value in ("team 19", teams[19].pk):
        found = browser.get(AGENTS, {"team": value})
        assert [row.pk for row in found.context["cl"].result_list] == [bob.pk]
    assert not browser.get(AGENTS, {"team": "nothing"}).context["cl"].result_list


def test_groups_which_mean_nothing_here_are_not_offered(sam, console):
    User.objects.filter(pk=sam.pk).update(is_superuser=True)

    assert console(sam).get("/admin/auth/group/").status_code == 404


def test_hostile_names_are_inert(sam, console):
    name = "<script>alert(1)</script>{{ 7|add:7 }}"
    user = create_user(username="mallory", name=name, role=Role.AGENT)
    browser = console(sam)

    for address in (USERS, AGENTS, f"{USERS}{user.pk}/change/", f"{AGENTS}{user.pk}/change/"):
        page = browser.get(address).content.decode()
        assert "<script>alert(1)" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "{{ 7|add:7 }}" in page
