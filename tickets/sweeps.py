"""What catches up when a receiver, a worker or a mail server failed."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets import events, services
from tickets.assignment.candidates import anybody_has_room
from tickets.mails import mail_of, may_be_sent
from tickets.models import Notification, Ticket, TicketEvent

log = structlog.get_logger(__name__)

# An event that is still unannounced after this was left behind by a process that died, or by a
# receiver that failed; within it, its own process is most likely about to send it.
GRACE = timedelta(seconds=15)
# A receiver that fails on the same event for so long will not be helped by another try.
GIVEN_UP_AFTER = timedelta(days=1)
# Waiting tickets that one round looks at.
LONGEST_QUEUE = 100_000
# A worker that took mails has this long to send them before another may.
MAIL_LEASE = timedelta(minutes=10)
# It stops well before: assigning waits for it, and whoever ends the worker does not wait long.
MAIL_TIME = timedelta(seconds=20)
MAILS_AT_A_TIME = 20
# With the pauses between them, eight and a half hours.
MAIL_ATTEMPTS = 10
MAIL_BACKOFF = timedelta(minutes=1)


def announce_events(*, batch: int = 200) -> SweepResult:
    """Send `ticket_event` again for what the log holds and a receiver may not have heard.

    At most `batch` tickets at a time; one whose receiver keeps failing does not hold up others.
    """
    result = SweepResult()
    lagging = Ticket.objects.filter(announced_seq__lt=F("last_seq")).order_by("updated_at", "pk")
    for ticket in lagging.iterator(chunk_size=batch):
        result.add(_announce_again(ticket, timezone.now()))
        if result.handled >= batch:
            break
    return result


def _announce_again(ticket: Ticket, now: datetime) -> SweepResult:
    unheard = TicketEvent.objects.filter(ticket=ticket, seq__gt=ticket.announced_seq)
    missed = list(unheard.select_related("ticket", "actor").order_by("seq"))
    if not missed or missed[0].at > now - GRACE:
        return SweepResult(skipped=1)
    if missed[0].at < now - GIVEN_UP_AFTER:
        log.error("announcing_given_up", ticket=ticket.pk, after=ticket.announced_seq)
        Ticket.objects.filter(pk=ticket.pk).update(announced_seq=missed[-1].seq)
        return SweepResult(failed=1)
    events.announce(missed)
    moved = Ticket.objects.filter(pk=ticket.pk, announced_seq__gt=ticket.announced_seq).exists()
    return SweepResult(handled=int(moved), failed=int(not moved))


def assign_tickets(*, batch: int = 200) -> SweepResult:
    """Offer every waiting ticket to the agents once more, the most urgent and oldest first.

    Where nobody can take a ticket, those that need the same are passed over, so that a long
    queue of what nobody knows does not hold up the rest; nor does one ticket that fails.
    """
    result = SweepResult()
    hopeless: set[tuple[int | None, frozenset[int]]] = set()
    if not anybody_has_room():
        return result
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
        except Exception:
            log.exception("assign_failed", ticket=ticket.pk)
            result.failed += 1
    return result


def _waiting(chunk: int) -> Iterator[Ticket]:
    """The queue as it is now, `chunk` tickets at a time."""
    queue = Ticket.objects.unassigned().order_by("-priority", "created_at", "id")
    ids = list(queue.values_list("pk", flat=True)[:LONGEST_QUEUE])
    for start in range(0, len(ids), chunk):
        wanted = ids[start : start + chunk]
        found = Ticket.objects.prefetch_related("required_skills").in_bulk(wanted)
        yield from (found[pk] for pk in wanted if pk in found)


def send_notifications(*, batch: int = 100) -> SweepResult:
    """Send the mails that are due, a few at a time. Two workers never send the same one."""
    now = timezone.now()
    taken = _take_mails(now, min(batch, MAILS_AT_A_TIME))
    result = SweepResult()
    if not taken:
        return result
    mailer = get_connection()
    for position, notification in enumerate(taken):
        if timezone.now() > now + MAIL_TIME or not _reaches(mailer):
            _give_back(taken[position:])
            result.failed += len(taken) - position
            break
        result.add(_send(notification, mailer))
    _hang_up(mailer)
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
        .select_related("user", "ticket", "event__actor")
        .order_by("pk")
    )


def _skip_locked(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """SQLite has neither row locks nor a second writer to skip."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


def _send(notification: Notification, mailer: BaseEmailBackend) -> SweepResult:
    row = Notification.objects.filter(pk=notification.pk)
    try:
        if not may_be_sent(notification):
            row.update(mail=Notification.Mail.NONE)
            return SweepResult(skipped=1)
        mailer.send_messages([mail_of(notification)])
    except Exception as exc:
        log.warning("mail_failed", notification=notification.pk, error=repr(exc))
        _retry_later(notification)
        # What the server made of this mail must not meet the next one.
        _hang_up(mailer)
        return SweepResult(failed=1)
    row.update(mail=Notification.Mail.SENT, mailed_at=timezone.now())
    return SweepResult(handled=1)


def _retry_later(notification: Notification) -> None:
    attempts = notification.mail_attempts
    if attempts >= MAIL_ATTEMPTS:
        Notification.objects.filter(pk=notification.pk).update(mail=Notification.Mail.FAILED)
        return
    pause = MAIL_BACKOFF * 2 ** (attempts - 1)
    Notification.objects.filter(pk=notification.pk).update(mail_due_at=timezone.now() + pause)


def _give_back(notifications: list[Notification]) -> None:
    """These were not tried: no attempt is counted, so that no outage makes a mail be given up."""
    Notification.objects.filter(pk__in=[notification.pk for notification in notifications]).update(
        mail_due_at=timezone.now() + MAIL_BACKOFF, mail_attempts=F("mail_attempts") - 1
    )


def _reaches(mailer: BaseEmailBackend) -> bool:
    """Whether the mail server can be talked to; connects where there is no connection."""
    try:
        mailer.open()
    except Exception as exc:
        log.warning("mail_server_unreachable", error=repr(exc))
        return False
    return True


def _hang_up(mailer: BaseEmailBackend) -> None:
    try:
        mailer.close()
    except Exception as exc:
        log.info("mail_server_hung_up", error=repr(exc))
