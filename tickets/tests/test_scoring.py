"""Who should get a ticket: the pure function, without a database."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets.assignment.scoring import (
    GATE_WORDS,
    GATES,
    PARTS,
    Candidate,
    Rules,
    Work,
    describe,
    rank,
    score,
    summary,
)

pytestmark = pytest.mark.once

WEIGHTS = {"skill": 0.25, "headroom": 0.25, "sla_fit": 0.40, "rest": 0.05, "affinity": 0.05}
RULES = Rules(WEIGHTS, timedelta(hours=1))
VPN, MAIL = 7, 8
HOUR = timedelta(hours=1)


def who(pk: int = 1, **facts) -> Candidate:
    return Candidate(id=pk, name=f"Agent {pk}", **{"capacity": 10, **facts})


def part(name: str, candidate: Candidate, work: Work) -> float:
    return score(candidate, work, RULES).parts[name]


def only(name: str) -> Rules:
    """Rules by which one part decides alone."""
    return Rules({name: 1.0}, timedelta(hours=1))


# --- Gates ----------------------------------------------------------------------------

CLOSED = [
    ("inactive", {"is_active": False}, {}),
    ("away", {"is_available": False}, {}),
    ("not_in_team", {"teams": (2,)}, {"team_id": 1}),
    ("missing_skill", {"skills": {VPN: 5}}, {"skills": {VPN: "vpn", MAIL: "mail"}}),
    ("at_capacity", {"load": 10}, {}),
    ("at_capacity", {"load": 9}, {"weight": 2}),
    ("excluded", {}, {"excluded": (1,)}),
    ("flooded", {"is_flooded": True}, {}),
]


@pytest.mark.parametrize(("gate", "facts", "wanted"), CLOSED)
def test_a_closed_gate_is_named_and_comes_behind_all_who_pass(gate, facts, wanted) -> None:
    fit = who(2, load=9 - wanted.get("weight", 1), teams=(1,), skills={VPN: 1, MAIL: 1})
    closed = who(1, **{"teams": (1,), "skills": {VPN: 5, MAIL: 5}, **facts})

    first, last = rank([closed, fit], Work(**wanted), RULES)

    assert (first.candidate.id, first.gates) == (2, [])
    assert (last.candidate.id, last.gates, last.is_eligible) == (1, [gate], False)


def test_all_closed_gates_are_named_and_each_has_words() -> None:
    work = Work(team_id=1, skills={VPN: "vpn"}, excluded=(1,))
    lost = who(is_active=False, is_available=False, load=10, is_flooded=True)

    scored = score(lost, work, RULES)

    assert list(scored.gates) == list(GATES) == list(GATE_WORDS)
    assert all(words in summary(scored, work) for words in GATE_WORDS.values())


def test_the_last_place_is_taken_but_not_one_more() -> None:
    assert score(who(load=9), Work(), RULES).is_eligible
    assert not score(who(load=10), Work(), RULES).is_eligible


# --- Parts ----------------------------------------------------------------------------


def test_the_score_has_the_parts_that_the_design_names() -> None:
    assert list(PARTS) == list(WEIGHTS)


@pytest.mark.parametrize(
    ("learnt", "expected"), [(0, 0.0), (5, 0.5), (15, 0.75), (45, 0.9), (10**9, 1.0)]
)
def test_what_was_learnt_saturates(learnt, expected) -> None:
    assert part("skill", who(learnt=learnt), Work(category_id=3)) == pytest.approx(expected)


def test_declared_levels_and_what_was_learnt_add_to_each_other() -> None:
    work = Work(skills={VPN: "vpn", MAIL: "mail"}, category_id=3)
    declared = who(skills={VPN: 5, MAIL: 1})
    both = who(skills={VPN: 5, MAIL: 1}, learnt=5)

    assert part("skill", declared, work) == pytest.approx(0.6)
    assert part("skill", both, work) == pytest.approx(0.8)


def test_who_knows_everything_is_not_made_worse_by_having_resolved_nothing() -> None:
    work = Work(skills={VPN: "vpn"}, category_id=3)
    assert part("skill", who(skills={VPN: 5}), work) == 1.0


def test_a_ticket_that_asks_for_nothing_is_known_to_all() -> None:
    assert part("skill", who(), Work()) == 1.0


@pytest.mark.parametrize(
    ("load", "capacity", "expected"), [(0, 4, 1.0), (1, 4, 0.75), (4, 4, 0.0), (9, 4, 0.0)]
)
def test_headroom_is_the_free_share_of_the_capacity(load, capacity, expected) -> None:
    assert part("headroom", who(load=load, capacity=capacity), Work()) == expected


def test_who_has_no_capacity_has_no_headroom() -> None:
    assert part("headroom", who(capacity=0), Work()) == 0.0


@pytest.mark.parametrize(
    ("before", "slack", "expected"),
    [(0, 4, 0.75), (1, 4, 0.5), (3, 4, 0.0), (9, 4, 0.0), (0, 0, 0.0), (0, -1, 0.0)],
)
def test_sla_fit_is_the_share_of_the_time_that_is_left_over(before, slack, expected) -> None:
    work = Work(handling=HOUR, slack=slack * HOUR)
    assert part("sla_fit", who(open_work=before * HOUR), work) == pytest.approx(expected)


@pytest.mark.parametrize("slack", [None, timedelta(), timedelta(hours=-1)])
def test_without_time_or_promise_sla_fit_tells_nobody_apart(slack) -> None:
    work = Work(slack=slack)
    idle, busy = who(1), who(2, open_work=100 * HOUR)
    assert part("sla_fit", idle, work) == part("sla_fit", busy, work)


@pytest.mark.parametrize(
    ("rested", "expected"),
    [(None, 1.0), (timedelta(), 0.0), (HOUR / 2, 0.5), (9 * HOUR, 1.0), (-HOUR, 0.0)],
)
def test_rest_grows_until_it_is_full(rested, expected) -> None:
    assert part("rest", who(rested=rested), Work()) == expected


@pytest.mark.parametrize(("had", "expected"), [(0, 0.0), (1, 1 / 3), (3, 1.0), (50, 1.0)])
def test_affinity_grows_with_the_requesters_earlier_tickets(had, expected) -> None:
    assert part("affinity", who(shared_history=had), Work()) == pytest.approx(expected)


# --- Whom the parts choose ------------------------------------------------------------

BETTER = [
    ("skill", {"learnt": 3}, {"learnt": 2}),
    ("headroom", {"load": 2}, {"load": 3}),
    ("sla_fit", {"open_work": HOUR}, {"open_work": 2 * HOUR}),
    ("rest", {"rested": HOUR / 2}, {"rested": HOUR / 3}),
    ("affinity", {"shared_history": 2}, {"shared_history": 1}),
]


@pytest.mark.parametrize(("name", "better", "worse"), BETTER)
@pytest.mark.parametrize("rules", [RULES, None], ids=["all parts", "that part alone"])
def test_the_better_in_one_part_comes_first(name, better, worse, rules) -> None:
    work = Work(category_id=3, slack=8 * HOUR)
    ranked = rank([who(1, **worse), who(2, **better)], work, rules or only(name))
    assert [scored.candidate.id for scored in ranked] == [2, 1]


def test_who_can_be_in_time_beats_who_knows_more_when_little_time_is_left() -> None:
    expert = who(1, learnt=100, load=3, open_work=3 * HOUR)
    idle = who(2, learnt=5)

    assert rank([expert, idle], Work(category_id=3), RULES)[0].candidate is expert
    hurried = Work(category_id=3, slack=4 * HOUR)
    assert rank([expert, idle], hurried, RULES)[0].candidate is idle


def test_weights_are_shares_of_their_sum_and_a_part_without_one_does_not_count() -> None:
    tenfold = Rules({name: 10 * weight for name, weight in WEIGHTS.items()}, RULES.full_rest)
    one, work = who(load=3, learnt=2, rested=HOUR / 4), Work(category_id=3, slack=3 * HOUR)

    assert score(one, work, tenfold).total == pytest.approx(score(one, work, RULES).total)
    assert score(one, work, only("headroom")).total == pytest.approx(0.7)
    assert score(one, work, Rules({}, RULES.full_rest)).total == 0.0


def test_of_equals_the_longest_without_a_ticket_comes_first_then_the_lower_id() -> None:
    rested = [who(1, rested=2 * HOUR), who(2, rested=3 * HOUR), who(4), who(3)]
    ranked = rank(rested, Work(), RULES)
    assert [scored.candidate.id for scored in ranked] == [3, 4, 2, 1]


# --- Of any candidates ----------------------------------------------------------------

hours = st.integers(-5, 200).map(lambda count: count * HOUR)
candidates = st.lists(
    st.builds(
        Candidate,
        id=st.integers(1, 10_000),
        name=st.just("Somebody"),
        is_active=st.booleans(),
        is_available=st.booleans(),
        capacity=st.integers(0, 20),
        load=st.integers(0, 25),
        teams=st.sampled_from([(), (1,), (1, 2)]),
        skills=st.dictionaries(st.sampled_from([VPN, MAIL]), st.integers(1, 5)),
        rested=st.none() | hours,
        shared_history=st.integers(0, 50),
        learnt=st.integers(0, 500),
        open_work=st.integers(0, 200).map(lambda count: count * HOUR),
        is_flooded=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda candidate: candidate.id,
)
works = st.builds(
    Work,
    team_id=st.none() | st.just(1),
    skills=st.sampled_from([{}, {VPN: "vpn"}, {VPN: "vpn", MAIL: "mail"}]),
    weight=st.integers(1, 3),
    category_id=st.none() | st.just(3),
    handling=st.integers(0, 9).map(lambda count: count * HOUR),
    slack=st.none() | hours,
)


@given(candidates, works, st.randoms(use_true_random=False))
def test_the_ranking_does_not_depend_on_the_order_of_the_candidates(
    found: list[Candidate], work: Work, luck: random.Random
) -> None:
    shuffled = list(found)
    luck.shuffle(shuffled)
    assert describe(rank(found, work, RULES), work) == describe(rank(shuffled, work, RULES), work)


@given(candidates, works)
def test_parts_and_totals_lie_between_0_and_1_and_the_eligible_lead(
    found: list[Candidate], work: Work
) -> None:
    ranked = rank(found, work, RULES)

    assert sorted(scored.candidate.id for scored in ranked) == sorted(one.id for one in found)
    for scored in ranked:
        assert set(scored.parts) == set(PARTS)
        assert all(0 <= value <= 1 for value in (*scored.parts.values(), scored.total))
    assert [scored.is_eligible for scored in ranked] == sorted(
        (scored.is_eligible for scored in ranked), reverse=True
    )
    passing = [scored.total for scored in ranked if scored.is_eligible]
    assert passing == sorted(passing, reverse=True)


# --- What people read -----------------------------------------------------------------


def test_the_sentence_says_what_speaks_for_somebody() -> None:
    work = Work(skills={VPN: "VPN"}, category_id=3, slack=4 * HOUR)
    one = who(skills={VPN: 4}, learnt=12, load=2, open_work=HOUR, shared_history=1)

    words = summary(score(one, work, RULES), work)

    for fact in ("4/5", "12", "2 of 10", "in time", "requester"):
        assert fact in words


def test_the_sentence_warns_of_who_would_be_late() -> None:
    work = Work(slack=HOUR, handling=2 * HOUR)
    assert "late" in summary(score(who(), work, RULES), work)
    assert "late" not in summary(score(who(), Work(), RULES), Work())


def test_a_description_holds_every_part_and_why_not() -> None:
    [described] = describe(rank([who(is_available=False)], Work(), RULES), Work())

    assert described["agent"] == {"id": 1, "name": "Agent 1"}
    assert described["parts"] == {"skill": 1, "headroom": 1, "sla_fit": 1, "rest": 1, "affinity": 0}
    assert (described["eligible"], described["gates"]) == (False, ["away"])
