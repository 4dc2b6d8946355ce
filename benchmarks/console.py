"""Do the console's pages cost the same at 1,000,000 tickets as at 10,000?

Asks for the start page, the list of tickets (also filtered) and a ticket's page as an agent of one
of forty teams and as a supervisor, in this process and through every middleware; counts statements
and takes the median time. Both sizes are measured in the same run and on the same database, the
larger also against the smaller.

    .venv/bin/python -m benchmarks.console [--small N] [--large N] [--repeat N]
"""

import statistics
import time
from argparse import ArgumentParser
from typing import Any

import orjson

from benchmarks.scratch import scratch_database

TEAMS, AGENTS, CUSTOMERS, MESSAGES = 40, 300, 20_000, 200

# Three in a hundred are in work, a few wait or are just solved, the rest is history; one in fifty
# of those in work has nobody. Newer tickets are the later ones.
FILL = """
INSERT INTO tickets_ticket (
    subject, description, status, priority, channel, requester_id, assignee_id, team_id,
    category_id, escalation_level, reopen_count, resolution, created_at, updated_at,
    public_updated_at, resolved_at, closed_at, queued_at, waiting_since, sla_standing, sla_due_at,
    sla_warn_at, next_sla_at, sla_revision, version, epoch, last_seq, last_public_seq, announced_seq
)
SELECT 'The printer on floor ' || n %% 30 || ' does not print, attempt ' || n, '', status,
    1 + n %% 5, 'web', %(customer)s + n %% %(customers)s,
    CASE WHEN status NOT IN ('new', 'open') OR n %% 50 > 0 THEN %(agent)s + n %% %(agents)s END,
    %(team)s + n %% %(teams)s, %(category)s + n %% 10, 0, 0, '', at, at, at,
    CASE WHEN status IN ('resolved', 'closed') THEN at END,
    CASE WHEN status IN ('closed', 'cancelled') THEN at END,
    CASE WHEN status IN ('new', 'open') AND n %% 50 = 0 THEN at END,
    CASE WHEN status IN ('new', 'open') THEN at END,
    CASE WHEN status IN ('new', 'open') THEN 'running' WHEN status = 'pending' THEN 'paused'
         ELSE 'met' END,
    CASE WHEN status IN ('new', 'open') THEN now() + (n %% 2000 - 100) * interval '1 minute' END,
    CASE WHEN status IN ('new', 'open') THEN now() + (n %% 2000 - 400) * interval '1 minute' END,
    NULL, %(revision)s, 1, 'benchmrk', 0, 0, 0
FROM (
    SELECT n, now() - (%(until)s - n) * interval '20 seconds' AS at,
        (CASE WHEN n %% 1009 < 5 THEN 'new' WHEN n %% 1009 < 30 THEN 'open'
              WHEN n %% 1009 < 40 THEN 'pending' WHEN n %% 1009 < 60 THEN 'resolved'
              WHEN n %% 1009 < 80 THEN 'cancelled' ELSE 'closed' END) AS status
    FROM generate_series(%(since)s, %(until)s) AS n
) AS rows
"""


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="tickets at first")
    parser.add_argument("--large", type=int, default=1_000_000, help="tickets later")
    parser.add_argument("--repeat", type=int, default=15, help="times that each page is asked for")
    options = parser.parse_args()
    with scratch_database():
        report = measure(options.small, options.large, options.repeat)
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


def measure(small: int, large: int, repeat: int) -> dict[str, Any]:
    """Statements and milliseconds of each page at both sizes, and their ratio."""
    people = staff()
    found: dict[str, dict[str, Any]] = {}
    filled = 0
    for size, name in ((small, "small"), (large, "large")):
        fill(filled + 1, size, people)
        filled = size
        busy = busy_ticket(people)
        for page, figures in pages(busy, people, repeat).items():
            found.setdefault(page, {})[name] = figures
    for figures in found.values():
        figures["ratio"] = round(figures["large"]["ms"] / figures["small"]["ms"], 2)
        figures["same_statements"] = (
            figures["large"]["statements"] == figures["small"]["statements"]
        )
    return {"small": small, "large": large, "pages": found}


def staff() -> dict[str, Any]:
    """Teams, agents, customers and a supervisor; the first id of each kind."""
    from agents.models import AgentProfile, Availability, Role, Team, User
    from tickets.models import Category

    teams = Team.objects.bulk_create(Team(name=f"Team {n}") for n in range(TEAMS))
    categories = Category.objects.bulk_create(Category(name=f"Category {n}") for n in range(10))
    agents = _users("agent", AGENTS, Role.AGENT)
    customers = _users("customer", CUSTOMERS, Role.CUSTOMER)
    profiles = AgentProfile.objects.bulk_create(
        AgentProfile(user=user, capacity=200, availability=Availability.AVAILABLE)
        for user in agents
    )
    for n, profile in enumerate(profiles):
        profile.teams.add(teams[n % TEAMS])
    supervisor = User.objects.create_user("supervisor", role=Role.SUPERVISOR)
    return {
        "team": teams[0].pk,
        "category": categories[0].pk,
        "agent": agents[0].pk,
        "customer": customers[0].pk,
        "callers": {"agent": agents[0], "supervisor": supervisor},
    }


def _users(name: str, count: int, role: Any) -> list[Any]:
    from agents.models import User

    return User.objects.bulk_create(
        User(username=f"{name}{n}", name=f"{name.title()} {n}", role=role, password="!")  # noqa: S106
        for n in range(count)
    )


def fill(since: int, until: int, people: dict[str, Any]) -> None:
    from django.db import connection

    from tickets.database import unhurried
    from tickets.sla import revision

    values = {
        "since": since,
        "until": until,
        "revision": revision.current(),
        "teams": TEAMS,
        "agents": AGENTS,
        "customers": CUSTOMERS,
        **{name: people[name] for name in ("team", "category", "agent", "customer")},
    }
    with unhurried("default"), connection.cursor() as cursor:
        cursor.execute(FILL, values)
        cursor.execute("VACUUM ANALYZE")


def busy_ticket(people: dict[str, Any]) -> int:
    """A ticket of the agent's team with a long conversation, written by the services."""
    from django.utils import timezone

    from agents.models import User
    from tickets import services

    requester = User.objects.get(pk=people["customer"])
    agent = people["callers"]["agent"]
    ticket = services.open_ticket(
        requester=requester,
        actor=requester,
        subject="The printer prints hieroglyphs",
        description="All of a sudden.",
        team=agent.agent.teams.get(),
        at=timezone.now(),
    )
    for n in range(MESSAGES):
        services.post_message(
            ticket=ticket,
            author=agent if n % 2 else requester,
            body=f"What I saw, part {n}.",
            is_internal=n % 10 == 9,
            at=timezone.now(),
        )
    return int(ticket.pk)


def pages(busy: int, people: dict[str, Any], repeat: int) -> dict[str, Any]:
    from django.test import Client

    tickets = "/admin/tickets/ticket/"
    addresses = {
        "start": "/admin/",
        "list": tickets,
        "list of open ones": f"{tickets}?open=yes",
        "list by due time": f"{tickets}?o=5",
        "ticket": f"{tickets}{busy}/change/",
    }
    found = {}
    for role, caller in people["callers"].items():
        client = Client()
        client.force_login(caller)
        for name, address in addresses.items():
            found[f"{name}, {role}"] = _page(client, address, repeat)
    return found


def _page(client: Any, address: str, repeat: int) -> dict[str, Any]:
    from django.db import connection

    statements = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        client.get(address)
        times.append((time.perf_counter() - started) * 1000)
    return {"statements": statements, "ms": round(statistics.median(times), 1)}


if __name__ == "__main__":
    main()
