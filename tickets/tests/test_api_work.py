"""Working on a ticket over HTTP: status, priority, assignment, escalation, log, rating."""

from typing import Any

import pytest
from django.utils import timezone

from agents.models import Availability
from agents.services import update_agent
from tickets import lifecycle, services
from tickets.api.events import OF_FILES
from tickets.lifecycle import Status
from tickets.models import Kind, Message, Rating, Ticket, TicketEvent


@pytest.fixture
def ticket(alice, sam):
    return services.open_ticket(
        requester=alice, actor=alice, subject="Printer is broken", at=timezone.now()
    )


@pytest.fixture
def call(as_user, ticket):
    """Calls a path of the ticket as somebody."""

    def call_path(user, method, path, body=None, **kwargs):
        client = as_user(user)
        return getattr(client, method)(f"/api/tickets/{ticket.pk}/{path}", body, **kwargs)

    return call_path


def available(*users, **fields):
    for user in users:
        update_agent(
            agent=user.agent, at=timezone.now(), availability=Availability.AVAILABLE, **fields
        )


def state(ticket):
    row = Ticket.objects.values().get(pk=ticket.pk)
    return row, TicketEvent.objects.count(), Message.objects.count()


def code_of(response):
    return response.status_code, response.json().get("code")


# --- Status ---------------------------------------------------------------------------


def test_a_ticket_is_moved_and_the_answer_is_the_ticket(call, ticket, sam):
    response = call(sam, "put", "status", {"status": "on_hold"})
    assert response.status_code == 200
    assert response.json()["status"] == "on_hold"
    assert response["ETag"] == f'"{ticket.version + 1}"'


def test_a_move_outside_the_table_says_what_is_allowed(call, ticket, sam):
    before = state(ticket)
    response = call(sam, "put", "status", {"status": "closed"})
    assert code_of(response) == (409, "transition_not_allowed")
    assert response.json()["current"] == "new"
    assert response.json()["allowed"] == ["open", "pending", "on_hold", "resolved", "cancelled"]
    assert state(ticket) == before


def test_a_blocked_move_names_every_reason(call, ticket, sam):
    before = state(ticket)
    response = call(sam, "put", "status", {"status": "pending"})
    assert code_of(response) == (409, "transition_blocked")
    assert [reason["code"] for reason in response.json()["reasons"]] == ["comment_required"]
    assert code_of(call(sam, "put", "status", {"status": "cancelled"}))[1] == "transition_blocked"
    response = call(sam, "put", "status", {"status": "resolved"})
    assert [reason["code"] for reason in response.json()["reasons"]] == ["resolution_required"]
    assert state(ticket) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/status"),
        ({"status": "done"}, "/status"),
        ({"status": None}, "/status"),
        ({"status": ["open"]}, "/status"),
        ({"status": "on_hold", "comment": 1}, "/comment"),
        ({"status": "on_hold", "resolution": "x"}, "/resolution"),
        ({"status": "on_hold", "force": True}, "/force"),
    ],
)
def test_an_unknown_status_or_field_is_400(call, sam, body, pointer):
    response = call(sam, "put", "status", body)
    assert code_of(response) == (400, "validation_failed")
    assert response.json()["errors"][0]["pointer"] == pointer


def test_a_move_that_the_role_has_not_is_403(call, ticket, alice):
    before = state(ticket)
    response = call(alice, "put", "status", {"status": "resolved"})
    assert code_of(response) == (403, "permission_denied")
    assert state(ticket) == before


def test_a_customer_cancels_without_saying_why(call, alice):
    assert call(alice, "put", "status", {"status": "cancelled"}).json()["status"] == "cancelled"


def test_an_agent_cancels_saying_why(call, sam):
    body = {"status": "cancelled", "comment": "Twice the same."}
    assert call(sam, "put", "status", body).status_code == 200
    assert Message.objects.get().is_internal is False


def test_a_comment_is_a_public_reply_and_an_internal_one_a_note(call, ticket, sam, alice, as_user):
    call(sam, "put", "status", {"status": "pending", "comment": "Which printer?"})
    call(sam, "put", "status", {"status": "on_hold", "comment": "hush", "internal": True})
    assert [(m.body, m.is_internal) for m in Message.objects.order_by("pk")] == [
        ("Which printer?", False),
        ("hush", True),
    ]
    shown = as_user(alice).get(f"/api/tickets/{ticket.pk}/messages").content
    assert b"Which printer?" in shown
    assert b"hush" not in shown


def test_an_internal_comment_does_not_ask_the_customer(call, sam):
    body = {"status": "pending", "comment": "hush", "internal": True}
    assert code_of(call(sam, "put", "status", body)) == (409, "transition_blocked")


def test_a_customer_writes_no_internal_comment(call, alice, ticket):
    before = state(ticket)
    body = {"status": "cancelled", "comment": "hush", "internal": True}
    response = call(alice, "put", "status", body)
    assert code_of(response) == (400, "validation_failed")
    assert response.json()["errors"][0]["pointer"] == "/internal"
    assert state(ticket) == before


def test_resolving_an_unassigned_ticket_assigns_it(call, sam):
    body = call(sam, "put", "status", {"status": "resolved", "resolution": "Plugged in."}).json()
    assert body["assignee"]["id"] == sam.pk
    assert body["resolution"] == "Plugged in."
    assert body["resolved_at"] is not None


def test_the_life_of_a_ticket_from_new_to_reopened(call, alice, sam):
    steps = [
        (sam, "pending", {"comment": "Which?"}),
        (sam, "open", {}),
        (sam, "on_hold", {}),
        (sam, "resolved", {"resolution": "Done."}),
        (alice, "open", {}),
        (sam, "resolved", {}),
        (alice, "closed", {}),
        (alice, "open", {}),
    ]
    for actor, status, more in steps:
        response = call(actor, "put", "status", {"status": status, **more})
        assert response.status_code == 200, (status, response.json())
        assert response.json()["status"] == status
    assert response.json()["reopen_count"] == 2
    assert response.json()["closed_at"] is None


def test_only_a_supervisor_takes_back_a_cancellation(call, ticket, alice, bob, sam):
    call(alice, "put", "status", {"status": "cancelled"})
    for user in (alice, bob):
        assert call(user, "put", "status", {"status": "open"}).status_code == 403
    assert call(sam, "put", "status", {"status": "open"}).json()["reopen_count"] == 1


def test_the_transitions_say_what_is_missing(call, alice, sam):
    body = call(sam, "get", "transitions").json()
    assert body["current"] == "new"
    moves = {move["to"]: move for move in body["transitions"]}
    assert list(moves) == ["open", "pending", "on_hold", "resolved", "cancelled"]
    assert moves["on_hold"] == {
        "to": "on_hold",
        "label": "Wait for a third party",
        "available": True,
        "requires": [],
        "reasons": [],
    }
    assert moves["resolved"]["requires"] == ["assignee", "resolution"]
    assert moves["resolved"]["available"] is False
    assert moves["resolved"]["reasons"][0].keys() == {"code", "detail"}
    theirs = {move["to"]: move for move in call(alice, "get", "transitions").json()["transitions"]}
    assert theirs["cancelled"]["available"] is True
    assert theirs["open"]["reasons"][0]["code"] == "permission_denied"


def test_the_workflow_is_the_table(as_user, alice):
    body = as_user(alice).get("/api/tickets/workflow/transitions").json()
    assert [status["key"] for status in body["statuses"]] == Status.values
    assert set(body["statuses"][0]) == {"key", "label", "is_open", "is_final", "pauses_sla"}
    pairs = {(move["from"], move["to"]) for move in body["transitions"]}
    assert pairs == {(str(a), str(b)) for a, b in lifecycle.TABLE}
    roles = {role for move in body["transitions"] for role in move["roles"]}
    assert roles == {"customer", "agent", "supervisor"}
    assert set(body["transitions"][0]) == {"from", "to", "label", "roles", "requires"}


# --- Priority and escalation ----------------------------------------------------------


def test_a_priority_is_changed_and_the_customer_reads_no_reason(call, alice, sam):
    assert (
        call(sam, "put", "priority", {"priority": "urgent", "reason": "VIP-canary"}).json()[
            "priority"
        ]
        == "urgent"
    )
    assert b"VIP-canary" in call(sam, "get", "events").content
    assert b"VIP-canary" not in call(alice, "get", "events").content


def test_escalating_raises_level_and_priority_up_to_the_limit(call, sam, bob):
    seen = []
    for _ in range(3):
        body = call(bob, "post", "escalate", {"reason": "slow"}).json()
        seen.append((body["escalation_level"], body["priority"]))
    assert seen == [(1, "high"), (2, "urgent"), (3, "critical")]
    assert code_of(call(bob, "post", "escalate", {"reason": "x"})) == (409, "escalation_limit")


def test_escalating_to_a_level_and_not_down(call, sam):
    assert call(sam, "post", "escalate", {"reason": "x", "level": 2}).status_code == 200
    for level in (1, 2, 4):
        response = call(sam, "post", "escalate", {"reason": "x", "level": level})
        assert code_of(response) == (409, "escalation_limit")
    for odd in (0, "2", 2**40):
        assert call(sam, "post", "escalate", {"reason": "x", "level": odd}).status_code == 400
    assert call(sam, "post", "escalate", {}).status_code == 400


def test_an_ended_ticket_is_neither_escalated_nor_given_away(call, alice, sam):
    call(alice, "put", "status", {"status": "cancelled"})
    assert call(sam, "post", "escalate", {"reason": "x"}).status_code == 409
    assert call(sam, "post", "claim").status_code == 409
    assert call(sam, "put", "assign", {"assignee": "auto"}).status_code == 409
    assert call(sam, "put", "assign", {"assignee": sam.pk, "force": True}).status_code == 409


def test_supervisors_are_told_of_an_escalation(call, as_user, sam, bob):
    call(bob, "post", "escalate", {"reason": "x"})
    told = as_user(sam).get("/api/notifications/").json()["results"]
    assert [row["kind"] for row in told] == ["escalated"]


# --- Assignment -----------------------------------------------------------------------


def test_an_agent_is_given_the_ticket_and_the_queue_gets_it_back(call, ticket, sam, dana):
    available(dana)
    body = call(sam, "put", "assign", {"assignee": dana.pk}).json()
    assert (body["assignee"], body["status"]) == ({"id": dana.pk, "name": "Dana"}, "open")
    decision = call(sam, "get", "assignment").json()
    assert (decision["method"], decision["agent"]["id"]) == ("manual", dana.pk)
    body = call(sam, "put", "assign", {"assignee": None}).json()
    assert body["assignee"] is None
    assert call(sam, "get", "assignment").status_code == 404
    gates = {
        row["agent"]["id"]: row["gates"]
        for row in call(sam, "get", "recommendations").json()["candidates"]
    }
    assert gates[dana.pk] == ["excluded"]


def test_the_one_it_was_taken_from_is_excluded_from_auto(call, sam, dana):
    available(dana)
    call(sam, "put", "assign", {"assignee": dana.pk})
    call(sam, "put", "assign", {"assignee": None})
    response = call(sam, "put", "assign", {"assignee": "auto"})
    assert code_of(response) == (409, "no_agent_available")
    rows = response.json()["candidates"]
    assert {row["agent"]["id"] for row in rows} == {sam.pk, dana.pk}
    assert all(row["gates"] and not row["eligible"] for row in rows)
    assert set(rows[0]) == {"agent", "total", "parts", "eligible", "gates", "summary"}


def test_an_unavailable_or_full_agent_is_refused_unless_a_supervisor_insists(
    call, ticket, sam, bob, dana
):
    update_agent(agent=bob.agent, at=timezone.now(), availability=Availability.OFFLINE)
    before = state(ticket)
    assert code_of(call(sam, "put", "assign", {"assignee": dana.pk})) == (409, "agent_unavailable")
    available(dana, capacity=0)
    assert code_of(call(sam, "put", "assign", {"assignee": dana.pk})) == (409, "agent_at_capacity")
    forced = {"assignee": dana.pk, "force": True}
    assert code_of(call(bob, "put", "assign", forced)) == (403, "permission_denied")
    assert state(ticket) == before
    assert call(sam, "put", "assign", forced).json()["assignee"]["id"] == dana.pk


@pytest.mark.parametrize("value", ["me", "1", 1.5, True, [], {}, "AUTO"])
def test_what_is_no_assignee_is_400(call, sam, value):
    response = call(sam, "put", "assign", {"assignee": value})
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/assignee"


def test_nobody_and_customers_are_no_assignees(call, ticket, sam, alice):
    before = state(ticket)
    assert call(sam, "put", "assign", {"assignee": 999_999}).status_code == 404
    assert call(sam, "put", "assign", {"assignee": alice.pk}).status_code == 400
    assert call(sam, "put", "assign", {}).status_code == 400
    assert state(ticket) == before


def test_an_assigned_ticket_is_not_claimed_even_by_its_owner(call, sam, dana):
    available(dana, sam)
    assert call(dana, "post", "claim").json()["assignee"]["id"] == dana.pk
    assert call(sam, "get", "assignment").json()["method"] == "claim"
    for user in (dana, sam):
        assert code_of(call(user, "post", "claim")) == (409, "already_assigned")


def test_skills_do_not_bar_a_claim_and_capacity_does(call, ticket, vpn, dana, sam):
    ticket.required_skills.add(vpn)
    assert code_of(call(dana, "post", "claim")) == (409, "agent_unavailable")
    available(dana, capacity=0)
    assert code_of(call(dana, "post", "claim")) == (409, "agent_at_capacity")
    available(dana, capacity=1)
    assert call(dana, "post", "claim").status_code == 200


def test_recommendations_are_best_first_and_the_ineligible_last(call, ticket, vpn, sam, bob, dana):
    ticket.required_skills.add(vpn)
    available(dana, skills={vpn: 5})
    rows = call(sam, "get", "recommendations").json()["candidates"]
    assert rows[0]["agent"]["id"] == dana.pk
    assert [row["eligible"] for row in rows] == sorted(
        (row["eligible"] for row in rows), reverse=True
    )
    gates = {row["agent"]["id"]: row["gates"] for row in rows}
    assert gates[bob.pk] == ["missing_skill"]
    assert gates[sam.pk] == ["away", "missing_skill"]
    assert all(0 <= row["total"] <= 1 and row["summary"] for row in rows)
    assert all(0 <= part <= 1 for row in rows for part in row["parts"].values())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("put", "priority", {"priority": "low"}),
        ("put", "assign", {"assignee": None}),
        ("post", "claim", None),
        ("post", "escalate", {"reason": "x"}),
        ("get", "recommendations", None),
        ("get", "assignment", None),
        ("post", "participants", {"user": 1}),
        ("delete", "participants/1", None),
    ],
)
def test_staff_paths_are_403_for_the_customer_and_404_for_a_stranger(
    call, ticket, alice, charlie, method, path, body
):
    before = state(ticket)
    assert code_of(call(alice, method, path, body)) == (403, "permission_denied")
    assert code_of(call(charlie, method, path, body)) == (404, "not_found")
    assert state(ticket) == before


# --- Participants ---------------------------------------------------------------------


def test_somebody_takes_part_and_does_no_more(call, as_user, ticket, sam, charlie):
    added = call(sam, "post", "participants", {"user": charlie.pk})
    assert added.status_code == 201
    people = [{"id": charlie.pk, "name": "Charlie"}]
    assert added.json() == {"next": None, "previous": None, "results": people}
    again = call(sam, "post", "participants", {"user": charlie.pk})
    assert (again.status_code, again.json()) == (200, added.json())
    path = f"/api/tickets/{ticket.pk}/"
    assert as_user(charlie).get(path).status_code == 200
    assert call(sam, "delete", f"participants/{charlie.pk}").status_code == 204
    assert as_user(charlie).get(path).status_code == 404
    assert call(sam, "delete", f"participants/{charlie.pk}").status_code == 404


def test_nobody_is_no_participant(call, sam):
    assert call(sam, "post", "participants", {"user": 999_999}).status_code == 404
    assert call(sam, "post", "participants", {"user": "charlie"}).status_code == 400
    assert call(sam, "post", "participants", {}).status_code == 400


def test_a_participant_decides_nothing(call, ticket, sam, charlie):
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=timezone.now())
    for status in ("cancelled", "open"):
        assert call(charlie, "put", "status", {"status": status}).status_code == 403
    assert call(charlie, "post", "rating", {"score": 1}).status_code == 403


# --- The log --------------------------------------------------------------------------


def busy(call, ticket, sam, dana, charlie):
    """Everything that can be in a log."""
    available(dana)
    call(sam, "post", "messages", {"body": "a note", "internal": True})
    call(sam, "post", "messages", {"body": "a reply"})
    call(sam, "put", "priority", {"priority": "high", "reason": "because"})
    call(sam, "put", "assign", {"assignee": dana.pk})
    call(sam, "post", "escalate", {"reason": "slow"})
    call(sam, "post", "participants", {"user": charlie.pk})
    call(sam, "delete", f"participants/{charlie.pk}")
    call(sam, "patch", "", {"subject": "Another"})
    call(sam, "put", "status", {"status": "resolved", "resolution": "Done."})


def test_the_log_is_contiguous_for_each_audience(call, ticket, alice, sam, dana, charlie):
    busy(call, ticket, sam, dana, charlie)
    assert call(alice, "post", "rating", {"score": 5}).status_code == 200
    staff, customer = call(sam, "get", "events").json(), call(alice, "get", "events").json()
    for log in (staff, customer):
        seqs = [event["seq"] for event in log["results"]]
        assert seqs == list(range(1, log["head"] + 1))
        assert log["epoch"] == ticket.epoch
    # What time brings, a merger, and files have tests of their own.
    others = {Kind.SLA_WARNED, Kind.SLA_BREACHED, Kind.MERGED, *OF_FILES}
    assert {event["event"] for event in staff["results"]} == set(Kind.values) - others
    assert len(staff["results"]) == len(customer["results"]) + 1
    assert staff["head"] == call(sam, "get", "").json()["stream"]["seq"]
    assert customer["head"] == call(alice, "get", "").json()["stream"]["seq"]


def test_each_event_has_its_own_data(call, ticket, alice, sam, dana, charlie):
    busy(call, ticket, sam, dana, charlie)
    events = call(sam, "get", "events").json()["results"]
    first: dict[str, Any] = {}
    for event in events:
        first.setdefault(event["event"], event)
    assert first["ticket.opened"]["actor"] == {"id": alice.pk, "name": "Alice", "kind": "customer"}
    data = {kind: event["data"] for kind, event in first.items()}
    assert data["ticket.status_changed"] == {"from": "new", "to": "open"}
    assert data["ticket.priority_changed"] == {"from": "normal", "to": "high", "reason": "because"}
    assert data["ticket.assigned"] == {
        "from": None,
        "to": {"id": dana.pk, "name": "Dana"},
        "method": "manual",
    }
    assert data["ticket.escalated"] == {
        "level": 1,
        "from_priority": "high",
        "to_priority": "urgent",
        "reason": "slow",
    }
    assert data["message.created"]["message"]["body"] == "a note"
    assert data["participants.changed"] == {
        "added": [{"id": charlie.pk, "name": "Charlie"}],
        "removed": [],
    }
    theirs = call(alice, "get", "events").json()["results"]
    assert not any("reason" in event["data"] for event in theirs)


def test_the_log_is_read_on_from_where_one_was(call, ticket, alice, sam, dana, charlie):
    busy(call, ticket, sam, dana, charlie)
    head, seen, after = call(sam, "get", "events").json()["head"], [], 0
    while after < head:
        page = call(sam, "get", f"events?after={after}&limit=3").json()["results"]
        assert 1 <= len(page) <= 3
        seen += [event["seq"] for event in page]
        after = seen[-1]
    assert seen == list(range(1, head + 1))
    assert call(sam, "get", f"events?after={head}").json()["results"] == []


def test_a_cursor_ahead_of_the_log_must_start_over(call, ticket, alice):
    response = call(alice, "get", "events?after=2")
    assert code_of(response) == (409, "resync_required")
    assert response.json()["snapshot"] == f"/api/tickets/{ticket.pk}/"


@pytest.mark.parametrize(
    "query",
    [
        "after=-1", "after=x", "after=1.0", "after=", "after=%D9%A3", "after=99999999999999999999",
        "after=" + "0" * 18 + "9" * 5000, "limit=0", "limit=501", "limit=" + "0" * 17 + "1" * 30,
        "limit=a%00",
    ],
)  # fmt: skip
def test_what_is_no_place_in_the_log_is_400(call, alice, query):
    assert call(alice, "get", f"events?{query}").status_code == 400


def test_a_participant_who_was_deleted_does_not_break_the_log(call, ticket, sam, charlie):
    call(sam, "post", "participants", {"user": charlie.pk})
    call(sam, "delete", f"participants/{charlie.pk}")
    charlie.delete()
    log = call(sam, "get", "events").json()["results"]
    assert log[-1]["data"] == {"added": [], "removed": []}


# --- Rating ---------------------------------------------------------------------------


def test_the_requester_rates_once_resolved_and_may_think_again(call, alice, sam):
    assert code_of(call(alice, "post", "rating", {"score": 5})) == (409, "not_resolved")
    call(sam, "put", "status", {"status": "resolved", "resolution": "Done."})
    first = call(alice, "post", "rating", {"score": 2, "comment": "Slow."})
    assert first.status_code in (200, 201)
    again = call(alice, "post", "rating", {"score": 4}).json()
    assert (again["score"], again["comment"]) == (4, "")
    assert Rating.objects.get().score == 4
    assert call(sam, "post", "rating", {"score": 5}).status_code == 403


@pytest.mark.parametrize("score", [0, 6, "5", 4.5, None, True])
def test_a_score_is_one_to_five(call, alice, score):
    assert call(alice, "post", "rating", {"score": score}).status_code == 400
