"""The document of the socket: complete, valid, up to date, and as strict as the server."""

import json
import re
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
import yaml
from django.utils import timezone
from jsonschema_rs import Draft7Validator

from attachments import services as file_services
from attachments.models import Attachment
from attachments.received import Received
from attachments.services import news
from realtime import asyncapi, log
from realtime.asyncapi.catalogue import COMMANDS, SIGNALS, SYSTEM
from realtime.asyncapi.events import EVENTS
from realtime.protocol import MAX_FRAME_BYTES, commands, frames, wire
from servicedesk.tests import contract
from servicedesk.tests.frames import (
    INTERNAL_CANARY,
    BrokenFrame,
    CheckedSocket,
    check_received,
    check_sent,
)
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Kind, Notification, Priority, TicketEvent
from tickets.tests import promises

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "asyncapi.yaml"
META_SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.json"

MESSAGES = sorted([*(f"command.{kind}" for kind in COMMANDS), *SYSTEM, "error"])
MESSAGES += sorted([f"ok.{kind}" for kind, command in COMMANDS.items() if command.answers])
MESSAGES += sorted([*(f"event.{kind}" for kind in EVENTS), *(f"signal.{kind}" for kind in SIGNALS)])


def message(name):
    return asyncapi.document()["components"]["messages"][name]


def examples(name):
    return [example["payload"] for example in message(name)["examples"]]


def resolved(reference):
    node = asyncapi.document()
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


# --- The document ---------------------------------------------------------------------


def test_the_published_document_is_the_generated_one():
    assert PUBLISHED.read_text() == asyncapi.as_yaml(), 'run "make schema"'
    assert yaml.safe_load(asyncapi.as_yaml()) == asyncapi.document()


def test_the_document_is_valid_asyncapi():
    validator = Draft7Validator(json.loads(META_SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(asyncapi.document())] == []
    with_nonsense = {**asyncapi.document(), "nonsense": True}
    assert not validator.is_valid(with_nonsense)


def test_every_reference_leads_somewhere():
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(asyncapi.document())))
    assert references
    for reference in references:
        assert resolved(reference), reference


def test_every_object_is_closed():
    for name, schema in asyncapi.document()["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert schema["additionalProperties"] is False, name


def test_every_schema_and_message_is_used():
    text = json.dumps(asyncapi.document())
    for group in ("schemas", "messages", "securitySchemes"):
        for name in asyncapi.document()["components"][group]:
            assert f'"#/components/{group}/{name}"' in text, name


def test_every_message_belongs_to_an_operation():
    operations = asyncapi.document()["operations"].values()
    used = [ref for operation in operations for ref in operation["messages"]]
    used += [ref for each in operations if "reply" in each for ref in each["reply"]["messages"]]
    channel = asyncapi.document()["channels"]["desk"]
    assert {resolved(ref["$ref"])["$ref"].rpartition("/")[2] for ref in used} == set(MESSAGES)
    assert set(channel["messages"]) == set(asyncapi.document()["components"]["messages"])


def test_every_frame_of_the_protocol_is_described():
    assert set(COMMANDS) == set(commands.COMMANDS)
    assert set(SIGNALS) == set(frames.SIGNALS)
    assert set(EVENTS) == set(get_args(frames.EventKind)) == set(Kind.values)
    enveloped = {frames.Ok, frames.Error, frames.Event, frames.Signal}
    system = set(get_args(frames.Frame)) - enveloped
    assert {type(example) for _, example in SYSTEM.values()} == system
    assert all(kind.__struct_config__.tag in SYSTEM for kind in system)


def test_every_command_is_described_with_its_own_data_and_answer():
    for kind, command in COMMANDS.items():
        assert type(command.example) is commands.COMMANDS[kind]
        answers = {type(answer) for answer in command.answers}
        assert answers or command.instead, kind
        if kind in frames.ANSWERS:
            assert frames.ANSWERS[kind] in answers, kind


def test_every_error_code_is_described():
    assert set(asyncapi.ERROR_CODES) == set(get_args(frames.ErrorCode))
    assert set(asyncapi.ERROR_CODES) == {
        "bad_json", "bad_frame", "unknown_type", "too_large", "not_authenticated",
        "token_expired", "not_found", "not_joined", "room_limit", "rate_limited",
        "validation_failed", "idempotency_conflict", "resync_required", "unavailable", "internal",
    }  # fmt: skip


def test_the_errors_of_a_refusal_look_like_those_of_the_http_api():
    problem = contract.document()["components"]["schemas"]["Problem"]["properties"]
    details = asyncapi.document()["components"]["schemas"]["Error"]["properties"]["details"]
    assert details["properties"]["errors"] == problem["errors"]


def test_every_close_code_is_described_and_says_whether_to_come_back():
    rows = asyncapi.document()["channels"]["desk"]["x-close-codes"]
    assert [row["code"] for row in rows] == [
        4400, 4401, 4408, 4412, 4429, 4501, 4503, 4507, 4510, 4529,
    ]  # fmt: skip
    assert {row["code"] for row in rows} == set(asyncapi.CLOSE_CODES)
    for row in rows:
        assert row["reconnect"] is (row["code"] < 4500)
        assert row["description"]


def test_event_data_are_what_the_http_api_says_of_its_log():
    """The log over HTTP has the same entries, without saying which kind has which data."""
    over_http = contract.document()["components"]["schemas"]["Event"]["properties"]["data"]
    staff = [telling.for_staff for telling in EVENTS.values()]
    shapes = [shape for data in staff for shape in data.get("anyOf", [data])]
    assert {_comparable(shape) for shape in shapes} == {
        _comparable(shape) for shape in over_http["anyOf"]
    }


def _comparable(shape):
    """The HTTP API's document writes a null with oneOf, and a moment without its pattern."""
    text = json.dumps(shape).replace('"oneOf"', '"anyOf"')
    plain = json.loads(text, object_hook=lambda node: _without(node, "pattern"))
    plain["required"].sort()
    return json.dumps(plain, sort_keys=True)


def _without(node, key):
    return {name: value for name, value in node.items() if name != key}


def test_people_in_rooms_look_like_the_actors_of_the_http_api():
    actor = contract.document()["components"]["schemas"]["Actor"]
    assert set(actor["properties"]) == set(frames.Person.__struct_fields__)
    kinds = contract.document()["components"]["schemas"]["ActorKindEnum"]["enum"]
    assert set(kinds) == set(get_args(frames.PersonKind))


def test_a_notification_may_be_of_every_kind():
    kinds = asyncapi.document()["components"]["schemas"]["NotificationKindEnum"]["enum"]
    assert set(kinds) == set(Notification.Kind.values)


def test_the_document_is_served_with_and_without_a_slash(anonymous):
    for path in ("/api/schema/live/", "/api/schema/live"):
        response = anonymous.get(path)
        assert response.status_code == 200
        assert response.content.decode() == PUBLISHED.read_text()
        assert response["Content-Type"] == "application/vnd.aai.asyncapi+yaml"
    assert anonymous.post("/api/schema/live/").status_code == 405


# --- Its examples ---------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MESSAGES if name.startswith("command.")])
def test_an_example_of_a_command_is_valid_and_understood_by_the_server(name):
    (example,) = examples(name)
    check_sent(json.dumps(example))
    wire.decode_data(wire.decode(json.dumps(example)))


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("command.")])
def test_the_examples_of_what_the_server_says_are_valid(name):
    command = name.removeprefix("ok.") if name.startswith("ok.") else None
    for example in examples(name):
        check_received(json.dumps(example), command=command)
        check_received(json.dumps(example))


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("command.")])
def test_an_example_says_what_customers_hear_of_it(name):
    public = message(name).get("x-for-customers", True)
    fitting = [example for example in examples(name) if _fits_customers(example, name)]
    assert bool(fitting) is (public is not False)
    if public is True:
        assert fitting == examples(name)


def _fits_customers(example, name):
    command = name.removeprefix("ok.") if name.startswith("ok.") else None
    try:
        check_received(json.dumps(example), role="customer", command=command)
    except BrokenFrame:
        return False
    return True


# --- Wrong frames are found -----------------------------------------------------------


def changed(frame, **members):
    return json.dumps({**frame, **members})


@pytest.mark.parametrize("name", MESSAGES)
def test_an_additional_member_is_found(name):
    check = check_sent if name.startswith("command.") else check_received
    for example in examples(name):
        with pytest.raises(BrokenFrame, match="not as documented"):
            check(changed(example, surplus=1))


@pytest.mark.parametrize("name", [n for n in MESSAGES if n.startswith(("event.", "signal."))])
def test_an_additional_member_of_the_data_is_found(name):
    for example in examples(name):
        with pytest.raises(BrokenFrame, match="not as documented"):
            check_received(changed(example, data={**example["data"], "surplus": 1}))


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("command.")])
def test_a_missing_member_is_found(name):
    for example in examples(name):
        optional = {"retry_after_ms", "details"} if name == "error" else set()
        for member in set(example) - optional:
            with pytest.raises(BrokenFrame):
                check_received(json.dumps(_without(example, member)))


EVENT = {
    "type": "event", "room": "ticket:42", "seq": 118, "event": "ticket.priority_changed",
    "at": "2026-03-02T09:30:00Z", "actor": {"id": 3, "name": "Bob Brown", "kind": "agent"},
    "data": {"from": "normal", "to": "high"},
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 0},
        {"seq": "118"},
        {"seq": 1.5},
        {"seq": None},
        {"room": "desk"},
        {"room": "ticket:0"},
        {"room": None},
        {"event": "ticket.status_changed"},
        {"event": "ticket.exploded"},
        {"at": "2026-03-02T09:30:00+00:00"},
        {"at": 1772443800},
        {"actor": {"id": 3, "name": "Bob Brown"}},
        {"actor": {"id": 3, "name": "Bob Brown", "kind": "robot"}},
        {"data": None},
        {"data": {"from": "normal", "to": "enormous"}},
        {"data": {"from": "normal"}},
        {"type": "happening"},
        {"type": None},
    ],
)
def test_a_wrong_member_is_found(wrong):
    check_received(json.dumps(EVENT))
    with pytest.raises(BrokenFrame):
        check_received(changed(EVENT, **wrong))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '{"type":"hello"}',
        '{"type":"hb","heads":{"desk":1}}',
        '{"type":"hb","heads":{"ticket:1":-1}}',
        '{"type":"bye","code":4999,"reason":"draining","reconnect":true,"retry_after_ms":0}',
        '{"type":"bye","code":4412,"reason":"because","reconnect":true,"retry_after_ms":0}',
        '{"type":"error","re":"c1","code":"teapot","message":"No."}',
        '{"type":"error","re":"c1","code":"resync_required","message":"Read it."}',
        '{"type":"error","re":"c1","code":"not_found","message":"No.","details":null}',
        '{"type":"ok","re":"c1","data":{"anything":1}}',
        '{"type":"signal","room":"ticket:1","event":"ticket.touched","data":{"ticket":1}}',
        '{"type":"signal","room":null,"event":"room.members","data":{"members":[]}}',
    ],
)
def test_what_the_server_never_says_is_found(text):
    with pytest.raises(BrokenFrame):
        check_received(text)


def test_an_answer_is_held_against_the_command_that_it_answers():
    socket = CheckedSocket()
    socket.sends('{"type":"room.leave","id":"c1","data":{"room":"ticket:42"}}')
    socket.hears('{"type":"ok","re":"c1","data":{"room":"ticket:42"}}')
    with pytest.raises(BrokenFrame):
        socket.hears('{"type":"ok","re":"c1","data":{"state":"away"}}')


def test_one_of_several_joins_is_done_or_says_why_not():
    (example,) = examples("ok.rooms.join")
    done, refused = example["data"]["results"]
    for wrong in (
        {**done, "code": "not_found"},
        _without(refused, "code"),
        _without(refused, "message"),
        {**refused, "code": "resync_required"},
        {**done, "surplus": 1},
    ):
        with pytest.raises(BrokenFrame):
            check_received(changed(example, data={"results": [wrong]}))


# --- What customers may hear ----------------------------------------------------------


def test_the_canary_is_found_wherever_it_stands():
    frame = {"type": "room.left", "room": INTERNAL_CANARY, "reason": "access_revoked"}
    with pytest.raises(BrokenFrame, match="internal note"):
        check_received(json.dumps(frame), role="customer")
    said = deepcopy(examples("event.message.created")[1])
    said["data"]["message"]["body"] = f"Look: {INTERNAL_CANARY}"
    check_received(json.dumps(said), role="agent")
    with pytest.raises(BrokenFrame, match="internal note"):
        check_received(json.dumps(said), role="customer")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("ticket.priority_changed", {"from": "normal", "to": "high", "reason": ""}),
        ("ticket.status_changed", {"from": "new", "to": "open", "refused_by_table": True}),
        ("ticket.merged", {"from": 41}),
        ("sla.warned", {"metric": "resolution", "due_at": "2026-03-02T10:00:00Z"}),
        ("sla.breached", {"metric": "resolution", "due_at": "2026-03-02T10:00:00Z"}),
    ],
)
def test_what_is_for_the_desk_alone_is_found_with_a_customer(event, data):
    frame = changed(EVENT, event=event, data=data)
    check_received(frame, role="supervisor")
    with pytest.raises(BrokenFrame):
        check_received(frame, role="customer")


def test_that_a_note_is_being_written_is_found_with_a_customer():
    (example,) = examples("signal.typing.started")
    frame = changed(example, data={**example["data"], "internal": True})
    check_received(frame, role="agent")
    with pytest.raises(BrokenFrame, match="internal"):
        check_received(frame, role="customer")


def test_a_socket_has_the_role_that_hello_names():
    socket = CheckedSocket()
    (hello,) = examples("hello")
    socket.hears(changed(hello, user={"id": 2, "role": "customer", "name": "Alice"}))
    (signal,) = examples("signal.presence.changed")
    with pytest.raises(BrokenFrame, match="A customer received"):
        socket.hears(json.dumps(signal))


# --- What clients send ----------------------------------------------------------------

RUBBISH = [
    "hello",
    "{",
    "[]",
    "{}",
    '{"type":"ping"}',
    '{"type":"ping","id":""}',
    '{"type":"ping","id":7}',
    '{"type":"ping","id":NaN}',
    '{"type":"ping","id":"' + "x" * 65 + '"}',
    '{"type":"ping","id":"1","extra":1}',
    '{"type":"ping","id":"1","data":null}',
    '{"type":"room.explode","id":"1","data":{}}',
    '{"type":"room.join","id":"1"}',
    '{"type":"room.join","id":"1","data":{}}',
    '{"type":"room.join","id":"1","data":{"ticket":1,"room":"desk"}}',
    '{"type":"room.join","id":"1","data":{"ticket":0}}',
    '{"type":"room.join","id":"1","data":{"ticket":"1"}}',
    '{"type":"room.join","id":"1","data":{"ticket":1,"last_seq":-1}}',
    '{"type":"room.join","id":"1","data":{"ticket":1,"last_sequence":1}}',
    '{"type":"rooms.join","id":"1","data":{"rooms":[]}}',
    '{"type":"rooms.join","id":"1","data":{"rooms":[{}]}}',
    '{"type":"room.leave","id":"1","data":{"room":"ticket:"}}',
    '{"type":"message.send","id":"1","data":{"ticket":1,"client_msg_id":"","body":"x"}}',
    '{"type":"message.send","id":"1","data":{"ticket":1,"client_msg_id":"a"}}',
    '{"type":"typing.start","id":"1","data":{"room":"ticket:1","internal":1}}',
    '{"type":"presence.set","id":"1","data":{"state":"offline"}}',
    '{"type":"presence.subscribe","id":"1","data":{"users":[true]}}',
    '{"type":"auth","data":{}}',
    '{"type":"auth.refresh","data":{"token":"t"}}',
    '{"type":"typing.stop","id":"1","data":{"room":"' + "x" * MAX_FRAME_BYTES + '"}}',
]


@pytest.mark.parametrize("text", RUBBISH)
def test_what_the_server_does_not_understand_the_document_does_not_allow(text):
    with pytest.raises(wire.BadFrame):
        wire.decode_data(wire.decode(text))
    with pytest.raises(BrokenFrame):
        check_sent(text)
    check_sent(text, is_rubbish=True)


def test_a_proper_command_is_no_rubbish():
    with pytest.raises(BrokenFrame, match="proper command"):
        check_sent('{"type":"ping","id":"1"}', is_rubbish=True)


def test_auth_needs_no_id():
    for text in (
        '{"type":"auth","data":{"token":"t"}}',
        '{"type":"auth","id":"1","data":{"token":"t"}}',
    ):
        check_sent(text)


# --- The log of a ticket --------------------------------------------------------------


def _attach(ticket, uploader, name, *, is_internal=False):
    at = timezone.now()
    stored, _ = file_services.store([Received.of(name, name.encode())], uploader=uploader, at=at)
    taken = file_services.take(
        stored, uploader=uploader, ticket=ticket, is_internal=is_internal, at=at
    )
    return taken.files[0]


def test_everything_that_happens_to_a_ticket_is_a_proper_frame(alice, charlie, bob, sam):
    """One ticket meets every kind of event; each is held against what its audience may get."""
    at = timezone.now()
    promises.policy(targets=promises.same(1, None, None))
    asked = {"requester": alice, "actor": alice, "at": at}
    ticket = services.open_ticket(subject="VPN is down", **asked)
    other = services.open_ticket(subject="VPN is down again", **asked)
    # The first answer is promised within an hour, and missed.
    services.escalate_due(ticket_id=ticket.pk, at=at + timedelta(minutes=50))
    services.escalate_due(ticket_id=ticket.pk, at=at + timedelta(hours=2))
    at += timedelta(hours=2)
    services.change_priority(
        ticket=ticket, to=Priority.HIGH, actor=bob, at=at, reason=INTERNAL_CANARY
    )
    services.escalate(ticket=ticket, reason=INTERNAL_CANARY, actor=bob, at=at)
    services.add_participant(ticket=ticket, user=charlie, actor=bob, at=at)
    services.update_ticket(ticket=ticket, actor=bob, at=at, fields={"subject": "VPN"})
    services.post_message(ticket=ticket, author=bob, body=INTERNAL_CANARY, is_internal=True, at=at)
    file = _attach(ticket, alice, "error.txt")
    _attach(ticket, bob, f"{INTERNAL_CANARY}.txt", is_internal=True)
    Attachment.objects.update(is_scan_untold=True, is_preview_untold=True)
    news.tell_ticket(ticket.pk, at)
    file_services.remove(file=file, actor=bob, at=at)
    services.merge(source=other, into=ticket, actor=bob, at=at)
    services.change_status(ticket=ticket, to=Status.RESOLVED, actor=bob, at=at, resolution="Done.")
    services.rate(ticket=ticket, score=5, actor=alice, at=at)

    events = list(TicketEvent.objects.filter(ticket__in=[ticket, other]).order_by("ticket", "seq"))
    assert {event.kind for event in events} == set(Kind.values)
    for_staff = [entry.frame.json.decode() for entry in log.entries_of(events, "staff")]
    assert any(INTERNAL_CANARY in text for text in for_staff)
    for text in for_staff:
        check_received(text, role="agent")
    public = [event for event in events if event.public_seq is not None]
    for entry in log.entries_of(public, "customer"):
        check_received(entry.frame.json.decode(), role="customer")
