"""Every move there could be: status by status by person by what they say, at both doors.

What should happen is worked out from a table written down here by hand, not from the desk's own.
A refusal changes nothing at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import create_user
from conftest import DeskClient
from servicedesk.errors import DomainError
from tickets import services
from tickets.events import record
from tickets.lifecycle import Status
from tickets.models import Kind, Message, Ticket
from tickets.services.move import STATUS_FIELDS, apply_move
from tickets.tests.state import assert_consistent, snapshot

WINDOW = timedelta(days=14)
PEOPLE = ("requester", "participant", "agent", "supervisor")
OPEN = ("new", "open", "pending", "on_hold")
ENDED = ("resolved", "closed", "cancelled")

# From where to where at all; what a customer may do of it, and what agents may not. Supervisors
# may do everything, participants nothing.
MOVES = {
    "new": {"open", "pending", "on_hold", "resolved", "cancelled"},
    "open": {"pending", "on_hold", "resolved", "cancelled"},
    "pending": {"open", "on_hold", "resolved", "cancelled"},
    "on_hold": {"open", "pending", "resolved", "cancelled"},
    "resolved": {"open", "closed"},
    "closed": {"open"},
    "cancelled": {"open"},
}
OF_CUSTOMERS = {
    *((start, "cancelled") for start in OPEN),
    ("resolved", "open"),
    ("resolved", "closed"),
    ("closed", "open"),
}
NOT_OF_AGENTS = {("closed", "open"), ("cancelled", "open")}


class Scene(NamedTuple):
    """A ticket as somebody finds it."""

    start: str
    is_assigned: bool = True
    has_reply: bool = False  # a public one of an agent
    is_late: bool = False  # the reopen window is over


class Request(NamedTuple):
    who: str
    to: str
    comment: str = ""
    internal: bool = False
    resolution: str = ""


class Answer(NamedTuple):
    status: int
    code: str = ""
    reasons: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None


def may(who: str, start: str, to: str) -> bool:
    if who == "requester":
        return (start, to) in OF_CUSTOMERS
    if who == "agent":
        return (start, to) not in NOT_OF_AGENTS
    return who == "supervisor"


def expected(scene: Scene, request: Request) -> Answer:
    """What the contract says to this."""
    start, (who, to, comment, internal, resolution) = scene.start, request
    is_customer = who in ("requester", "participant")
    is_too_late = scene.is_late and who == "requester" and start == "closed"
    if internal and is_customer:
        return Answer(403, "permission_denied")
    if resolution.strip() and to != "resolved":
        return Answer(400, "validation_failed")
    if to not in MOVES[start]:
        theirs = {other for other in MOVES[start] if may(who, start, other) and not is_too_late}
        return Answer(409, "transition_not_allowed", allowed=frozenset(theirs))
    if not may(who, start, to):
        return Answer(403, "permission_denied")
    says = bool(comment.strip())
    is_heard = scene.has_reply or (says and not internal)
    blocked = {
        "comment_required": (to == "pending" and not is_heard)
        or (to == "cancelled" and not is_customer and not says),
        "resolution_required": to == "resolved" and not (resolution.strip() or is_heard),
        "reopen_window_over": is_too_late,
    }
    if reasons := frozenset(code for code, applies in blocked.items() if applies):
        return Answer(409, "transition_blocked", reasons)
    return Answer(200)


def scenes(start: str) -> Iterator[Scene]:
    yield Scene(start)
    yield Scene(start, has_reply=True)
    if start in OPEN:
        yield Scene(start, is_assigned=False)
    if start in ("closed", "cancelled"):
        yield Scene(start, is_late=True)


def requests(scene: Scene) -> Iterator[Request]:
    is_plain = scene == Scene(scene.start)
    for who, to in product(PEOPLE, Status.values):
        fix = "Restarted it." if to == "resolved" else ""
        if to in MOVES[scene.start]:
            yield Request(who, to)
            yield Request(who, to, comment="Hear me.")
            yield Request(who, to, comment="Hear me.", internal=True)
            if fix:
                yield Request(who, to, resolution=fix)
                yield Request(who, to, comment="Hear me.", internal=True, resolution=fix)
            elif is_plain:
                yield Request(who, to, resolution="Restarted it.")
        if is_plain:
            yield Request(who, to, comment=" \n", resolution=fix and " ")
            yield Request(who, to, comment="Hear me.", resolution=fix)


# --- The stage ------------------------------------------------------------------------


@dataclass
class Stage:
    """The people, and tickets in any status."""

    people: dict[str, User]
    team: Team
    now: datetime
    clients: dict[str, DeskClient] = field(default_factory=dict)

    def ticket(self, scene: Scene) -> Ticket:
        alice, bob = self.people["requester"], self.people["agent"]
        before = self.now - (WINDOW + timedelta(hours=1) if scene.is_late else timedelta(hours=1))
        ticket = services.open_ticket(
            requester=alice, subject="x", actor=alice, team=self.team, at=before
        )
        services.add_participant(
            ticket=ticket, user=self.people["participant"], actor=bob, at=before
        )
        ticket = Ticket.objects.get(pk=ticket.pk)
        ticket.first_responded_at = before if scene.has_reply else None
        ticket.save(update_fields=["first_responded_at"])
        if scene.is_assigned:
            sam = self.people["supervisor"]
            ticket = services.assign(ticket=ticket, to=bob, actor=sam, at=before, force=True)
        if ticket.status != scene.start:
            # Straight there, which no service would do.
            entry = apply_move(ticket, Status(scene.start), at=before)
            record(ticket, entry, actor=None, at=before, changed=STATUS_FIELDS)
        return ticket

    def client(self, who: str) -> DeskClient:
        if who not in self.clients:
            self.clients[who] = DeskClient(self.people[who])
        return self.clients[who]

    def by_service(self, ticket: Ticket, request: Request) -> Answer:
        try:
            services.change_status(
                ticket=ticket,
                to=Status(request.to),
                actor=self.people[request.who],
                at=self.now,
                comment=request.comment,
                is_internal=request.internal,
                resolution=request.resolution,
            )
        except DomainError as refused:
            return answer_of(refused.status, {"code": refused.code, **refused.extra})
        return Answer(200)

    def by_api(self, ticket: Ticket, request: Request) -> Answer:
        body = {"status": request.to, "comment": request.comment, "internal": request.internal}
        if request.resolution:
            body["resolution"] = request.resolution
        response = self.client(request.who).put(f"/api/tickets/{ticket.pk}/status", body)
        answer = answer_of(response.status_code, response.json())
        # A customer's note is a wrong field here, before anybody asks what they may do.
        wrong = [error["pointer"] for error in response.json().get("errors", [])]
        if wrong == ["/internal"] and answer == Answer(400, "validation_failed"):
            return Answer(403, "permission_denied")
        return answer


def answer_of(status: int, problem: dict[str, Any]) -> Answer:
    if status == 200:
        return Answer(200)
    reasons = [reason["code"] for reason in problem.get("reasons", [])]
    assert len(reasons) == len(set(reasons))
    allowed = problem.get("allowed")
    return Answer(
        status,
        problem["code"],
        frozenset(reasons),
        None if allowed is None else frozenset(map(str, allowed)),
    )


@pytest.fixture
def stage(alice, charlie, dana, sam, team) -> Stage:
    bob = create_user(username="bob", name="Bob", role=Role.AGENT)
    bob.agent.teams.add(team)
    people = {"requester": alice, "participant": charlie, "agent": bob, "supervisor": sam}
    return Stage({**people, "another agent": dana}, team, timezone.now())


# --- The full product -----------------------------------------------------------------


@pytest.mark.parametrize("start", Status.values)
def test_the_service_makes_or_refuses_every_move_as_the_contract_says(stage, start) -> None:
    for scene in scenes(start):
        _play(stage, scene, Stage.by_service)
    assert_consistent()


# The service decides, and is tried on both databases.
@pytest.mark.once
@pytest.mark.parametrize("start", Status.values)
def test_the_api_makes_or_refuses_every_move_as_the_contract_says(stage, start) -> None:
    """The plain ticket, and what only the clock decides: the rest is the service's."""
    for scene in {Scene(start), *(scene for scene in scenes(start) if scene.is_late)}:
        _play(stage, scene, Stage.by_api)
    assert_consistent()


def _play(stage: Stage, scene: Scene, door: Callable[..., Answer]) -> None:
    """All requests in one scene. What is refused leaves the ticket for the next of them."""
    ticket = stage.ticket(scene)
    before = snapshot(ticket)
    for request in requests(scene):
        answer = door(stage, ticket, request)
        assert answer == expected(scene, request), (scene, request)
        if answer.status == 200:
            _assert_moved(stage, before["ticket", ticket.pk], request)
            ticket = stage.ticket(scene)
            before = snapshot(ticket)
        else:
            assert snapshot(ticket) == before, (scene, request)


def _assert_moved(stage: Stage, was: dict[str, Any], request: Request) -> None:
    ticket = Ticket.objects.get(pk=was["id"])
    actor = stage.people[request.who]
    events = list(ticket.events.filter(seq__gt=was["last_seq"]).order_by("seq"))
    speaks = bool(request.comment.strip())
    takes = request.to == "resolved" and was["assignee_id"] is None
    assert [event.kind for event in events] == [
        *([Kind.MESSAGE_CREATED] if speaks else []),
        *([Kind.ASSIGNED] if takes else []),
        Kind.STATUS_CHANGED,
    ]
    assert {event.actor_id for event in events} == {actor.pk}
    assert events[-1].data == events[-1].public_data == {"from": was["status"], "to": request.to}
    assert ticket.status == request.to
    assert ticket.version == was["version"] + 1
    assert ticket.assignee_id == (actor.pk if takes else was["assignee_id"])
    is_reopened = was["status"] in ENDED and request.to == "open"
    assert ticket.reopen_count == was["reopen_count"] + is_reopened
    assert (ticket.closed_at is not None) == (request.to in ("closed", "cancelled"))
    if request.to == "closed":
        assert ticket.resolved_at == was["resolved_at"]
    else:
        assert (ticket.resolved_at is not None) == (request.to == "resolved")
    assert ticket.resolution == request.resolution.strip()
    if speaks:
        message = Message.objects.get(ticket=ticket)
        assert (message.author, message.body) == (actor, request.comment)
        assert message.is_internal is request.internal


def test_the_product_knows_every_answer() -> None:
    """Else the table above would have a rule that nothing tries."""
    found = {
        (answer.status, answer.code, answer.reasons)
        for start in Status.values
        for scene in scenes(start)
        for answer in (expected(scene, request) for request in requests(scene))
    }
    blocked = {reasons for status, code, reasons in found if code == "transition_blocked"}
    assert blocked == {
        frozenset({"comment_required"}),
        frozenset({"resolution_required"}),
        frozenset({"reopen_window_over"}),
    }
    assert {status for status, _, _ in found} == {200, 400, 403, 409}


@pytest.mark.parametrize("who", ["stranger", "another agent"])
def test_a_stranger_learns_nothing_of_any_move(stage, who) -> None:
    stage.people["stranger"] = create_user(username="erin")
    for start in Status.values:
        ticket = stage.ticket(Scene(start))
        before = snapshot(ticket)
        for to in Status.values:
            for request in (Request(who, to), Request(who, to, comment="x")):
                answer = stage.by_api(ticket, request)
                assert answer == Answer(404, "not_found")
        assert stage.client(who).get(f"/api/tickets/{ticket.pk}/transitions").status_code == 404
        assert snapshot(ticket) == before


# --- What is announced of it ----------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("start", Status.values)
def test_the_transitions_say_beforehand_what_a_request_will_be_answered(stage, start) -> None:
    """Available is what a bare request does, and the reasons are those it would be refused for.
    The allowed actions are the moves that lack nothing but words."""
    mended = {"comment_required", "resolution_required"}
    for scene in scenes(start):
        address = f"/api/tickets/{stage.ticket(scene).pk}/"
        for who in PEOPLE:
            told = stage.client(who).get(f"{address}transitions").json()
            moves = {move["to"]: _reasons(scene, who, move) for move in told["transitions"]}
            assert (told["current"], set(moves)) == (start, MOVES[start])
            allowed = stage.client(who).get(address).json()["allowed_actions"]
            assert allowed == [to for to, reasons in moves.items() if reasons <= mended]
            for to in allowed:
                words = Request(who, to, "x", resolution="x" if to == "resolved" else "")
                assert expected(scene, words) == Answer(200)


def _reasons(scene: Scene, who: str, move: dict[str, Any]) -> set[str]:
    """The codes for which a move is said to be refused, which are those of the contract."""
    answer = expected(scene, Request(who, move["to"]))
    codes = [reason["code"] for reason in move["reasons"]]
    assert len(codes) == len(set(codes))
    assert move["available"] is (answer.status == 200) is (not codes)
    if answer.status == 409:
        assert set(codes) == answer.reasons
    if answer.status == 403:
        # First what bars the caller whatever they say, then what else is missing.
        assert codes[0] == "permission_denied"
    named = {code.removesuffix("_required") for code in codes if code.endswith("_required")}
    assert named <= set(move["requires"])
    return set(codes)
