"""Who is told of what, what the mails say, and that each is sent once whatever fails."""

import re
import smtplib
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.core import mail
from django.db import connections
from django.utils import timezone

from agents.models import Role, Team, User
from agents.services import create_user, update_user
from tickets import notifications, services
from tickets.lifecycle import Status
from tickets.models import Kind, Notification, Priority, Ticket, TicketEvent
from tickets.sweeps import mails, send_notifications

Mail = Notification.Mail
SECRET = "The customer's contract ends in May"
HOSTILE = "<script>alert(1)</script> & {{ 7|add:7 }}"
STAFF_ADDRESS = "/admin/tickets/ticket/"


class MailServer:
    """Stands for the mail server of a worker. It may be down, or refuse single mails."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.tried: list[Any] = []
        self.is_up = True
        self.refuses = lambda message: False

    def open(self):
        if not self.is_up:
            raise ConnectionRefusedError("nobody listens there")

    def close(self):
        pass

    def send_messages(self, messages):
        for message in messages:
            self.tried.append(message)
            if self.refuses(message):
                raise smtplib.SMTPServerDisconnected("hung up")
            self.sent.append(message)


@pytest.fixture
def server(monkeypatch):
    server = MailServer()
    monkeypatch.setattr(mails, "get_connection", lambda: server)
    return server


@pytest.fixture
def vera(db):
    """A second supervisor, to be told of what sam does."""
    return create_user(username="vera", email="vera@desk.example", role=Role.SUPERVISOR)


@pytest.fixture
def ticket(alice, bob, charlie, dana, sam, vera):
    """Of alice, in bob's hands, with charlie taking part; nothing of it is to be told any more."""
    return opened(alice, sam, charlie)


def opened(alice, sam, charlie):
    now = timezone.now()
    ticket = services.open_ticket(requester=alice, actor=alice, subject="VPN drops", at=now)
    services.add_participant(ticket=ticket, user=charlie, actor=sam, at=now)
    Notification.objects.all().delete()
    return Ticket.objects.get(pk=ticket.pk)


def say(ticket, author, body="Hello", *, is_internal=False):
    services.post_message(
        ticket=ticket, author=author, body=body, at=timezone.now(), is_internal=is_internal
    )


def move(ticket, actor, to, **said):
    services.change_status(ticket=ticket, to=to, actor=actor, at=timezone.now(), **said)


def resolve(ticket, actor):
    move(ticket, actor, Status.RESOLVED, resolution="A new cable")


def told():
    return set(Notification.objects.values_list("user__username", "kind"))


def forget():
    Notification.objects.all().delete()


def waiting_mails(ticket, people, number):
    """That many mails that are due, of one event each."""
    for count in range(number):
        say(ticket, people[count % len(people)], f"Message {count}")


# --- Who is told ----------------------------------------------------------------------

# what happens: (by a function of the ticket and the cast, who is told, and as what)
CASES = {
    "the requester replies": (
        lambda t, who: say(t, who["alice"]),
        {("bob", "replied"), ("charlie", "replied")},
    ),
    "the agent replies": (
        lambda t, who: say(t, who["bob"]),
        {("alice", "replied"), ("charlie", "replied")},
    ),
    "a participant replies": (
        lambda t, who: say(t, who["charlie"]),
        {("alice", "replied"), ("bob", "replied")},
    ),
    "the assignee leaves a note": (lambda t, who: say(t, who["bob"], is_internal=True), set()),
    "a colleague leaves a note": (
        lambda t, who: say(t, who["dana"], is_internal=True),
        {("bob", "noted")},
    ),
    "a supervisor leaves a note": (
        lambda t, who: say(t, who["sam"], is_internal=True),
        {("bob", "noted")},
    ),
    "it is resolved": (
        lambda t, who: resolve(t, who["bob"]),
        {("alice", "resolved"), ("charlie", "resolved")},
    ),
    "it waits for a third party": (lambda t, who: move(t, who["bob"], Status.ON_HOLD), set()),
    "it is assigned to somebody else": (
        lambda t, who: services.assign(
            ticket=t, to=who["dana"], actor=who["sam"], at=timezone.now(), force=True
        ),
        {("dana", "assigned")},
    ),
    "it goes back to the queue": (
        lambda t, who: services.assign(ticket=t, to=None, actor=who["sam"], at=timezone.now()),
        set(),
    ),
    "it is escalated": (
        lambda t, who: services.escalate(
            ticket=t, reason="Still broken", actor=who["sam"], at=timezone.now()
        ),
        {("bob", "escalated"), ("vera", "escalated")},
    ),
    "its priority changes": (
        lambda t, who: services.change_priority(
            ticket=t, to=Priority.URGENT, actor=who["sam"], at=timezone.now()
        ),
        set(),
    ),
    "somebody joins": (
        lambda t, who: services.add_participant(
            ticket=t, user=who["dana"], actor=who["sam"], at=timezone.now()
        ),
        set(),
    ),
    "a supervisor opens one for a customer": (
        lambda t, who: services.open_ticket(
            requester=who["alice"], actor=who["sam"], subject="By phone", at=timezone.now()
        ),
        {("alice", "opened"), ("bob", "assigned")},
    ),
    "a customer opens one": (
        lambda t, who: services.open_ticket(
            requester=who["alice"], actor=who["alice"], subject="Mine", at=timezone.now()
        ),
        {("bob", "assigned")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_exactly_those_are_told_whom_it_concerns(ticket, case):
    happens, expected = CASES[case]

    happens(ticket, {user.username: user for user in User.objects.all()})

    assert told() == expected


def test_a_reopening_is_told_to_the_assignee(ticket, alice, bob):
    resolve(ticket, bob)
    forget()

    move(ticket, alice, Status.OPEN)

    assert told() == {("bob", "reopened")}


def test_an_escalation_is_told_to_the_supervisors_of_the_team_if_it_has_some(ticket, vera, sam):
    team = Team.objects.create(name="Network")
    vera.agent.teams.add(team)
    boss = create_user(username="boss", role=Role.SUPERVISOR)
    services.update_ticket(ticket=ticket, fields={"team": team}, actor=sam, at=timezone.now())

    services.escalate(ticket=ticket, reason="x", actor=boss, at=timezone.now())

    assert told() == {("bob", "escalated"), ("vera", "escalated")}


def test_no_customer_is_told_of_a_note_whatever_their_part(ticket, alice, bob, sam):
    services.add_participant(ticket=ticket, user=bob, actor=sam, at=timezone.now())
    update_user(user=bob, at=timezone.now(), role=Role.CUSTOMER)

    say(ticket, sam, is_internal=True)

    assert told() == set()


def test_the_inactive_are_not_told(ticket, alice, bob):
    update_user(user=alice, at=timezone.now(), is_active=False)

    say(ticket, bob)

    assert told() == {("charlie", "replied")}


def test_whoever_has_no_address_is_told_in_the_app_only(ticket, alice, bob, server):
    update_user(user=alice, at=timezone.now(), email="")

    say(ticket, bob)

    assert Notification.objects.get(user=alice).mail == Mail.NONE
    send_notifications()
    assert [message.to for message in server.sent] == [["charlie@desk.example"]]


def test_an_event_that_is_announced_twice_is_told_once(ticket, alice):
    say(ticket, alice)
    before = list(Notification.objects.order_by("pk").values())
    event = TicketEvent.objects.select_related("ticket").get(
        ticket=ticket, kind=Kind.MESSAGE_CREATED
    )

    notifications.create_for(event)

    assert list(Notification.objects.order_by("pk").values()) == before
    assert len(before) == 2


# --- What the mails say ---------------------------------------------------------------


def sent_by_now():
    mail.outbox.clear()
    send_notifications()
    return {message.to[0].partition("@")[0]: message for message in mail.outbox}


def html_of(message):
    [(html, kind)] = message.alternatives
    assert kind == "text/html"
    return html


def test_every_kind_has_its_three_templates():
    folder = Path(apps.get_app_config("tickets").path).parent / "templates" / "notifications"
    for kind in Notification.Kind.values:
        for form in ("subject.txt", "txt", "html"):
            assert (folder / f"{kind}.{form}").is_file()


def test_a_reply_is_mailed_with_its_text(ticket, bob):
    say(ticket, bob, "Please **restart** it.")

    message = sent_by_now()["alice"]

    assert message.subject == f"[{ticket.number}] Bob replied: VPN drops"
    assert "Please **restart** it." in message.body
    assert "<strong>restart</strong>" in html_of(message)


def test_each_kind_of_mail_says_what_happened(ticket, alice, bob, dana, sam):
    n = ticket.number
    say(ticket, dana, SECRET, is_internal=True)
    assert sent_by_now()["bob"].subject == f"[{n}] Dana left a note: VPN drops"
    resolve(ticket, bob)
    resolved = sent_by_now()["alice"]
    assert resolved.subject == f"[{n}] Resolved: VPN drops"
    assert "A new cable" in resolved.body
    move(ticket, alice, Status.OPEN)
    assert sent_by_now()["bob"].subject == f"[{n}] Open again: VPN drops"
    services.escalate(ticket=ticket, reason="Still broken", actor=sam, at=timezone.now())
    escalated = sent_by_now()["bob"]
    assert escalated.subject == f"[{n}] Escalated to level 1: VPN drops"
    assert "Still broken" in escalated.body
    assert "Still broken" in html_of(escalated)
    services.assign(ticket=ticket, to=dana, actor=sam, at=timezone.now(), force=True)
    assert sent_by_now()["dana"].subject == f"[{n}] Yours now: VPN drops"
    services.open_ticket(requester=alice, actor=sam, subject="By phone", at=timezone.now())
    assert sent_by_now()["alice"].subject.endswith("We have opened: By phone")


def test_no_mail_to_a_customer_holds_a_note_or_a_staff_address(ticket, alice, bob, dana, sam):
    say(ticket, dana, SECRET, is_internal=True)
    move(ticket, bob, Status.ON_HOLD, comment=SECRET, is_internal=True)
    say(ticket, bob, "We are on it")
    services.escalate(ticket=ticket, reason=SECRET, actor=sam, at=timezone.now())
    resolve(ticket, bob)

    send_notifications()

    customers = [m for m in mail.outbox if m.to[0].startswith(("alice", "charlie"))]
    assert len(customers) == 4
    for message in customers:
        text = message.message().as_string() + message.body + html_of(message)
        assert SECRET not in text
        assert STAFF_ADDRESS not in text
    assert any(SECRET in message.body for message in mail.outbox)
    staff = [message for message in mail.outbox if message not in customers]
    assert all(f"{STAFF_ADDRESS}{ticket.pk}/" in message.body for message in staff)


@pytest.mark.parametrize("change", [{"role": Role.CUSTOMER}, {"is_active": False}, {"email": ""}])
def test_whoever_loses_the_right_before_the_mail_leaves_does_not_get_it(ticket, bob, dana, change):
    say(ticket, dana, SECRET, is_internal=True)
    update_user(user=bob, at=timezone.now(), **change)

    send_notifications()

    assert mail.outbox == []
    assert Notification.objects.get().mail == Mail.NONE


def test_a_participant_who_was_removed_gets_no_more_mail(ticket, bob, charlie, sam):
    say(ticket, bob)
    services.remove_participant(ticket=ticket, user_id=charlie.pk, actor=sam, at=timezone.now())

    assert set(sent_by_now()) == {"alice"}


def test_hostile_text_is_inert_in_html_and_unchanged_in_plain_text(ticket, alice, bob):
    User.objects.filter(pk=bob.pk).update(name=HOSTILE)
    Ticket.objects.filter(pk=ticket.pk).update(subject=HOSTILE, resolution=HOSTILE)
    say(ticket, User.objects.get(pk=bob.pk), HOSTILE)
    resolve(ticket, bob)

    send_notifications()

    assert mail.outbox
    for message in mail.outbox:
        assert "<script" not in html_of(message)
        assert "&amp;" not in f"{message.subject} {message.body}"
        assert HOSTILE in message.subject
        assert HOSTILE in message.body


def test_no_line_break_in_a_subject_or_name_becomes_a_header(ticket, bob):
    User.objects.filter(pk=bob.pk).update(name="Bob\r\nX-Evil: 1")
    Ticket.objects.filter(pk=ticket.pk).update(subject="VPN\nBcc: eve@evil.example\r\n\r\nBody")
    say(ticket, User.objects.get(pk=bob.pk))

    message = sent_by_now()["alice"]

    parsed = message.message()
    assert "Bcc" not in parsed
    assert "X-Evil" not in parsed
    assert message.recipients() == ["alice@desk.example"]
    assert "\n" not in message.subject


def test_a_mail_names_itself_and_its_ticket(ticket, bob, alice):
    say(ticket, bob)
    say(ticket, bob)
    send_notifications()

    headers = [message.extra_headers for message in mail.outbox if message.to[0][:5] == "alice"]

    names = {header["Message-ID"] for header in headers}
    assert len(names) == 2
    assert all(re.fullmatch(r"<notification-\d+@[\w.]+>", name) for name in names)
    assert {header["References"] for header in headers} == {f"<ticket-{ticket.pk}@127.0.0.1>"}
    assert {header["Auto-Submitted"] for header in headers} == {"auto-generated"}


# --- Whatever fails -------------------------------------------------------------------


def test_a_mail_is_sent_once(ticket, bob, server):
    say(ticket, bob)

    assert send_notifications().handled == 2
    assert send_notifications().handled == 0

    assert len(server.sent) == 2
    assert set(Notification.objects.values_list("mail", flat=True)) == {Mail.SENT}
    assert not Notification.objects.filter(mailed_at=None).exists()


def test_a_refused_mail_backs_off_and_the_others_are_sent(ticket, bob, server):
    say(ticket, bob)
    server.refuses = lambda message: message.to == ["alice@desk.example"]
    started = timezone.now()

    result = send_notifications()

    assert (result.handled, result.failed) == (1, 1)
    refused = Notification.objects.get(user__username="alice")
    assert (refused.mail, refused.mail_attempts) == (Mail.PENDING, 1)
    assert timedelta(seconds=50) < refused.mail_due_at - started < timedelta(seconds=70)
    assert Notification.objects.get(user__username="charlie").mail == Mail.SENT
    assert send_notifications().failed == 0


def test_a_mail_that_is_always_refused_is_given_up_but_kept(ticket, bob, server):
    say(ticket, bob)
    server.refuses = lambda message: message.to == ["alice@desk.example"]
    pauses = []

    with time_machine.travel(timezone.now(), tick=False) as clock:
        while (row := Notification.objects.get(user__username="alice")).mail == Mail.PENDING:
            clock.move_to(max(timezone.now(), row.mail_due_at))
            started = timezone.now()
            assert send_notifications().failed == 1
            row.refresh_from_db()
            pauses.append((row.mail_due_at - started) // timedelta(minutes=1))
            assert len(pauses) <= mails.MAIL_ATTEMPTS

    assert (row.mail, row.mail_attempts) == (Mail.FAILED, mails.MAIL_ATTEMPTS)
    assert pauses[:4] == [1, 2, 4, 8]
    assert send_notifications().failed == 0
    tried = [m for m in server.tried if m.to == ["alice@desk.example"]]
    assert len(tried) == mails.MAIL_ATTEMPTS
    assert len({message.extra_headers["Message-ID"] for message in tried}) == 1


def test_a_server_that_nobody_reaches_leaves_every_mail_to_be_sent_later(ticket, bob, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    # Port 1 of this machine: refused at once.
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    say(ticket, bob)
    start = timezone.now()

    for hours in range(48):
        with time_machine.travel(start + timedelta(hours=hours), tick=False):
            result = send_notifications()
        assert (result.handled, result.failed) == (0, 2)

    rows = Notification.objects.all()
    assert {(row.mail, row.mail_attempts) for row in rows} == {(Mail.PENDING, 0)}
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    with time_machine.travel(start + timedelta(hours=48)):
        assert send_notifications().handled == 2


def test_a_server_that_goes_away_in_between_loses_nothing(ticket, bob, server):
    say(ticket, bob)

    def goes_away(message):
        server.is_up = False
        return True

    server.refuses = goes_away
    assert send_notifications().failed == 2
    assert sorted(Notification.objects.values_list("mail_attempts", flat=True)) == [0, 1]

    server.is_up, server.refuses = True, lambda message: False
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert send_notifications().handled == 2
    assert len(server.sent) == 2


def test_a_server_that_is_slow_is_not_overtaken_by_a_second_worker(ticket, bob, server):
    say(ticket, bob)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        server.refuses = lambda message: clock.shift(mails.MAIL_TIME * 1.5)

        assert send_notifications().handled == 1
        server.refuses = lambda message: False
        clock.shift(mails.MAIL_LEASE)
        assert send_notifications().handled == 1

    assert len(server.sent) == len({message.to[0] for message in server.sent}) == 2


def test_a_worker_that_is_killed_with_mails_in_hand_lets_them_come_back(ticket, bob, server):
    say(ticket, bob)

    def killed(message):
        raise SystemExit

    server.refuses = killed
    with pytest.raises(SystemExit):
        send_notifications()
    server.refuses = lambda message: False

    assert send_notifications().handled == 0
    with time_machine.travel(timezone.now() + mails.MAIL_LEASE + timedelta(seconds=1)):
        assert send_notifications().handled == 2
    assert len(server.sent) == 2


@pytest.mark.postgres
def test_workers_who_start_at_once_send_each_mail_once(ticket, alice, bob, server):
    waiting_mails(ticket, [alice, bob], 60)
    due = Notification.objects.filter(mail=Mail.PENDING).count()
    workers = 6
    barrier = threading.Barrier(workers)
    totals = []

    def work():
        try:
            barrier.wait()
            while handled := send_notifications(batch=10).handled:
                totals.append(handled)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = Counter(message.extra_headers["Message-ID"] for message in server.sent)
    assert due == 120
    assert sum(totals) == due
    assert len(names) == due
    assert set(names.values()) == {1}
