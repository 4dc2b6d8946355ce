"""Spreading work more evenly."""

from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Availability, Role, Team, User
from agents.services import create_user, update_agent
from servicedesk.errors import NotAllowed
from tickets import services
from tickets.assignment.fairness import gini
from tickets.models import AssignmentDecision, Ticket
from tickets.tests.state import assert_consistent, loads, snapshot
from tickets.tests.test_races import Meeting, at_once, everywhere


def agent(name: str, *, capacity: int = 10, teams: Any = (), there: bool = True) -> User:
    user = create_user(username=name, name=name.title(), role=Role.AGENT)
    where = Availability.AVAILABLE if there else Availability.OFFLINE
    update_agent(
        agent=user.agent, at=timezone.now(), availability=where, capacity=capacity, teams=teams
    )
    return user


def give(count: int, to: User, requester: User, sam: User, **fields: Any) -> list[Ticket]:
    """So many tickets in somebody's hands, as a supervisor gave them."""
    now, made = timezone.now(), []
    for number in range(count):
        ticket = services.open_ticket(
            requester=requester, actor=requester, subject=f"Ticket {number}", at=now, **fields
        )
        services.assign(ticket=ticket, to=to, actor=sam, at=now, force=True)
        made.append(ticket)
    return made


@pytest.fixture
def uneven(alice, sam):
    """Eight tickets with ann, none with ben and cid; they come once ann has hers."""
    ann = agent("ann")
    tickets = give(8, ann, alice, sam)
    return ann, agent("ben"), agent("cid"), tickets


def propose(team: Team | None = None) -> Any:
    return services.propose_moves(team=team, at=timezone.now())


def holders() -> dict[int, int | None]:
    return dict(Ticket.objects.values_list("pk", "assignee"))


def test_a_dry_run_explains_each_move_and_changes_nothing(uneven) -> None:
    ann, _, _, tickets = uneven
    before = snapshot(*tickets)
    proposal = propose()
    assert snapshot(*tickets) == before
    assert len(proposal.moves) == 3
    assert {move.giver.id for move in proposal.moves} == {ann.pk}
    assert all(move.gain >= 0.05 and move.taker.name in move.why for move in proposal.moves)
    assert (proposal.before.max, proposal.after.max) == (0.8, 0.5)
    assert proposal.after.gini < proposal.before.gini


def test_what_is_proposed_is_what_is_done(uneven, sam) -> None:
    proposal = propose()
    done = services.rebalance(team=None, actor=sam, at=timezone.now())
    assert {m.ticket.pk: m.taker.id for m in done.moves} == {
        m.ticket.pk: m.taker.id for m in proposal.moves
    }
    assert done.after == proposal.after
    for move in done.moves:
        assert holders()[move.ticket.pk] == move.taker.id
    methods = AssignmentDecision.objects.filter(method="rebalance")
    assert methods.count() == 3
    assert all(decision.candidates for decision in methods)
    assert_consistent()


def test_nobody_gives_or_takes_more_than_the_limit(uneven, settings) -> None:
    settings.REBALANCE_MOVES_PER_AGENT = 1
    assert len(propose().moves) == 1
    settings.REBALANCE_MOVES_PER_AGENT = 100
    proposal = propose()
    taken = [move.taker.id for move in proposal.moves]
    assert len(taken) > 3
    # Never so many that the taker would be busier than the giver was.
    assert proposal.after.max <= 0.4


def test_a_small_gain_is_not_worth_a_move(uneven, settings) -> None:
    settings.REBALANCE_MIN_GAIN = 0.9
    proposal = propose()
    assert proposal.moves == []
    assert proposal.before == proposal.after


def test_what_the_customer_has_heard_of_stays(uneven, alice) -> None:
    ann, _, _, tickets = uneven
    for ticket in tickets:
        services.post_message(ticket=ticket, author=ann, body="Mine.", at=timezone.now())
    assert propose().moves == []


def test_gates_hold(alice, sam, vpn, team) -> None:
    ann = agent("ann", teams=[team])
    give(8, ann, alice, sam, team=team)
    agent("outside")
    agent("away", teams=[team], there=False)
    agent("full", teams=[team], capacity=0)
    assert propose().moves == []
    inside = agent("inside", teams=[team])
    assert {move.taker.id for move in propose().moves} == {inside.pk}


def test_only_the_team_that_is_asked_for(uneven, team) -> None:
    assert propose(team).moves == []
    assert propose(team).before.max == 0


def test_an_empty_desk_is_balanced(db) -> None:
    proposal = propose()
    assert (proposal.moves, proposal.before.max, proposal.before.gini) == ([], 0, 0)


def test_only_supervisors_rebalance(uneven, bob) -> None:
    with pytest.raises(NotAllowed):
        services.rebalance(team=None, actor=bob, at=timezone.now())


def test_a_ticket_that_was_answered_meanwhile_stays(uneven, sam, monkeypatch) -> None:
    ann, *_ = uneven
    proposal = propose()
    answered = proposal.moves[0].ticket
    services.post_message(ticket=answered, author=ann, body="Mine.", at=timezone.now())
    everywhere(monkeypatch, "propose", lambda **kwargs: proposal)
    done = services.rebalance(team=None, actor=sam, at=timezone.now())
    assert answered.pk not in {move.ticket.pk for move in done.moves}
    assert holders()[answered.pk] == ann.pk
    assert_consistent()


@pytest.mark.postgres
@pytest.mark.parametrize("protected", [True, False])
def test_two_at_once_move_each_ticket_once(uneven, sam, monkeypatch, protected) -> None:
    """Both have proposed the same before either has moved anything."""
    meeting, proposal = Meeting(2), propose()

    def proposed(**kwargs: Any) -> Any:
        meeting.wait()
        return proposal

    everywhere(monkeypatch, "propose", proposed)
    if not protected:
        look = Meeting(2)

        def look_without_a_lock(pk: int, expected: Any = None) -> Ticket:
            ticket = Ticket.objects.select_related("requester").get(pk=pk)
            look.wait()
            return ticket

        everywhere(monkeypatch, "lock_ticket", look_without_a_lock)
    now = timezone.now()
    both = at_once(*[lambda: services.rebalance(team=None, actor=sam, at=now)] * 2)
    moved = sorted(move.ticket.pk for done in both for move in done.moves)
    if protected:
        assert moved == sorted(move.ticket.pk for move in proposal.moves)
        assert_consistent()
    else:
        assert AssignmentDecision.objects.filter(method="rebalance").count() < 2 * len(
            proposal.moves
        )
    assert sum(loads().values()) == 8


# --- The API and the command ----------------------------------------------------------


def test_the_api_proposes_unless_told_otherwise(uneven, as_user, sam, bob, alice) -> None:
    before = holders()
    answer = as_user(sam).post("/api/agents/rebalance", {}, format="json")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["dry_run"], len(shown["moves"]), holders()) == (True, 3, before)
    assert set(shown["moves"][0]) == {"ticket", "from", "to", "gain", "why"}
    answer = as_user(sam).post("/api/agents/rebalance", {"dry_run": False}, format="json")
    moves = answer.json()["moves"]
    assert [holders()[move["ticket"]["id"]] for move in moves] == [m["to"]["id"] for m in moves]
    for stranger in (bob, alice):
        refused = as_user(stranger).post("/api/agents/rebalance", {}, format="json")
        assert refused.status_code == 403
    odd = as_user(sam).post("/api/agents/rebalance", {"team": 999_999}, format="json")
    assert odd.status_code == 404


def run(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rebalance", *arguments, "--json", stdout=out)
    report: dict[str, Any] = orjson.loads(out.getvalue())
    return report


def test_the_command_proposes_and_applies(uneven) -> None:
    before = holders()
    assert (run()["handled"], holders()) == (0, before)
    applied = run("--apply")
    assert applied["handled"] == len(applied["moves"]) == 3
    assert holders() != before
    assert_consistent()
    with pytest.raises(CommandError):
        run("--team", "Nobody")


def test_the_command_speaks_to_people_too(uneven) -> None:
    out = StringIO()
    call_command("rebalance", stdout=out)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert "Ann ->" in lines[0]
    assert lines[-1].startswith("3 would move; before: busiest 80%")


# --- Gini -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0), ([0, 0], 0), ([3, 3, 3], 0), ([0, 1], 0.5), ([0, 0, 0, 1], 0.75), ([1, 3], 0.25)],
)
def test_the_gini_coefficient_of_known_values(values, expected) -> None:
    assert gini(values) == pytest.approx(expected)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_the_gini_coefficient_is_the_mean_difference_by_twice_the_mean(values) -> None:
    whole, count = sum(values), len(values)
    apart = sum(abs(one - other) for one in values for other in values)
    expected = apart / (2 * count * whole) if whole else 0
    assert gini(values) == pytest.approx(expected)
