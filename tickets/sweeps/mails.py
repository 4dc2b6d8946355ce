"""Sending the mails that are due."""

from datetime import datetime, timedelta

import structlog
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from servicedesk.sweeps import SweepResult
from tickets.mails import mail_of, may_be_sent
from tickets.models import Notification

log = structlog.get_logger(__name__)

# A worker that took mails has this long to send them before another may.
MAIL_LEASE = timedelta(minutes=10)
# It stops well before: assigning waits for it, and whoever ends the worker does not wait long.
MAIL_TIME = timedelta(seconds=20)
MAILS_AT_A_TIME = 20
# With the pauses between them, eight and a half hours.
MAIL_ATTEMPTS = 10
MAIL_BACKOFF = timedelta(minutes=1)


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
        due = Notification.objects.filter(mail=Notification.Mail.PENDING, mail_due_at__lte=now)
        # On SQLite, which has no second writer to skip, this is left out by Django.
        free = due.select_for_update(skip_locked=True).order_by("mail_due_at")
        ids = list(free.values_list("pk", flat=True)[:batch])
        Notification.objects.filter(pk__in=ids).update(
            mail_due_at=now + MAIL_LEASE, mail_attempts=F("mail_attempts") + 1
        )
    return list(
        Notification.objects.filter(pk__in=ids)
        .select_related("user", "ticket", "event__actor")
        .order_by("pk")
    )


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
