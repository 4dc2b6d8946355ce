"""The lifecycle against a table written down by hand from the contract, over its full product."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from servicedesk.errors import NotAllowed
from tickets import lifecycle, services
from tickets.lifecycle import Part, Situation, Status, TransitionBlocked, TransitionNotAllowed
from tickets.models import Ticket

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
WINDOW = timedelta(days=14)
README = Path(__file__).parent.parent.parent / "README.md"

STAFF = {"agent", "supervisor", "desk"}
ASKER_TOO = STAFF | {"customer"}

# From the contract: where → where to → who. A participant appears nowhere: they decide nothing.
# The desk reopens a closed ticket because its customer replied.
CONTRACT: dict[str, dict[str, set[str]]] = {
    "new": {
        "open": STAFF,
        "pending": STAFF,
        "on_hold": STAFF,
        "resolved": STAFF,
        "cancelled": ASKER_TOO,
    },
    "open": {"pending": STAFF, "on_hold": STAFF, "resolved": STAFF, "cancelled": ASKER_TOO},
    "pending": {"open": STAFF, "on_hold": STAFF, "resolved": STAFF, "cancelled": ASKER_TOO},
    "on_hold": {"open": STAFF, "pending": STAFF, "resolved": STAFF, "cancelled": ASKER_TOO},
    "resolved": {"open": ASKER_TOO, "closed": ASKER_TOO},
    "closed": {"open": {"supervisor", "customer", "desk"}},
    "cancelled": {"open": {"supervisor"}},
}


def ready(status: Status) -> Situation:
    """A ticket, and a request, that lack nothing any guard may ask for."""
    return Situation(
        status=status,
        is_assigned=True,
        has_public_agent_reply=True,
        closed_at=AT - timedelta(days=1) if status in ("closed", "cancelled") else None,
        has_comment=True,
        has_public_comment=True,
        has_resolution=True,
        at=AT,
        reopen_window=WINDOW,
    )


def codes(now: Situation, target: Status, part: Part) -> list[str]:
    """The codes of the reasons for which the move is blocked; none where it is made."""
    try:
        lifecycle.check(now, target, part)
    except TransitionBlocked as blocked:
        return [reason["code"] for reason in blocked.extra["reasons"]]
    return []


def targets(source: Status, part: Part) -> list[str]:
    return [to for to in Status if part.value in CONTRACT[source].get(to, set())]


def test_the_contract_and_the_lifecycle_know_the_same_statuses() -> None:
    assert set(CONTRACT) == set(Status.values)
    assert {to for row in CONTRACT.values() for to in row} <= set(Status.values)


def test_the_table_holds_exactly_the_moves_of_the_contract() -> None:
    theirs = [(str(move.source), str(move.target)) for move in lifecycle.TRANSITIONS]

    assert sorted(theirs) == sorted((start, to) for start in CONTRACT for to in CONTRACT[start])
    assert len(lifecycle.TABLE) == len(lifecycle.TRANSITIONS)


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize(("source", "target"), list(product(Status, Status)))
def test_a_part_makes_exactly_the_moves_that_the_contract_gives_it(source, target, part) -> None:
    now = ready(source)
    who = CONTRACT[source].get(target)

    if who is None:
        with pytest.raises(TransitionNotAllowed) as refused:
            lifecycle.check(now, target, part)
        assert refused.value.status == 409
        assert refused.value.extra["current"] == source
        assert sorted(refused.value.extra["allowed"]) == sorted(targets(source, part))
    elif part.value not in who:
        with pytest.raises(NotAllowed) as forbidden:
            lifecycle.check(now, target, part)
        assert forbidden.value.status == 403
    else:
        move = lifecycle.check(now, target, part)
        assert (move.source, move.target) == (source, target)


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("source", Status)
def test_the_allowed_targets_are_the_moves_that_would_be_made(source, part) -> None:
    assert sorted(lifecycle.allowed_targets(ready(source), part)) == sorted(targets(source, part))


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("source", Status)
def test_what_a_request_may_still_bring_along_hides_no_target(source, part) -> None:
    bare = replace(
        ready(source),
        has_comment=False,
        has_public_comment=False,
        has_resolution=False,
        has_public_agent_reply=False,
    )

    assert sorted(lifecycle.allowed_targets(bare, part)) == sorted(targets(source, part))


@pytest.mark.parametrize("source", ["new", "open", "pending", "on_hold"])
@pytest.mark.parametrize("part", [Part.AGENT, Part.SUPERVISOR, Part.DESK])
@pytest.mark.parametrize(
    ("assigned", "replied", "resolution"), list(product([False, True], repeat=3))
)
def test_resolving_needs_an_assignee_and_an_explanation(
    source, part, assigned, replied, resolution
) -> None:
    now = Situation(
        status=Status(source),
        is_assigned=assigned,
        has_public_agent_reply=replied,
        has_resolution=resolution,
        has_comment=True,  # a mere comment explains nothing: it may be a note
    )
    expected = []
    # Whoever resolves an unassigned ticket becomes its assignee; the desk cannot.
    if not assigned and part is Part.DESK:
        expected.append("assignee_required")
    if not replied and not resolution:
        expected.append("resolution_required")

    assert codes(now, Status.RESOLVED, part) == expected


@pytest.mark.parametrize("source", ["new", "open", "on_hold"])
@pytest.mark.parametrize("part", [Part.AGENT, Part.SUPERVISOR, Part.DESK])
@pytest.mark.parametrize(
    ("replied", "comment", "public"),
    [(r, c, p) for r, c, p in product([False, True], repeat=3) if c or not p],
)
def test_waiting_for_the_customer_needs_something_they_can_read(
    source, part, replied, comment, public
) -> None:
    now = Situation(
        status=Status(source),
        is_assigned=True,
        has_public_agent_reply=replied,
        has_comment=comment,
        has_public_comment=public,
    )
    expected = [] if replied or public else ["comment_required"]

    assert codes(now, Status.PENDING, part) == expected


@pytest.mark.parametrize("source", ["new", "open", "pending", "on_hold"])
@pytest.mark.parametrize("part", [Part.CUSTOMER, Part.AGENT, Part.SUPERVISOR, Part.DESK])
@pytest.mark.parametrize(("comment", "public"), [(False, False), (True, False), (True, True)])
def test_cancelling_needs_a_comment_unless_the_customer_does_it(
    source, part, comment, public
) -> None:
    now = Situation(
        status=Status(source),
        is_assigned=True,
        has_public_agent_reply=True,
        has_comment=comment,
        has_public_comment=public,
    )
    expected = [] if comment or part is Part.CUSTOMER else ["comment_required"]

    assert codes(now, Status.CANCELLED, part) == expected


@pytest.mark.parametrize("source", ["new", "open", "pending"])
@pytest.mark.parametrize("part", [Part.AGENT, Part.SUPERVISOR, Part.DESK])
def test_putting_on_hold_needs_nothing(source, part) -> None:
    assert codes(Situation(status=Status(source)), Status.ON_HOLD, part) == []


@pytest.mark.parametrize(
    ("after", "part", "expected"),
    [
        (timedelta(0), Part.CUSTOMER, []),
        (WINDOW, Part.CUSTOMER, []),
        (WINDOW + timedelta(seconds=1), Part.CUSTOMER, ["reopen_window_over"]),
        (timedelta(days=3650), Part.CUSTOMER, ["reopen_window_over"]),
        (timedelta(days=3650), Part.SUPERVISOR, []),
    ],
)
def test_the_window_of_reopening_binds_the_customer_and_nobody_else(after, part, expected) -> None:
    now = Situation(
        status=Status.CLOSED, closed_at=AT - after, at=AT, reopen_window=WINDOW, has_comment=True
    )

    assert codes(now, Status.OPEN, part) == expected
    assert lifecycle.allowed_targets(now, part) == ([] if expected else [Status.OPEN])


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1)])
def test_a_move_and_a_reply_see_the_same_end_of_the_window(alice, sam, settings, late) -> None:
    settings.REOPEN_WINDOW = WINDOW
    tickets = []
    for _ in range(2):
        ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=AT)
        services.change_status(ticket=ticket, to=Status.CANCELLED, actor=sam, at=AT, comment="x")
        Ticket.objects.filter(pk=ticket.pk).update(status=Status.CLOSED, closed_at=AT)
        tickets.append(ticket)
    by_move, by_reply = tickets
    at = AT + WINDOW + late
    with suppress(TransitionBlocked):
        services.change_status(ticket=by_move, to=Status.OPEN, actor=alice, at=at)
    services.post_message(ticket=by_reply, author=alice, body="x", at=at)
    statuses = {Ticket.objects.get(pk=ticket.pk).status for ticket in tickets}
    assert statuses == {Status.CLOSED if late else Status.OPEN}


def test_the_window_is_decided_in_one_place(alice, sam, monkeypatch) -> None:
    """Whoever changes it changes it for both doors."""
    asked = []

    def never(closed_at: datetime | None, at: datetime, window: timedelta) -> bool:
        asked.append(closed_at)
        return False

    monkeypatch.setattr(lifecycle, "within_window", never)
    monkeypatch.setattr("tickets.services.reply.within_window", never)
    now = Situation(status=Status.CLOSED, closed_at=AT, at=AT, has_comment=True)
    assert codes(now, Status.OPEN, Part.CUSTOMER) == ["reopen_window_over"]
    ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=AT)
    Ticket.objects.filter(pk=ticket.pk).update(status=Status.CLOSED, closed_at=AT)
    posted = services.post_message(ticket=ticket, author=alice, body="x", at=AT)
    assert posted.follow_up is not None
    assert asked == [AT, AT]


def test_every_reason_is_given_and_not_only_the_first() -> None:
    now = Situation(status=Status.OPEN)

    assert codes(now, Status.RESOLVED, Part.DESK) == ["assignee_required", "resolution_required"]
    move = lifecycle.TABLE[Status.OPEN, Status.RESOLVED]
    given = [reason.code for reason in lifecycle.refusals(move, now, Part.CUSTOMER)]
    assert given == ["permission_denied", "assignee_required", "resolution_required"]


@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize(("source", "target"), sorted(lifecycle.TABLE))
def test_a_reason_asks_for_what_mends_it_or_for_nothing(source, target, part) -> None:
    """What the reasons ask for, brought along, is all that a request lacks."""
    bare = Situation(
        status=source, at=AT, closed_at=AT - WINDOW * 2 if source == "closed" else None
    )
    brought: dict[str, dict[str, Any]] = {
        "comment": {"has_comment": True, "has_public_comment": True},
        "resolution": {"has_resolution": True},
    }
    move = lifecycle.TABLE[source, target]
    reasons = lifecycle.refusals(move, bare, part)
    told = replace(
        bare, **{k: v for r in reasons if r.asks_for for k, v in brought[r.asks_for].items()}
    )

    assert lifecycle.refusals(move, told, part) == [r for r in reasons if r.asks_for is None]
    everything = replace(bare, has_comment=True, has_public_comment=True, has_resolution=True)
    assert lifecycle.refusals(move, everything, part) == lifecycle.refusals(move, told, part)


def test_a_missing_assignee_takes_resolving_from_the_targets_of_the_desk_alone() -> None:
    now = Situation(status=Status.OPEN)

    assert Status.RESOLVED not in lifecycle.allowed_targets(now, Part.DESK)
    assert Status.RESOLVED in lifecycle.allowed_targets(now, Part.AGENT)


def test_the_groups_of_statuses_are_those_of_the_contract() -> None:
    assert set(lifecycle.OPEN_STATUSES) == {"new", "open", "pending", "on_hold"}
    assert set(lifecycle.WORKED_STATUSES) == {"new", "open"}
    assert set(lifecycle.PAUSING_STATUSES) == {"pending", "on_hold"}
    assert set(lifecycle.ENDED_STATUSES) == {"resolved", "closed", "cancelled"}
    assert set(lifecycle.FINAL_STATUSES) == {"closed", "cancelled"}


def test_the_published_workflow_is_the_table(as_user, alice) -> None:
    body = as_user(alice).get("/api/tickets/workflow/transitions").json()

    assert [status["key"] for status in body["statuses"]] == Status.values
    for status in body["statuses"]:
        assert status["is_open"] is (status["key"] in ("new", "open", "pending", "on_hold"))
        assert status["is_final"] is (status["key"] in ("closed", "cancelled"))
        assert status["pauses_sla"] is (status["key"] in ("pending", "on_hold"))
    published = {(move["from"], move["to"]): set(move["roles"]) for move in body["transitions"]}
    assert published == {
        (start, to): who - {"desk"} for start, row in CONTRACT.items() for to, who in row.items()
    }
    asked = {(move["from"], move["to"]): move["requires"] for move in body["transitions"]}
    assert asked["open", "resolved"] == ["assignee", "resolution"]
    assert asked["open", "pending"] == asked["open", "cancelled"] == ["comment"]
    assert asked["new", "open"] == asked["open", "on_hold"] == []


def test_the_diagram_of_the_readme_is_the_table() -> None:
    drawn = README.read_text().split("stateDiagram-v2\n")[1].split("```")[0].split("\n")
    moves = [f"{move.source} --> {move.target}" for move in lifecycle.TRANSITIONS]

    assert sorted(line.strip() for line in drawn if line.strip()) == sorted(["[*] --> new", *moves])


def test_who_waited_for_the_lock_writes_no_time_before_the_last_change(alice, bob, sam) -> None:
    """Their clock was taken before they waited: the row says the same as the log."""
    late, early = AT + timedelta(minutes=1), AT
    ticket = services.open_ticket(requester=alice, subject="x", actor=alice, at=late)
    services.post_message(ticket=ticket, author=bob, body="x", at=early)
    services.change_status(ticket=ticket, to=Status.RESOLVED, actor=bob, at=early)
    services.change_status(ticket=ticket, to=Status.CLOSED, actor=bob, at=early)

    ticket = Ticket.objects.get(pk=ticket.pk)
    assert ticket.first_responded_at == ticket.resolved_at == ticket.closed_at == late
