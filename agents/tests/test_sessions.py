"""Tokens that stand and fall with their session's row."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone

from agents import sessions
from agents.models import Role, Session
from agents.services import create_user, update_agent, update_user
from agents.sessions import TokenNotValid, forget_old_sessions
from conftest import DeskClient

PASSWORD = "correct horse battery"
ME = "/api/auth/me"
REFRESH = "/api/auth/token/refresh"


@pytest.fixture
def pair(alice):
    return sessions.start(user=alice, at=timezone.now())


def bearer(token: str) -> DeskClient:
    client = DeskClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def is_in(token: str) -> bool:
    """Whether an access token is good; where not, it must be refused in the one right way."""
    answer = bearer(token).get(ME)
    if answer.status_code == 200:
        return True
    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    return False


def refresh(token: str):
    return DeskClient().post(REFRESH, {"refresh": token})


def refused(answer) -> bool:
    return (answer.status_code, answer.json().get("code")) == (401, "token_not_valid")


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(payload: dict[str, Any], key: str = settings.SECRET_KEY, **more) -> str:
    return jwt.encode(payload, key, algorithm="HS256", **more)


def test_without_a_token_one_is_not_signed_in(anonymous) -> None:
    answer = anonymous.get(ME)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_token_says_who_is_calling(pair, alice) -> None:
    answer = bearer(pair.access).get(ME)

    assert answer.json()["id"] == alice.pk
    assert answer.json()["role"] == "customer"
    assert answer.json()["agent"] is None


# --- Rotation -------------------------------------------------------------------------


def test_a_refresh_token_is_good_once_and_gives_a_new_pair(pair) -> None:
    answer = refresh(pair.refresh)

    assert answer.status_code == 200
    new = answer.json()
    assert set(new) == {"access", "refresh"}
    assert new["refresh"] != pair.refresh
    assert is_in(new["access"])
    assert is_in(pair.access), "the old access token ends by itself"
    assert Session.objects.count() == 1


def test_a_long_chain_of_refreshes_stays_one_session(pair) -> None:
    token = pair.refresh
    for _ in range(5):
        token = refresh(token).json()["refresh"]

    assert Session.objects.get().revoked_at is None


def test_a_reused_refresh_token_ends_the_whole_session_and_no_other(pair, alice) -> None:
    other = sessions.start(user=alice, at=timezone.now())
    new = refresh(pair.refresh).json()

    assert refused(refresh(pair.refresh))

    for token in (pair.access, new["access"]):
        assert not is_in(token)
    for token in (pair.refresh, new["refresh"]):
        assert refused(refresh(token))
    assert is_in(other.access)
    assert refresh(other.refresh).status_code == 200


def test_the_end_of_a_reused_session_is_committed(pair) -> None:
    refresh(pair.refresh)
    refresh(pair.refresh)
    connection.close()  # whatever was not committed is gone

    assert Session.objects.get().revoked_at is not None


def test_sessions_end_two_weeks_after_the_last_refresh(alice) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        pair = sessions.start(user=alice, at=timezone.now())
        clock.shift(timedelta(days=13))
        new = refresh(pair.refresh).json()
        clock.shift(timedelta(days=13))
        newer = refresh(new["refresh"]).json()
        clock.shift(timedelta(days=14, seconds=1))
        assert refused(refresh(newer["refresh"]))


def test_an_access_token_lives_a_quarter_of_an_hour(alice) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        pair = sessions.start(user=alice, at=timezone.now())
        clock.shift(timedelta(minutes=14, seconds=59))
        assert is_in(pair.access)
        clock.shift(timedelta(seconds=2))
        assert not is_in(pair.access)
        assert refresh(pair.refresh).status_code == 200


@pytest.mark.parametrize("body", [{}, {"refresh": ""}, {"refresh": 7}, {"refresh": "x" * 5000}])
def test_a_refresh_without_a_token_is_not_valid(body, anonymous) -> None:
    answer = anonymous.post(REFRESH, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


# --- Forgeries ------------------------------------------------------------------------


def unsigned(payload: dict[str, Any]) -> str:
    def part(data: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(payload)}."


def test_a_token_without_a_signature_is_nobodys(pair) -> None:
    for alg in ("none", "None", "NONE"):
        head = base64.urlsafe_b64encode(json.dumps({"alg": alg}).encode()).rstrip(b"=").decode()
        body = pair.access.split(".")[1]
        for tail in ("", pair.access.split(".")[2]):
            assert not is_in(f"{head}.{body}.{tail}")
    assert not is_in(unsigned(claims(pair.access)))
    assert refused(refresh(unsigned(claims(pair.refresh))))
    assert Session.objects.get().revoked_at is None, "a forgery ends nothing"


def test_a_token_of_another_key_is_nobodys(pair) -> None:
    assert not is_in(signed(claims(pair.access), "another-key" * 5))
    assert refused(refresh(signed(claims(pair.refresh), "another-key" * 5)))


def test_a_forged_refresh_token_ends_nobodys_session(pair) -> None:
    forged = claims(pair.refresh) | {"jti": "0" * 32}

    assert refused(refresh(signed(forged, "another-key" * 5)))
    assert is_in(pair.access)
    assert refresh(pair.refresh).status_code == 200


def test_each_kind_of_token_is_good_for_its_own_purpose_only(pair) -> None:
    assert not is_in(pair.refresh)
    assert refused(refresh(pair.access))
    assert is_in(pair.access)
    assert refresh(pair.refresh).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"sid": None},
        {"sid": ""},
        {"sid": "not-a-uuid"},
        {"sid": "00000000-0000-0000-0000-000000000000"},
        {"sid": 7},
        {"sid": ["x"]},
        {"sid": {"a": 1}},
        {"token_type": "refresh"},
        {"token_type": None},
        {"jti": None},
        {"exp": 1},
        {"exp": "soon"},
        {"exp": None},
        {"iat": "x"},
    ],
)
def test_a_well_signed_token_that_says_nonsense_is_refused(change, pair) -> None:
    payload = claims(pair.access) | change
    dropped = {key: value for key, value in payload.items() if value is not None}

    assert not is_in(signed(payload))
    if dropped != payload:
        assert not is_in(signed(dropped))


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ....",
        "Bearer \xff\xfe",
        "bearer " + "A" * 8000,
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x y",
    ],
)
def test_what_is_no_token_is_refused_and_breaks_nothing(header, db) -> None:
    client = DeskClient()
    client.credentials(HTTP_AUTHORIZATION=header)

    answer = client.get(ME)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")


@pytest.mark.parametrize("header", ["Basic YWxpY2U6eA==", "Token x", "x"])
def test_another_scheme_is_no_sign_in(header, db) -> None:
    client = DeskClient()
    client.credentials(HTTP_AUTHORIZATION=header)

    assert client.get(ME).status_code == 401


def test_a_token_from_the_future_of_its_key_is_not_stored_anywhere(pair) -> None:
    used = refresh(pair.refresh).json()
    with connection.cursor() as cursor:
        stored = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            stored.append(repr(cursor.fetchall()))
    everything = "".join(stored)

    assert claims(used["refresh"])["jti"] in everything, "the search finds what is there"
    for token in (pair.access, pair.refresh, used["access"], used["refresh"]):
        for part in token.split(".")[1:]:
            assert part not in everything


# --- Ends -----------------------------------------------------------------------------


def test_signing_out_ends_this_session_and_no_other(pair, alice) -> None:
    other = sessions.start(user=alice, at=timezone.now())

    assert bearer(pair.access).post("/api/auth/logout", {}).status_code == 204

    assert not is_in(pair.access)
    assert refused(refresh(pair.refresh))
    assert is_in(other.access)
    again = bearer(pair.access).post("/api/auth/logout", {})
    assert (again.status_code, again.json()["code"]) == (401, "token_not_valid")


def test_signing_out_everywhere_ends_all_sessions_of_this_user_only(pair, alice, charlie) -> None:
    other = sessions.start(user=alice, at=timezone.now())
    of_charlie = sessions.start(user=charlie, at=timezone.now())

    answer = bearer(pair.access).post("/api/auth/logout", {"everywhere": True})

    assert answer.status_code == 204
    for token in (pair, other):
        assert not is_in(token.access)
        assert refused(refresh(token.refresh))
    assert is_in(of_charlie.access)


@pytest.mark.parametrize("body", [{"everywhere": "yes"}, {"everywhere": 1}, {"all": True}])
def test_a_sign_out_that_is_not_understood_ends_nothing(body, pair) -> None:
    assert bearer(pair.access).post("/api/auth/logout", body).status_code == 400
    assert is_in(pair.access)


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password": "another fine phrase"}, {"role": Role.AGENT}],
)
def test_deactivation_a_new_password_and_a_new_role_act_on_the_next_request(
    change, pair, alice, charlie
) -> None:
    of_charlie = sessions.start(user=charlie, at=timezone.now())
    client = bearer(pair.access)
    assert client.get(ME).status_code == 200

    update_user(user=alice, at=timezone.now(), **change)

    assert refused(client.get(ME))
    assert refused(refresh(pair.refresh))
    assert is_in(of_charlie.access)


def test_reactivation_does_not_bring_old_sessions_back(pair, alice) -> None:
    update_user(user=alice, at=timezone.now(), is_active=False)
    update_user(user=alice, at=timezone.now(), is_active=True)

    assert not is_in(pair.access)
    assert refused(refresh(pair.refresh))


@pytest.mark.parametrize("change", [{"name": "Alice A."}, {"email": "new@desk.example"}])
def test_a_new_name_or_address_signs_nobody_out(change, pair, alice) -> None:
    update_user(user=alice, at=timezone.now(), **change)

    assert is_in(pair.access)
    assert refresh(pair.refresh).status_code == 200


def test_a_password_set_past_the_services_ends_the_sessions_too(pair, alice) -> None:
    alice.set_password("another fine phrase")
    alice.save()

    assert not is_in(pair.access)


def test_a_deactivation_past_the_services_acts_at_once_too(pair, alice) -> None:
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)

    assert not is_in(pair.access)
    assert refused(refresh(pair.refresh))


def test_an_agent_deactivated_as_an_agent_is_out(sam, bob, as_user) -> None:
    client = as_user(bob)
    assert client.get(ME).status_code == 200

    update_agent(agent=bob.agent, at=timezone.now(), is_active=False)

    assert refused(client.get(ME))


def test_a_user_who_is_gone_is_nobody_and_no_server_error(pair, alice) -> None:
    alice.delete()

    assert not is_in(pair.access)
    assert refused(refresh(pair.refresh))


# --- The session cookie ---------------------------------------------------------------


@pytest.fixture
def browser(db):
    """alice's browser, signed in by cookie, with CSRF as in real life."""
    create_user(username="erin", role=Role.AGENT, password=PASSWORD)
    client = DeskClient(enforce_csrf_checks=True)
    assert client.login(username="erin", password=PASSWORD)
    return client


def with_csrf(client: DeskClient) -> dict[str, str]:
    """The header that a page of ours would send."""
    client.cookies["csrftoken"] = "a" * 32
    return {"HTTP_X_CSRFTOKEN": "a" * 32}


def test_the_session_cookie_reads(browser) -> None:
    assert browser.get(ME).json()["username"] == "erin"


def test_the_session_cookie_writes_with_csrf_only(browser) -> None:
    body = {"subject": "By cookie"}

    refused_ = browser.post("/api/tickets/", body)
    assert (refused_.status_code, refused_.json()["code"]) == (403, "permission_denied")

    assert browser.post("/api/tickets/", body, **with_csrf(browser)).status_code == 201


def test_a_token_needs_no_csrf(alice) -> None:
    client = DeskClient(alice, enforce_csrf_checks=True)

    assert client.post("/api/tickets/", {"subject": "By token"}).status_code == 201


@pytest.mark.parametrize("everywhere", [False, True])
def test_signing_out_by_cookie_ends_the_cookie_session(browser, everywhere) -> None:
    other = DeskClient()
    assert other.login(username="erin", password=PASSWORD)

    answer = browser.post("/api/auth/logout", {"everywhere": everywhere}, **with_csrf(browser))

    assert answer.status_code == 204
    assert browser.get(ME).status_code == 401
    assert (other.get(ME).status_code == 401) is everywhere


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"password": "another fine phrase"}, {"role": Role.CUSTOMER}],
)
def test_cookie_sessions_end_with_the_same_changes(change, browser) -> None:
    from agents.models import User

    update_user(user=User.objects.get(username="erin"), at=timezone.now(), **change)

    assert browser.get(ME).status_code == 401


def test_a_bad_token_is_not_helped_by_a_good_cookie(browser) -> None:
    answer = browser.get(ME, HTTP_AUTHORIZATION="Bearer x")

    assert refused(answer)


# --- Housekeeping ---------------------------------------------------------------------


def test_a_session_remembers_where_it_was_started(alice) -> None:
    sessions.start(user=alice, at=timezone.now(), address="2001:db8::1", user_agent="x" * 500)

    session = Session.objects.get()
    assert session.address == "2001:db8::1"
    assert len(session.user_agent) == 200


def test_old_sessions_are_forgotten_a_month_after_their_end(alice) -> None:
    now = timezone.now()
    with time_machine.travel(now - timedelta(days=45)):
        sessions.start(user=alice, at=timezone.now())
    with time_machine.travel(now - timedelta(days=20)):
        sessions.start(user=alice, at=timezone.now())
    sessions.start(user=alice, at=now)

    assert forget_old_sessions(batch=10).handled == 1
    assert Session.objects.count() == 2
    assert forget_old_sessions(batch=10).handled == 0


def test_the_end_of_a_token_is_known(pair) -> None:
    left = sessions.expiry(pair.access).timestamp() - time.time()

    assert 14 * 60 < left <= 15 * 60
    with pytest.raises(TokenNotValid):
        sessions.expiry(pair.refresh)
