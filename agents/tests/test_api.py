"""People over HTTP: agents, users, teams, skills, workload, availability."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Availability, Role, Session, Skill, Team, User
from agents.services import create_user, update_agent
from tickets import services
from tickets.models import Ticket

AGENT = {
    "id", "name", "email", "role", "teams", "skills", "capacity", "open_tickets", "utilisation",
    "availability", "is_active", "presence",
}  # fmt: skip
USER = {
    "id", "username", "name", "email", "role", "is_active", "teams", "agent", "permissions",
}  # fmt: skip


def queries_of(client, url):
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


# --- Who is calling -------------------------------------------------------------------


def test_everybody_reads_who_they_are(as_user, alice, bob, sam, team):
    update_agent(agent=bob.agent, at=timezone.now(), teams=[team], capacity=4)
    shown = {user: as_user(user).get("/api/auth/me").json() for user in (alice, bob, sam)}
    for user, body in shown.items():
        assert set(body) == USER
        assert (body["id"], body["role"], body["email"]) == (user.pk, user.role, user.email)
    assert shown[alice]["agent"] is None
    assert shown[alice]["teams"] == []
    assert shown[bob]["agent"] == {"capacity": 4, "availability": "available", "open_tickets": 0}
    assert shown[bob]["teams"] == [{"id": team.pk, "name": "Network"}]
    assert "users.manage" in shown[sam]["permissions"]
    assert "users.manage" not in shown[bob]["permissions"]


def test_a_superuser_counts_as_supervisor(as_user, db):
    boss = User.objects.create_superuser("boss", "pass phrase", role=Role.CUSTOMER)
    client = as_user(boss)
    assert client.get("/api/users/").status_code == 200
    assert "users.manage" in client.get("/api/auth/me").json()["permissions"]


# --- Agents ---------------------------------------------------------------------------


def test_staff_list_agents_and_customers_do_not(as_user, alice, bob, dana, sam, vpn, team):
    update_agent(agent=dana.agent, at=timezone.now(), teams=[team], skills={vpn: 4}, capacity=5)
    for user in (bob, sam):
        rows = as_user(user).get("/api/agents/").json()["results"]
        assert [row["id"] for row in rows] == sorted((bob.pk, dana.pk, sam.pk))
        assert all(set(row) == AGENT for row in rows)
    row = as_user(bob).get(f"/api/agents/{dana.pk}/").json()
    assert row["skills"] == [{"name": "vpn", "level": 4}]
    assert row["teams"] == [{"id": team.pk, "name": "Network"}]
    assert (row["capacity"], row["open_tickets"], row["utilisation"]) == (5, 0, 0.0)
    for path in ("", f"{bob.pk}/", "workload"):
        assert as_user(alice).get(f"/api/agents/{path}").status_code == 403


def test_a_customer_is_no_agent(as_user, sam, alice):
    client = as_user(sam)
    assert client.get(f"/api/agents/{alice.pk}/").status_code == 404
    assert client.patch(f"/api/agents/{alice.pk}/", {"capacity": 1}).status_code == 404


def test_a_supervisor_changes_an_agent(as_user, sam, dana, vpn, team):
    body = {
        "capacity": 3,
        "availability": "available",
        "teams": [team.pk, team.pk],
        "skills": [{"name": "VPN", "level": 5}],
    }
    response = as_user(sam).patch(f"/api/agents/{dana.pk}/", body)
    assert response.status_code == 200
    shown = response.json()
    assert (shown["capacity"], shown["availability"]) == (3, "available")
    assert shown["skills"] == [{"name": "vpn", "level": 5}]
    assert shown["teams"] == [{"id": team.pk, "name": "Network"}]
    cleared = as_user(sam).patch(f"/api/agents/{dana.pk}/", {"teams": [], "skills": []}).json()
    assert (cleared["teams"], cleared["skills"], cleared["capacity"]) == ([], [], 3)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"capacity": -1}, 400),
        ({"capacity": 1001}, 400),
        ({"capacity": "3"}, 400),
        ({"capacity": None}, 400),
        ({"availability": "online"}, 400),
        ({"is_active": "no"}, 400),
        ({"teams": [999_999]}, 404),
        ({"teams": ["1"]}, 400),
        ({"teams": 1}, 400),
        ({"skills": [{"name": "magic", "level": 1}]}, 400),
        ({"skills": [{"name": "vpn", "level": 0}]}, 400),
        ({"skills": [{"name": "vpn", "level": 6}]}, 400),
        ({"skills": [{"name": "vpn"}]}, 400),
        ({"skills": ["vpn"]}, 400),
        ({"skills": [{"name": "vpn", "level": 1, "since": 1}]}, 400),
        ({"open_tickets": 0}, 400),
        ({"role": "supervisor"}, 400),
    ],
)
def test_what_is_not_valid_changes_no_agent(as_user, sam, dana, vpn, body, status):
    before = as_user(sam).get(f"/api/agents/{dana.pk}/").json()
    assert as_user(sam).patch(f"/api/agents/{dana.pk}/", body).status_code == status
    assert as_user(sam).get(f"/api/agents/{dana.pk}/").json() == before


def test_an_agent_changes_their_own_availability_only(as_user, bob, dana):
    client = as_user(bob)
    own, other = f"/api/agents/{bob.pk}/", f"/api/agents/{dana.pk}/"
    assert client.patch(own, {"availability": "away"}).json()["availability"] == "away"
    bodies: list[dict[str, Any]] = [{"capacity": 99}, {"teams": []}]
    for body in (*bodies, {"availability": "offline", "capacity": 99}):
        assert client.patch(own, body).status_code == 403
    assert client.patch(other, {"availability": "away"}).status_code == 403
    bob.agent.refresh_from_db()
    assert (bob.agent.availability, bob.agent.capacity) == ("away", 10)


def test_an_agent_who_is_deactivated_is_out_on_the_next_request(as_user, sam, dana):
    client = as_user(dana)
    assert client.get("/api/auth/me").status_code == 200
    body = as_user(sam).patch(f"/api/agents/{dana.pk}/", {"is_active": False}).json()
    assert body["is_active"] is False
    assert client.get("/api/auth/me").status_code == 401


# --- Availability ---------------------------------------------------------------------


def opened(alice, subject="x"):
    return services.open_ticket(requester=alice, actor=alice, subject=subject, at=timezone.now())


@pytest.mark.parametrize("path", ["/api/agents/me/availability", "/api/agents/me/availability/"])
def test_an_agent_comes_and_goes(as_user, dana, path):
    for state in Availability.values:
        response = as_user(dana).put(path, {"availability": state})
        assert (response.status_code, response.json()["availability"]) == (200, state)


def test_who_leaves_may_hand_back_what_was_not_started(as_user, alice, bob, dana):
    unstarted, started = opened(alice), opened(alice)
    services.post_message(ticket=started, author=bob, body="on it", at=timezone.now())
    update_agent(agent=dana.agent, at=timezone.now(), availability="available")
    body = {"availability": "away", "reassign": True}
    shown = as_user(bob).put("/api/agents/me/availability", body).json()
    assert (shown["availability"], shown["open_tickets"]) == ("away", 1)
    unstarted.refresh_from_db()
    started.refresh_from_db()
    assert (unstarted.assignee_id, started.assignee_id) == (dana.pk, bob.pk)


def test_without_reassign_everything_stays(as_user, alice, bob, dana):
    ticket = opened(alice)
    update_agent(agent=dana.agent, at=timezone.now(), availability="available")
    as_user(bob).put("/api/agents/me/availability", {"availability": "offline"})
    ticket.refresh_from_db()
    assert ticket.assignee_id == bob.pk


def test_who_comes_hands_nothing_back(as_user, alice, bob):
    opened(alice)
    body = {"availability": "available", "reassign": True}
    assert as_user(bob).put("/api/agents/me/availability", body).json()["open_tickets"] == 1


def test_a_customer_has_no_availability(as_user, alice):
    body = {"availability": "away"}
    assert as_user(alice).put("/api/agents/me/availability", body).status_code == 403


@pytest.mark.parametrize("body", [{}, {"availability": "here"}, {"availability": "away", "x": 1}])
def test_an_unknown_availability_is_400(as_user, bob, body):
    assert as_user(bob).put("/api/agents/me/availability", body).status_code == 400


# --- Workload -------------------------------------------------------------------------


def test_the_workload_is_by_agent_and_by_team(as_user, alice, bob, dana, sam, team):
    update_agent(agent=bob.agent, at=timezone.now(), teams=[team], capacity=4)
    update_agent(agent=dana.agent, at=timezone.now(), teams=[team], capacity=6)
    for _ in range(2):
        opened(alice)
    body = as_user(dana).get("/api/agents/workload").json()
    assert {row["id"]: row["open_tickets"] for row in body["agents"]} == {
        bob.pk: 2,
        dana.pk: 0,
        sam.pk: 0,
    }
    assert body["teams"] == [
        {
            "team": {"id": team.pk, "name": "Network"},
            "agents": 2,
            "available": 1,
            "capacity": 10,
            "open_tickets": 2,
            "utilisation": 0.2,
        }
    ]


# --- Teams and skills -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "more"), [("teams", Team, {"lead": None}), ("skills", Skill, {})]
)
def test_everybody_reads_and_supervisors_add(as_user, alice, bob, sam, path, kind, more):
    url = f"/api/{path}/"
    made = as_user(sam).post(url, {"name": " Second line "})
    assert made.status_code == 201
    assert made.json() == {"id": kind.objects.get().pk, "name": "Second line", **more}
    for user in (alice, bob):
        assert as_user(user).get(url).json()["results"] == [made.json()]
        assert as_user(user).post(url, {"name": "x"}).status_code == 403
    bad: list[dict[str, Any]] = [{}, {"name": ""}, {"name": "second LINE"}, {"name": "a\tb"}]
    bad += [{"name": 5}, {"name": "x" * 101}, {"name": "x", "agents": [1]}]
    for body in bad:
        response = as_user(sam).post(url, body)
        assert response.status_code == 400, body
    assert kind.objects.count() == 1


# --- Users ----------------------------------------------------------------------------


def test_only_supervisors_see_users(as_user, alice, bob, sam):
    for user in (alice, bob):
        client = as_user(user)
        assert client.get("/api/users/").status_code == 403
        assert client.get(f"/api/users/{user.pk}").status_code == 403
        assert client.post("/api/users/", {"username": "x"}).status_code == 403
        assert client.patch(f"/api/users/{user.pk}", {"role": "supervisor"}).status_code == 403
    rows = as_user(sam).get("/api/users/").json()["results"]
    assert [row["id"] for row in rows] == [sam.pk, bob.pk, alice.pk]
    assert all(set(row) == USER for row in rows)
    assert as_user(sam).get("/api/users/999999").status_code == 404


def test_a_supervisor_makes_a_user_who_then_signs_in(as_user, anonymous, sam):
    body = {
        "username": "erin",
        "name": "Erin",
        "email": "Erin@desk.example",
        "role": "agent",
        "password": "a long pass phrase",
    }
    made = as_user(sam).post("/api/users/", body)
    assert made.status_code == 201
    assert "password" not in made.json()
    assert made.json()["agent"]["availability"] == "offline"
    signed_in = anonymous.post(
        "/api/auth/token", {"username": "ERIN@desk.example", "password": body["password"]}
    )
    assert signed_in.status_code == 200
    assert signed_in.json()["user"] == as_user(sam).get(f"/api/users/{made.json()['id']}").json()


def test_a_user_without_a_password_cannot_sign_in(as_user, anonymous, sam):
    assert as_user(sam).post("/api/users/", {"username": "erin"}).status_code == 201
    for password in ("x", "None"):
        body = {"username": "erin", "password": password}
        assert anonymous.post("/api/auth/token", body).status_code == 401


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/username"),
        ({"username": "a b"}, "/username"),
        ({"username": "a@b"}, "/username"),
        ({"username": "ALICE"}, "/username"),
        ({"username": "é"}, "/username"),
        ({"username": "x" * 151}, "/username"),
        ({"username": "erin", "email": "nonsense"}, "/email"),
        ({"username": "erin", "email": "ALICE@desk.example"}, "/email"),
        ({"username": "erin", "email": "x" * 250 + "@desk.example"}, "/email"),
        ({"username": "erin", "email": 5}, "/email"),
        ({"username": "erin", "name": "a\nb"}, "/name"),
        ({"username": "erin", "role": "boss"}, "/role"),
        ({"username": "erin", "is_active": 1}, "/is_active"),
        ({"username": "erin", "password": "123"}, "/password"),
        ({"username": "erin", "password": "password"}, "/password"),
        ({"username": "erin", "password": 5}, "/password"),
        ({"username": "erin", "is_superuser": True}, "/is_superuser"),
    ],
)
def test_a_user_who_is_not_valid_is_not_made(as_user, alice, sam, body, pointer):
    response = as_user(sam).post("/api/users/", body)
    assert response.status_code == 400, response.json()
    assert response.json()["errors"][0]["pointer"] == pointer
    assert User.objects.count() == 2


@pytest.mark.parametrize(
    "changes",
    [{"is_active": False}, {"role": "agent"}, {"password": "another pass phrase"}],
)
def test_what_changes_somebodys_rights_ends_their_sessions(as_user, alice, sam, changes):
    client = as_user(alice)
    response = as_user(sam).patch(f"/api/users/{alice.pk}", changes)
    assert response.status_code == 200
    assert client.get("/api/auth/me").status_code == 401
    assert not Session.objects.filter(user=alice, revoked_at=None).exists()


def test_a_new_name_ends_no_session(as_user, alice, sam):
    client = as_user(alice)
    assert as_user(sam).patch(f"/api/users/{alice.pk}", {"name": "Al"}).json()["name"] == "Al"
    assert client.get("/api/auth/me").json()["name"] == "Al"


def test_the_last_supervisor_stays(as_user, sam):
    for changes in ({"role": "agent"}, {"is_active": False}):
        response = as_user(sam).patch(f"/api/users/{sam.pk}", changes)
        assert (response.status_code, response.json()["code"]) == (409, "last_supervisor")
    assert as_user(sam).get("/api/auth/me").json()["role"] == "supervisor"


# --- Cost -----------------------------------------------------------------------------


def test_lists_of_people_cost_the_same_whatever_their_length(as_user, sam, team, vpn):
    urls = ["/api/agents/?page_size=100", "/api/users/?page_size=100", "/api/agents/workload",
            "/api/teams/?page_size=100", "/api/skills/?page_size=100"]  # fmt: skip
    client = as_user(sam)

    def fill(count):
        for _ in range(count):
            number = User.objects.count()
            user = create_user(username=f"agent{number}", role=Role.AGENT)
            more = Team.objects.create(name=f"team {number}")
            Skill.objects.create(name=f"skill {number}")
            update_agent(agent=user.agent, at=timezone.now(), teams=[team, more], skills={vpn: 3})

    fill(2)
    before = [queries_of(client, url) for url in urls]
    fill(15)
    assert [queries_of(client, url) for url in urls] == before
    assert not Ticket.objects.exists()


def test_a_supervisor_does_not_take_over_a_superuser(as_user, sam):
    admin = User.objects.create_superuser("admin", "a long pass phrase", email="a@desk.example")
    for changes in (
        {"password": "another pass phrase"},
        {"role": "customer"},
        {"is_active": False},
    ):
        response = as_user(sam).patch(f"/api/users/{admin.pk}", changes)
        assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    response = as_user(sam).patch(f"/api/agents/{admin.pk}/", {"is_active": False})
    assert response.status_code == 403
    fresh = User.objects.get(pk=admin.pk)
    assert fresh.check_password("a long pass phrase")
    assert (fresh.role, fresh.is_active) == (Role.SUPERVISOR, True)
    assert as_user(admin).patch(f"/api/users/{admin.pk}", {"name": "Root"}).status_code == 200


def test_nobody_locks_themselves_out(as_user, sam):
    create_user(username="second", email="second@desk.example", role=Role.SUPERVISOR)
    for change in ({"role": "agent"}, {"is_active": False}):
        response = as_user(sam).patch(f"/api/users/{sam.pk}", change)
        assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert as_user(sam).get("/api/auth/me").json()["role"] == "supervisor"
