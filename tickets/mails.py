"""What a notification looks like as a mail, and whether it may still be sent."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime

from tickets.models import Message, Metric, Notification, Ticket
from tickets.rendering import render_markdown

Told = Notification.Kind
# What only staff is told of; these hold notes, reasons and facts that are not the customer's.
FOR_STAFF = (
    Told.ASSIGNED,
    Told.NOTED,
    Told.REOPENED,
    Told.ESCALATED,
    Told.SLA_WARNED,
    Told.SLA_BREACHED,
)


def may_be_sent(notification: Notification) -> bool:
    """Whether the person may still read this: between event and mail, rights are taken away."""
    user = notification.user
    if not user.email or (notification.kind in FOR_STAFF and not user.is_desk_staff):
        return False
    return Ticket.objects.visible_to(user).filter(pk=notification.ticket_id).exists()


def mail_of(notification: Notification) -> EmailMultiAlternatives:
    """The mail in plain text and HTML. Its user, ticket and event (with actor) are loaded."""
    context = _context(notification)
    name = f"notifications/{notification.kind}"
    subject = render_to_string(f"{name}.subject.txt", context)
    mail = EmailMultiAlternatives(
        # One line, whatever a template or a name brings: a second one would be a header.
        " ".join(subject.split()),
        render_to_string(f"{name}.txt", context),
        to=[notification.user.email],
        headers={
            # The same name at every try, so that a mail that was sent twice is shown once.
            "Message-ID": f"<notification-{notification.pk}@{_domain()}>",
            "References": f"<ticket-{notification.ticket_id}@{_domain()}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    mail.attach_alternative(render_to_string(f"{name}.html", context), "text/html")
    return mail


def _context(notification: Notification) -> dict[str, object]:
    message = _message_told_by(notification)
    ticket, actor = notification.ticket, notification.event.actor
    return {
        "ticket": ticket,
        "user": notification.user,
        "actor": actor.display_name if actor else "The service desk",
        "message": message,
        "body_html": render_markdown(message.body) if message else "",
        "description_html": render_markdown(ticket.description),
        "resolution_html": render_markdown(ticket.resolution),
        "reason": notification.event.data.get("reason", ""),
        **_escalation_told_by(notification),
        **_promise_told_by(notification),
        "url": _address_of(notification),
    }


def _message_told_by(notification: Notification) -> Message | None:
    pk = notification.event.data.get("message")
    return Message.objects.select_related("author").filter(pk=pk).first() if pk else None


def _escalation_told_by(notification: Notification) -> dict[str, object]:
    """The level it was raised to, 0 where a rule raised nothing, and the name of such a rule."""
    event = notification.event
    is_raised = event.public_seq is not None
    return {
        "level": event.data.get("level", 0) if is_raised else 0,
        "rule": event.data.get("reason", "") if "rule" in event.data else "",
    }


def _promise_told_by(notification: Notification) -> dict[str, object]:
    """Which promise a warning or a breach is about, and until when it holds."""
    data = notification.event.data
    if "metric" not in data:
        return {}
    return {
        "metric": Metric(data["metric"]).label.lower(),
        "due_at": parse_datetime(data["due_at"]),
    }


def _address_of(notification: Notification) -> str:
    """Where the person finds the ticket; customers have no page of their own to go to."""
    if not notification.user.is_desk_staff:
        return ""
    return f"{settings.PUBLIC_URL}/admin/tickets/ticket/{notification.ticket_id}/change/"


def _domain() -> str:
    return urlsplit(settings.PUBLIC_URL).hostname or "localhost"
