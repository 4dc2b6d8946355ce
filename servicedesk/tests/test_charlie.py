"""The Charlie test: a stranger, over every path of the document, with the ids of alice's things.

Nothing of hers can be read or changed, and nothing breaks. The sweep is made from the document,
so that a new path is in it without anybody remembering.
"""

import json
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from agents.models import Availability, Team, User
from agents.services import create_user, update_agent
from attachments import services as file_services
from attachments.received import Received
from conftest import OWN_APPS
from servicedesk.models import IdempotencyKey
from servicedesk.tests import contract
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Category, Message, Notification, Priority, Ticket
from tickets.services import setup, views

# In every text of alice's there is one of these; her name is shown where names may be.
(
    SUBJECT, DESCRIPTION, REPLY, NOTE, TAG, RESOLUTION, RATING, ADDRESS, REASON, FILE, CANNED, VIEW
) = CANARIES = (
    "subjectcanary", "descriptioncanary", "replycanary", "notecanary", "tagcanary",
    "resolutioncanary", "ratingcanary", "addresscanary", "reasoncanary", "filecanary",
    "cannedcanary", "viewcanary",
)  # fmt: skip
NAME = "Alicecanary"
# What may be answered to somebody who has no business here.
REFUSALS = {400, 401, 403, 404, 409, 412, 415, 422}
# What a stranger changes by calling at all: their session, and the work that an agent has with
# the stranger's own new tickets.
SNAPSHOT_LEAVES_OUT = {"agents.session", "agents.signinfailures", "servicedesk.idempotencykey"}
WORK = {"open_load", "last_assigned_at"}
UNKNOWN = 999_999


@dataclass
class Hers:
    """Alice's ticket, and the id of everything that hangs on it."""

    alice: User
    ticket: Ticket
    ids: dict[str, list[Any]] = field(default_factory=dict)

    def for_parameter(self, path: str, name: str) -> list[int]:
        if name == "user" and "participants" in path:
            return [self.alice.pk, *self.ids["participant"]]
        kind = path.removeprefix("/api/").partition("/")[0]
        return {
            "tickets": [self.ticket.pk],
            "users": [self.alice.pk],
            "agents": self.ids["agent"],
            "teams": self.ids["team"],
            "calendars": self.ids["calendar"],
            "sla-policies": self.ids["policy"],
            "escalation-rules": self.ids["rule"],
            "canned-replies": self.ids["canned"],
            "views": self.ids["view"],
            "files": [self.ticket.pk] if "/ticket/" in path else self.ids["file"],
        }[kind]


@pytest.fixture
def hers(alice: User, sam: User, dana: User) -> Hers:
    """A ticket with something in every field, with an agent of a team that others are not in."""
    at = timezone.now()
    User.objects.filter(pk=alice.pk).update(name=NAME, email=f"{ADDRESS}@desk.example")
    alice.refresh_from_db()
    friend = create_user(username="friend", email=f"{ADDRESS}2@desk.example", name="Friend")
    team = Team.objects.create(name="Closed team")
    category = Category.objects.create(name="Closed category", team=team)
    update_agent(agent=dana.agent, at=at, availability=Availability.AVAILABLE, teams=[team])
    ticket = services.open_ticket(
        requester=alice,
        actor=alice,
        subject=f"{SUBJECT} one",
        description=DESCRIPTION,
        category=category,
        tags=[TAG],
        at=at,
    )
    reply = services.post_message(ticket=ticket, author=alice, body=REPLY, at=at).message
    note = services.post_message(
        ticket=ticket, author=dana, body=NOTE, is_internal=True, at=at
    ).message
    services.change_priority(ticket=ticket, to=Priority.URGENT, reason=REASON, actor=sam, at=at)
    services.escalate(ticket=ticket, reason=REASON, actor=sam, at=at)
    services.add_participant(ticket=ticket, user=friend, actor=sam, at=at)
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, resolution=RESOLUTION, comment=REPLY, actor=dana, at=at
    )
    services.rate(ticket=ticket, score=1, comment=RATING, actor=alice, at=at)
    Ticket.objects.get(pk=ticket.pk)
    calendar = setup.create_calendar(name="Closed hours", week={"monday": ["09:00-17:00"]})
    policy = setup.create_policy(
        name="Closed policy",
        calendar=calendar,
        requesters=[alice],
        targets=[setup.Target(Priority.LOW, resolution=3600)],
    )
    rule = setup.create_rule(
        name="Closed rule", trigger="sla_breached", teams=[team], notifies=["assignee"]
    )
    canned = services.create_canned_reply(title=CANNED, body=CANNED, team=team, actor=sam, at=at)
    view = views.create_view(name=VIEW, query=f"q={VIEW}", actor=dana, at=at)
    ids: dict[str, list[Any]] = {
        "participant": [friend.pk],
        "agent": [dana.pk],
        "message": [reply.pk, note.pk],
        "notification": list(Notification.objects.values_list("pk", flat=True)),
        "category": [category.pk],
        "team": [team.pk],
        "calendar": [calendar.pk],
        "policy": [policy.pk],
        "rule": [rule.pk],
        "canned": [canned.pk],
        "view": [view.pk],
        "file": [
            _file_of(alice, ticket),
            _file_of(dana, ticket, is_internal=True),
            _file_of(alice),
        ],
    }
    return Hers(alice, ticket, ids)


def _file_of(uploader: User, ticket: Ticket | None = None, *, is_internal: bool = False) -> UUID:
    content = f"{FILE} of {uploader} {is_internal}".encode()
    received = Received.of(f"{FILE}.txt", content)
    at = timezone.now()
    stored, _ = file_services.store([received], uploader=uploader, at=at)
    taken = file_services.take(
        stored, uploader=uploader, ticket=ticket, is_internal=is_internal, at=at
    )
    return taken.files[0].pk


@pytest.fixture
def strangers(as_user, anonymous, charlie, bob) -> dict[str, Any]:
    """A customer, nobody, and an agent of another team."""
    update_agent(agent=bob.agent, at=timezone.now(), teams=[Team.objects.create(name="Other team")])
    return {"charlie": as_user(charlie), "nobody": anonymous, "bob": as_user(bob)}


def snapshot() -> dict[str, list[Any]]:
    """Every row of ours, so that whatever was changed shows."""
    rows = {}
    for app in OWN_APPS:
        for model in apps.get_app_config(app).get_models(include_auto_created=True):
            if model._meta.label_lower not in SNAPSHOT_LEAVES_OUT:
                names = [f.attname for f in model._meta.concrete_fields if f.attname not in WORK]
                rows[model._meta.label_lower] = list(
                    model._default_manager.order_by("pk").values(*names)
                )
    return rows


def hers_in(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The rows that are not as they were; rows that are new are the stranger's own."""
    return {
        label: lost
        for label, rows in before.items()
        if (lost := [row for row in rows if row not in after[label]])
    }


# --- What is called -------------------------------------------------------------------


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in contract.document()["paths"].items()
        for method, operation in methods.items()
    ]


def addresses(path: str, hers: Hers) -> list[str]:
    """The path with the ids of alice's things in it."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    choices = [
        hers.for_parameter(path, "pk" if index == 0 else name) for index, name in enumerate(names)
    ]
    filled = []
    for values in product(*choices):
        address = path
        for name, value in zip(names, values, strict=True):
            address = address.replace(f"{{{name}}}", str(value), 1)
        filled.append(address)
    return filled


def queries(operation: dict[str, Any], hers: Hers) -> list[dict[str, str]]:
    """Nothing, then each parameter with alice's ids and words, one at a time."""
    found: list[dict[str, str]] = [{}]
    words = [*CANARIES, NAME, f"{ADDRESS}@desk.example"]
    for parameter in operation.get("parameters", []):
        if parameter["in"] != "query":
            continue
        name = parameter["name"]
        values = {
            "q": words,
            "tag": words,
            "requester": [str(hers.alice.pk), f"{hers.alice.pk},me"],
            "assignee": [str(hers.ids["agent"][0]), "none", "me,none"],
            "team": [str(hers.ids["team"][0])],
            "category": [str(hers.ids["category"][0])],
            "status": ["resolved"],
            "priority": ["critical,urgent"],
            "escalated": ["true"],
            "count": ["exact"],
            "ticket": [str(hers.ticket.pk)],
        }.get(name, ["0", "x"])
        found += [{name: value} for value in values]
    return found


def bodies(operation: dict[str, Any], hers: Hers) -> list[dict[str, Any] | None]:
    """A body of every member, one of the required members, and one of ids wherever they fit."""
    if "requestBody" not in operation:
        return [None]
    (content,) = operation["requestBody"]["content"].values()
    schema = contract.resolved(content["schema"])
    if "oneOf" in schema:
        return [body for one in schema["oneOf"] for body in _bodies_of(one, hers)]
    return _bodies_of(schema, hers)


def _bodies_of(schema: dict[str, Any], hers: Hers) -> list[dict[str, Any] | None]:
    schema = contract.resolved(schema)
    members = schema.get("properties", {})
    required = set(schema.get("required", []))
    samples = {name: value_of(name, inner, hers) for name, inner in members.items()}
    whole = {name: values[0] for name, values in samples.items()}
    least = {name: value for name, value in whole.items() if name in required}
    variants: list[dict[str, Any] | None] = [whole, least]
    for name, values in samples.items():
        variants += [{**least, name: value} for value in values]
    return variants


def value_of(name: str, schema: dict[str, Any], hers: Hers) -> list[Any]:
    """Plausible values of a member, those that name something of alice's first."""
    telling: dict[str, list[Any]] = {
        "user": [hers.alice.pk],
        "requester": [hers.alice.pk],
        "assignee": [hers.ids["agent"][0], None, "auto"],
        "team": [hers.ids["team"][0]],
        "teams": [hers.ids["team"]],
        "category": [hers.ids["category"][0]],
        "ids": [[hers.ticket.pk], hers.ids["notification"], "all"],
        "into": [hers.ticket.pk],
        "ticket": [hers.ticket.pk],
        "attachments": [[], *([str(pk)] for pk in hers.ids["file"])],
        "file": [[SimpleUploadedFile("theirs.txt", b"a stranger's file")]],
        "action": ["status", "assign", "priority", "tag"],
        "status": ["open", "closed", "cancelled"],
        "query": ["status=open"],
        "username": ["stranger-made"],
        "email": ["stranger@desk.example"],
        "password": ["a stranger's pass phrase"],
    }
    if name in telling:
        return telling[name]
    schema = contract.resolved(schema)
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            return value_of(name, schema[key][0], hers)
    if "enum" in schema:
        return [schema["enum"][0]]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    sample = {"integer": 1, "boolean": False, "array": [], "object": {}, "number": 1.0}
    return [sample.get(kind, "a stranger's words")]


def call(client: Any, method: str, address: str, query: dict[str, str], body: Any) -> Any:
    if method == "get":
        return client.get(address, query)
    if "file" in (body or {}):
        return client.post(address, body, format="multipart")
    headers = {"HTTP_IF_MATCH": "*"} if body is not None else {}
    return getattr(client, method)(address, body, **headers)


# --- The sweep ------------------------------------------------------------------------

# Where a stranger may be answered with 2xx: lists (without anything of hers), and their own.
OPEN_TO_ALL = {"/api/auth/token", "/api/auth/token/refresh", "/health/live", "/health/ready"}
SHARED = {
    ("get", "/api/teams/"), ("get", "/api/skills/"), ("get", "/api/categories/"),
    ("get", "/api/agents/"), ("get", "/api/agents/{id}/"), ("get", "/api/agents/workload"),
    ("get", "/api/tickets/"), ("get", "/api/tickets/stats"), ("get", "/api/tickets/similar"),
    ("get", "/api/tickets/workflow/transitions"), ("get", "/api/notifications/"),
    ("get", "/api/auth/me"), ("post", "/api/auth/logout"), ("post", "/api/tickets/"),
    ("post", "/api/notifications/read"), ("put", "/api/agents/me/availability"),
    ("post", "/api/tickets/bulk"), ("post", "/api/files/upload"),
    ("post", "/api/files/validate"), ("get", "/api/canned-replies/"), ("get", "/api/views/"),
    ("post", "/api/views/"),
}  # fmt: skip


def assert_is_a_strangers_answer(who: str, method: str, path: str, response: Any) -> None:
    where = (who, method, path, response.status_code, response.content[:300])
    assert response.status_code < 500 or path == "/health/ready", where
    if path in OPEN_TO_ALL:
        assert response.status_code in REFUSALS | {200, 429, 503}, where
        return
    if who == "nobody":
        assert response.status_code == 401, where
        return
    if response.status_code < 300:
        shared = {contract.shape_of(known) for verb, known in SHARED if verb == method}
        assert contract.shape_of(path) in shared, where
        return
    expected = REFUSALS - {401}
    if "/tickets/{" in path:
        expected = {404}
    assert response.status_code in expected, where


def assert_holds_nothing_of_hers(who: str, where: Any, sent: Any, content: bytes) -> None:
    """No canary, unless it was the stranger who said it."""
    said = json.dumps(sent, default=str)
    for canary in (*CANARIES, NAME):
        if canary.encode() not in content:
            continue
        # An agent may open a ticket for anybody, and is told for whom.
        names_her = who == "bob" and canary in (NAME, ADDRESS) and '"requester"' in said
        assert canary in said or names_her, (where, canary, content[:500])


@pytest.mark.parametrize("who", ["charlie", "nobody", "bob"])
def test_a_stranger_reads_and_changes_nothing_of_alices(who, strangers, hers, as_user):
    before = snapshot()
    called = set()
    for path, method, operation in operations():
        for address in addresses(path, hers):
            for query, body in [
                *((query, None) for query in queries(operation, hers) if method == "get"),
                *(({}, body) for body in bodies(operation, hers) if method != "get"),
            ]:
                client = strangers[who]
                response = call(client, method, address, query, body)
                called.add((method, path))
                assert_is_a_strangers_answer(who, method, path, response)
                sent = {"query": query, "body": body}
                assert_holds_nothing_of_hers(who, (method, address), sent, response.content)
                if path == "/api/auth/logout" and who != "nobody":
                    strangers[who] = as_user(User.objects.get(username=who))
    changed = hers_in(before, snapshot())
    # Who signs out everywhere changes their own row; who goes away, their own profile.
    mine = User.objects.filter(username=who).values_list("pk", flat=True)
    changed["agents.user"] = [r for r in changed.get("agents.user", []) if r["id"] not in mine]
    changed["agents.agentprofile"] = [
        row for row in changed.get("agents.agentprofile", []) if row["user_id"] not in mine
    ]
    assert {label: rows for label, rows in changed.items() if rows} == {}
    assert called == {(method, path) for path, method, _ in operations()}


def test_the_sweep_fills_in_every_path(hers):
    for path, _, _ in operations():
        for address in addresses(path, hers):
            assert "{" not in address, path


def test_the_sweep_is_of_every_path_in_the_document(hers):
    """A path that the sweep cannot fill in, or whose success it does not expect, fails above."""
    swept = {contract.shape_of(path) for path, _, _ in operations()}
    assert swept == set(contract.paths())
    known = {contract.shape_of(path) for _, path in SHARED} | {
        contract.shape_of(path) for path in OPEN_TO_ALL
    }
    assert known <= swept


def test_alice_herself_finds_all_of_it(as_user, hers):
    """The canaries are where the sweep looks for them: the test can fail."""
    client = as_user(hers.alice)
    url = f"/api/tickets/{hers.ticket.pk}/"
    seen = b"".join(
        client.get(address).content
        for address in (
            url,
            f"{url}messages",
            f"{url}events",
            "/api/auth/me",
            "/api/notifications/",
        )
    )
    for canary in (SUBJECT, DESCRIPTION, REPLY, TAG, RESOLUTION, NAME):
        assert canary.encode() in seen, canary
    assert ADDRESS.encode() in client.get("/api/auth/me").content
    for canary in (NOTE, REASON):
        assert canary.encode() not in seen, canary


def test_what_is_hidden_answers_as_what_is_not_there(strangers, hers):
    """By no member of the answer can a stranger tell the two apart."""
    for who in ("charlie", "bob"):
        for path, method, operation in operations():
            if "/tickets/{" not in path:
                continue
            (body, *_) = bodies(operation, hers)
            answers = []
            for pk in (hers.ticket.pk, UNKNOWN):
                address = addresses(path, hers)[0].replace(f"/{hers.ticket.pk}/", f"/{pk}/", 1)
                response = call(strangers[who], method, address, {}, body)
                answers.append((response.status_code, response.json(), sorted(response.headers)))
            assert answers[0] == answers[1], (who, method, path)


def test_an_idempotency_key_of_alices_replays_nothing_to_charlie(as_user, charlie, alice, hers):
    url, body = "/api/tickets/", {"subject": f"{SUBJECT} two"}
    key = {"HTTP_IDEMPOTENCY_KEY": "same"}
    first = as_user(alice).post(url, body, **key).json()
    his = as_user(charlie).post(url, body, **key)
    assert his.status_code == 201
    assert his.json()["id"] != first["id"]
    assert his.json()["requester"]["id"] == charlie.pk
    assert IdempotencyKey.objects.count() == 2


def test_figures_and_counts_tell_a_stranger_nothing(strangers, hers):
    for who in ("charlie", "bob"):
        client = strangers[who]
        assert client.get("/api/tickets/stats").json()["total"] == 0
        assert client.get("/api/tickets/?count=exact").json()["count"] == 0
        assert client.get("/api/notifications/?count=exact").json()["count"] == 0
        for word in CANARIES:
            assert client.get("/api/tickets/", {"q": word, "count": "exact"}).json()["count"] == 0
    assert Message.objects.filter(ticket=hers.ticket).count() == 3
