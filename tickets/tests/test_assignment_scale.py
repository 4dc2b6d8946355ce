"""What one decision costs the database does not grow with the desk."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import AgentProfile, AgentSkill, Availability, Role, Skill, Team, User
from tickets import services
from tickets.assignment import facts
from tickets.models import Category, CategoryExperience, Ticket
from tickets.tests import crowds
from tickets.tests.test_races import waiting_tickets

Call = Callable[[], Any]
# How EXPLAIN says that the whole table of tickets is read.
ALL_TICKETS = "Seq Scan on tickets_ticket "


def staff(first: int, count: int, *, team: Team, skills: list[Skill], category: Category) -> None:
    """So many more agents with room, in the team, with the skills and some experience."""
    people = User.objects.bulk_create(
        [User(username=f"agent{n}", role=Role.AGENT) for n in range(first, first + count)]
    )
    AgentProfile.objects.bulk_create(
        [
            AgentProfile(user=person, capacity=1000, availability=Availability.AVAILABLE)
            for person in people
        ]
    )
    team.agents.add(*[person.pk for person in people])
    AgentSkill.objects.bulk_create(
        [AgentSkill(agent_id=person.pk, skill=skill) for person in people for skill in skills]
    )
    CategoryExperience.objects.bulk_create(
        [CategoryExperience(agent=person, category=category, resolved=3) for person in people]
    )


def ask(requester: User, *, team: Team, skills: list[Skill], category: Category) -> Ticket:
    """A ticket that nobody has been found for, as the queue has it."""
    [ticket] = waiting_tickets(requester, 1)
    Ticket.objects.filter(pk=ticket.pk).update(team=team, category=category)
    ticket.required_skills.set(skills)
    return ticket


def decide(ticket: Ticket) -> None:
    services.assign_automatically(ticket=ticket, actor=None, at=timezone.now())


def recommend(ticket: Ticket) -> None:
    services.recommend(ticket=Ticket.objects.get(pk=ticket.pk), at=timezone.now())


@pytest.mark.parametrize("act", [decide, recommend])
def test_the_number_of_statements_depends_on_neither_agents_nor_skills_nor_tickets(
    act, alice, team, vpn
) -> None:
    category = Category.objects.create(name="Printing")
    few, many = [vpn], [vpn, *(Skill.objects.create(name=f"skill {n}") for n in range(8))]
    wanted: dict[str, Any] = {"team": team, "category": category}

    def cost(skills: list[Skill]) -> int:
        ticket = ask(alice, skills=skills, **wanted)
        with CaptureQueriesContext(connection) as queries:
            act(ticket)
        return len(queries)

    staff(0, 10, skills=many, **wanted)
    cost(few)
    small = cost(few)
    staff(10, 290, skills=many, **wanted)
    assert AgentProfile.objects.count() == 300
    for ticket in waiting_tickets(alice, 60):
        ticket.assignee_id = AgentProfile.objects.values_list("pk", flat=True)[0]
        ticket.save(update_fields=["assignee"])

    assert cost(many) == small


def plans(act: Call) -> dict[str, str]:
    """How PostgreSQL would run each statement of the call that reads or changes rows, by its text.

    Planned right before it runs, in the same transaction.
    """
    found: dict[str, str] = {}

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many and sql.startswith(("SELECT", "UPDATE")) and " FROM pg_" not in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                found[sql] = "\n".join(row[0] for row in cursor.fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        act()
    return found


@pytest.fixture
def large(alice, team, vpn) -> Ticket:
    """A ticket that waits on a desk where many others are open and have a history."""
    category = Category.objects.create(name="Printing")
    wanted: dict[str, Any] = {"team": team, "skills": [vpn], "category": category}
    staff(0, 50, **wanted)
    agents = list(AgentProfile.objects.values_list("pk", flat=True))
    people = User.objects.bulk_create([User(username=f"asker{n}") for n in range(200)])
    now = timezone.now()
    Ticket.objects.bulk_create(
        [
            Ticket(
                requester=people[n % len(people)],
                subject=f"Ticket {n}",
                status="open",
                assignee_id=agents[n % len(agents)],
                team=team,
                category=category,
                public_updated_at=now - timedelta(minutes=n),
            )
            for n in range(8000)
        ],
        batch_size=1000,
    )
    # Given back once, so that its log is read, too.
    ticket = services.open_ticket(
        requester=alice, actor=alice, subject="x", at=now, category=category, required_skills=[vpn]
    )
    ticket.refresh_from_db()
    assert ticket.assignee is not None
    services.assign(ticket=ticket, to=None, actor=ticket.assignee, at=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return ticket


@pytest.mark.postgres
@pytest.mark.parametrize("act", [decide, recommend])
def test_no_statement_of_a_decision_reads_all_tickets(act, large) -> None:
    found = plans(lambda: act(large))

    assert any("tickets_of_requester" in plan for plan in found.values())
    assert not [sql for sql, plan in found.items() if ALL_TICKETS in plan]


@pytest.mark.postgres
def test_a_scan_of_all_tickets_would_be_noticed(large) -> None:
    found = plans(lambda: list(Ticket.objects.filter(description="none").order_by()))

    assert any(ALL_TICKETS in plan for plan in found.values())


@pytest.mark.parametrize("agents", [10, 40])
def test_what_a_proposal_costs_the_database_depends_on_nothing(db, agents) -> None:
    crowds.uneven(seed=1, agents=agents, tickets=8 * agents, requesters=5 * agents)

    with CaptureQueriesContext(connection) as queries:
        proposal = services.propose_moves(team=None, at=timezone.now())

    assert proposal.moves
    assert len(queries) == 8


def test_of_each_requester_only_the_latest_tickets_are_remembered(
    alice, charlie, bob, dana
) -> None:
    now, count = timezone.now(), facts.REMEMBERED_TICKETS
    for requester in (alice, charlie):
        Ticket.objects.bulk_create(
            [
                Ticket(
                    requester=requester,
                    subject="x",
                    assignee=dana if n >= count else bob if n % 2 else None,
                    public_updated_at=now - timedelta(minutes=n),
                )
                for n in range(count + 5)
            ]
        )

    of_both = facts._history({alice.pk, charlie.pk})

    assert of_both == {person.pk: {bob.pk: count // 2} for person in (alice, charlie)}
    assert facts._history({alice.pk}) == {alice.pk: of_both[alice.pk]}
    assert facts._history(set()) == {}
