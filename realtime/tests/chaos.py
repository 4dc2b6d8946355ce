"""A desk on its worst day: processes and Redis die and hang while people write and follow.

`run_chaos` lets writers (processes of their own, through the services) and followers (sockets that
are cut at random) at a cluster that two gremlins take apart. At the end everything is mended, and
what each follower saw over all their connections must be the log of their audience from where they
began: each event once, in order, as the log has it.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.utils import timezone
from websockets.exceptions import WebSocketException

from agents.models import Role, Team, User
from agents.services import create_user, update_agent
from realtime import log
from realtime.database import in_database
from realtime.room import RoomKey
from realtime.tests.cluster import Cluster, Desk, Process, token_of
from realtime.tests.live import PATIENCE, Frame, LiveClient
from servicedesk.errors import DomainError, FieldError
from servicedesk.tests.frames import INTERNAL_CANARY
from tickets import services
from tickets.lifecycle import Status
from tickets.models import Kind, Message, Priority, Ticket, TicketEvent

TICKETS = 8
# The mean of a writer's pauses, in seconds.
PAUSE_SECONDS = 0.03
Trick = Callable[[], Coroutine[Any, Any, None]]
CLOSED = "The socket was closed"


# --- Who is there ----------------------------------------------------------------------


@dataclass
class Story:
    """One ticket, and who has to do with it: people by id, so that writers can read it."""

    ticket: int
    supervisor: int
    agent: int
    requester: int
    # Those who see it by being its assignee, or by taking part; now they do, now they do not.
    outsider: int
    guest: int
    # Who takes part until they are removed for good.
    leaver: int


@dataclass
class Town:
    stories: list[Story]
    people: dict[int, User]

    def follow(self, user: int) -> list[int]:
        """The tickets that somebody wants to see."""
        return [story.ticket for story in self.stories if user in vars(story).values()]


def build_town() -> Town:
    made: list[User] = []

    def people(role: Role, *names: str) -> list[User]:
        new = [
            create_user(username=name, name=name.title(), email=f"{name}@desk.example", role=role)
            for name in names
        ]
        made.extend(new)
        return new

    (sam,) = people(Role.SUPERVISOR, "sam")
    agents = people(Role.AGENT, "agent1", "agent2", "agent3", "agent4", "agent5")
    outsiders = people(Role.AGENT, "outsider1", "outsider2", "outsider3")
    askers = people(Role.CUSTOMER, "asker1", "asker2", "asker3", "asker4", "asker5", "asker6")
    guests = people(Role.CUSTOMER, "guest1", "guest2", "guest3")
    leavers = people(Role.CUSTOMER, "leaver1", "leaver2")
    team, now = Team.objects.create(name="Chaos"), timezone.now()
    for agent in agents:
        update_agent(agent=agent.agent, teams=[team], at=now)
    stories = []
    for number in range(TICKETS):
        asker, leaver = askers[number % len(askers)], leavers[number % len(leavers)]
        ticket = services.open_ticket(
            requester=asker, subject=f"Trouble {number}", team=team, actor=asker, at=now
        )
        services.add_participant(ticket=ticket, user=leaver, actor=sam, at=now)
        agent, outsider = agents[number % len(agents)], outsiders[number % len(outsiders)]
        guest = guests[number % len(guests)]
        ids = [each.pk for each in (ticket, sam, agent, asker, outsider, guest, leaver)]
        stories.append(Story(*ids))
    return Town(stories, {user.pk: user for user in made})


def mend(town: Town) -> None:
    """At the end everybody sees their tickets, except those who were removed for good."""
    for story in town.stories:
        act = _Acts(story)
        act.assign(story.outsider)
        act.invite()
        act.remove_leaver()


# --- Writers ---------------------------------------------------------------------------


class _Acts:
    """What happens to a ticket."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.ticket = Ticket.objects.get(pk=story.ticket)
        self.sam = User.objects.get(pk=story.supervisor)
        self.common: dict[str, Any] = {"ticket": self.ticket, "at": timezone.now()}

    def write(self, author: int, body: str, *, internal: bool = False) -> None:
        user = User.objects.get(pk=author)
        services.post_message(author=user, body=body, is_internal=internal, **self.common)

    def move(self, to: Status) -> None:
        services.change_status(to=to, actor=self.sam, comment="So it is", **self.common)

    def weigh(self, priority: Priority) -> None:
        services.change_priority(to=priority, actor=self.sam, **self.common)

    def assign(self, to: int | None) -> None:
        user = None if to is None else User.objects.get(pk=to)
        services.assign(to=user, actor=self.sam, force=user is not None, **self.common)

    def invite(self) -> None:
        guest = User.objects.get(pk=self.story.guest)
        services.add_participant(user=guest, actor=self.sam, **self.common)

    def disinvite(self) -> None:
        services.remove_participant(user_id=self.story.guest, actor=self.sam, **self.common)

    def remove_leaver(self) -> None:
        services.remove_participant(user_id=self.story.leaver, actor=self.sam, **self.common)

    def any(self, dice: random.Random) -> None:
        story = self.story
        weighted: list[tuple[int, Callable[[], None]]] = [
            (30, lambda: self.write(story.agent, "A reply " * dice.randrange(1, 100))),
            (15, lambda: self.write(story.requester, "It still happens")),
            (20, lambda: self.write(story.agent, INTERNAL_CANARY, internal=True)),
            (10, lambda: self.move(dice.choice([Status.OPEN, Status.PENDING, Status.ON_HOLD]))),
            (5, lambda: self.weigh(dice.choice(list(Priority)))),
            (6, lambda: self.assign(story.outsider)),
            (4, lambda: self.assign(dice.choice([None, story.agent]))),
            (5, self.invite),
            (4, self.disinvite),
            (1, self.remove_leaver),
        ]
        weights, acts = zip(*weighted, strict=True)
        dice.choices(acts, weights)[0]()


def write_for_ever(seed: int, stories: str) -> None:
    """A writer's whole life; `stories` are as JSON."""
    dice = random.Random(seed)
    town = [Story(**each) for each in json.loads(stories)]
    while True:
        with suppress(DomainError, FieldError):  # an act that does not fit at the moment
            _Acts(dice.choice(town)).any(dice)
        time.sleep(dice.expovariate(1 / PAUSE_SECONDS))


def writer(cluster: Cluster, town: Town, seed: int) -> Process:
    stories = json.dumps([vars(story) for story in town.stories])
    script = f"from realtime.tests import chaos; chaos.write_for_ever({seed}, {stories!r})"
    return cluster.program(f"writer-{seed}", "manage.py", "shell", "-v", "0", "-c", script)


# --- Followers -------------------------------------------------------------------------


@dataclass
class Run:
    """What arrived of one ticket, without a hole, after seq `begun`."""

    begun: int
    frames: list[Frame] = field(default_factory=list)

    @property
    def seq(self) -> int:
        return self.begun + len(self.frames)


class Follower:
    """Somebody with one socket, on whatever process, which is cut again and again."""

    def __init__(self, user: User, token: str, tickets: list[int], seed: str) -> None:
        self.user, self.tickets = user, tickets
        self.runs: dict[int, list[Run]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        # What was written over the socket, and whether the desk has said that it has it.
        self.written: dict[str, bool] = {}
        self.is_calm = False
        self._token = token
        self._dice = random.Random(seed)
        self._client: LiveClient | None = None

    @property
    def rooms(self) -> list[RoomKey]:
        audience = log.audience_of(self.user)
        return [RoomKey(ticket, audience) for ticket in self.tickets]

    async def follow(self, cluster: Cluster) -> None:
        """Until cancelled."""
        while True:
            desk = self._dice.choice(cluster.desks)
            try:
                await self._live(await self._connected(desk.address))
            except (OSError, TimeoutError, WebSocketException):
                self.counts["connections refused or lost"] += 1
            except AssertionError as exc:
                if CLOSED not in str(exc):
                    raise
            await asyncio.sleep(self._dice.uniform(0, 0.5))

    def has(self, ticket: int) -> int:
        """The last seq that arrived."""
        cursor = self._client.cursors.get(f"ticket:{ticket}") if self._client else None
        return cursor.seq if cursor else 0

    async def _connected(self, address: str) -> LiveClient:
        client = await LiveClient.connect(address, token=self._token, after=self._client)
        self.counts["connections"] += 1
        return client

    async def _live(self, client: LiveClient) -> None:
        self._client = client
        try:
            ends_at = time.monotonic() + self._dice.uniform(0.5, 6)
            while self.is_calm or time.monotonic() < ends_at:
                await self._join_all(client)
                if not self.is_calm:
                    await self._write(client)
                await asyncio.sleep(self._dice.uniform(0, 0.5))
                await client.until(lambda: True)
        finally:
            client.abort()
            await self._take_down(client)

    async def _take_down(self, client: LiveClient) -> None:
        """Raises what was wrong on this connection."""
        code = await client.closed()
        self.counts[f"closed {code}"] += 1
        for ticket in self.tickets:
            if events := client.events(ticket):
                self.runs[ticket][-1].frames += events

    async def _join_all(self, client: LiveClient) -> None:
        for ticket in self.tickets:
            cursor = client.cursors.get(f"ticket:{ticket}")
            if cursor is None or not cursor.is_joined:
                await self._join(client, ticket)

    async def _join(self, client: LiveClient, ticket: int) -> None:
        room = f"ticket:{ticket}"
        if cursor := client.cursors.get(room):
            resume: dict[str, Any] = {"last_seq": cursor.seq, "epoch": cursor.epoch}
        else:
            resume = self._dice.choice([{}, {"last_seq": 0}])
        answer = await client.ask("room.join", ticket=ticket, **resume)
        self.counts[f"join {answer.get('code', 'ok')}"] += 1
        if answer["type"] == "ok" and cursor is None:
            self.runs[ticket].append(Run(resume.get("last_seq", answer["data"]["head"])))
        elif answer.get("code") == "resync_required":
            del client.cursors[room]

    async def _write(self, client: LiveClient) -> None:
        """Something new, or what nobody has confirmed before the connection was lost."""
        unsure = [body for body, is_known in self.written.items() if not is_known]
        body = unsure[0] if unsure else f"{self.user.username} says {len(self.written)}"
        self.written.setdefault(body, False)
        ticket = self.tickets[int(body.split()[-1]) % len(self.tickets)]
        answer = await client.ask("message.send", ticket=ticket, body=body, client_msg_id=body)
        self.counts[f"send {answer.get('code', 'ok')}"] += 1
        if answer["type"] == "ok":
            self.written[body] = True
        elif answer["code"] == "not_found":
            del self.written[body]


# --- Gremlins --------------------------------------------------------------------------


class Gremlins:
    """One for each desk, and one for everything else; each breaks one thing at a time, and mends
    it again."""

    def __init__(self, cluster: Cluster, writers: list[Process], seed: str) -> None:
        self.counts: Counter[str] = Counter()
        self._cluster, self._writers = cluster, writers
        self._dice = random.Random(seed)

    async def rage(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        others = [self._pause_redis, self._kill_redis, self._kill_writer]
        await asyncio.gather(
            self._rage(others, ends_at, 2), *(self._haunt(d, ends_at) for d in self._cluster.desks)
        )

    async def _haunt(self, desk: Desk, ends_at: float) -> None:
        await asyncio.sleep(self._dice.uniform(0, 5))
        await self._rage(
            [partial(self._kill_desk, desk), partial(self._end_desk, desk)], ends_at, 5
        )

    async def _rage(self, tricks: list[Trick], ends_at: float, pause: float) -> None:
        while time.monotonic() < ends_at:
            await self._dice.choice(tricks)()
            await asyncio.sleep(self._dice.uniform(0, pause))

    async def _kill_desk(self, desk: Desk) -> None:
        self.counts["desks killed"] += 1
        desk.kill()
        await self._start_again(desk)

    async def _end_desk(self, desk: Desk) -> None:
        self.counts["desks ended"] += 1
        desk.terminate()
        assert await asyncio.to_thread(desk.wait) == 0, desk.log.read_text()[-2000:]
        await self._start_again(desk)

    async def _start_again(self, desk: Desk) -> None:
        await asyncio.sleep(self._dice.uniform(0, 1))
        desk.start()
        await asyncio.to_thread(desk.wait_until_ready)

    async def _pause_redis(self) -> None:
        self.counts["pauses of Redis"] += 1
        with self._cluster.redis_paused():
            await asyncio.sleep(self._dice.uniform(0.2, 3))

    async def _kill_redis(self) -> None:
        self.counts["Redis killed"] += 1
        self._cluster.redis.kill()
        await asyncio.sleep(self._dice.uniform(0, 2))
        await asyncio.to_thread(self._cluster.redis.start)

    async def _kill_writer(self) -> None:
        self.counts["writers killed"] += 1
        victim = self._dice.choice(self._writers)
        victim.kill()
        victim.start()


# --- The day ---------------------------------------------------------------------------


async def run_chaos(cluster: Cluster, seconds: float, seed: int) -> str:
    """So many seconds of chaos, then peace, then the count; answers what happened, in numbers.

    Raises AssertionError for whatever anybody missed, had twice, or should not have seen.
    """
    town = await in_database(build_town)
    followers = [
        Follower(user, await in_database(token_of, user), town.follow(user.pk), f"{seed} {user}")
        for user in town.people.values()
    ]
    writers = [writer(cluster, town, seed + number) for number in range(2)]
    gremlins = Gremlins(cluster, writers, f"{seed} gremlins")
    following = [asyncio.create_task(each.follow(cluster)) for each in followers]
    try:
        for each in writers:
            each.start()
        await _unless(following, gremlins.rage(seconds))
        for each in writers:
            each.kill()
        await asyncio.to_thread(cluster.heal)
        # Nobody is told of this, unless the caller is part of the cluster: it is for the sweeps.
        await in_database(mend, town)
        for follower in followers:
            follower.is_calm = True
        started = time.monotonic()
        await _unless(following, _everybody_has_all(town, followers))
        caught_up = time.monotonic() - started
    finally:
        for each in writers:
            each.kill()
        for task in following:
            task.cancel()
        ended = await asyncio.gather(*following, return_exceptions=True)
    failed = [each for each in ended if not isinstance(each, asyncio.CancelledError)]
    assert not failed, failed
    return await in_database(_judge, town, followers, gremlins, caught_up)


async def _unless(following: list["asyncio.Task[None]"], work: Coroutine[Any, Any, None]) -> None:
    """Do the work, unless a follower fails before."""
    task = asyncio.create_task(work)
    done, _ = await asyncio.wait([task, *following], return_when=asyncio.FIRST_COMPLETED)
    if task not in done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for each in done:
        await each


async def _everybody_has_all(town: Town, followers: list[Follower]) -> None:
    heads = await in_database(_heads, town)
    leavers = {story.leaver for story in town.stories}
    waited_for = [each for each in followers if each.user.pk not in leavers]

    def missing() -> list[str]:
        return [
            f"{each.user} has {each.has(key.ticket)} of {heads[key]}"
            for each in waited_for
            for key in each.rooms
            if each.has(key.ticket) < heads[key]
        ]

    ends_at = time.monotonic() + 2 * PATIENCE
    while behind := missing():
        assert time.monotonic() < ends_at, behind
        await asyncio.sleep(0.1)


def _heads(town: Town) -> dict[RoomKey, int]:
    keys = [RoomKey(story.ticket, "staff") for story in town.stories]
    keys += [RoomKey(story.ticket, "customer") for story in town.stories]
    return {key: standing.head for key, standing in log.heads(keys).items()}


# --- The count -------------------------------------------------------------------------


def _judge(town: Town, followers: list[Follower], gremlins: Gremlins, caught_up: float) -> str:
    counts: Counter[str] = Counter()
    logs = {key: _whole_log(key) for key in _heads(town)}
    leavers = {story.leaver for story in town.stories}
    ends = {story.ticket: _removed_at(story) for story in town.stories}
    for follower in followers:
        for key in follower.rooms:
            if follower.user.pk in leavers:
                _compare(follower, key.ticket, logs[key][: ends[key.ticket] - 1], to_the_end=False)
            else:
                _compare(follower, key.ticket, logs[key], to_the_end=True)
        heard = json.dumps([vars(run) for runs in follower.runs.values() for run in runs])
        assert follower.user.is_desk_staff or INTERNAL_CANARY not in heard
        counts["deliveries"] += sum(len(r.frames) for runs in follower.runs.values() for r in runs)
        counts["resyncs"] += follower.counts["join resync_required"]
        counts.update(follower.counts)
        _count_messages(follower)
    counts["events"] = TicketEvent.objects.count()
    counts["internal notes"] = Message.objects.filter(is_internal=True).count()
    counts.update(gremlins.counts)
    lines = [f"{number:6} {name}" for name, number in sorted(counts.items())]
    return "\n".join([*lines, f"{caught_up:6.1f} seconds until everybody had caught up"])


def _whole_log(key: RoomKey) -> list[Frame]:
    frames: list[Frame] = []
    while page := log.between(key, len(frames), 1_000_000):
        frames += [json.loads(entry.frame.json) for entry in page]
    return frames


def _removed_at(story: Story) -> int:
    """The customers' seq of the event with which the leaver was removed."""
    events = TicketEvent.objects.filter(ticket=story.ticket, kind=Kind.PARTICIPANTS_CHANGED)
    (event,) = [each for each in events if each.data["removed"] == [story.leaver]]
    assert event.public_seq is not None
    return event.public_seq


def _compare(follower: Follower, ticket: int, expected: list[Frame], *, to_the_end: bool) -> None:
    name, runs = f"{follower.user} in {ticket}", follower.runs[ticket]
    for run in runs:
        assert run.frames == expected[run.begun : run.seq], name
        # Slices are patient: there may be less than was asked for, but not more than there is.
        assert run.seq <= len(expected), name
    if to_the_end:
        assert runs, name
        assert runs[-1].seq == len(expected), name


def _count_messages(follower: Follower) -> None:
    """What was written over the socket, however often it was sent, is there once."""
    for body, is_known in follower.written.items():
        number = Message.objects.filter(author=follower.user, body=body).count()
        assert number == 1 if is_known else number <= 1, f"{number} times {body!r}"
