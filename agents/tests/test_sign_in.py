"""Signing in: who gets in, who is told what, and what guessing costs."""

from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import sign_in
from agents.backends import find_user
from agents.models import Role, Session, SignInFailures
from agents.services import create_user, update_user
from agents.sign_in import SignInLocked, WrongCredentials, check_credentials, forget_old_failures

PASSWORD = "correct horse battery"
HERE, THERE = "192.0.2.1", "192.0.2.2"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def carol(db):
    return create_user(
        username="Carol.K", name="Carol", email="Carol@Desk.Example", password=PASSWORD
    )


@pytest.fixture
def sign_in_as(anonymous):
    def post(username, password=PASSWORD, address=HERE, **headers):
        body = {"username": username, "password": password}
        return anonymous.post("/api/auth/token", body, REMOTE_ADDR=address, **headers)

    return post


def fail(sign_in_as, times, username="carol.k", **more):
    return [sign_in_as(username, f"guess {n}", **more).status_code for n in range(times)]


@pytest.mark.parametrize(
    "name",
    ["Carol.K", "carol.k", "CAROL.K", "carol@desk.example", "CAROL@DESK.EXAMPLE", " carol.k "],
)
def test_a_name_or_an_address_signs_in_whatever_its_case(name, carol, sign_in_as) -> None:
    answer = sign_in_as(name)

    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh", "user"}
    user = answer.json()["user"]
    assert (user["id"], user["username"], user["role"]) == (carol.pk, "Carol.K", "customer")
    assert "password" not in user
    assert answer.json()["access"] != answer.json()["refresh"]


def test_an_agent_hears_of_their_work_when_they_sign_in(db, team, sign_in_as) -> None:
    agent = create_user(username="erin", role=Role.AGENT, password=PASSWORD)
    agent.agent.teams.add(team)

    user = sign_in_as("erin").json()["user"]

    assert user["agent"] == {"capacity": 10, "availability": "offline", "open_tickets": 0}
    assert user["teams"] == [{"id": team.pk, "name": team.name}]
    assert "tickets.claim" in user["permissions"]


def test_unknown_wrong_inactive_and_passwordless_are_told_the_same(carol, sign_in_as) -> None:
    create_user(username="gone", password=PASSWORD, is_active=False)
    create_user(username="never")

    answers = [
        sign_in_as("carol.k", "wrong"),
        sign_in_as("nobody"),
        sign_in_as("nobody@desk.example"),
        sign_in_as("gone"),
        sign_in_as("gone", "wrong"),
        sign_in_as("never"),
        sign_in_as("never", "!"),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "not_authenticated"
    assert not Session.objects.exists()


def test_an_unknown_name_costs_as_much_work_as_a_known_one(carol, monkeypatch) -> None:
    from django.contrib.auth.hashers import MD5PasswordHasher

    hashed = []
    encode = MD5PasswordHasher.encode

    def counting(self, password, salt):
        hashed.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)
    work = {}
    for name in ("carol.k", "nobody"):
        hashed.clear()
        with pytest.raises(WrongCredentials):
            check_credentials(name=name, password="wrong", address=HERE, at=timezone.now())
        work[name] = len(hashed)

    assert work == {"carol.k": 1, "nobody": 1}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "carol.k"},
        {"username": "carol.k", "password": ""},
        {"username": "", "password": PASSWORD},
        {"username": "  ", "password": PASSWORD},
        {"username": ["carol.k"], "password": PASSWORD},
        {"username": "carol.k", "password": None},
        {"username": "carol.k", "password": 12345678},
        {"username": "x" * 255, "password": PASSWORD},
        {"username": "carol.k", "password": "x" * 1001},
    ],
)
def test_what_is_no_sign_in_is_not_valid_and_not_counted(body, carol, anonymous) -> None:
    answer = anonymous.post("/api/auth/token", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert not SignInFailures.objects.exists()


# --- Guessing -------------------------------------------------------------------------


def test_five_failures_lock_the_right_password_out_too(carol, sign_in_as) -> None:
    assert fail(sign_in_as, 5) == [401] * 5

    for password in ("guess 6", PASSWORD):
        refused = sign_in_as("carol.k", password)
        assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
        assert 0 < int(refused["Retry-After"]) <= 15 * 60
    assert not Session.objects.exists()


def test_four_failures_and_a_success_start_the_count_anew(carol, sign_in_as) -> None:
    for _ in range(3):
        assert fail(sign_in_as, 4) == [401] * 4
        assert sign_in_as("carol.k").status_code == 200

    row = SignInFailures.objects.get()
    assert (row.failed, row.pending) == (0, 0)


def test_name_and_address_of_one_person_share_their_count(carol, sign_in_as) -> None:
    fail(sign_in_as, 3, username="carol.k")
    fail(sign_in_as, 2, username="CAROL@desk.example")

    assert sign_in_as("Carol.K").status_code == 429


def test_another_person_and_another_address_are_not_locked(carol, sign_in_as) -> None:
    create_user(username="erin", password=PASSWORD)
    fail(sign_in_as, 6)

    assert sign_in_as("carol.k").status_code == 429
    assert sign_in_as("erin").status_code == 200
    assert sign_in_as("carol.k", address=THERE).status_code == 200
    # A success elsewhere does not unlock it here.
    assert sign_in_as("carol.k").status_code == 429


def test_an_unknown_name_is_locked_like_a_known_one(carol, sign_in_as) -> None:
    assert fail(sign_in_as, 7, username="nobody") == [401] * 5 + [429] * 2
    assert fail(sign_in_as, 1, username=" NOBODY ") == [429]


def test_a_forged_forwarding_header_gives_no_further_guesses(carol, sign_in_as) -> None:
    found = [
        sign_in_as("carol.k", "guess", HTTP_X_FORWARDED_FOR=f"203.0.113.{n}").status_code
        for n in range(7)
    ]

    assert found == [401] * 5 + [429] * 2


@pytest.mark.parametrize("hops", ["junk", "junk, 192.0.2.77", "192.0.2.9:1234", "", " , "])
def test_an_odd_forwarding_header_breaks_nothing(hops, carol, sign_in_as, settings) -> None:
    settings.TRUSTED_PROXIES = ["192.0.2.0/24"]

    assert sign_in_as("carol.k", HTTP_X_FORWARDED_FOR=hops).status_code == 200


def test_behind_a_trusted_proxy_the_callers_address_counts(carol, sign_in_as, settings) -> None:
    settings.TRUSTED_PROXIES = [HERE]

    def guess(caller):
        return sign_in_as("carol.k", "guess", HTTP_X_FORWARDED_FOR=f"1.1.1.1, {caller}")

    assert [guess("203.0.113.1").status_code for _ in range(6)] == [401] * 5 + [429]
    assert guess("203.0.113.2").status_code == 401
    assert sign_in_as("carol.k", HTTP_X_FORWARDED_FOR="203.0.113.3").status_code == 200
    assert Session.objects.get().address == "203.0.113.3"


def test_a_lock_ends_after_a_quarter_of_an_hour(carol, sign_in_as) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        fail(sign_in_as, 5)
        clock.shift(14 * MINUTE)
        refused = sign_in_as("carol.k")
        assert (refused.status_code, refused["Retry-After"]) == (429, "60")
        clock.shift(2 * MINUTE)
        assert sign_in_as("carol.k").status_code == 200


def test_being_refused_does_not_lengthen_the_lock(carol, sign_in_as) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        fail(sign_in_as, 5)
        for _ in range(14):
            clock.shift(MINUTE)
            assert sign_in_as("carol.k").status_code == 429
        clock.shift(2 * MINUTE)
        assert fail(sign_in_as, 6) == [401] * 5 + [429]


def test_attempts_that_died_give_their_places_back_in_time(carol, sign_in_as, monkeypatch) -> None:
    monkeypatch.setattr(sign_in, "PATIENCE", 0)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        key = sign_in._key("carol.k", HERE)
        SignInFailures.objects.create(key=key, pending=5, expires_at=timezone.now() + 15 * MINUTE)
        assert sign_in_as("carol.k").status_code == 429
        clock.shift(16 * MINUTE)
        assert sign_in_as("carol.k").status_code == 200


def test_a_failure_inside_the_check_gives_its_place_back(carol, monkeypatch) -> None:
    def broken(**credentials):
        raise RuntimeError

    monkeypatch.setattr(sign_in, "authenticate", broken)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            check_credentials(name="carol.k", password="x", address=HERE, at=timezone.now())

    row = SignInFailures.objects.get()
    assert (row.failed, row.pending) == (2, 0)


def test_a_counter_that_is_swept_away_meanwhile_locks_nobody_out(carol, monkeypatch) -> None:
    bulk_create = SignInFailures.objects.bulk_create
    made = []

    def make_and_lose(rows, **options):
        made.append(rows)
        found = bulk_create(rows, **options)
        if len(made) == 1:
            SignInFailures.objects.all().delete()
        return found

    monkeypatch.setattr(
        type(SignInFailures.objects), "bulk_create", lambda _, *a, **k: make_and_lose(*a, **k)
    )

    assert (
        check_credentials(name="carol.k", password=PASSWORD, address=HERE, at=timezone.now())
        == carol
    )


def test_old_counters_are_forgotten_and_fresh_ones_kept(carol, sign_in_as) -> None:
    with time_machine.travel(timezone.now() - 20 * MINUTE):
        fail(sign_in_as, 5)
    fail(sign_in_as, 1, username="nobody")

    assert forget_old_failures(batch=10).handled == 1
    assert SignInFailures.objects.count() == 1
    assert forget_old_failures(batch=10).handled == 0


def test_passwords_are_not_changed_by_signing_in(carol, sign_in_as) -> None:
    before = carol.password
    sign_in_as("carol.k")
    fail(sign_in_as, 1)
    carol.refresh_from_db()

    assert carol.password == before
    assert carol.last_login is not None


def test_a_new_password_signs_in_and_the_old_one_does_not(carol, sign_in_as) -> None:
    update_user(user=carol, at=timezone.now(), password="another fine phrase")

    assert sign_in_as("carol.k").status_code == 401
    assert sign_in_as("carol.k", "another fine phrase").status_code == 200


def test_the_console_counts_with_the_same_counter(carol, client, sign_in_as) -> None:
    sam = create_user(username="sam", role=Role.SUPERVISOR, password=PASSWORD)

    def enter(password):
        return client.post(
            "/admin/login/", {"username": "sam", "password": password}, REMOTE_ADDR=HERE
        )

    for n in range(3):
        assert enter(f"guess {n}").status_code == 200
    assert fail(sign_in_as, 3, username="sam") == [401, 401, 429]
    assert enter(PASSWORD).status_code == 200, "the form again: locked"
    assert "_auth_user_id" not in client.session
    SignInFailures.objects.all().delete()
    assert enter(PASSWORD).status_code == 302
    assert client.session["_auth_user_id"] == str(sam.pk)


def test_a_customer_does_not_enter_the_console(carol, client) -> None:
    answer = client.post("/admin/login/", {"username": "carol.k", "password": PASSWORD})

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session


def test_a_locked_account_is_told_when_to_come_back(carol) -> None:
    at = timezone.now()
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            check_credentials(name="carol.k", password="x", address=HERE, at=at)

    with pytest.raises(SignInLocked) as refused:
        check_credentials(name="carol.k", password=PASSWORD, address=HERE, at=at)

    assert 14 * 60 < refused.value.extra["retry_after"] <= 15 * 60 + 5


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("name", "index"),
    [("carol.k", "username_is_unique"), ("carol@desk.example", "email_is_unique")],
)
def test_an_account_is_found_by_an_index(name, index, carol) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert find_user(name) == carol
    [looked] = queries

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {looked['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert index in plan
    assert "Seq Scan" not in plan
