"""How long does one decision take, with a thousand agents and a hundred thousand open tickets?

Measures an automatic assignment (rank everybody, claim a place, store the decision, record the
events, commit), the same with the notifications that follow it, and a recommendation, beside a
transaction that changes a ticket and records that; on PostgreSQL, in the same run.

    .venv/bin/python -m benchmarks.assignment [--agents N] [--tickets N] [--rounds N]
"""

import statistics
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.scratch import scratch_database

AGENTS = """
WITH people AS (
    INSERT INTO agents_user (username, name, email, role, is_active, is_superuser, password,
        date_joined, security_stamp)
    SELECT 'agent' || n, 'Agent ' || n, '', 'agent', true, false, '!', now(), 'x'
    FROM generate_series(1, %(count)s) AS n RETURNING id
)
INSERT INTO agents_agentprofile (user_id, capacity, availability, hands_back, open_load,
    queue_burst)
SELECT id, 1000, 'available', false, 0, 0 FROM people
"""
# Each agent has the same number; requesters and categories spread over them.
TICKETS = """
INSERT INTO tickets_ticket (
    subject, description, status, priority, channel, category_id, requester_id, assignee_id,
    escalation_level, reopen_count, resolution, created_at, updated_at, public_updated_at,
    sla_standing, sla_revision, version, epoch, last_seq, last_public_seq, announced_seq
)
SELECT 'Ticket ' || n, '', 'open', 2, 'web', (%(categories)s::bigint[])[1 + n %% 20],
    (%(requesters)s::bigint[])[1 + n %% 500], (%(agents)s::bigint[])[1 + n %% %(agent_count)s],
    0, 0, '', now(), now(), now(), 'none', 0, 1, 'benchmrk', 0, 0, 0
FROM generate_series(1, %(count)s) AS n
"""


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1_000)
    parser.add_argument("--tickets", type=int, default=100_000, help="open, in the agents' hands")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with scratch_database():
        report = measure(options.agents, options.tickets, options.rounds)
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


def measure(agents: int, tickets: int, rounds: int) -> dict[str, Any]:
    """Milliseconds, statements, and the ratio to the baseline."""
    from django.utils import timezone

    from tickets import services

    waiting = seed(agents, tickets, 3 * rounds + 2)
    decisions = iter(waiting)
    changes = iter(waiting)

    def decide() -> None:
        services.assign_automatically(ticket=next(decisions), actor=None, at=timezone.now())

    def recommend() -> None:
        services.recommend(ticket=waiting[-1], at=timezone.now())

    decide()
    figures = {
        "decision_and_notifications": timed(decide, rounds),
        "decision": unheard(lambda: timed(decide, rounds)),
        "recommendation": timed(recommend, rounds),
        "baseline": unheard(lambda: timed(lambda: baseline(next(changes)), rounds)),
    }
    return {
        "agents": agents,
        "open_tickets": tickets,
        **figures,
        "decision_to_baseline": round(
            figures["decision"]["median_ms"] / figures["baseline"]["median_ms"], 1
        ),
        "statements_of_a_decision": statements(decide),
    }


def seed(agents: int, tickets: int, waiting: int) -> list[Any]:
    """Agents of one skill and one team with equal loads; answers new tickets that nobody has."""
    from django.db import connection
    from django.utils import timezone

    from agents.models import AgentProfile, AgentSkill, Role, Skill, Team, User
    from tickets.models import Category, CategoryExperience, Ticket
    from tickets.services import recompute
    from tickets.tests import promises

    promises.policy(targets=promises.same(24 * 100, None, 24 * 200))
    with connection.cursor() as cursor:
        cursor.execute(AGENTS, {"count": agents})
    ids = list(AgentProfile.objects.values_list("pk", flat=True))
    team, skill = Team.objects.create(name="Team"), Skill.objects.create(name="skill")
    through = AgentProfile.teams.through
    through.objects.bulk_create([through(agentprofile_id=pk, team_id=team.pk) for pk in ids])
    AgentSkill.objects.bulk_create(
        [AgentSkill(agent_id=pk, skill=skill, level=1 + pk % 5) for pk in ids]
    )
    categories = [Category.objects.create(name=f"Category {n}") for n in range(20)]
    CategoryExperience.objects.bulk_create(
        [
            CategoryExperience(agent_id=pk, category=category, resolved=pk % 30)
            for pk in ids
            for category in categories
        ]
    )
    people = [User.objects.create_user(f"asker{n}", role=Role.CUSTOMER) for n in range(500)]
    values: dict[str, Any] = {
        "categories": [category.pk for category in categories],
        "requesters": [person.pk for person in people],
        "agents": ids,
        "agent_count": agents,
        "count": tickets,
    }
    with connection.cursor() as cursor:
        cursor.execute(TICKETS, values)
        cursor.execute("UPDATE agents_agentprofile SET open_load = %s", [tickets // agents])
        cursor.execute("VACUUM ANALYZE")
    now = timezone.now()
    made = []
    for number in range(waiting):
        ticket = Ticket.objects.create(
            requester=people[number % 500],
            subject=f"New {number}",
            category=categories[number % 20],
            team=team,
            created_at=now,
            queued_at=now,
        )
        ticket.required_skills.add(skill)
        # As a ticket that was opened: with clocks, and so with a due time for `sla_fit`.
        recompute(ticket_id=ticket.pk, at=now)
        made.append(ticket)
    return made


def baseline(ticket: Any) -> None:
    """Change a ticket and record it, with nothing decided."""
    from django.utils import timezone

    from tickets.models import Priority
    from tickets.services import change_priority

    priority = Priority.HIGH if ticket.priority != Priority.HIGH else Priority.LOW
    actor = ticket.requester
    actor.role = "agent"
    change_priority(ticket=ticket, to=priority, actor=actor, at=timezone.now())


def unheard(measured: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What is measured, without the receivers that run after each commit."""
    from tickets.events import ticket_event

    receivers, ticket_event.receivers = ticket_event.receivers, []
    ticket_event.sender_receivers_cache.clear()
    try:
        return measured()
    finally:
        ticket_event.receivers = receivers
        ticket_event.sender_receivers_cache.clear()


def timed(call: Callable[[], None], rounds: int) -> dict[str, float]:
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    found.sort()
    return {
        "median_ms": round(statistics.median(found), 2),
        "p95_ms": round(found[int(len(found) * 0.95)], 2),
    }


def statements(call: Callable[[], None]) -> int:
    """Statements of one call, those of its receivers included."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        call()
    return len(captured)


if __name__ == "__main__":
    main()
