"""What arrives and who is there to take it. Pure.

The first weeks of the log say who works in which team and what they have learnt. The weeks
after them are simulated: their incidents arrive when they did, and of them nothing is known to
anybody before it happens.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from tickets.evaluation.simulation.source import Past
from tickets.models import Priority
from tickets.sla.calendar import WEEKDAYS
from tickets.sla.hours import parse

WEEK = timedelta(weeks=1)
LEARNING_WEEKS = 4  # who is there and what they know
WARM_UP_WEEKS = 1  # simulated before anything is measured: the desk does not begin empty
COOL_DOWN_WEEKS = 1  # what arrives last has to compete with what comes after it
MEASURED_WEEKS = 8
# A member of a team has at least this share of their own resolved incidents there: who helped
# out once has not become a member.
OWN_SHARE = 0.1
# All times are working time: Monday to Friday, nine hours, when the log's incidents are opened.
WINDOW = "08:00-17:00"
CALENDAR = parse("UTC", {day: [WINDOW] for day in WEEKDAYS[:5]})
WEEK_SECONDS = 5 * 9 * 3600.0

Experience = Mapping[int, int]  # resolved incidents by category


@dataclass(frozen=True, slots=True)
class Job:
    """An incident that arrives. `at` is in working seconds since the simulation began."""

    id: int
    opened_at: datetime
    at: float
    week: int  # 0 is the first measured one; negative in the warm-up
    priority: Priority
    team: int
    category: int
    caller: str
    updates: float  # its updates over the mean of the learning weeks


@dataclass(frozen=True)
class Agent:
    """Somebody who resolved incidents in the learning weeks. Shares of their time add up to 1."""

    id: int
    shares: Mapping[int, float]
    learnt: Experience


@dataclass(frozen=True)
class Workload:
    """`sizes` are the mean updates by category over the mean of all, in the learning weeks;
    `past` counts the incidents of those weeks by (team, category)."""

    jobs: Sequence[Job]
    agents: Sequence[Agent]
    weeks: int
    sizes: Mapping[int, float]
    past: Counter[tuple[int, int]]
    callers: Mapping[str, Sequence[int]]  # who resolved their incidents, oldest first
    begins: datetime
    left_out: int  # incidents of the simulated weeks without a team, or of one without agents

    @cached_property
    def staff(self) -> dict[int, float]:
        """How many agents' time each team has."""
        return {
            team: sum(who.shares[team] for who in agents) for team, agents in self.members.items()
        }

    @cached_property
    def members(self) -> dict[int, list[Agent]]:
        """The agents of each team, by id."""
        teams: dict[int, list[Agent]] = defaultdict(list)
        for agent in self.agents:
            for team in agent.shares:
                teams[team].append(agent)
        return dict(teams)


class TooShort(Exception):
    """The log has no incidents in the weeks that are to be simulated."""


class _Numbers(dict[str, int]):
    """Numbers for names, in the order in which they are first asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = number = len(self) + 1
        return number


def prepare(log: Sequence[Past], weeks: int = MEASURED_WEEKS) -> Workload:
    """Split the log, ordered by opening, by its calendar weeks. Raises TooShort."""
    if not log:
        raise TooShort("The file holds no whole incident.")
    begins = _monday(log[0].opened_at) + LEARNING_WEEKS * WEEK
    ends = begins + (WARM_UP_WEEKS + weeks + COOL_DOWN_WEEKS) * WEEK
    known = [past for past in log if past.resolved_at and past.resolved_at < begins]
    coming = [past for past in log if begins <= past.opened_at < ends]
    names, teams, categories = _Numbers(), _Numbers(), _Numbers()
    agents = _agents(known, names, teams, categories)
    staffed = {team for agent in agents for team in agent.shares}
    arriving = [past for past in coming if past.team and teams[past.team] in staffed]
    if not arriving:
        raise TooShort(f"No incident was opened for a known team from {begins:%d %B %Y} on.")
    usual = _mean([past.updates for past in known])
    numbered = enumerate(arriving)
    return Workload(
        jobs=[_job(n, past, begins, usual, teams, categories) for n, past in numbered],
        agents=agents,
        weeks=weeks,
        sizes=_sizes(known, usual, categories),
        past=Counter((teams[p.team], categories[p.category]) for p in known if p.team),
        callers=_callers(known, names),
        begins=begins,
        left_out=len(coming) - len(arriving),
    )


def _monday(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0) - timedelta(days=at.weekday())


def _job(
    number: int,
    past: Past,
    begins: datetime,
    usual: float,
    teams: _Numbers,
    categories: _Numbers,
) -> Job:
    return Job(
        id=number,
        opened_at=past.opened_at,
        at=CALENDAR.working(begins, past.opened_at).total_seconds(),
        week=(past.opened_at - begins) // WEEK - WARM_UP_WEEKS,
        priority=past.priority,
        team=teams[past.team],
        category=categories[past.category],
        caller=past.caller,
        updates=past.updates / usual,
    )


def _agents(
    known: Iterable[Past], names: _Numbers, teams: _Numbers, categories: _Numbers
) -> list[Agent]:
    learnt: dict[int, Counter[int]] = defaultdict(Counter)
    worked: dict[int, Counter[int]] = defaultdict(Counter)
    for past in known:
        if past.agent and past.team:
            learnt[names[past.agent]][categories[past.category]] += 1
            worked[names[past.agent]][teams[past.team]] += 1
    return [Agent(who, _shares(worked[who]), learnt[who]) for who in sorted(worked)]


def _shares(worked: Counter[int]) -> dict[int, float]:
    kept = {team: count for team, count in worked.items() if count >= OWN_SHARE * worked.total()}
    return {team: count / sum(kept.values()) for team, count in sorted(kept.items())}


def _sizes(known: Iterable[Past], usual: float, categories: _Numbers) -> dict[int, float]:
    updates: dict[int, list[int]] = defaultdict(list)
    for past in known:
        updates[categories[past.category]].append(past.updates)
    return {category: _mean(each) / usual for category, each in updates.items()}


def _mean(updates: Sequence[int]) -> float:
    return sum(updates) / len(updates)


def _callers(known: Iterable[Past], names: _Numbers) -> dict[str, list[int]]:
    callers: dict[str, list[int]] = defaultdict(list)
    for past in known:
        if past.agent:
            callers[past.caller].append(names[past.agent])
    return dict(callers)
