"""Changes of people, teams and skills: what they do and what they refuse."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import services, sessions
from agents.models import AgentProfile, AgentSkill, Availability, Role, Session, Skill, Team, User
from agents.services import LastSupervisor, create_user, set_availability, update_agent, update_user
from agents.signals import availability_changed, left_service
from servicedesk.errors import FieldError, NotAllowed

NOW = timezone.now()


def fresh(user: User) -> User:
    return User.objects.select_related("agent").get(pk=user.pk)


def refused(call, pointer: str | None = None) -> None:
    """The call raises a FieldError, of this member if one is named, and makes no user."""
    before = list(User.objects.order_by("pk").values())
    with pytest.raises(FieldError) as error:
        call()
    assert list(User.objects.order_by("pk").values()) == before
    if pointer:
        assert error.value.extra["errors"][0]["pointer"] == f"/{pointer}"


# --- Users ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "has_profile"), [(Role.CUSTOMER, False), (Role.AGENT, True), (Role.SUPERVISOR, True)]
)
def test_staff_get_a_profile_and_customers_none(role, has_profile, db) -> None:
    user = create_user(username="erin", role=role)

    assert AgentProfile.objects.filter(user=user).exists() is has_profile
    assert not user.has_usable_password()


def test_a_promotion_makes_a_profile_and_a_demotion_keeps_it(alice) -> None:
    update_user(user=alice, at=NOW, role=Role.AGENT)
    assert AgentProfile.objects.filter(pk=alice.pk).exists()

    update_user(user=alice, at=NOW, role=Role.CUSTOMER)

    assert AgentProfile.objects.filter(pk=alice.pk).exists()
    assert not AgentProfile.objects.in_service().filter(pk=alice.pk).exists()


@pytest.mark.parametrize("name", ["alice", "ALICE", "Alice"])
def test_a_username_is_taken_whatever_its_case(name, alice) -> None:
    refused(lambda: create_user(username=name), "username")
    other = create_user(username="other")
    refused(lambda: update_user(user=other, at=NOW, username=name), "username")


@pytest.mark.parametrize("email", ["alice@desk.example", "ALICE@DESK.EXAMPLE"])
def test_an_address_is_taken_whatever_its_case(email, alice) -> None:
    refused(lambda: create_user(username="other", email=email), "email")
    other = create_user(username="other")
    refused(lambda: update_user(user=other, at=NOW, email=email), "email")


def test_many_may_have_no_address(db) -> None:
    for name in "abc":
        create_user(username=name)

    assert User.objects.filter(email="").count() == 3


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a@b", "a@desk.example", "a\n", "a\x00", "ünal", "a/b", "x" * 151]
)
def test_a_username_is_one_plain_word(name, db) -> None:
    refused(lambda: create_user(username=name), "username")


@pytest.mark.parametrize("name", ["Two\nlines", "a\u2028b", "\u202eevil", "tab\t", "x" * 151])
def test_a_name_is_one_line(name, db) -> None:
    refused(lambda: create_user(username="erin", name=name), "name")


@pytest.mark.parametrize("password", ["", "short", "12345678901", "password"])
def test_a_weak_password_is_refused(password, alice) -> None:
    refused(lambda: create_user(username="erin", password=password), "password")
    refused(lambda: update_user(user=alice, at=NOW, password=password), "password")


@pytest.mark.parametrize("password", ["margarethe", "margarethe1", "margarethe@desk.example"])
def test_a_password_that_resembles_its_user_is_refused(password, db) -> None:
    who = {"username": "margarethe", "email": "margarethe@desk.example"}

    refused(lambda: create_user(**who, password=password), "password")


def test_what_is_no_field_of_a_user_is_a_mistake_of_ours(alice) -> None:
    for name in ("is_superuser", "security_stamp", "id", "last_login"):
        fields: dict[str, Any] = {name: "x"}
        with pytest.raises(TypeError):
            update_user(user=alice, at=NOW, **fields)


def test_an_update_reads_the_row_anew(alice) -> None:
    stale = User.objects.get(pk=alice.pk)
    update_user(user=alice, at=NOW, email="new@desk.example")

    update_user(user=stale, at=NOW, name="A.")

    assert (fresh(alice).email, fresh(alice).name) == ("new@desk.example", "A.")


# --- The last supervisor --------------------------------------------------------------


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "agent"}, {"role": "customer"}])
def test_the_last_supervisor_stays(change, sam, bob) -> None:
    create_user(username="gone", role=Role.SUPERVISOR, is_active=False)

    with pytest.raises(LastSupervisor):
        update_user(user=sam, at=NOW, **change)

    assert (fresh(sam).role, fresh(sam).is_active) == (Role.SUPERVISOR, True)


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AGENT, Role.CUSTOMER])
def test_a_superuser_who_is_the_last_to_supervise_stays_whatever_their_role(role, db) -> None:
    root = create_user(username="root", role=role, is_superuser=True)

    with pytest.raises(LastSupervisor):
        update_user(user=root, at=NOW, is_active=False)

    assert fresh(root).is_active
    # A superuser without the role supervises still.
    update_user(user=root, at=NOW, role=Role.AGENT)
    assert fresh(root).is_supervisor


def test_the_last_supervisor_stays_on_the_agents_page_too(sam) -> None:
    with pytest.raises(LastSupervisor):
        update_agent(agent=sam.agent, at=NOW, capacity=3, is_active=False)

    assert fresh(sam).is_active
    assert fresh(sam).agent.capacity == 10, "nothing of it was done"


def test_one_of_two_supervisors_may_go(sam) -> None:
    second = create_user(username="sue", role=Role.SUPERVISOR)

    update_user(user=sam, at=NOW, role=Role.AGENT)

    assert fresh(sam).role == Role.AGENT
    with pytest.raises(LastSupervisor):
        update_user(user=second, at=NOW, is_active=False)


def test_a_superuser_is_supervisor_enough(sam) -> None:
    create_user(username="root", role=Role.CUSTOMER, is_superuser=True)

    update_user(user=sam, at=NOW, is_active=False)

    assert not fresh(sam).is_active


def test_the_last_supervisor_may_change_everything_else(sam) -> None:
    update_user(user=sam, at=NOW, name="Samantha", password="a fine new phrase")

    assert fresh(sam).name == "Samantha"


# --- Agents ---------------------------------------------------------------------------


def test_what_is_not_named_stays(bob, team, vpn) -> None:
    update_agent(agent=bob.agent, at=NOW, teams=[team], skills={vpn: 4}, capacity=7)

    update_agent(agent=bob.agent, at=NOW)

    profile = fresh(bob).agent
    assert list(profile.teams.all()) == [team]
    assert (profile.capacity, profile.availability) == (7, Availability.AVAILABLE)
    assert profile.skills.get().level == 4


def test_skills_and_teams_are_replaced_as_a_whole(bob, team, vpn) -> None:
    mail = Skill.objects.create(name="mail")
    other = Team.objects.create(name="Mail")
    update_agent(agent=bob.agent, at=NOW, teams=[team], skills={vpn: 4, mail: 1})

    update_agent(agent=bob.agent, at=NOW, teams=[other], skills={mail: 5})

    assert list(bob.agent.teams.all()) == [other]
    assert list(AgentSkill.objects.values_list("skill__name", "level")) == [("mail", 5)]
    update_agent(agent=bob.agent, at=NOW, teams=[], skills={})
    assert not bob.agent.teams.exists()
    assert not AgentSkill.objects.exists()


def test_a_new_capacity_does_not_touch_the_load(bob) -> None:
    AgentProfile.objects.filter(pk=bob.pk).update(open_load=4)

    update_agent(agent=bob.agent, at=NOW, capacity=2)

    profile = fresh(bob).agent
    assert (profile.capacity, profile.open_load) == (2, 4)
    assert profile.utilisation == 2.0


@pytest.fixture
def announced():
    heard = []

    def receiver(*, agent, reassign, at, **kwargs):
        heard.append((agent.pk, agent.availability, reassign, at))

    availability_changed.connect(receiver)
    yield heard
    availability_changed.disconnect(receiver)


@pytest.mark.parametrize(
    ("availability", "reassign", "hands_back"),
    [
        (Availability.AWAY, True, True),
        (Availability.OFFLINE, True, True),
        (Availability.AWAY, False, False),
        (Availability.AVAILABLE, True, False),
    ],
)
def test_coming_and_going_is_announced(availability, reassign, hands_back, bob, announced) -> None:
    at = NOW + timedelta(hours=1)

    set_availability(user=bob, availability=availability, at=at, reassign=reassign)

    assert announced == [(bob.pk, availability, hands_back, at)]
    assert fresh(bob).agent.availability == availability


def test_a_failing_listener_does_not_keep_anybody_from_leaving(bob, announced) -> None:
    def broken(**kwargs):
        raise RuntimeError

    availability_changed.connect(broken)
    try:
        set_availability(user=bob, availability=Availability.AWAY, at=NOW)
    finally:
        availability_changed.disconnect(broken)

    assert len(announced) == 1
    assert fresh(bob).agent.availability == Availability.AWAY


def test_an_availability_set_by_the_agents_page_is_announced_too(bob, announced) -> None:
    update_agent(agent=bob.agent, at=NOW, availability=Availability.AWAY)
    assert announced == [(bob.pk, "away", False, NOW)]

    update_agent(agent=bob.agent, at=NOW, availability=Availability.AWAY)
    update_agent(agent=bob.agent, at=NOW, capacity=3)

    assert len(announced) == 1, "what stays the same is no news"


def test_a_customer_has_no_availability(alice, announced) -> None:
    with pytest.raises(NotAllowed):
        set_availability(user=alice, availability=Availability.AVAILABLE, at=NOW)

    assert announced == []


def test_who_works_here_no_longer_is_announced_once(bob, sam, alice) -> None:
    heard = []

    def receiver(*, user, at, **kwargs):
        assert not transaction.get_connection().in_atomic_block
        heard.append((user.username, at))

    left_service.connect(receiver)
    try:
        update_user(user=bob, at=NOW, name="Robert")
        update_user(user=alice, at=NOW, is_active=False)
        assert heard == [], "a customer never worked here"
        update_agent(agent=bob.agent, at=NOW, is_active=False)
        update_user(user=bob, at=NOW, role=Role.CUSTOMER)
        create_user(username="sue", role=Role.SUPERVISOR)
        update_user(user=sam, at=NOW, role=Role.AGENT)
        update_user(user=sam, at=NOW, role=Role.CUSTOMER)
    finally:
        left_service.disconnect(receiver)

    assert heard == [("bob", NOW), ("sam", NOW)]


# --- Teams and skills -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Team, Skill])
def test_a_name_is_taken_whatever_its_case(kind, db) -> None:
    services.create_named(kind, name="VPN")
    for name, code in [("VPN", "unique"), ("vpn", "unique"), ("", "blank"), ("x" * 101, None)]:
        with pytest.raises(FieldError) as error:
            services.create_named(kind, name=name)
        [told] = error.value.extra["errors"]
        assert (told["pointer"], told["code"]) == ("/name", code or "max_length")

    assert kind.objects.count() == 1


def test_a_name_can_be_changed_but_not_into_a_taken_one(team) -> None:
    services.create_named(Team, name="Mail")

    with pytest.raises(FieldError):
        services.rename(team, name="MAIL")
    services.rename(team, name="NETWORK")

    assert sorted(Team.objects.values_list("name", flat=True)) == ["Mail", "NETWORK"]


def test_what_is_in_use_is_not_deleted(bob, team, vpn) -> None:
    update_agent(agent=bob.agent, at=NOW, teams=[team], skills={vpn: 2})

    for row in (team, vpn):
        with pytest.raises(services.InUse):
            services.delete_named(row)
    update_agent(agent=bob.agent, at=NOW, teams=[], skills={})
    services.delete_named(team)
    services.delete_named(vpn)

    assert not Team.objects.exists()
    assert not Skill.objects.exists()


# --- Races and locks ------------------------------------------------------------------


def let_in_after_the_look(monkeypatch, model, rival) -> None:
    """Somebody else saves the same between the validation of a row and its save."""
    look, rivals = model.full_clean, [rival]

    def full_clean(row, *args, **kwargs):
        look(row, *args, **kwargs)
        if rivals:
            rivals.pop().save(force_insert=True)

    monkeypatch.setattr(model, "full_clean", full_clean)


@pytest.mark.parametrize("kind", [Team, Skill])
def test_whoever_loses_the_race_for_a_name_is_told_that_it_is_taken(kind, db, monkeypatch) -> None:
    let_in_after_the_look(monkeypatch, kind, kind(name="vpn"))

    with pytest.raises(FieldError) as error:
        services.create_named(kind, name="VPN")

    assert error.value.extra["errors"][0]["pointer"] == "/name"


@pytest.mark.parametrize(
    ("field", "rival"),
    [
        ("username", {"username": "ERIN"}),
        ("email", {"username": "x", "email": "ERIN@desk.example"}),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_whoever_loses_the_race_for_an_account_is_told_which_field(
    field, rival, is_new, alice, monkeypatch
) -> None:
    let_in_after_the_look(monkeypatch, User, User(**rival))
    wanted: dict[str, Any] = {"username": "erin", "email": "erin@desk.example"}

    if is_new:
        refused(lambda: create_user(**wanted), field)
    else:
        refused(lambda: update_user(user=alice, at=NOW, **wanted), field)


def test_every_broken_rule_is_told_with_its_field(alice) -> None:
    with pytest.raises(FieldError) as error:
        create_user(username="a b", email="no address", name="x" * 151)

    pointers = {broken["pointer"] for broken in error.value.extra["errors"]}
    assert pointers == {"/username", "/email", "/name"}


def test_passwords_are_checked_and_hashed_before_anything_is_locked(db, monkeypatch) -> None:
    seen = []

    def hashed(password, *args, **kwargs):
        seen.append(transaction.get_connection().in_atomic_block)
        return make_password(password, *args, **kwargs)

    def validated(*args, **kwargs):
        seen.append(transaction.get_connection().in_atomic_block)

    monkeypatch.setattr("django.contrib.auth.base_user.make_password", hashed)
    monkeypatch.setattr(services, "validate_password", validated)

    user = create_user(username="erin", password="a fine phrase")
    update_user(user=user, at=NOW, password="a fine new phrase")

    assert seen == [False] * 4
    assert User.objects.get(pk=user.pk).check_password("a fine new phrase")


def test_a_new_password_must_not_resemble_the_name_that_comes_with_it(alice) -> None:
    def change():
        update_user(user=alice, at=NOW, username="margarethe", password="margarethe1")

    refused(change, "password")


def test_an_update_writes_the_named_fields_only(alice) -> None:
    with CaptureQueriesContext(connection) as queries:
        update_user(user=alice, at=NOW, name="A.")

    [update] = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert '"name" =' in update
    assert '"email" =' not in update
    assert '"password" =' not in update


def test_signing_out_everywhere_is_done_or_not(alice, monkeypatch) -> None:
    sessions.start(user=alice, at=NOW)
    stamp = User.objects.get(pk=alice.pk).security_stamp

    def broken(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(type(Session.objects.all()), "update", broken)
    with pytest.raises(RuntimeError):
        sessions.sign_out_everywhere(user=alice, at=NOW)

    assert User.objects.get(pk=alice.pk).security_stamp == stamp


@pytest.mark.postgres
def test_rows_are_locked_without_their_keys(bob, sam) -> None:
    """The plain lock would hold up every insert that only names the row."""
    with CaptureQueriesContext(connection) as queries:
        update_agent(agent=bob.agent, at=NOW, capacity=3, is_active=True)

    locks = [query["sql"] for query in queries if " FOR " in query["sql"]]
    assert len(locks) == 2
    assert all("FOR NO KEY UPDATE" in lock for lock in locks)


# --- Accounts by the command line -----------------------------------------------------


def test_who_is_made_by_the_command_line_can_be_given_tickets(db) -> None:
    call_command("createsuperuser", interactive=False, username="root", email="root@desk.example")
    User.objects.create_user("erin", role=Role.AGENT)
    User.objects.create_user("carol")

    assert set(AgentProfile.objects.values_list("user__username", flat=True)) == {"root", "erin"}


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("is_superuser", [True, False])
@pytest.mark.parametrize("is_active", [True, False])
def test_who_works_on_tickets_is_answered_the_same_everywhere(
    role, is_superuser, is_active, db
) -> None:
    user = create_user(username="x", role=role, is_superuser=is_superuser, is_active=is_active)
    AgentProfile.objects.get_or_create(user=user)

    assert User.objects.desk_staff().exists() is user.is_desk_staff
    assert AgentProfile.objects.in_service().exists() is user.has_desk_role
    assert AgentProfile.objects.leaving().exists() is not user.is_desk_staff


# --- Over HTTP ------------------------------------------------------------------------


def test_an_agent_changes_their_own_availability_and_nothing_else(bob, dana, as_user) -> None:
    client = as_user(bob)

    assert client.put("/api/agents/me/availability", {"availability": "away"}).status_code == 200
    own = client.patch(f"/api/agents/{bob.pk}/", {"availability": "available"})
    assert (own.status_code, own.json()["availability"]) == (200, "available")
    before = list(AgentProfile.objects.order_by("pk").values())
    for who, body in [
        (bob, {"capacity": 100}),
        (bob, {"availability": "away", "capacity": 100}),
        (bob, {"is_active": False}),
        (bob, {"teams": []}),
        (bob, {"skills": []}),
        (dana, {"availability": "available"}),
    ]:
        refused_ = client.patch(f"/api/agents/{who.pk}/", body)
        assert (refused_.status_code, refused_.json()["code"]) == (403, "permission_denied")
    assert list(AgentProfile.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("who", ["alice", "charlie"])
def test_customers_neither_see_nor_change_agents(who, bob, as_user, request) -> None:
    client = as_user(request.getfixturevalue(who))
    for answer in (
        client.get("/api/agents/"),
        client.get(f"/api/agents/{bob.pk}/"),
        client.get("/api/agents/workload"),
        client.get("/api/users/"),
        client.patch(f"/api/agents/{bob.pk}/", {"availability": "away"}),
        client.put("/api/agents/me/availability", {"availability": "away"}),
    ):
        assert answer.status_code == 403
    assert fresh(bob).agent.availability == Availability.AVAILABLE


def test_an_agent_manages_no_users(bob, alice, as_user) -> None:
    client = as_user(bob)
    before = list(User.objects.order_by("pk").values("role", "is_active", "password"))
    for answer in (
        client.get("/api/users/"),
        client.post("/api/users/", {"username": "new"}),
        client.patch(f"/api/users/{alice.pk}", {"role": "supervisor"}),
        client.patch(f"/api/users/{bob.pk}", {"role": "supervisor"}),
    ):
        assert answer.status_code == 403
    assert list(User.objects.order_by("pk").values("role", "is_active", "password")) == before


def test_a_supervisor_who_is_the_last_is_told_so(sam, as_user) -> None:
    client = as_user(sam)

    for address, body in [
        (f"/api/users/{sam.pk}", {"is_active": False}),
        (f"/api/users/{sam.pk}", {"role": "agent"}),
        (f"/api/agents/{sam.pk}/", {"is_active": False}),
    ]:
        answer = client.patch(address, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_supervisor")
    assert fresh(sam).is_supervisor


def test_nobody_gives_themselves_the_flag_of_a_superuser(sam, as_user) -> None:
    client = as_user(sam)

    created = client.post("/api/users/", {"username": "new", "is_superuser": True})
    changed = client.patch(f"/api/users/{sam.pk}", {"is_superuser": True})

    assert (created.status_code, changed.status_code) == (400, 400)
    assert not User.objects.filter(is_superuser=True).exists()
