"""Many tickets at once, inserted past the services."""

from datetime import datetime, timedelta

from agents.models import User
from tickets.models import (
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
