"""The simulation of assignment: the desk it plays, the policies, the figures, the command."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.management import CommandError, call_command

from tickets.assignment import scoring
from tickets.assignment.scoring import Candidate, Work
from tickets.evaluation.simulation import figure, study, table
from tickets.evaluation.simulation.assumptions import SERVICES, Assumptions, demand
from tickets.evaluation.simulation.engine import Outcome, Simulation
from tickets.evaluation.simulation.measuring import difference, estimate, weekly
from tickets.evaluation.simulation.policies import POLICIES, SHIPPED
from tickets.evaluation.simulation.source import Past, read
from tickets.evaluation.simulation.workload import TooShort, Workload, prepare
from tickets.models import Priority
from tickets.tests.exports import export, update
from tickets.tests.test_importing import REAL_LOG

pytestmark = pytest.mark.once

MONDAY = datetime(2016, 2, 29, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORKING_DAYS = [MONDAY + timedelta(weeks=week, days=day) for week in range(8) for day in range(5)]
LEARNING_DAYS = 4 * 5
PEOPLE = {"Network": ("ann", "ben", "cy", "dee"), "Mail": ("eve", "fay", "cy")}
CATEGORIES = {"Network": ("vpn", "wifi"), "Mail": ("inbox", "spam")}


def incident(at: datetime, team: str, agent: str, category: str, number: int) -> Past:
    priority = Priority.CRITICAL if number % 9 == 0 else Priority.NORMAL
    return Past(at, at + HOUR, priority, team, agent, category, f"caller {number % 7}", 2)


def log(a_day: int = 8) -> list[Past]:
    """Eight weeks of a desk of two teams; in the first half of it, everybody has a speciality."""
    turns = {team: cycle(people) for team, people in PEOPLE.items()}
    made: list[Past] = []
    for day in WORKING_DAYS:
        for n in range(a_day):
            team = "Mail" if n % 3 == 0 else "Network"
            agent = next(turns[team])
            category = CATEGORIES[team][(PEOPLE[team].index(agent) + n // 4) % 2]
            made.append(incident(day + n * HOUR / 2, team, agent, category, len(made)))
    return made


@pytest.fixture(scope="module")
def workload() -> Workload:
    return prepare(log(), weeks=2)


def simulate(workload: Workload, policy: str, given: Assumptions) -> list[Outcome]:
    chosen = POLICIES[policy](given.seed)
    return Simulation(workload, demand(workload, given), given, chosen).run()


def agents(workload: Workload) -> dict[int, Counter[int]]:
    return {agent.id: Counter(agent.learnt) for agent in workload.agents}


# --- The workload ---------------------------------------------------------------------


def test_the_first_weeks_say_who_is_there_and_the_later_ones_are_simulated(
    workload: Workload,
) -> None:
    assert len(workload.jobs) == (40 - LEARNING_DAYS) * 8
    assert workload.left_out == 0
    assert {job.week for job in workload.jobs} == {-1, 0, 1, 2}
    assert sorted(map(len, workload.members.values())) == [3, 4]
    assert sum(counts.total() for counts in agents(workload).values()) == LEARNING_DAYS * 8
    assert all(sum(agent.shares.values()) == pytest.approx(1) for agent in workload.agents)


def test_nothing_of_the_simulated_weeks_is_known_before_they_come(workload: Workload) -> None:
    begins = WORKING_DAYS[LEARNING_DAYS].replace(hour=0)
    other = [
        past if past.opened_at < begins else replace(past, agent="gus", updates=50, caller="x")
        for past in log()
    ]
    told = prepare(other, weeks=2)
    assert agents(told) == agents(workload)
    assert (told.sizes, told.past, told.callers) == (
        workload.sizes,
        workload.past,
        workload.callers,
    )


def test_what_was_not_resolved_before_the_simulation_has_taught_nobody() -> None:
    late = [replace(past, resolved_at=past.opened_at + timedelta(weeks=3)) for past in log()]
    known = sum(counts.total() for counts in agents(prepare(late, weeks=2)).values())
    assert known == sum(past.opened_at < MONDAY + timedelta(weeks=1) for past in late)


def test_who_helped_out_once_is_no_member_and_unknown_teams_are_left_out() -> None:
    helped = replace(log()[0], team="Network", agent="eve")
    stray = incident(WORKING_DAYS[25], "Printers", "hal", "paper", 1)
    nameless = incident(WORKING_DAYS[25], "", "hal", "paper", 1)
    made = sorted([helped, *log(), stray, nameless], key=lambda past: past.opened_at)
    workload = prepare(made, weeks=2)
    assert sorted(map(len, workload.members.values())) == [3, 4]
    assert workload.left_out == 2


def test_nights_and_weekends_do_not_count_as_working_time(workload: Workload) -> None:
    mornings = [job.at / 3600 for job in workload.jobs if job.opened_at.time() == MONDAY.time()]
    assert mornings == [9 * day for day in range(20)]


def test_a_log_without_later_weeks_is_too_short() -> None:
    with pytest.raises(TooShort, match="No incident was opened for a known team from 28 March"):
        prepare(log()[:80])
    with pytest.raises(TooShort, match="no whole incident"):
        prepare([])


# --- The assumptions ------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("load", [0.3, 0.8])
def test_the_agents_are_as_busy_as_is_asked_for(
    workload: Workload, service: str, load: float
) -> None:
    given = Assumptions(load=load, service=service, penalty=0.0)
    weeks = weekly(simulate(workload, "random", given), workload)
    assert sum(week["utilisation"] for week in weeks) / len(weeks) == pytest.approx(load, abs=0.03)


def test_newcomers_take_longer_by_the_penalty_and_experts_hardly(workload: Workload) -> None:
    given = Assumptions(penalty=1.0)
    assert given.slowness(0) == 2
    assert given.slowness(10) == 1.5
    assert given.slowness(10_000) < 1.01
    assert Assumptions(penalty=0.0).slowness(0) == 1


def test_promises_and_paces_follow_the_assumptions(workload: Workload) -> None:
    one, two = (demand(workload, Assumptions(promise=promise)) for promise in (1.0, 2.0))
    assert all(two.targets[job] == 2 * one.targets[job] for job in one.targets)
    half = demand(workload, Assumptions(load=0.25))
    assert all(one.expert[job] == pytest.approx(2 * half.expert[job]) for job in one.expert)


# --- The desk -------------------------------------------------------------------------

BUSY = Assumptions(load=0.95, capacity=2, seed=3)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_incident_is_worked_on_once_by_somebody_of_its_team(
    workload: Workload, policy: str
) -> None:
    outcomes = simulate(workload, policy, BUSY)
    assert sorted(outcome.job.id for outcome in outcomes) == [job.id for job in workload.jobs]
    shares = {agent.id: agent.shares for agent in workload.agents}
    for outcome in outcomes:
        assert outcome.job.team in shares[outcome.agent]
        assert outcome.job.at <= outcome.assigned_at <= outcome.started_at < outcome.ended_at


def in_hand(outcomes: Sequence[Outcome], agent: int, at: float) -> list[Outcome]:
    """What an agent has just before this moment."""
    return [o for o in outcomes if o.agent == agent and o.assigned_at < at <= o.ended_at]


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_has_more_than_their_capacity_or_two_in_work(
    workload: Workload, policy: str
) -> None:
    outcomes = simulate(workload, policy, BUSY)
    for outcome in outcomes:
        mine = in_hand(outcomes, outcome.agent, outcome.ended_at)
        assert len(mine) <= BUSY.capacity
        assert [o for o in mine if o.started_at < outcome.ended_at] == [outcome]


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_is_idle_with_work_in_hand_and_the_first_due_goes_first(
    workload: Workload, policy: str
) -> None:
    outcomes = simulate(workload, policy, replace(BUSY, capacity=6))
    delayed = [o for o in outcomes if o.started_at > o.assigned_at]
    assert delayed
    ends = {(o.agent, o.ended_at) for o in outcomes}
    for outcome in delayed:
        assert (outcome.agent, outcome.started_at) in ends
        rest = in_hand(outcomes, outcome.agent, outcome.started_at)
        waiting = [o for o in rest if o.started_at >= outcome.started_at]
        assert min(o.due_at for o in waiting) == outcome.due_at


@pytest.mark.parametrize("policy", POLICIES)
def test_an_incident_waits_in_the_queue_only_while_its_whole_team_is_full(
    workload: Workload, policy: str
) -> None:
    outcomes = simulate(workload, policy, BUSY)
    queued = [o for o in outcomes if o.assigned_at > o.job.at]
    assert queued
    for outcome in queued:
        for agent in workload.members[outcome.job.team]:
            assert len(in_hand(outcomes, agent.id, outcome.assigned_at)) == BUSY.capacity


def test_a_seed_decides_everything(workload: Workload) -> None:
    for policy in (SHIPPED, "random"):
        once, again = (simulate(workload, policy, Assumptions(seed=5)) for _ in range(2))
        assert once == again
        assert simulate(workload, policy, Assumptions(seed=6)) != once


def test_all_policies_see_the_same_incidents_of_the_same_sizes(workload: Workload) -> None:
    given = Assumptions(load=0.9, penalty=0.0)
    seen = []
    for policy in POLICIES:
        outcomes = simulate(workload, policy, given)
        seen.append({o.job: (round(o.worked, 3), o.due_at) for o in outcomes})
    assert all(each == seen[0] for each in seen)
    chosen = [{o.job.id: o.agent for o in simulate(workload, policy, given)} for policy in POLICIES]
    assert all(each != chosen[0] for each in chosen[1:])


def test_agents_learn_from_what_they_resolve_during_the_simulation(workload: Workload) -> None:
    outcomes = simulate(workload, SHIPPED, Assumptions())
    last = max(outcomes, key=lambda o: o.assigned_at)
    before = agents(workload)[last.agent][last.job.category]
    since = [
        o
        for o in outcomes
        if (o.agent, o.job.category) == (last.agent, last.job.category)
        and o.ended_at <= last.assigned_at
    ]
    assert since
    assert last.resolved == before + len(since)


# --- The policies ---------------------------------------------------------------------


def candidates(**facts: Sequence[Any]) -> list[Candidate]:
    """Three members of team 1 with room, that differ in these facts."""
    base = [Candidate(id=n, name=str(n), capacity=5, teams=(1,)) for n in (1, 2, 3)]
    return [
        replace(who, **{name: values[place] for name, values in facts.items()})
        for place, who in enumerate(base)
    ]


def chosen_by(policy: str, *asked: list[Candidate]) -> list[int | None]:
    choose = POLICIES[policy](1)
    picks = [choose(each, Work(team_id=1, category_id=1)) for each in asked]
    return [None if pick is None else pick.id for pick in picks]


def test_round_robin_goes_round_and_skips_who_is_full() -> None:
    free, full = candidates(), candidates(load=[0, 5, 0])
    assert chosen_by("round_robin", free, free, free, free, full, full) == [1, 2, 3, 1, 3, 1]


def test_least_loaded_takes_the_fewest_and_then_the_longest_rested() -> None:
    rests = [HOUR, 3 * HOUR, 2 * HOUR]
    asked = [candidates(load=[2, 1, 4]), candidates(load=[1, 1, 1], rested=rests)]
    assert chosen_by("least_loaded", *asked) == [2, 2]


def test_skill_only_takes_who_has_resolved_most_however_busy() -> None:
    assert chosen_by("skill_only", candidates(learnt=[3, 9, 4], load=[0, 4, 0])) == [2]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_keeps_to_the_gates_of_the_score(policy: str) -> None:
    asked = candidates(load=[5, 0, 0], teams=[(1,), (2,), (1,)], learnt=[9, 8, 0])
    assert chosen_by(policy, asked) == [3]
    assert chosen_by(policy, candidates(load=[5, 5, 5])) == [None]


def test_the_simulation_asks_the_shipped_score_with_the_desks_settings(
    workload: Workload, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.ASSIGNMENT_WEIGHTS = {"headroom": 1.0}
    by_settings = simulate(workload, SHIPPED, Assumptions(load=0.9))
    settings.ASSIGNMENT_WEIGHTS = {"skill": 1.0}
    assert simulate(workload, SHIPPED, Assumptions(load=0.9)) != by_settings
    asked: list[Work] = []

    def worst_first(them: Sequence[Candidate], work: Work, rules: scoring.Rules) -> Any:
        asked.append(work)
        assert rules.weights == {"skill": 1.0}
        able = [scoring.score(who, work, rules) for who in them]
        return sorted(able, key=lambda scored: (not scored.is_eligible, scored.total))

    monkeypatch.setattr(scoring, "rank", worst_first)
    upside_down = simulate(workload, SHIPPED, Assumptions(load=0.9))
    assert len(asked) >= len(workload.jobs)
    assert all(work.slack is not None and work.handling > timedelta() for work in asked)
    match = [sum(o.resolved for o in simulate(workload, p, BUSY)) for p in ("skill_only", SHIPPED)]
    assert match[0] > match[1]
    assert upside_down != by_settings


# --- Measuring ------------------------------------------------------------------------


def test_an_estimate_has_students_interval_over_the_weeks_it_knows() -> None:
    # R: t.test(c(1, 2, 3, 6)) gives 3 with -0.4375 to 6.4375.
    known = estimate([1, 2, 3, float("nan"), 6])
    assert known.mean == 3
    assert known.low == pytest.approx(-0.4375, abs=1e-3)
    assert known.high == pytest.approx(6.4375, abs=1e-3)
    assert estimate([4]).low is None
    assert estimate([]).mean == 0


def test_differences_are_paired_by_week() -> None:
    weeks = [{"breaches": value} for value in (0.2, 0.5, 0.8)]
    reference = [{"breaches": value} for value in (0.1, 0.4, 0.7)]
    apart = difference(weeks, reference, "breaches")
    assert (apart.mean, apart.low, apart.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_week_is_measured_by_what_arrived_in_it(workload: Workload) -> None:
    outcomes = simulate(workload, "random", Assumptions(load=0.9))
    weeks = weekly(outcomes, workload)
    assert len(weeks) == workload.weeks
    mine = [o for o in outcomes if o.job.week == 1]
    urgent = [o for o in mine if o.job.priority == Priority.CRITICAL]
    assert weeks[1]["breaches"] == pytest.approx(
        sum(o.ended_at > o.due_at for o in mine) / len(mine)
    )
    assert weeks[1]["urgent_breaches"] == pytest.approx(
        sum(o.ended_at > o.due_at for o in urgent) / len(urgent)
    )
    waits = [o.started_at - o.job.at for o in mine]
    assert weeks[1]["wait"] == pytest.approx(sum(waits) / len(waits) / 60)


# --- What is shown --------------------------------------------------------------------


def test_repeats_are_other_draws_averaged_week_by_week(workload: Workload) -> None:
    given = Assumptions(load=0.9, seed=4)
    both = study.compare(workload, given, [SHIPPED], repeats=2)
    each = [
        weekly(simulate(workload, SHIPPED, replace(given, seed=seed)), workload) for seed in (4, 5)
    ]
    means = [(one["wait"] + two["wait"]) / 2 for one, two in zip(*each, strict=True)]
    assert both.measured[SHIPPED]["wait"] == estimate(means)
    assert each[0] != each[1]


def test_the_figure_is_well_formed_and_shows_every_policy_at_every_load(
    workload: Workload,
) -> None:
    results = study.by_load(workload, Assumptions(), (0.3, 0.9), 1, lambda text: None)
    root = ET.fromstring(figure.draw(results))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {table.named(policy) for policy in POLICIES} <= set(texts)
    assert texts.count("0.3") == texts.count("0.9") == len(figure.PANELS)
    marks = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("transform")]
    assert len(marks) == len(POLICIES) * (1 + len(figure.PANELS) * len(results))


def test_the_table_marks_differences_whose_interval_leaves_out_nothing() -> None:
    assert table._apart(estimate([0.010, 0.011, 0.012])).startswith("**+1.10 (")
    assert table._apart(estimate([-0.01, 0.01, 0.02])).startswith("+0.67 (")


# --- The command ----------------------------------------------------------------------


def rows() -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    for number, past in enumerate(log(4)):
        opened = f"{past.opened_at:%d/%m/%Y %H:%M}"
        cells = {
            "opened_at": opened,
            "assignment_group": past.team,
            "assigned_to": past.agent,
            "category": past.category,
            "caller_id": past.caller,
        }
        solved = f"{past.opened_at + HOUR:%d/%m/%Y %H:%M}"
        made += [
            update(f"INC{number}", "New", opened, **cells),
            update(f"INC{number}", "Resolved", solved, **cells),
        ]
    return made


def run(path: Path, **options: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("simulate_assignment", path, json=True, stdout=out, **options)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def test_the_command_reports_every_policy_at_the_load_that_is_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "figure.svg"
    report = run(export(tmp_path, rows()), weeks=2, load=0.7, figure=picture)
    assert (report["handled"], report["skipped"], report["failed"]) == (80, 0, 0)
    assert (report["agents"], report["teams"], report["weeks"]) == (6, 2, 2)
    (one,) = report["loads"]
    assert one["assumptions"]["load"] == 0.7
    assert [each["policy"] for each in one["policies"]] == list(POLICIES)
    shipped = one["policies"][0]
    assert shipped["difference"]["breaches"] == {"mean": 0, "interval": [0, 0]}
    assert shipped["breaches"]["interval"] is not None
    assert report["sensitivity"] == []
    ET.parse(picture)


def test_without_a_load_the_command_shows_all_loads_and_other_assumptions(tmp_path: Path) -> None:
    out = io.StringIO()
    call_command("simulate_assignment", export(tmp_path, rows()), weeks=2, stdout=out)
    lines = out.getvalue().splitlines()
    cells = [line.split("|") for line in lines if line.startswith("| 0.")]
    assert [line[1].strip() for line in cells] == [
        f"{load:g}" for load in study.LOADS for _ in POLICIES
    ]
    for name, _ in study.OTHERWISE:
        assert any(line.startswith(f"| {name} |") for line in lines)


def test_a_broken_incident_is_left_out_and_counted(tmp_path: Path) -> None:
    broken = update("INC999", "Nonsense", "08:10")
    path = export(tmp_path, [*rows(), broken])
    assert read(path).broken == 1
    assert run(path, weeks=2, load=0.5)["failed"] == 1


def test_what_cannot_be_simulated_is_told_in_a_sentence(tmp_path: Path) -> None:
    for text in ("x", "0", "1.5", "-1"):
        with pytest.raises(CommandError, match="a number above 0"):
            call_command("simulate_assignment", "log.csv", "--load", text)
    with pytest.raises(CommandError, match="cannot be read"):
        run(tmp_path / "absent.csv")
    with pytest.raises(CommandError, match="No incident was opened"):
        run(export(tmp_path, rows()[:10]))
    for picture in (tmp_path, tmp_path / "absent/figure.svg", Path("/proc/figure.svg")):
        with pytest.raises(CommandError, match="cannot be written"):
            run(export(tmp_path, rows()), weeks=2, load=0.5, figure=picture)


# --- The real log ---------------------------------------------------------------------


@pytest.mark.real_log
@pytest.mark.skipif(not REAL_LOG.exists(), reason="the export is not here; set INCIDENT_LOG")
def test_on_the_real_log_the_shipped_score_breaches_less_and_matches_better() -> None:
    workload = prepare(read(REAL_LOG).incidents)
    compared = study.compare(workload, Assumptions(load=study.MEDIUM), study.RIVALS, repeats=2)
    for rival in ("least_loaded", "round_robin"):
        apart = compared.differences[rival]
        breaches, match = apart["breaches"], apart["skill_match"]
        # The whole interval of the paired differences is on the right side.
        assert breaches.low is not None
        assert breaches.low > 0, rival
        assert match.high is not None
        assert match.high < 0, rival
