"""The people of an export, found again or made: callers as customers, assignees as agents."""

import re
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256

from django.contrib.auth.hashers import make_password
from django.db.models.functions import Lower

from agents.models import AgentProfile, Role, User, has_desk_role
from tickets.importing.mapping import line_of

# A name of these alone is its own username, a space becoming a dot; any other gets a digest.
PLAIN = re.compile(r"[A-Za-z0-9_.+-]+( +[A-Za-z0-9_.+-]+)*")
UNFIT = re.compile(r"[^a-z0-9_+-]+")
LONGEST_PLAIN = 120
NAME_LENGTH = 150


def username_of(name: str, attempt: int = 0) -> str:
    """The username of somebody of this name: the same in every run, another at each attempt.

    "Resolver 89" is `resolver.89`; a name that does not fit, or whose username belongs to
    somebody else, gets a digest of itself: `jorg.muller-1f2e3d4c`.
    """
    plain = UNFIT.sub(".", name.lower()).strip(".")
    if attempt == 0 and PLAIN.fullmatch(name) and plain and len(plain) <= LONGEST_PLAIN:
        return plain
    digest = sha256(name.encode()).hexdigest()[:8]
    again = f"-{attempt}" if attempt > 1 else ""
    return f"{plain[:LONGEST_PLAIN].strip('.') or 'imported'}-{digest}{again}"


def find_or_make(names: Iterable[str], role: Role) -> tuple[dict[str, int], int]:
    """Ids of the users of these names, and how many of them were made.

    Whoever has the username already is taken to be the one who is meant, except that nobody's
    role is ever changed: a name whose username belongs to a customer cannot become an agent by
    an import and gets a username of its own. New users cannot sign in and have no e-mail address.
    """
    found: dict[str, int] = {}
    made = attempt = 0
    waiting = set(names)
    while waiting:
        bearers = defaultdict(list)
        for name in sorted(waiting):
            bearers[username_of(name, attempt)].append(name)
        made += _make_missing({username: who[0] for username, who in bearers.items()}, role)
        for username, pk in _fitting(bearers, role):
            found.update(dict.fromkeys(bearers[username], pk))
        waiting -= found.keys()
        attempt += 1
    if role == Role.AGENT:
        profiles = [AgentProfile(user_id=pk) for pk in sorted(set(found.values()))]
        AgentProfile.objects.bulk_create(profiles, ignore_conflicts=True)
    return found, made


def _make_missing(wanted: dict[str, str], role: Role) -> int:
    lowered = User.objects.annotate(lowered=Lower("username")).filter(lowered__in=list(wanted))
    there = set(lowered.values_list("lowered", flat=True))
    missing = [
        User(
            username=username,
            name=line_of(name, NAME_LENGTH),
            role=role,
            password=make_password(None),
        )
        for username, name in wanted.items()
        if username not in there
    ]
    User.objects.bulk_create(missing, ignore_conflicts=True)
    return len(missing)


def _fitting(usernames: Iterable[str], role: Role) -> list[tuple[str, int]]:
    users = User.objects.annotate(lowered=Lower("username")).filter(lowered__in=list(usernames))
    if role == Role.AGENT:
        users = users.filter(has_desk_role())
    return list(users.values_list("lowered", "pk"))
