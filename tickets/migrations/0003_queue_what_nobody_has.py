from django.db import migrations
from django.db.models import Case, Exists, F, Max, OuterRef, Q, Subquery, When

ENDED = ["resolved", "closed", "cancelled"]
# Tickets in one statement: seconds, where the statement timeout would end one over all of them.
SLICE = 5_000


def note_what_waits(apps, schema_editor):
    """Fill the two new columns with what the services keep in them from now on."""
    tickets = apps.get_model("tickets", "Ticket").objects.using(schema_editor.connection.alias)
    waits = tickets.filter(Q(assignee=None) | ~Q(status__in=ENDED))
    last = tickets.aggregate(last=Max("pk"))["last"] or 0
    for first in range(1, last + 1, SLICE):
        waits.filter(pk__gte=first, pk__lt=first + SLICE).update(
            # Set exactly where nobody has the ticket, ended or not. Since when was not noted on a
            # desk without the column: since its opening, for all that we know.
            queued_at=Case(When(assignee=None, then=F("created_at"))),
            waiting_since=waiting_since(apps),
        )


def waiting_since(apps):
    """Since when the customer waits, of a ticket that has not ended.

    Opening a ticket makes its customer wait, and so does the first public message of a customer
    after an answer. An answer is what anybody of the desk but the requester says in public, and
    the end of the ticket. Reads each ticket's messages by their index.
    """
    messages = apps.get_model("tickets", "Message").objects.filter(is_internal=False)
    events = apps.get_model("tickets", "TicketEvent").objects
    of_desk = ~Q(author__role="customer") | Q(author__is_superuser=True)

    def is_answered(ticket, requester, reopened, **later):
        replies = messages.filter(of_desk, ~Q(author=requester), ticket=ticket, **later)
        ends = events.filter(
            kind="ticket.status_changed", data__to__in=ENDED, ticket=ticket, **later
        )
        # Only what was reopened has ended and is open; the log of the others need not be read.
        return Q(Exists(replies)) | (reopened & Q(Exists(ends)))

    answered_later = is_answered(
        OuterRef("ticket"),
        OuterRef("ticket__requester"),
        Q(ticket__reopen_count__gt=0),
        seq__gt=OuterRef("seq"),
    )
    asked = messages.filter(
        ~of_desk | Q(author=F("ticket__requester")), ~answered_later, ticket=OuterRef("pk")
    )
    was_answered = is_answered(OuterRef("pk"), OuterRef("requester"), Q(reopen_count__gt=0))
    return Case(
        When(status__in=ENDED, then=None),
        When(was_answered, then=Subquery(asked.order_by("seq").values("created_at")[:1])),
        default=F("created_at"),
    )


def nothing(apps, schema_editor):
    """Both columns go with the migration before this one."""


class Migration(migrations.Migration):

    dependencies = [("tickets", "0002_service_levels")]

    operations = [
        migrations.RunPython(note_what_waits, nothing),
    ]
