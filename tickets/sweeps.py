"""What catches up when a receiver, a worker or a mail server failed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import events, services
from tickets.models import Notification, Ticket, TicketEvent
from tickets.notifications import message_told_by
from tickets.rendering import render_markdown

log = structlog.get_logger(__name__)

# An event that is still unannounced after this was left behind by a process that died, or by a
# receiver that failed; within it, its own process is most likely about to send it.
GRACE = timedelta(seconds=15)
# A receiver that fails on the same event for so long will not be helped by another try.
GIVEN_UP_AFTER = timedelta(days=1)
# A worker that took mails has this long to send them before another may.
MAIL_LEASE = timedelta(minutes=10)
MAIL_ATTEMPTS = 6
MAIL_BACKOFF = timedelta(minutes=1)


def announce_events(*, batch: int = 200) -> SweepResult:
    """Send `ticket_event` again for what the log holds and a receiver may not have heard."""
    now = timezone.now()
    tickets = Ticket.objects.filter(announced_seq__lt=F("last_seq"), updated_at__lt=now - GRACE)
    result = SweepResult()
    for ticket in tickets.order_by("updated_at")[:batch]:
        if ticket.updated_at < now - GIVEN_UP_AFTER:
            log.error("announcing_given_up", ticket=ticket.pk, after=ticket.announced_seq)
            Ticket.objects.filter(pk=ticket.pk).update(announced_seq=ticket.last_seq)
            result.failed += 1
            continue
        missed = TicketEvent.objects.filter(ticket=ticket, seq__gt=ticket.announced_seq)
        events.announce(list(missed.select_related("ticket", "actor").order_by("seq")))
        moved = Ticket.objects.filter(pk=ticket.pk, announced_seq__gt=ticket.announced_seq)
        if moved.exists():
            result.handled += 1
        else:
            result.failed += 1
    return result


def assign_tickets(*, batch: int = 200) -> SweepResult:
    """Offer every waiting ticket to the agents once more, the most urgent and oldest first.

    Where nobody can take a ticket, those that need the same are passed over, so that a long
    queue of what nobody knows does not hold up the rest.
    """
    result = SweepResult()
    hopeless: set[tuple[int | None, frozenset[int]]] = set()
    for ticket in _waiting(batch):
        needs = (ticket.team_id, frozenset(skill.pk for skill in ticket.required_skills.all()))
        if needs in hopeless:
            result.skipped += 1
            continue
        try:
            result.handled += services.assign_waiting(ticket=ticket, at=timezone.now())
        except services.NoAgentAvailable as nobody:
            result.skipped += 1
            if not nobody.is_about_this_ticket:
                hopeless.add(needs)
    return result


def _waiting(chunk: int) -> Iterator[Ticket]:
    """The queue as it is now, `chunk` tickets at a time."""
    queue = Ticket.objects.unassigned().order_by("-priority", "created_at", "id")
    ids = list(queue.values_list("pk", flat=True))
    for start in range(0, len(ids), chunk):
        wanted = ids[start : start + chunk]
        found = Ticket.objects.prefetch_related("required_skills").in_bulk(wanted)
        yield from (found[pk] for pk in wanted if pk in found)


def send_notifications(*, batch: int = 100) -> SweepResult:
    """Send the mails that are due. Two workers never send the same one."""
    now = timezone.now()
    taken = _take_mails(now, batch)
    result = SweepResult()
    if not taken:
        return result
    with get_connection() as mailer:
        for notification in taken:
            try:
                _mail(notification, mailer)
            except Exception as exc:
                log.warning("mail_failed", notification=notification.pk, error=repr(exc))
                _retry_later(notification)
                result.failed += 1
            else:
                Notification.objects.filter(pk=notification.pk).update(
                    mail=Notification.Mail.SENT, mailed_at=timezone.now()
                )
                result.handled += 1
    return result


def _take_mails(now: datetime, batch: int) -> list[Notification]:
    """Claim mails by moving their due time ahead; whoever dies with them lets them come back."""
    with transaction.atomic():
        due = _skip_locked(
            Notification.objects.filter(mail=Notification.Mail.PENDING, mail_due_at__lte=now)
        )
        ids = list(due.order_by("mail_due_at").values_list("pk", flat=True)[:batch])
        Notification.objects.filter(pk__in=ids).update(
            mail_due_at=now + MAIL_LEASE, mail_attempts=F("mail_attempts") + 1
        )
    return list(
        Notification.objects.filter(pk__in=ids)
        .select_related("user", "ticket", "event")
        .order_by("pk")
    )


def _skip_locked(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """SQLite has neither row locks nor a second writer to skip."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


def _retry_later(notification: Notification) -> None:
    attempts = notification.mail_attempts
    if attempts >= MAIL_ATTEMPTS:
        Notification.objects.filter(pk=notification.pk).update(mail=Notification.Mail.FAILED)
        return
    pause = MAIL_BACKOFF * 2 ** (attempts - 1)
    Notification.objects.filter(pk=notification.pk).update(mail_due_at=timezone.now() + pause)


def _mail(notification: Notification, mailer: object) -> None:
    message = message_told_by(notification)
    context = {
        "ticket": notification.ticket,
        "user": notification.user,
        "message": message,
        "body_html": render_markdown(message.body) if message else "",
        "url": _address_of(notification),
    }
    name = f"notifications/{notification.kind}"
    subject = render_to_string(f"{name}.subject.txt", context)
    mail = EmailMultiAlternatives(
        " ".join(subject.split()),
        render_to_string(f"{name}.txt", context),
        to=[notification.user.email],
        connection=mailer,
        headers={
            # The same name at every try, so that a mail that was sent twice is shown once.
            "Message-ID": f"<notification-{notification.pk}@{_domain()}>",
            "References": f"<ticket-{notification.ticket_id}@{_domain()}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.attach_alternative(render_to_string(f"{name}.html", context), "text/html")
    mail.send()


def _domain() -> str:
    return urlsplit(settings.PUBLIC_URL).hostname or "localhost"


def _address_of(notification: Notification) -> str:
    return f"{settings.PUBLIC_URL}/admin/tickets/ticket/{notification.ticket_id}/change/"
