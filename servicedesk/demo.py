"""A small desk to try: a cast, teams, skills, categories, and tickets in every state."""

import secrets
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from PIL import Image, ImageDraw

from agents import services as people_services
from agents.models import Availability, Role, Skill, Team, User
from attachments import services as file_services
from attachments.received import Received
from servicedesk.settings.environment import private_file
from tickets import services
from tickets.lifecycle import Status
from tickets.models import (
    Calendar,
    CannedReply,
    Category,
    EscalationRule,
    Priority,
    SavedView,
    SlaPolicy,
    Ticket,
)
from tickets.services import open_ticket, setup, views
from tickets.sla.calendar import WEEKDAYS

People = dict[str, User]

# By username: the name and the role.
CAST = {
    "alice": ("Alice Adams", Role.CUSTOMER),
    "charlie": ("Charlie Cole", Role.CUSTOMER),
    "bob": ("Bob Brown", Role.AGENT),
    "dana": ("Dana Diaz", Role.AGENT),
    "sam": ("Sam Stone", Role.SUPERVISOR),
    "admin": ("Admin", Role.SUPERVISOR),
}
SKILLS = {
    "bob": {"vpn": 5, "network": 4, "hardware": 2},
    "dana": {"hardware": 5, "accounts": 4, "network": 2},
    "sam": {"accounts": 3},
}
TEAMS = {"Network": ("bob", "dana"), "Workplace": ("dana", "bob", "sam")}
# By name: the team and the skills that it brings.
CATEGORIES = {
    "VPN and remote access": ("Network", ("vpn",)),
    "Network": ("Network", ("network",)),
    "Laptops and printers": ("Workplace", ("hardware",)),
    "Accounts and passwords": ("Workplace", ("accounts",)),
}
# By team.
LEADS = {"Network": "bob", "Workplace": "sam"}
OFFICE_HOURS = ["09:00-17:00"]
HOUR = 3600
# By priority: first response, next response, resolution, in hours of working time.
PROMISES = {
    Priority.CRITICAL: (0.5, 1, 4),
    Priority.URGENT: (1, 2, 8),
    Priority.HIGH: (2, 4, 16),
    Priority.NORMAL: (4, 8, 40),
    Priority.LOW: (8, 16, 80),
}
RULES: dict[str, dict[str, Any]] = {
    "Breached: level 1, tell the supervisors": {
        "trigger": EscalationRule.Trigger.SLA_BREACHED,
        "level": 1,
        "notifies": ["supervisors"],
    },
    "Nobody has it after half an hour": {
        "trigger": EscalationRule.Trigger.UNASSIGNED,
        "after_seconds": 30 * 60,
        "notifies": ["supervisors"],
    },
}
# By title: the team, or none for everybody, and the text.
CANNED_REPLIES: dict[str, tuple[str | None, str]] = {
    "We are looking into it": (
        None,
        "Hello {{requester.first_name}},\n\nthank you for your report. We are looking into "
        "**{{ticket.title}}** and will write as soon as we know more.\n\n{{agent.name}}",
    ),
    "Which device?": (
        None,
        "Hello {{requester.first_name}},\n\nto go on we need to know:\n\n"
        "- the name on the sticker below your device\n- when it happened last\n\n{{agent.name}}",
    ),
    "Renew the VPN certificate": (
        "Network",
        "Hello {{requester.first_name}},\n\nyour certificate has expired:\n\n"
        "1. Disconnect the VPN.\n2. Open *Settings*, then *Certificates*, and press *Renew*.\n"
        "3. Connect again.\n\nDid that help?\n\n{{agent.name}}, {{team.name}}",
    ),
    "Your new device is ready": (
        "Workplace",
        "Hello {{requester.first_name}},\n\nyour device is ready. Please bring an identity card "
        "and the number {{ticket.number}}.\n\n{{agent.name}}, {{team.name}}",
    ),
}
# Whose, or None where it is shared; the name and the filters.
VIEWS = (
    (None, "Urgent and critical", "status=new,open,pending,on_hold&priority=urgent,critical"),
    (None, "Waiting for somebody", "status=pending,on_hold"),
    ("bob", "Late in my teams", "team=mine&sla=breached"),
)
# requester, category, subject, description, priority, the state to leave it in, days ago
TICKETS = (
    (
        "alice",
        "VPN and remote access",
        "VPN drops every ten minutes",
        "Since this morning the VPN disconnects **every ten minutes**, also on another network.",
        Priority.HIGH,
        Status.OPEN,
        0.1,
    ),
    (
        "alice",
        "Laptops and printers",
        "New laptop for a colleague",
        "A colleague starts on the 1st and needs a laptop.",
        Priority.NORMAL,
        Status.PENDING,
        1.2,
    ),
    (
        "alice",
        "Accounts and passwords",
        "Locked out of the payroll system",
        "Three wrong passwords and now I am locked out.",
        Priority.URGENT,
        Status.RESOLVED,
        2.5,
    ),
    (
        "charlie",
        "Laptops and printers",
        "Printer on the 3rd floor jams",
        "It jams on every second page.",
        Priority.LOW,
        Status.ON_HOLD,
        3.1,
    ),
    (
        "charlie",
        "Network",
        "Wi-Fi is slow in meeting room 2",
        "Video calls freeze there, and only there.",
        Priority.NORMAL,
        Status.CLOSED,
        9.0,
    ),
    (
        "charlie",
        "Accounts and passwords",
        "Please delete my old account",
        "I have a new one since the merger.",
        Priority.LOW,
        Status.CANCELLED,
        4.0,
    ),
)


def load(*, password: str = "") -> tuple[People, str]:
    """Make what is missing, and answer the cast and their password. Idempotent.

    The password is the one given, else DEMO_PASSWORD, else one that is made once and kept in
    DESK_HOME. Only a new cast or a given password sets it.
    """
    given = password or settings.DEMO_PASSWORD
    secret = given or private_file("demo_password", secrets.token_urlsafe(9))
    with transaction.atomic():
        people = {name: _person(name, secret, reset=bool(given)) for name in CAST}
        _teams_and_skills(people)
        categories = {name: _category(name) for name in CATEGORIES}
        _service_levels()
        _canned_replies(people["sam"])
        _views(people)
    if not Ticket.objects.exists():
        for row in TICKETS:
            _ticket(row, people, categories)
    return people, secret


def _person(username: str, password: str, *, reset: bool) -> User:
    name, role = CAST[username]
    user = User.objects.filter(username=username).first()
    is_new = user is None
    if user is None:
        user = people_services.create_user(
            username=username,
            name=name,
            email=f"{username}@desk.example",
            role=role,
            is_superuser=username == "admin",
        )
    if is_new or (reset and not user.check_password(password)):
        # Not through the password rules: a demo may have a short one.
        user.set_password(password)
        user.save(update_fields=["password"])
    return user


def _teams_and_skills(people: People) -> None:
    """Memberships and levels, as long as nobody has changed them."""
    teams = {name: Team.objects.get_or_create(name=name)[0] for name in TEAMS}
    names = {name for levels in SKILLS.values() for name in levels}
    skills = {name: Skill.objects.get_or_create(name=name)[0] for name in names}
    for username, levels in SKILLS.items():
        agent = people[username].agent
        if agent.teams.exists() or agent.skills.exists():
            continue
        people_services.update_agent(
            agent=agent,
            at=timezone.now(),
            availability=(
                Availability.AVAILABLE
                if people[username].role == Role.AGENT
                else Availability.OFFLINE
            ),
            teams=[team for name, team in teams.items() if username in TEAMS[name]],
            skills={skills[name]: level for name, level in levels.items()},
        )
    # After the memberships, of which being a lead is one.
    for name, lead in LEADS.items():
        if teams[name].lead is None:
            people_services.update_team(team=teams[name], lead=people[lead])


def _service_levels() -> None:
    """Office hours, what is promised in them, and what happens where that is not kept."""
    calendar = Calendar.objects.filter(name="Office hours").first() or setup.create_calendar(
        name="Office hours",
        time_zone=settings.TIME_ZONE,
        week=dict.fromkeys(WEEKDAYS[:5], OFFICE_HOURS),
    )
    if not SlaPolicy.objects.filter(name="Standard").exists():
        targets = [
            setup.Target(priority, *(int(hours * HOUR) for hours in promised))
            for priority, promised in PROMISES.items()
        ]
        setup.create_policy(name="Standard", calendar=calendar, targets=targets)
    for name, fields in RULES.items():
        if not EscalationRule.objects.filter(name=name).exists():
            setup.create_rule(name=name, **fields)


def _canned_replies(writer: User) -> None:
    for title, (team, body) in CANNED_REPLIES.items():
        if not CannedReply.objects.filter(title=title).exists():
            services.create_canned_reply(
                title=title,
                body=body,
                team=Team.objects.get(name=team) if team else None,
                actor=writer,
                at=timezone.now(),
            )


def _views(people: People) -> None:
    for username, name, query in VIEWS:
        owner = people[username] if username else None
        if not SavedView.objects.filter(name=name, owner=owner).exists():
            actor = owner or people["sam"]
            views.create_view(
                name=name, query=query, shared=owner is None, actor=actor, at=timezone.now()
            )


def _category(name: str) -> Category:
    team, skills = CATEGORIES[name]
    category, is_new = Category.objects.get_or_create(
        name=name, defaults={"team": Team.objects.get(name=team)}
    )
    if is_new:
        category.skills.set(Skill.objects.filter(name__in=skills))
    return category


def _ticket(
    row: tuple[str, str, str, str, Priority, Status, float],
    people: People,
    categories: dict[str, Category],
) -> None:
    """Open a ticket in the past and bring it, by the same services as everybody, to its state."""
    requester, category, subject, description, priority, state, days = row
    opened_at = timezone.now() - timedelta(days=days)
    attached = _files(people[requester]) if state == Status.OPEN else []
    ticket = open_ticket(
        requester=people[requester],
        actor=people[requester],
        subject=subject,
        description=description,
        priority=priority,
        category=categories[category],
        attachments=attached,
        at=opened_at,
    )
    ticket.refresh_from_db()
    agent = ticket.assignee or people["bob"]
    answered_at = opened_at + timedelta(minutes=25)
    services.post_message(
        ticket=ticket, author=agent, body="Thank you, I am looking into it.", at=answered_at
    )
    _bring_to(ticket, state, agent, people[requester], answered_at + timedelta(minutes=30))


def _files(uploader: User) -> list[UUID]:
    """What somebody with a broken VPN would send along, through the door that all files take."""
    log = "".join(f"{minute:02}:00 connected\n{minute:02}:09 link lost\n" for minute in range(6))
    sent = {"vpn-error.png": _screenshot(), "vpn.log": log.encode()}
    received = [Received.of(name, content) for name, content in sent.items()]
    at = timezone.now()
    stored, _ = file_services.store(received, uploader=uploader, at=at)
    drafts = file_services.take(stored, uploader=uploader, ticket=None, at=at)
    return [file.pk for file in drafts.files]


def _screenshot() -> bytes:
    image = Image.new("RGB", (960, 540), "#f4f5f7")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((200, 130, 760, 410), 18, fill="white", outline="#c5c9d3", width=2)
    draw.ellipse((240, 175, 300, 235), fill="#c8372d")
    draw.text((262, 182), "!", fill="white", font_size=40)
    draw.text((330, 178), "The connection was lost", fill="#1c2330", font_size=30)
    draw.text((330, 230), "vpn.desk.example: certificate expired", fill="#5a6374", font_size=20)
    draw.rounded_rectangle((590, 340, 720, 385), 10, fill="#2456c6")
    draw.text((628, 350), "Retry", fill="white", font_size=22)
    content = BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _bring_to(ticket: Ticket, state: Status, agent: User, requester: User, at: datetime) -> None:
    if state == Status.OPEN:
        services.post_message(
            ticket=ticket,
            author=agent,
            body="The gateway log shows certificate errors; asking the network team.",
            at=at,
            is_internal=True,
        )
        return
    first = Status.RESOLVED if state == Status.CLOSED else state
    comment = {
        Status.PENDING: "Which model would you like: 13 or 15 inches?",
        Status.ON_HOLD: "The manufacturer sends a technician on Thursday.",
        Status.CANCELLED: "Done by the merger project already.",
    }
    services.change_status(
        ticket=ticket,
        to=first,
        actor=agent,
        at=at,
        comment=comment.get(first, ""),
        resolution="Unlocked, and the password was reset." if first == Status.RESOLVED else "",
    )
    if state == Status.CLOSED:
        services.change_status(ticket=ticket, to=state, actor=requester, at=at + timedelta(hours=4))
