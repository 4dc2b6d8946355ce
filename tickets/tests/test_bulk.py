"""The same change of many tickets: one round, each ticket by itself."""

import threading

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Availability, Team
from agents.services import update_agent
from servicedesk.api import idempotency
from servicedesk.errors import FieldError
from servicedesk.models import IdempotencyKey
from tickets import services
from tickets.api import bulk
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.models.category import MAX_TAGS
from tickets.services.bulk import MAX_TICKETS
from tickets.tests.state import assert_consistent, kinds, snapshot
from tickets.tests.test_races import Meeting, at_once

URL = "/api/tickets/bulk"


@pytest.fixture
def tickets(alice) -> list[Ticket]:
    """Three that nobody has."""
    return opened(alice, 3)


def opened(requester, count: int, **fields) -> list[Ticket]:
    at = timezone.now()
    made = [
        services.open_ticket(requester=requester, actor=requester, subject=f"{n}", at=at, **fields)
        for n in range(count)
    ]
    return list(Ticket.objects.filter(pk__in=[ticket.pk for ticket in made]).order_by("pk"))


def ids(tickets) -> list[int]:
    return [ticket.pk for ticket in tickets]


def statuses() -> list[str]:
    return list(Ticket.objects.order_by("pk").values_list("status", flat=True))


# --- What each action does ------------------------------------------------------------


def test_all_are_moved_and_each_has_its_own_log(as_user, bob, tickets):
    body = {"ids": ids(tickets), "action": "status", "status": "on_hold", "comment": "Parts."}

    response = as_user(bob).post(URL, body)

    assert response.status_code == 200
    assert response.json() == {"results": [{"id": pk, "ok": True} for pk in ids(tickets)]}
    assert statuses() == ["on_hold"] * 3
    for ticket in tickets:
        assert kinds(ticket)[-2:] == ["message.created", "ticket.status_changed"]
    assert_consistent()


def test_a_comment_may_be_a_note_and_a_resolution_a_resolution(as_user, bob, tickets):
    body = {
        "ids": ids(tickets),
        "action": "status",
        "status": "resolved",
        "comment": "At last.",
        "internal": True,
        "resolution": "Restarted.",
    }

    as_user(bob).post(URL, body)

    for ticket in Ticket.objects.all():
        assert (ticket.status, ticket.resolution) == ("resolved", "Restarted.")
        assert ticket.messages.get().is_internal


def test_all_are_given_to_one_agent(as_user, sam, bob, tickets):
    by = as_user(sam)
    by.post(URL, {"ids": ids(tickets), "action": "assign", "assignee": None})

    by.post(URL, {"ids": ids(tickets), "action": "assign", "assignee": bob.pk})

    assert set(Ticket.objects.values_list("assignee", flat=True)) == {bob.pk}
    assert_consistent()


def test_the_score_gives_each_to_whoever_has_room(as_user, sam, bob, dana, tickets):
    at = timezone.now()
    update_agent(agent=bob.agent, at=at, capacity=2)
    update_agent(agent=dana.agent, at=at, capacity=1, availability=Availability.AVAILABLE)
    body = {"ids": ids(tickets), "action": "assign", "assignee": "auto"}

    results = as_user(sam).post(URL, body).json()["results"]

    assert all(result["ok"] for result in results)
    agents = sorted(Ticket.objects.values_list("assignee", flat=True))
    assert agents == sorted([bob.pk, bob.pk, dana.pk])


def test_a_full_agent_gets_as_many_as_there_is_room_for_unless_forced(as_user, sam, dana, tickets):
    update_agent(
        agent=dana.agent, at=timezone.now(), capacity=2, availability=Availability.AVAILABLE
    )
    body = {"ids": ids(tickets), "action": "assign", "assignee": dana.pk}
    client = as_user(sam)

    some = client.post(URL, body).json()["results"]
    rest = client.post(URL, {**body, "force": True}).json()["results"]

    assert [result["ok"] for result in some] == [True, True, False]
    assert some[2]["code"] == "agent_at_capacity"
    assert some[2]["detail"]
    assert [result["ok"] for result in rest] == [True] * 3


def test_only_a_supervisor_forces(as_user, bob, dana, tickets):
    body = {"ids": ids(tickets), "action": "assign", "assignee": dana.pk, "force": True}

    results = as_user(bob).post(URL, body).json()["results"]

    assert {result["code"] for result in results} == {"permission_denied"}
    assert not Ticket.objects.filter(assignee=dana).exists()


def test_all_get_a_priority(as_user, bob, tickets):
    body = {"ids": ids(tickets), "action": "priority", "priority": "urgent", "reason": "Fire."}

    as_user(bob).post(URL, body)

    assert set(Ticket.objects.values_list("priority", flat=True)) == {4}
    assert tickets[0].events.get(kind="ticket.priority_changed").data["reason"] == "Fire."


def test_tags_are_put_on_and_taken_off_and_the_others_stay(as_user, alice, bob):
    one, other = opened(alice, 1, tags=["old", "kept"])[0], opened(alice, 1)[0]
    body = {"ids": [one.pk, other.pk], "action": "tag", "add": ["NEW "], "remove": ["old"]}

    as_user(bob).post(URL, body)

    assert set(one.tags.values_list("name", flat=True)) == {"kept", "new"}
    assert set(other.tags.values_list("name", flat=True)) == {"new"}
    assert one.events.order_by("-seq")[0].data == {"fields": ["tags"]}
    assert Ticket.objects.get(pk=one.pk).version == one.version + 1


def test_tags_that_are_there_already_are_no_change(as_user, alice, bob):
    [ticket] = opened(alice, 1, tags=["old"])
    before = snapshot(ticket)

    response = as_user(bob).post(
        URL, {"ids": [ticket.pk], "action": "tag", "add": ["old"], "remove": ["none"]}
    )

    assert response.json()["results"] == [{"id": ticket.pk, "ok": True}]
    assert snapshot(ticket) == before


def test_a_ticket_has_only_so_many_tags(alice, bob):
    [ticket] = opened(alice, 1, tags=[f"t{n}" for n in range(MAX_TAGS)])
    by = {"ticket": ticket, "actor": bob, "at": timezone.now()}

    with pytest.raises(FieldError):
        services.change_tags(add=["one more"], **by)
    services.change_tags(add=["one more"], remove=["t0"], **by)

    assert ticket.tags.count() == MAX_TAGS


# --- Order, doubles, refusals ---------------------------------------------------------


def test_the_answer_is_in_the_order_asked_for_and_doubles_collapse(as_user, bob, tickets):
    one, two, three = ids(tickets)
    body = {"ids": [three, one, three, two, one], "action": "priority", "priority": "high"}

    results = as_user(bob).post(URL, body).json()["results"]

    assert [result["id"] for result in results] == [three, one, two]
    for ticket in tickets:
        assert kinds(ticket).count("ticket.priority_changed") == 1


def test_a_refused_one_stops_no_other(as_user, sam, tickets):
    two = tickets[1]
    services.change_status(
        ticket=two, to=Status.CANCELLED, comment="x", actor=sam, at=timezone.now()
    )
    body = {"ids": ids(tickets), "action": "status", "status": "on_hold"}

    results = as_user(sam).post(URL, body).json()["results"]

    assert [result["ok"] for result in results] == [True, False, True]
    assert results[1]["code"] == "transition_not_allowed"
    assert statuses() == ["on_hold", "cancelled", "on_hold"]


def test_a_defect_in_one_is_told_and_undone_and_stops_no_other(as_user, bob, tickets, monkeypatch):
    change_priority = services.change_priority

    def breaks_at_the_second(*, ticket, **fields):
        changed = change_priority(ticket=ticket, **fields)
        if ticket.pk == tickets[1].pk:
            raise ValueError("secretcanary")
        return changed

    monkeypatch.setattr(services, "change_priority", breaks_at_the_second)
    body = {"ids": ids(tickets), "action": "priority", "priority": "low"}

    response = as_user(bob).post(URL, body, HTTP_IDEMPOTENCY_KEY="k")

    assert response.status_code == 200
    assert [result.get("code") for result in response.json()["results"]] == [
        None, "internal_error", None
    ]  # fmt: skip
    assert b"secretcanary" not in response.content


@pytest.mark.parametrize("other", ["hidden", "unknown", "no id", "negative"])
def test_one_that_is_not_to_be_seen_means_nothing_is_done(as_user, alice, bob, tickets, other):
    closed = Team.objects.create(name="Closed")
    [hidden] = opened(alice, 1, team=closed)
    pk = {"hidden": hidden.pk, "unknown": 999_999, "no id": 0, "negative": -1}[other]
    before = snapshot(*tickets, hidden)
    body = {"ids": [*ids(tickets), pk], "action": "priority", "priority": "low"}

    response = as_user(bob).post(URL, body)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.json()["errors"][0]["pointer"] == "/ids"
    assert snapshot(*tickets, hidden) == before


def test_customers_may_not_not_even_with_their_own(as_user, alice, charlie, tickets):
    before = snapshot(*tickets)
    body = {"ids": ids(tickets), "action": "status", "status": "cancelled"}

    for person in (alice, charlie):
        assert as_user(person).post(URL, body).status_code == 403

    assert snapshot(*tickets) == before


@pytest.mark.parametrize(
    "change",
    [
        {"ids": []},
        {"ids": "1"},
        {"ids": None},
        {"ids": ["1"]},
        {"ids": [True]},
        {"ids": list(range(1, MAX_TICKETS + 2))},
        {"action": "delete"},
        {"action": None},
        {"action": ["priority"]},
        {"action": {}},
        {"priority": "enormous"},
        {"status": "open"},
        {"assignee": None},
        {"add": ["x"]},
        {"action": "status"},
        {"action": "assign"},
        {"action": "tag"},
    ],
)
def test_what_is_no_such_change_is_refused_and_nothing_is_done(as_user, bob, tickets, change):
    before = snapshot(*tickets)
    body = {"ids": ids(tickets), "action": "priority", "priority": "low", **change}

    response = as_user(bob).post(URL, body)

    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    assert snapshot(*tickets) == before


@pytest.mark.parametrize(
    "tags", [{}, {"add": [], "remove": []}, {"add": ["a"], "remove": ["A"]}, {"add": ["x" * 51]}]
)
def test_a_change_of_tags_that_is_none_is_refused(as_user, bob, tickets, tags):
    response = as_user(bob).post(URL, {"ids": ids(tickets), "action": "tag", **tags})

    assert response.status_code == 400


def test_two_hundred_are_not_too_many(as_user, alice, bob):
    rows = [Ticket(requester=alice, subject=f"{n}") for n in range(MAX_TICKETS)]
    found = [ticket.pk for ticket in Ticket.objects.bulk_create(rows)]

    response = as_user(bob).post(URL, {"ids": found, "action": "priority", "priority": "high"})

    assert [result["ok"] for result in response.json()["results"]] == [True] * MAX_TICKETS


def test_what_one_sees_is_asked_once_and_the_rest_grows_with_the_tickets(as_user, alice, bob):
    client = as_user(bob)
    needed = []
    for count in (2, 4, 6):
        found = ids(opened(alice, count))
        with CaptureQueriesContext(connection) as queries:
            client.post(URL, {"ids": found, "action": "priority", "priority": "high"})
        needed.append(len(queries))
        of_all = [q for q in queries if f"IN ({found[0]}, {found[1]}" in q["sql"]]
        assert len(of_all) == 1
    assert needed[2] - needed[1] == needed[1] - needed[0]


# --- Under a key ----------------------------------------------------------------------


def test_under_a_key_it_is_done_once_with_all_that_was_refused(as_user, sam, tickets):
    services.change_status(
        ticket=tickets[1], to=Status.CANCELLED, comment="x", actor=sam, at=timezone.now()
    )
    client, key = as_user(sam), {"HTTP_IDEMPOTENCY_KEY": "k"}
    body = {"ids": ids(tickets), "action": "status", "status": "on_hold", "comment": "Wait."}

    first, second = client.post(URL, body, **key), client.post(URL, body, **key)
    other = client.post(URL, {**body, "status": "open"}, **key)

    assert first.json() == second.json()
    assert second["Idempotency-Replayed"] == "true"
    assert other.status_code == 422
    for ticket in (tickets[0], tickets[2]):
        assert kinds(ticket).count("message.created") == 1
    assert_consistent()


@pytest.mark.parametrize("failure", [OperationalError("database is locked"), ValueError("x")])
def test_under_a_key_what_failed_is_tried_again_and_nothing_else(
    failure, as_user, sam, tickets, monkeypatch
):
    client, key = as_user(sam), {"HTTP_IDEMPOTENCY_KEY": "k"}
    body = {"ids": ids(tickets), "action": "status", "status": "on_hold", "comment": "Wait."}
    change_status = services.change_status

    def fails_at_the_second(*, ticket, **fields):
        changed = change_status(ticket=ticket, **fields)
        if ticket.pk == tickets[1].pk:
            raise failure
        return changed

    with monkeypatch.context() as patch:
        patch.setattr(services, "change_status", fails_at_the_second)
        first = client.post(URL, body, **key)
    other = client.post(URL, {**body, "status": "open"}, **key)
    second, third = client.post(URL, body, **key), client.post(URL, body, **key)

    assert [result["ok"] for result in first.json()["results"]] == [True, False, True]
    assert first.json()["results"][1]["code"] in ("unavailable", "internal_error")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert "Idempotency-Replayed" not in second
    assert [result["ok"] for result in second.json()["results"]] == [True] * 3
    assert third["Idempotency-Replayed"] == "true"
    assert third.json() == second.json()
    assert statuses() == ["on_hold"] * 3
    for ticket in tickets:
        assert kinds(ticket).count("message.created") == 1
    assert_consistent()


def test_killed_on_the_way_the_rest_is_done_when_it_is_sent_again(
    as_user, sam, tickets, monkeypatch
):
    client, key = as_user(sam), {"HTTP_IDEMPOTENCY_KEY": "k"}
    body = {"ids": ids(tickets), "action": "status", "status": "on_hold", "comment": "Wait."}
    change_status = services.change_status

    def dies_at_the_third(*, ticket, **fields):
        changed = change_status(ticket=ticket, **fields)
        if ticket.pk == tickets[2].pk:
            raise KeyboardInterrupt
        return changed

    with monkeypatch.context() as patch:
        patch.setattr(services, "change_status", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            client.post(URL, body, **key)
    assert statuses() == ["on_hold", "on_hold", "new"]

    again = client.post(URL, body, **key)

    assert [result["ok"] for result in again.json()["results"]] == [True] * 3
    for ticket in tickets:
        assert kinds(ticket).count("message.created") == 1
    assert_consistent()


def test_a_refused_request_leaves_no_trace_under_its_key(as_user, bob, tickets):
    body = {"ids": [*ids(tickets), 999_999], "action": "priority", "priority": "low"}
    key = {"HTTP_IDEMPOTENCY_KEY": "k"}

    assert as_user(bob).post(URL, body, **key).status_code == 404
    assert not IdempotencyKey.objects.exists()
    assert as_user(bob).post(URL, {**body, "ids": ids(tickets)}, **key).status_code == 200


# --- Many at once ---------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)
def test_two_who_tag_the_same_ticket_both_succeed(alice, bob, sam, protected, monkeypatch):
    """The twin decides on what it read before it had the lock, as a list of tags would be sent."""
    [ticket] = opened(alice, 1)
    seen = set(ticket.tags.all())

    def tag(name: str, person) -> Ticket:
        by = {"ticket": ticket, "actor": person, "at": timezone.now()}
        if protected:
            return services.change_tags(add=[name], **by)
        return services.update_ticket(tags=[*(tag.name for tag in seen), name], **by)

    at_once(lambda: tag("a", bob), lambda: tag("b", sam))

    names = set(ticket.tags.values_list("name", flat=True))
    assert (names == {"a", "b"}) == protected
    assert_consistent(announced=False)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)
def test_two_rounds_under_keys_do_not_wait_for_each_others_agents(
    as_user, alice, bob, dana, sam, protected, monkeypatch
):
    """Each has a ticket of bob's and one of dana's, the one in the other order. In the twin a
    round is one transaction, as other answers under a key are."""
    at = timezone.now()
    rounds = [opened(alice, 2), opened(alice, 2)]
    for found, agents in zip(rounds, ((bob, dana), (dana, bob)), strict=True):
        for ticket, agent in zip(found, agents, strict=True):
            services.assign(ticket=ticket, to=agent, actor=sam, at=at, force=True)
    clients = [as_user(bob), as_user(sam)]
    firsts = {found[0].pk for found in rounds}
    have_one, change_status = threading.Barrier(2), services.change_status

    def change_and_meet(*, ticket, **fields):
        changed = change_status(ticket=ticket, **fields)
        if ticket.pk in firsts:
            have_one.wait(20)
        return changed

    monkeypatch.setattr(services, "change_status", change_and_meet)
    monkeypatch.setattr(bulk.BulkViewSet, "answers_in_steps", protected)
    if not protected:
        monkeypatch.setattr(idempotency.Steps, "take", lambda self, name, do: do())
    change = {"action": "status", "status": "resolved", "resolution": "So."}

    answers = at_once(
        *(
            lambda c=client, f=found: c.post(
                URL, {"ids": ids(f), **change}, HTTP_IDEMPOTENCY_KEY="k"
            )
            for client, found in zip(clients, rounds, strict=True)
        )
    )

    codes = {result.get("code") for a in answers for result in a.json()["results"]}
    assert codes == ({None} if protected else {None, "unavailable"})
    assert_consistent(announced=False)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "protected", [pytest.param(True, id="protected"), pytest.param(False, id="unprotected")]
)
def test_of_two_who_send_the_same_at_once_each_ticket_is_changed_once(
    as_user, alice, bob, protected, monkeypatch
):
    """One may hear that the other is at it, but no ticket is refused because it was done."""
    found = ids(opened(alice, 3))
    clients, kept, meeting = [as_user(bob), as_user(bob)], idempotency._kept, Meeting(2)

    def look_and_wait(*args):
        row = kept(*args)
        meeting.wait()
        return row

    monkeypatch.setattr(idempotency, "_kept", look_and_wait)
    if not protected:
        monkeypatch.setattr(idempotency.Steps, "take", lambda self, name, do: do())
    body = {"ids": found, "action": "status", "status": "on_hold", "comment": "Wait."}

    answers = at_once(*(lambda c=c: c.post(URL, body, HTTP_IDEMPOTENCY_KEY="k") for c in clients))

    codes = [answer.json().get("code") for answer in answers if answer.status_code != 200]
    assert codes in ([], ["idempotency_in_progress"])
    done = [answer.json()["results"] for answer in answers if answer.status_code == 200]
    assert all(result["ok"] for results in done for result in results) == protected
    for pk in found:
        assert kinds(Ticket.objects.get(pk=pk)).count("message.created") == 1
