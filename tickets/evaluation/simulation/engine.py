"""The desk as a discrete-event simulation: pure, deterministic for a workload and a policy.

Incidents arrive, the policy gives each to an agent with room in its team, and where nobody has
room it waits in the queue until somebody of the team has. Agents work on one incident at a time,
without breaking off, on the one that is due first. None of this depends on the policy.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tickets.assignment.facts import REMEMBERED_TICKETS
from tickets.assignment.scoring import Candidate, Work, rested_since
from tickets.evaluation.simulation.assumptions import Assumptions, Demand
from tickets.evaluation.simulation.policies import Choose
from tickets.evaluation.simulation.workload import CALENDAR, Agent, Job, Workload


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job. Times in working seconds; `resolved` is the agent's experience with
    the category when they got it."""

    job: Job
    agent: int
    assigned_at: float
    started_at: float
    ended_at: float
    due_at: float
    resolved: int

    @property
    def is_breached(self) -> bool:
        return self.ended_at > self.due_at

    @property
    def waited(self) -> float:
        return self.started_at - self.job.at

    @property
    def worked(self) -> float:
        return self.ended_at - self.started_at


@dataclass(slots=True)
class Taken:
    """A job in somebody's hands."""

    job: Job
    agent: int
    assigned_at: float
    due_at: float
    resolved: int
    started_at: float = 0.0


@dataclass(slots=True)
class Desk:
    """An agent as the simulation has them."""

    agent: Agent
    learnt: Counter[int]
    load: int = 0
    last_assigned_at: datetime | None = None  # by the wall clock
    is_busy: bool = False
    queue: list[tuple[float, int, Taken]] = field(default_factory=list)  # by due time


class Simulation:
    """One run. `outcomes` are complete once `run` is through."""

    def __init__(
        self, workload: Workload, demand: Demand, given: Assumptions, choose: Choose
    ) -> None:
        self.workload, self.demand, self.given, self.choose = workload, demand, given, choose
        self.desks = {agent.id: Desk(agent, Counter(agent.learnt)) for agent in workload.agents}
        self.members = {
            team: [self.desks[agent.id] for agent in agents]
            for team, agents in workload.members.items()
        }
        self.waiting: dict[int, list[tuple[int, int, Job]]] = defaultdict(list)
        self.callers: Mapping[str, deque[int]] = defaultdict(
            lambda: deque(maxlen=REMEMBERED_TICKETS),
            {who: deque(past, REMEMBERED_TICKETS) for who, past in workload.callers.items()},
        )
        self.usual = timedelta(seconds=demand.usual)
        self.ending: list[tuple[float, int, Taken]] = []
        self.outcomes: list[Outcome] = []

    def run(self) -> list[Outcome]:
        """Every job from its arrival to its end, in the order in which they end."""
        for job in self.workload.jobs:
            self._end_all_until(job.at)
            if not self._offer(job, job.at, job.opened_at):
                heapq.heappush(self.waiting[job.team], (-job.priority, job.id, job))
        self._end_all_until(float("inf"))
        return self.outcomes

    def _end_all_until(self, at: float) -> None:
        while self.ending and self.ending[0][0] <= at:
            ended_at, _, taken = heapq.heappop(self.ending)
            self._end(taken, ended_at)

    def _offer(self, job: Job, at: float, now: datetime) -> bool:
        """Give the job to whom the policy chooses; False where nobody has room."""
        due_at = job.at + self.demand.targets[job.id]
        # As tickets.assignment.candidates has it: by the wall clock, with the desk's means.
        work = Work(
            team_id=job.team,
            category_id=job.category,
            handling=timedelta(seconds=self.demand.expected.get(job.category, self.demand.usual)),
            slack=self._wall(due_at) - now,
        )
        history = Counter(self.callers[job.caller])
        candidates = [self._candidate(desk, job, history, now) for desk in self.members[job.team]]
        chosen = self.choose(candidates, work)
        if chosen is None:
            return False
        desk = self.desks[chosen.id]
        desk.last_assigned_at = now
        self._take(desk, Taken(job, chosen.id, at, due_at, desk.learnt[job.category]))
        return True

    def _candidate(self, desk: Desk, job: Job, history: Counter[int], now: datetime) -> Candidate:
        return Candidate(
            id=desk.agent.id,
            name=str(desk.agent.id),
            capacity=self.given.capacity,
            load=desk.load,
            teams=desk.agent.shares,
            rested=rested_since(desk.last_assigned_at, now),
            shared_history=history[desk.agent.id],
            learnt=desk.learnt[job.category],
            open_work=desk.load * self.usual,
        )

    def _take(self, desk: Desk, taken: Taken) -> None:
        desk.load += 1
        self.callers[taken.job.caller].append(desk.agent.id)
        heapq.heappush(desk.queue, (taken.due_at, taken.job.id, taken))
        self._start_next(desk, taken.assigned_at)

    def _start_next(self, desk: Desk, at: float) -> None:
        if desk.is_busy or not desk.queue:
            return
        _, number, taken = heapq.heappop(desk.queue)
        desk.is_busy, taken.started_at = True, at
        slowness = self.given.slowness(desk.learnt[taken.job.category])
        time = self.demand.expert[number] * slowness
        heapq.heappush(self.ending, (at + time, number, taken))

    def _end(self, taken: Taken, at: float) -> None:
        desk, job = self.desks[taken.agent], taken.job
        self.outcomes.append(
            Outcome(
                job=job,
                agent=taken.agent,
                assigned_at=taken.assigned_at,
                started_at=taken.started_at,
                ended_at=at,
                due_at=taken.due_at,
                resolved=taken.resolved,
            )
        )
        desk.is_busy = False
        desk.load -= 1
        desk.learnt[job.category] += 1
        self._start_next(desk, at)
        self._offer_waiting(desk, at)

    def _offer_waiting(self, desk: Desk, at: float) -> None:
        """Somebody has room again: their teams' queues, the most urgent and oldest first."""
        queues = [self.waiting[team] for team in desk.agent.shares if self.waiting[team]]
        for queue in sorted(queues, key=lambda queue: queue[0][:2]):
            while queue and self._offer(queue[0][2], at, self._wall(at)):
                heapq.heappop(queue)

    def _wall(self, at: float) -> datetime:
        return CALENDAR.add(self.workload.begins, timedelta(seconds=at))
