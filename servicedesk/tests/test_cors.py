"""Front ends on other origins."""

import pytest

ORIGIN = "https://front.example"


@pytest.fixture
def listed(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]


def preflight(client, origin):
    return client.options(
        "/api/tickets/",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, if-match, idempotency-key",
        },
    )


@pytest.mark.usefixtures("listed")
def test_a_listed_origin_may_send_every_header_of_the_contract(client):
    answer = preflight(client, ORIGIN)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    allowed = answer["Access-Control-Allow-Headers"]
    assert all(name in allowed for name in ("authorization", "if-match", "idempotency-key"))


@pytest.mark.usefixtures("listed")
def test_any_other_origin_gets_no_permission(client):
    assert "Access-Control-Allow-Origin" not in preflight(client, "https://evil.example")


@pytest.mark.usefixtures("listed")
def test_a_front_end_may_read_the_headers_that_carry_the_contract(as_user, alice):
    answer = as_user(alice).get("/api/auth/me", headers={"Origin": ORIGIN})
    exposed = answer["Access-Control-Expose-Headers"]
    assert all(name in exposed for name in ("ETag", "X-Request-ID", "Idempotency-Replayed"))
