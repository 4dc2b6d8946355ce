"""Spreading work more evenly."""

import importlib
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Availability, Role, Team, User
from agents.services import create_user, update_agent
from servicedesk.errors import NotAllowed
from tickets import services
from tickets.assignment import balancing
from tickets.assignment.balancing import Limits
from tickets.assignment.candidates import everybody, rules, work_of
from tickets.assignment.facts import Facts
from tickets.assignment.fairness import gini
from tickets.assignment.scoring import Candidate, Work, rank, rescore, score
from tickets.locks import lock_ticket
from tickets.models import AssignmentDecision, Category, CategoryExperience, Ticket
from tickets.tests.crowds import uneven as crowd
from tickets.tests.state import assert_consistent, loads, snapshot
from tickets.tests.test_races import Meeting, at_once, everywhere

# The package has a function of this name in front of the module.
rebalancing = importlib.import_module("tickets.services.rebalance")


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


def test_moves_are_made_in_the_order_of_the_tickets(uneven, alice, sam) -> None:
    """Whoever holds several tickets took them in that order, too."""
    _, ben, _, tickets = uneven
    Ticket.objects.filter(pk=tickets[-1].pk).update(category=Category.objects.create(name="Mail"))
    CategoryExperience.objects.create(agent=ben, category_id=Category.objects.get().pk, resolved=9)
    proposed = [move.ticket.pk for move in propose().moves]
    assert proposed != sorted(proposed)

    done = services.rebalance(team=None, actor=sam, at=timezone.now())

    made = AssignmentDecision.objects.filter(method="rebalance").order_by("pk")
    assert [decision.ticket_id for decision in made] == sorted(proposed)
    assert [move.ticket.pk for move in done.moves] == proposed


@pytest.mark.postgres
@pytest.mark.parametrize("protected", [True, False])
def test_within_a_transaction_nobody_waits_in_a_circle(uneven, sam, monkeypatch, protected) -> None:
    """Under an Idempotency-Key what was locked stays so; the other has a ticket and wants an agent
    who is part of an earlier move."""
    *_, ben, _, _ = uneven
    last = max(move.ticket.pk for move in propose().moves)
    is_locked, is_moved = threading.Event(), threading.Event()
    if not protected:
        everywhere(monkeypatch, "_lock_all", lambda moves: None)
    taken = rebalancing.take_place

    def take_place(*args: Any, **kwargs: Any) -> bool:
        is_taken: bool = taken(*args, **kwargs)
        is_moved.set()
        return is_taken

    monkeypatch.setattr(rebalancing, "take_place", take_place)

    def rebalance() -> Any:
        is_locked.wait(20)
        with transaction.atomic():
            return services.rebalance(team=None, actor=sam, at=timezone.now())

    def give_away() -> None:
        with transaction.atomic():
            ticket = lock_ticket(last)
            is_locked.set()
            is_moved.wait(3)
            services.assign(ticket=ticket, to=ben, actor=sam, at=timezone.now(), force=True)

    done, given = at_once(rebalance, give_away)

    failed = isinstance(given, Exception) or done.failed
    assert bool(failed) is not protected
    assert_consistent()


def test_a_move_that_fails_or_comes_too_late_is_counted_and_stops_no_other(
    uneven, as_user, sam, monkeypatch
) -> None:
    ann, *_ = uneven
    proposal = propose()
    late, broken, fine = [move.ticket for move in proposal.moves]
    services.post_message(ticket=late, author=ann, body="Mine.", at=timezone.now())
    everywhere(monkeypatch, "propose", lambda **kwargs: proposal)
    hand_over = rebalancing.hand_over

    def fail(ticket: Ticket, *args: Any) -> Ticket:
        if ticket.pk == broken.pk:
            raise RuntimeError("broken")
        moved: Ticket = hand_over(ticket, *args)
        return moved

    monkeypatch.setattr(rebalancing, "hand_over", fail)

    report = run("--apply")

    assert (report["handled"], report["skipped"], report["failed"]) == (1, 1, 1)
    assert [move["ticket"] for move in report["moves"]] == [fine.pk]
    answer = as_user(sam).post("/api/agents/rebalance", {"dry_run": False}, format="json").json()
    assert (answer["moves"], answer["skipped"], answer["failed"]) == ([], 2, 1)
    assert_consistent()


# --- As the plain procedure would, but sooner -----------------------------------------


def plain_moves(works: Any, tickets: Any, facts: Any, limits: Limits) -> list[tuple[int, int]]:
    """Ticket and taker of each move: everybody ranked for everything, each time."""
    made, given, taken = [], Counter[int](), Counter[int]()
    loads = {agent.id: agent.load for agent in facts.agents}
    capacity = {agent.id: agent.capacity for agent in facts.agents}
    left, tickets = {ticket.assignee_id for ticket in tickets}, list(tickets)
    while left:
        giver = max(left, key=lambda pk: (loads[pk] / capacity[pk], -pk))
        agents = [agent._replace(load=loads[agent.id]) for agent in facts.agents]
        found = []
        for ticket in tickets:
            if ticket.assignee_id != giver or given[giver] == limits.moves_per_agent:
                continue
            work = works[ticket.pk]
            ranked = rank(replace(facts, agents=agents).candidates(ticket, work), work, rules())
            own = next(one for one in ranked if one.candidate.id == giver)
            for one in ranked:
                pk = one.candidate.id
                is_asked = pk != giver and taken[pk] < limits.moves_per_agent and not given[pk]
                share = (loads[pk] + 1) / capacity[pk]
                if one.is_eligible and is_asked and share <= loads[giver] / capacity[giver]:
                    found.append((round(one.total - own.total, 4), -ticket.pk, pk))
                    break
        gain, number, taker = max(found, default=(0, 0, 0))
        if gain < limits.min_gain or taken[giver]:
            left.discard(giver)
            continue
        made.append((-number, taker))
        tickets = [ticket for ticket in tickets if ticket.pk != -number]
        loads[giver], loads[taker] = loads[giver] - 1, loads[taker] + 1
        given[giver], taken[taker] = given[giver] + 1, taken[taker] + 1
    return made


@pytest.mark.parametrize("seed", range(5))
def test_the_moves_are_those_of_the_plain_procedure(db, seed) -> None:
    crowd(seed=seed, agents=20, tickets=150, requesters=12)
    limits, now = Limits(0.01, 3), timezone.now()
    moves = balancing.propose(team=None, at=now, limits=limits).moves
    agents = balancing._agents(None)
    tickets = balancing._movable(None, agents)
    works = {ticket.pk: work_of(ticket, now) for ticket in tickets}
    facts = Facts.of(tickets, list(works.values()), everybody(), now)

    assert len(moves) > 5
    assert [(move.ticket.pk, move.taker.id) for move in moves] == plain_moves(
        works, tickets, facts, limits
    )
    assert not {m.giver.id for m in moves} & {m.taker.id for m in moves}


@given(st.integers(0, 12), st.integers(-50, 5000) | st.none(), st.integers(-50, 5000) | st.none())
def test_a_score_with_another_slack_is_the_score_for_that_slack(load, one, other) -> None:
    who = Candidate(id=1, name="Ann", capacity=10, load=load, open_work=load * timedelta(hours=1))
    first, second = (
        Work(slack=None if minutes is None else timedelta(minutes=minutes))
        for minutes in (one, other)
    )
    settled = rules()

    assert rescore(score(who, first, settled), second, settled) == score(who, second, settled)


# --- The API and the command ----------------------------------------------------------


def test_the_api_proposes_unless_told_otherwise(uneven, as_user, sam, bob, alice) -> None:
    before = holders()
    answer = as_user(sam).post("/api/agents/rebalance", {}, format="json")
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["dry_run"], len(shown["moves"]), holders()) == (True, 3, before)
    assert set(shown["moves"][0]) == {"ticket", "from", "to", "gain", "why"}
    assert (shown["skipped"], shown["failed"]) == (0, 0)
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
