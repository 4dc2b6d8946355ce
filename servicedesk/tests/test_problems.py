"""Every refusal is a problem+json, whoever makes it and however odd the request."""

import io
import json
import logging
import re
from typing import Any

import pytest
import structlog
from asgiref.testing import ApplicationCommunicator
from django.db import OperationalError
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from agents import sessions
from agents.services import update_user
from conftest import DeskClient
from servicedesk import logs
from servicedesk.api.errors import problem_of
from servicedesk.asgi import application
from servicedesk.tests import contract
from tickets import services
from tickets.models import Ticket

PROBLEM = "application/problem+json"
LEAKS = re.compile(
    rb"traceback|/site-packages|/srv/|\.py\b|SELECT |INSERT |<html|<!doctype|sqlite|psycopg|"
    rb"django",
    re.IGNORECASE,
)
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
SIGN_IN = {"username": "alice", "password": "correct horse"}


def assert_problem(response, status, code=None):
    assert response.status_code == status, response.content[:500]
    assert response["Content-Type"] == PROBLEM
    body = json.loads(response.content)
    assert {"type", "title", "status", "code", "detail", "errors"} <= set(body)
    assert body["status"] == status
    assert body["type"] == f"/problems/{body['code']}"
    if code:
        assert body["code"] == code
    assert_safe(response)
    assert not LEAKS.search(response.content), response.content
    return body


def assert_safe(response):
    """What every answer carries."""
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"
    assert re.fullmatch(r"[\w.:-]{1,128}", response["X-Request-ID"])


@pytest.fixture(params=[False, True], ids=["production", "debug"])
def debug(request, settings):
    settings.DEBUG = request.param
    return request.param


@pytest.fixture
def ticket(alice):
    return services.open_ticket(requester=alice, actor=alice, subject="x", at=timezone.now())


def post(client, body, content_type="application/json", path="/api/tickets/"):
    return client.generic("POST", path, body, content_type)


# --- One problem for each status ------------------------------------------------------


def test_each_status_is_a_problem(debug, as_user, anonymous, alice, sam, ticket):
    client, staff = as_user(alice), as_user(sam)
    url = f"/api/tickets/{ticket.pk}/"
    assert_problem(post(client, "{"), 400, "parse_error")
    assert_problem(client.post("/api/tickets/", {}), 400, "validation_failed")
    refused = anonymous.get("/api/tickets/")
    assert_problem(refused, 401, "not_authenticated")
    assert refused["WWW-Authenticate"].startswith("Bearer")
    bad = anonymous.get("/api/tickets/", HTTP_AUTHORIZATION="Bearer nonsense")
    assert_problem(bad, 401, "token_not_valid")
    assert_problem(client.patch(url, {"subject": "x"}), 403, "permission_denied")
    assert_problem(client.get("/api/tickets/999999/"), 404, "not_found")
    assert_problem(client.get("/api/no/such/path"), 404, "not_found")
    wrong = client.delete(url)
    assert_problem(wrong, 405, "method_not_allowed")
    assert wrong["Allow"] == "GET, PATCH, HEAD, OPTIONS"
    assert_problem(client.get(url, HTTP_ACCEPT="text/html"), 406, "not_acceptable")
    assert_problem(
        staff.patch(url, {"subject": "y"}, HTTP_IF_MATCH='"99"'), 412, "version_conflict"
    )
    assert_problem(post(client, b'{"subject":"' + b"x" * 2**21 + b'"}'), 413, "too_large")
    assert_problem(post(client, "subject=x", "text/plain"), 415, "unsupported_media_type")
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}
    assert client.post("/api/tickets/", {"subject": "x"}, **key).status_code == 201
    assert_problem(
        client.post("/api/tickets/", {"subject": "y"}, **key), 422, "idempotency_key_reused"
    )
    for _ in range(5):
        assert_problem(anonymous.post("/api/auth/token", SIGN_IN), 401, "not_authenticated")
    locked = anonymous.post("/api/auth/token", SIGN_IN)
    assert_problem(locked, 429, "throttled")
    assert int(locked["Retry-After"]) > 0


def test_a_defect_is_a_500_that_says_nothing(debug, as_user, alice, monkeypatch):
    def broken(**kwargs):
        raise RuntimeError("SELECT secret FROM /srv/desk/tickets.py")

    monkeypatch.setattr(services, "open_ticket", broken)
    client = as_user(alice, raise_request_exception=False)
    for accept in ("application/json", "*/*", "text/html;q=0.5, */*;q=0.1"):
        response = client.post("/api/tickets/", {"subject": "x"}, HTTP_ACCEPT=accept)
        assert_problem(response, 500, "internal_error")


def test_a_defect_outside_of_any_view_is_a_problem_too(debug, as_user, alice, monkeypatch):
    def broken(*args):
        raise RuntimeError("SELECT secret")

    monkeypatch.setattr("servicedesk.middleware.is_valid_path", broken)
    client = as_user(alice, raise_request_exception=False)
    for accept in ("application/json", "text/html", "text/plain"):
        response = client.get("/api/tickets/", HTTP_ACCEPT=accept)
        assert_problem(response, 500, "internal_error")


def test_a_busy_database_says_when_to_come_back(as_user, alice, monkeypatch):
    def busy(**kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr(services, "open_ticket", busy)
    response = as_user(alice).post("/api/tickets/", {"subject": "x"})
    assert_problem(response, 503, "unavailable")
    assert response["Retry-After"] == "1"


class Refused(Exception):
    """What the driver raises, as far as it counts."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("words", "sqlstate", "is_passing"),
    [
        ("deadlock detected", "40P01", True),
        ("could not serialize access due to concurrent update", "40001", True),
        ("annulation de la requ\u00eate \u00e0 cause du verrou", "55P03", True),
        ("canceling statement due to user request", "57014", True),
        ("too many clients already", "53300", True),
        ('could not open file "pool": timeout of a locked connection', "58030", False),
        ("couldn't get a connection after 10.00 sec", None, True),
        ("database table is locked", None, True),
        ("disk I/O error", None, False),
    ],
)
def test_contention_is_told_by_its_code_where_there_is_one(words, sqlstate, is_passing) -> None:
    refused = OperationalError(words)
    refused.__cause__ = Refused(sqlstate) if sqlstate else None

    problem = problem_of(refused)

    assert (problem is not None and problem.status == 503) is is_passing


@pytest.mark.parametrize("host", ["evil.example", "a b", "testserver:x", "", "[::1", "a,b"])
def test_a_host_that_is_not_ours_is_a_problem(debug, as_user, alice, host):
    client = as_user(alice)
    for path in ("/api/tickets/", "/api/nothing", "/health/live"):
        assert_problem(client.get(path, HTTP_HOST=host), 400)


def test_a_health_check_takes_no_other_method_and_asks_for_no_token(debug):
    client = Client(enforce_csrf_checks=True)
    for path in ("/health/live", "/health/ready"):
        for method in (client.post, client.put, client.delete):
            refused = method(path)
            assert_problem(refused, 405, "method_not_allowed")
            assert refused["Allow"] == "GET, HEAD"


def test_an_unknown_path_is_a_problem_everywhere_but_among_the_pages(debug, anonymous):
    for path in ("/nope", "/ticket/", "/api", "/favicon.ico"):
        assert_problem(anonymous.get(path), 404, "not_found")
    for path in ("/admin/login/nope/", "/tickets/nope/"):
        page = anonymous.get(path, follow=True)
        assert page["Content-Type"].startswith("text/html")


def test_the_pages_of_the_schema_refuse_with_problems_too(debug, anonymous):
    for path in ("/api/schema/", "/api/docs/"):
        assert_problem(anonymous.post(path, {}), 405, "method_not_allowed")
        assert_problem(anonymous.get(path, HTTP_ACCEPT="image/png"), 406, "not_acceptable")


def test_the_cookie_without_its_csrf_token_is_a_problem(debug, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert_problem(client.post("/api/tickets/", {"subject": "x"}, "application/json"), 403)
    assert not Ticket.objects.exists()


# --- Odd bodies -----------------------------------------------------------------------

ODD = {
    "nothing": b"",
    "half": b'{"subject":',
    "bare": b"hello",
    "list": b'[{"subject":"x"}]',
    "text": b'"subject"',
    "number": b"5",
    "null": b"null",
    "brackets": b"[" * 100_000,
    "braces": b'{"a":' * 100_000,
    "deep": b'{"subject":' + b"[" * 40 + b"]" * 40 + b"}",
    "nan": b'{"subject":NaN}',
    "infinity": b'{"subject":-Infinity}',
    "huge float": b'{"subject":1e999}',
    "huge integer": b'{"category":' + b"9" * 5000 + b"}",
    "integer": b'{"category":9223372036854775808}',
    "negative": b'{"category":-9223372036854775809}',
    "surrogate": b'{"subject":"\\ud800"}',
    "surrogate key": b'{"\\udfff":"x"}',
    "nul": b'{"subject":"a\\u0000b"}',
    "nul inside": b'{"subject":"x","tags":["a\\u0000"]}',
    "double key": b'{"subject":"a","subject":"b"}',
    "double key inside": b'{"subject":"a","tags":[{"a":1,"a":2}]}',
    "latin-1": '{"subject":"é"}'.encode("latin-1"),
    "utf-16": '{"subject":"x"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"subject":"x"}',
    "trailing": b'{"subject":"x"} x',
    "single quotes": b"{'subject':'x'}",
    "comment": b'{"subject":"x"/**/}',
}


@pytest.mark.parametrize("name", ODD)
def test_odd_json_is_400(as_user, alice, name):
    client = as_user(alice)
    assert_problem(post(client, ODD[name]), 400)
    assert_problem(post(client, ODD[name], path="/api/auth/token"), 400)
    assert not Ticket.objects.exists()


def test_wrong_types_are_400_for_every_field(as_user, sam):
    client = as_user(sam)
    fields = ("subject", "description", "priority", "category", "team", "required_skills", "tags")
    wrong: tuple[Any, ...] = (5, 1.5, True, {}, {"a": []}, [[]], [{}], [None], "x" * 300, 2**62)
    for field in (*fields, "requester", "channel"):
        for value in wrong:
            if field == "description" and isinstance(value, str):
                continue
            response = client.post("/api/tickets/", {"subject": "x", field: value})
            # A whole number may be an id, of nothing.
            assert response.status_code in (400, 404), (field, value)
            assert_problem(response, response.status_code)
    assert not Ticket.objects.exists()


def test_deep_nesting_is_refused_in_our_own_words(as_user, alice):
    body = assert_problem(post(as_user(alice), ODD["brackets"]), 400, "parse_error")
    assert body["detail"] == "The body is nested too deeply."


TOO_LONG = {
    "/api/notifications/read": {"ids": [0] * 300_000},
    "/api/tickets/": {"subject": "x", "tags": [""] * 200_000},
    "/api/categories/": {"name": "x", "required_skills": ["qqq"] * 100_000},
}


@pytest.mark.parametrize("path", TOO_LONG)
def test_a_list_that_is_too_long_is_not_looked_into(as_user, sam, path):
    body = assert_problem(as_user(sam).post(path, TOO_LONG[path]), 400, "validation_failed")
    assert [error["code"] for error in body["errors"]] == ["max_length"]


def test_the_lists_of_an_agent_are_bounded_too(as_user, sam, bob):
    for name, value in (("skills", {}), ("teams", 0)):
        answer = as_user(sam).patch(f"/api/agents/{bob.pk}/", {name: [value] * 100_000})
        assert [e["code"] for e in assert_problem(answer, 400)["errors"]] == ["max_length"]


def test_a_refusal_is_short_however_much_is_wrong(as_user, sam, anonymous):
    unknown = {f"member{number}": 1 for number in range(50_000)}
    body = assert_problem(anonymous.post("/api/auth/token", unknown), 400, "validation_failed")
    assert {error["code"] for error in body["errors"]} == {"unknown_field"}
    assert len(body["errors"]) == 20

    answer = as_user(sam).post("/api/notifications/read", {"ids": [0] * 1000})
    assert len(assert_problem(answer, 400)["errors"]) == 100
    for odd in (
        {"n" * 500_000: 1},
        {"priority": "p" * 500_000},
        {"required_skills": ["s" * 99] * 9},
    ):
        answer = as_user(sam).post("/api/tickets/", {"subject": "x", **odd})
        assert_problem(answer, 400)
        assert len(answer.content) < 2000


def test_many_unknown_skills_are_not_all_said_back(as_user, sam):
    names = [f"{number:099}" for number in range(50)]
    answer = as_user(sam).post("/api/tickets/", {"subject": "x", "required_skills": names})
    assert assert_problem(answer, 400)["errors"][0]["code"] == "unknown_skill"
    assert names[0] in answer.content.decode()
    assert names[9] not in answer.content.decode()


def test_the_detail_says_which_field(as_user, sam):
    def detail(body):
        return as_user(sam).post("/api/tickets/", body).json()["detail"]

    assert detail({}) == "subject: This field is required."
    assert detail({"subject": "", "priority": "x", "tags": [1]}) == "3 fields are not valid."


@pytest.mark.parametrize("field", ["category", "team", "requester"])
def test_an_unknown_id_in_a_body_is_a_404_of_its_field(as_user, sam, field):
    answer = as_user(sam).post("/api/tickets/", {"subject": "x", field: 999_999})
    body = assert_problem(answer, 404, "not_found")
    assert [(e["pointer"], e["code"]) for e in body["errors"]] == [(f"/{field}", "not_found")]


def test_an_unknown_id_in_a_list_is_a_404_of_its_field(as_user, sam, bob):
    answer = as_user(sam).patch(f"/api/agents/{bob.pk}/", {"teams": [999_999]})
    body = assert_problem(answer, 404, "not_found")
    assert [e["pointer"] for e in body["errors"]] == ["/teams"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/xml", "nonsense", "application/jsonx", ";;;"],
)  # fmt: skip
def test_another_media_type_is_415(as_user, alice, content_type):
    response = post(as_user(alice), b'{"subject":"x"}', content_type)
    assert_problem(response, 415, "unsupported_media_type")


def test_json_with_parameters_is_json(as_user, alice):
    response = post(as_user(alice), b'{"subject":"x"}', "application/json; charset=utf-8")
    assert response.status_code == 201


def test_a_body_of_just_the_limit_passes_and_one_byte_more_does_not(as_user, alice, settings):
    settings.JSON_BODY_MAX_BYTES = 1000
    client = as_user(alice)
    for size, status in ((1000, 201), (1001, 413)):
        head, tail = b'{"subject":"x","description":"', b'"}'
        body = head + b"d" * (size - len(head) - len(tail)) + tail
        assert post(client, body).status_code == status


@pytest.mark.parametrize("pk", ["0", "-1", "007", "1.5", "abc", "1e3", "9" * 19, "9" * 400,
                                "%D9%A3", "1%00", "1%0A", "%ff", "..", "1;2", "null"])  # fmt: skip
def test_what_is_no_id_is_404(debug, as_user, sam, ticket, pk):
    client = as_user(sam)
    for path in (f"tickets/{pk}/", f"tickets/{pk}/messages", f"users/{pk}", f"agents/{pk}/",
                 f"tickets/{ticket.pk}/participants/{pk}"):  # fmt: skip
        method = "DELETE" if "participants" in path else "GET"
        assert_problem(client.generic(method, f"/api/{path}"), 404, "not_found")


def test_the_largest_id_that_fits_is_looked_up(as_user, sam):
    assert_problem(as_user(sam).get(f"/api/tickets/{'9' * 18}/"), 404, "not_found")


# --- The request id -------------------------------------------------------------------


def test_a_sane_request_id_comes_back(as_user, alice):
    client = as_user(alice)
    for given in ("abc-123", "a" * 128, "trace:1.2_3"):
        for path in ("/api/tickets/", "/api/nothing", "/health/live"):
            assert client.get(path, HTTP_X_REQUEST_ID=given)["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "a" * 129, "a b", "a\r\nSet-Cookie: x=1", "é", "<script>", "a\x00", '"', "a,b"]
)
def test_a_hostile_request_id_is_replaced(as_user, alice, given):
    answered = as_user(alice).get("/api/tickets/", HTTP_X_REQUEST_ID=given)["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", answered)


def test_two_requests_have_two_ids(as_user, alice):
    client = as_user(alice)
    assert client.get("/api/auth/me")["X-Request-ID"] != client.get("/api/auth/me")["X-Request-ID"]


# --- Every method of every route, with and without a slash ----------------------------


def routes(patterns=None, prefix=""):
    """Every path of the HTTP surface that machines call, filled in with ids of nothing."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern) and route.startswith(("api/", "health/")):
            yield re.sub(r"<[^>]+>", "999999", f"/{route}")


def test_the_walk_knows_the_routes():
    found = set(routes())
    assert {"/api/tickets/", "/api/tickets/999999/status", "/health/ready"} <= found
    assert len(found) >= 35


@pytest.mark.once
def test_a_slash_at_the_end_makes_no_difference_for_any_method(as_user, sam, anonymous):
    """The same status, and never a redirect, which would lose the body of a POST."""
    for client, methods in ((as_user(sam), METHODS), (anonymous, ("get", "post", "options"))):
        for path in routes():
            for method in methods:
                ask = path.rstrip("/"), f"{path.rstrip('/')}/"
                if path.startswith("/api/auth/logout") and method == "post":
                    continue
                answers = [client.generic(method.upper(), one) for one in ask]
                first, second = (answer.status_code for answer in answers)
                assert first == second, (method, path)
                assert first < 500 or (first == 503 and "ready" in path), (method, path)
                assert first not in (301, 302, 307, 308)
                for answer in answers:
                    assert_safe(answer)
                    if first >= 400 and method != "head":
                        assert_problem(answer, first)


def test_a_post_without_the_slash_keeps_its_body(as_user, alice):
    for path in ("/api/tickets", "/api/tickets/"):
        assert as_user(alice).post(path, {"subject": "x"}).status_code == 201


def test_head_is_get_without_a_body(as_user, alice, ticket):
    client = as_user(alice)
    for path in (f"/api/tickets/{ticket.pk}/", "/api/tickets/", "/api/auth/me", "/health/live"):
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
    assert client.head(f"/api/tickets/{ticket.pk}/")["ETag"] == '"1"'
    assert client.head("/api/tickets/999999/").status_code == 404


def test_options_names_the_methods_and_does_nothing(as_user, alice, charlie, ticket):
    for user in (alice, charlie):
        response = as_user(user).options(f"/api/tickets/{ticket.pk}/")
        assert response.status_code == 200
        assert set(response["Allow"].split(", ")) == {"GET", "PATCH", "HEAD", "OPTIONS"}
        assert b"alice" not in response.content


def test_an_unknown_method_is_405(as_user, alice):
    for method in ("PROPFIND", "BREW", "CONNECT"):
        assert_problem(as_user(alice).generic(method, "/api/tickets/"), 405)


# --- Through the real ASGI application ------------------------------------------------


class Answer(dict[str, str]):
    """An ASGI answer with the members of a response that the checks above read."""

    status_code = 0
    content = b""


async def ask_asgi(method, path, *, headers=(), chunks=(b"",), query=b""):
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": b"/", "query_string": query, "root_path": "",
        "scheme": "http", "server": ("testserver", 80), "client": ("127.0.0.1", 5000),
        "headers": [(b"host", b"testserver"), *headers],
    }  # fmt: skip
    app = ApplicationCommunicator(application, scope)
    for index, chunk in enumerate(chunks):
        more = index < len(chunks) - 1
        await app.send_input({"type": "http.request", "body": chunk, "more_body": more})
    start = await app.receive_output(timeout=10)
    answer = Answer({k.decode().title(): v.decode() for k, v in start["headers"]})
    answer["X-Request-ID"] = answer.pop("X-Request-Id", "")
    answer.status_code = start["status"]
    while True:
        part = await app.receive_output(timeout=10)
        answer.content += part.get("body", b"")
        if not part.get("more_body"):
            return answer


@pytest.fixture
def alices_headers(alice):
    pair = sessions.start(user=alice, at=timezone.now())
    return [
        (b"authorization", f"Bearer {pair.access}".encode()),
        (b"content-type", b"application/json"),
    ]


async def test_two_megabytes_are_413_whether_declared_or_in_chunks(alices_headers):
    body = b'{"subject":"x","description":"' + b"d" * 2**21 + b'"}'
    length = (b"content-length", str(len(body)).encode())
    declared = await ask_asgi("POST", "/api/tickets/", headers=[*alices_headers, length],
                              chunks=[body])  # fmt: skip
    assert_problem(declared, 413, "too_large")
    parts = [body[i : i + 65536] for i in range(0, len(body), 65536)]
    chunked = await ask_asgi("POST", "/api/tickets/", headers=alices_headers, chunks=parts)
    assert_problem(chunked, 413, "too_large")


async def test_a_body_in_chunks_is_read(alices_headers):
    parts = [b'{"subj', b'ect":"in chunks"}']
    answer = await ask_asgi("POST", "/api/tickets/", headers=alices_headers, chunks=parts)
    assert answer.status_code == 201, answer.content
    assert json.loads(answer.content)["subject"] == "in chunks"
    assert_safe(answer)


async def test_a_query_that_is_no_text_is_a_problem(alices_headers):
    answer = await ask_asgi("GET", "/api/tickets/", headers=alices_headers, query=b"q=\xff\xfe")
    assert_problem(answer, 400)


# --- Nothing secret in the logs -------------------------------------------------------


@pytest.fixture
def logged(monkeypatch):
    """Everything that would be written, as the JSON lines of production, at the lowest level."""
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    cached = structlog.get_config()["cache_logger_on_first_use"]
    logs.configure({"level": "DEBUG", "format": "json"})
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)
    yield stream
    logging.getLogger().handlers[:], level = before
    logging.getLogger().setLevel(level)
    structlog.configure(cache_logger_on_first_use=cached)


def test_signing_in_leaves_no_secret_in_the_log(anonymous, alice, logged):
    update_user(user=alice, at=timezone.now(), password="correct horse battery")
    pair = anonymous.post(
        "/api/auth/token", {"username": "alice", "password": "correct horse battery"}
    ).json()
    client = DeskClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    client.get(f"/api/tickets/?token={pair['access']}")
    anonymous.post("/api/auth/token", {"username": "alice", "password": "wrong-canary-pw"})
    again = anonymous.post("/api/auth/token/refresh", {"refresh": pair["refresh"]}).json()
    anonymous.post("/api/auth/token/refresh", {"refresh": pair["refresh"]})
    anonymous.get(f"/api/{pair['access']}/")
    text = logged.getvalue()
    assert '"path": "/api/auth/token"' in text
    secrets = [pair["access"], pair["refresh"], again["access"], again["refresh"]]
    for secret in ["correct horse", "wrong-canary-pw", *secrets]:
        assert secret not in text
        assert secret.rpartition(".")[2] not in text


def test_an_exception_that_holds_a_token_is_logged_without_it(as_user, alice, monkeypatch, logged):
    token = sessions.start(user=alice, at=timezone.now()).access

    def broken(**kwargs):
        raise RuntimeError(f"could not verify Authorization: Bearer {token}")

    monkeypatch.setattr(services, "open_ticket", broken)
    client = as_user(alice, raise_request_exception=False)
    assert client.post("/api/tickets/", {"subject": "x"}).status_code == 500
    text = logged.getvalue()
    assert "could not verify" in text
    assert token not in text


def test_secrets_are_blanked_however_deep_they_lie(logged):
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLWNhbmFyeQ"
    log = structlog.get_logger("desk.test")
    log.warning("plain", password="pw-canary", refresh_token=token, note=f"got {token}")
    log.warning("nested", data={"password": "pw-canary", "list": [{"token": token}, token]})
    log.warning("headers", headers=[("Authorization", "Bearer pw-canary-long")])
    logging.getLogger("desk.std").warning("%s said %s", "x", token)
    logging.getLogger("desk.std").warning("dict %s", {"a": token})
    text = logged.getvalue()
    assert '"event": "nested"' in text
    for secret in ("pw-canary", "c2lnbmF0dXJlLWNhbmFyeQ"):
        assert secret not in text


def test_the_logs_line_has_no_query_and_names_the_user(as_user, alice, logged):
    as_user(alice).get("/api/tickets/?q=query-canary", HTTP_X_REQUEST_ID="my-id")
    text = logged.getvalue()
    (line,) = [json.loads(row) for row in text.splitlines() if '"event": "request"' in row]
    assert (line["path"], line["user"], line["request_id"]) == ("/api/tickets/", alice.pk, "my-id")
    assert "query-canary" not in json.dumps(line)


# --- The contract test itself ---------------------------------------------------------


def test_the_contract_test_finds_an_undocumented_member(as_user, alice, monkeypatch, ticket):
    from tickets.api import lookup

    shown = lookup.shown_ticket
    monkeypatch.setattr(lookup, "shown_ticket", lambda *a: {**shown(*a), "secret": 1})
    with pytest.raises(contract.BrokenContract, match="secret"):
        as_user(alice).get(f"/api/tickets/{ticket.pk}/")


@override_settings(DEBUG=True)
def test_a_health_check_that_is_called_wrongly_is_a_problem(anonymous):
    assert_problem(anonymous.post("/health/live"), 405)
    assert_problem(anonymous.get("/health/nothing"), 404)
