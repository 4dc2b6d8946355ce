"""Many tickets at once, inserted past the services."""

import random
from collections import Counter
from datetime import datetime, timedelta

from django.utils import timezone

from agents.models import AgentProfile, AgentSkill, Availability, Role, Skill, Team, User
from tickets.models import (
    Category,
    CategoryExperience,
    Kind,
    Metric,
    Priority,
    SlaClock,
    SlaPolicy,
    SlaStanding,
    Ticket,
    TicketEvent,
)
from tickets.sla import revision


def overdue(count: int, *, requester: User, policy: SlaPolicy, at: datetime) -> list[Ticket]:
    """So many new tickets whose promise of a resolution has just been broken, and nobody knows.

    As `open_ticket` would have left them eight hours ago, announced and worked out.
    """
    opened_at, due_at = at - timedelta(hours=8), at - timedelta(seconds=1)
    tickets = Ticket.objects.bulk_create(
        [
            Ticket(
                requester=requester,
                subject=f"Ticket {number}",
                priority=Priority.NORMAL,
                created_at=opened_at,
                updated_at=opened_at,
                public_updated_at=opened_at,
                queued_at=opened_at,
                waiting_since=opened_at,
                last_seq=1,
                last_public_seq=1,
                announced_seq=1,
                sla_policy=policy,
                sla_standing=SlaStanding.RUNNING,
                sla_due_at=due_at,
                sla_warn_at=due_at - timedelta(hours=2),
                next_sla_at=due_at - timedelta(hours=2),
                sla_revision=revision.current(),
            )
            for number in range(count)
        ],
        batch_size=1000,
    )
    data = {"subject": "", "priority": "normal", "channel": "web"}
    TicketEvent.objects.bulk_create(
        [
            TicketEvent(
                ticket=ticket,
                seq=1,
                public_seq=1,
                kind=Kind.OPENED,
                actor=requester,
                data=data,
                public_data=data,
                at=opened_at,
            )
            for ticket in tickets
        ],
        batch_size=1000,
    )
    SlaClock.objects.bulk_create(
        [
            SlaClock(
                ticket=ticket,
                metric=Metric.RESOLUTION,
                policy=policy,
                target_seconds=int((due_at - opened_at).total_seconds()),
                started_at=opened_at,
                due_at=due_at,
                warn_at=due_at - timedelta(hours=2),
            )
            for ticket in tickets
        ],
        batch_size=1000,
    )
    return tickets


def uneven(*, seed: int, agents: int, tickets: int, requesters: int) -> None:
    """A desk where half of the agents have most of the tickets, all of which nobody has answered;
    some ask for a team or a skill, some have been promised."""
    chance, now = random.Random(seed), timezone.now()
    people = User.objects.bulk_create(
        [User(username=f"agent{n}", role=Role.AGENT) for n in range(agents)]
    )
    askers = User.objects.bulk_create([User(username=f"asker{n}") for n in range(requesters)])
    team, other = (Team.objects.create(name=f"Team {n}") for n in range(2))
    skill = Skill.objects.create(name="vpn")
    category = Category.objects.create(name="Printing")
    hands = [people[chance.randrange(agents // chance.randint(1, 2))] for _ in range(tickets)]
    loads = Counter(person.pk for person in hands)
    AgentProfile.objects.bulk_create(
        [
            AgentProfile(
                user=person,
                capacity=chance.choice((15, 20, 30)),
                availability=Availability.AVAILABLE,
                open_load=loads[person.pk],
                last_assigned_at=now - timedelta(minutes=chance.randrange(90)),
            )
            for person in people
        ]
    )
    for some in (team, other):
        some.agents.add(*[person.pk for person in people if chance.random() < 0.7])
    for person in people:
        AgentSkill.objects.create(agent_id=person.pk, skill=skill, level=chance.randint(1, 5))
        CategoryExperience.objects.create(
            agent=person, category=category, resolved=chance.randrange(30)
        )
    made = Ticket.objects.bulk_create(
        [
            Ticket(
                requester=chance.choice(askers),
                subject=f"Ticket {number}",
                status="open",
                assignee=person,
                team=chance.choice((team, other, None)),
                category=chance.choice((category, None)),
                created_at=now - timedelta(minutes=number),
                public_updated_at=now - timedelta(minutes=number),
                sla_due_at=chance.choice(
                    (None, now + timedelta(minutes=chance.randint(-60, 3000)))
                ),
            )
            for number, person in enumerate(hands)
        ]
    )
    through = Ticket.required_skills.through
    through.objects.bulk_create(
        [through(ticket=each, skill=skill) for each in made if chance.random() < 0.3]
    )
