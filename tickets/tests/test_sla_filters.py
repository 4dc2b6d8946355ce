"""The state that is shown, the filter by it and the order by due time agree, at any instant."""

import base64
import random
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
import time_machine
from django.db import connection, transaction

from tickets import services
from tickets.lifecycle import Status
from tickets.models import SlaClock, Ticket
from tickets.models.ticket import NO_DUE_TIME, SlaStanding
from tickets.sla.standing import (
    DUE_ORDER,
    SlaState,
    in_any_state,
    in_state,
    state_of,
    with_due_order,
)
from tickets.tests import promises

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIST = "/api/tickets/"


def ids_of(client, query: str) -> list[int]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


@pytest.fixture
def every_standing(alice) -> list[Ticket]:
    """A ticket for each standing with each place of its two times around NINE, and none."""
    tick = timedelta(microseconds=1)
    offsets = [-DAY, -tick, timedelta(), tick, DAY]
    rows = [Ticket(subject="x", requester=alice, sla_standing=standing) for standing in SlaStanding]
    rows = [row for row in rows if row.sla_standing != SlaStanding.RUNNING]
    for standing, warn, due in product(("running", "breached"), offsets, offsets):
        if warn <= due:
            rows.append(
                Ticket(
                    subject="x",
                    requester=alice,
                    sla_standing=standing,
                    sla_warn_at=NINE + warn,
                    sla_due_at=NINE + due,
                )
            )
    return Ticket.objects.bulk_create(rows)


def test_the_filter_finds_exactly_those_that_are_shown_so(every_standing) -> None:
    for state in SlaState:
        found = set(Ticket.objects.filter(in_state(state, NINE)).values_list("pk", flat=True))
        assert found == {t.pk for t in every_standing if state_of(t, NINE) == state}, state
        assert found, f"nothing to find for {state}"


def test_every_ticket_is_in_one_state(every_standing) -> None:
    counts = [Ticket.objects.filter(in_state(state, NINE)).count() for state in SlaState]
    assert sum(counts) == len(every_standing)
    assert Ticket.objects.filter(in_any_state(list(SlaState), NINE)).count() == sum(counts)


def live_through(ticket: Ticket, alice, bob, chance: random.Random) -> None:
    """Some of what can happen to a ticket within its first days."""
    at = NINE
    for _ in range(chance.randint(0, 4)):
        at += chance.choice([10 * MINUTE, HOUR, 3 * HOUR, DAY])
        ticket.refresh_from_db()
        match chance.choice(["ask", "answer", "wait", "resolve", "look"]):
            case "ask":
                services.post_message(ticket=ticket, author=alice, body="?", at=at)
            case "answer":
                services.post_message(ticket=ticket, author=bob, body="!", at=at)
            case "wait" if ticket.status in ("new", "open"):
                services.change_status(
                    ticket=ticket, to=Status.PENDING, actor=bob, at=at, comment="Which?"
                )
            case "resolve" if ticket.status in ("new", "open", "pending"):
                services.change_status(
                    ticket=ticket, to=Status.RESOLVED, actor=bob, at=at, resolution="Done."
                )
            case _:
                services.escalate_due(ticket_id=ticket.pk, at=at)


@pytest.fixture
def lived(alice, bob) -> list[Ticket]:
    promises.policy(calendar=promises.calendar())
    chance = random.Random(7)
    found = []
    for _ in range(40):
        ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=NINE)
        live_through(ticket, alice, bob, chance)
        found.append(Ticket.objects.get(pk=ticket.pk))
    return found


def test_what_is_shown_is_what_the_filter_finds_and_what_the_figures_count(
    as_user, sam, lived
) -> None:
    seen = set()
    for later in (timedelta(), 50 * MINUTE, HOUR, 8 * HOUR, DAY, 2 * DAY, 9 * DAY):
        with time_machine.travel(NINE + later, tick=False):
            client = as_user(sam)
            rows = client.get(f"{LIST}?page_size=100").json()["results"]
            shown = {row["id"]: row["sla"]["state"] for row in rows}
            assert len(shown) == len(lived)
            for state in SlaState:
                if state != SlaState.NONE:
                    wanted = {pk for pk, its in shown.items() if its == state}
                    assert set(ids_of(client, f"sla={state}&page_size=100")) == wanted
            figures = client.get("/api/tickets/stats").json()["sla"]
            for state, number in figures.items():
                assert number == list(shown.values()).count(state)
            seen |= set(shown.values())
    assert seen == {"on_track", "at_risk", "breached", "paused", "met"}


def test_what_is_shown_is_what_a_sweep_at_that_instant_would_leave(lived) -> None:
    for later in (DAY, 2 * DAY):
        for ticket in lived:
            at = max(NINE + later, ticket.updated_at)
            shown = state_of(ticket, at)
            services.escalate_due(ticket_id=ticket.pk, at=at)
            assert state_of(Ticket.objects.get(pk=ticket.pk), at) == shown
            is_broken = SlaClock.objects.filter(ticket=ticket, state="breached").exists()
            assert (shown == SlaState.BREACHED) == is_broken
            ticket.refresh_from_db()


def test_at_the_due_time_itself_the_time_is_over(alice) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = services.open_ticket(requester=alice, actor=alice, subject="x", at=NINE)
    tick = timedelta(microseconds=1)
    assert state_of(ticket, NINE + 6 * HOUR - tick) == "on_track"
    assert state_of(ticket, NINE + 6 * HOUR) == "at_risk"
    assert state_of(ticket, NINE + 8 * HOUR - tick) == "at_risk"
    assert state_of(ticket, NINE + 8 * HOUR) == "breached"


def test_several_states_are_asked_for_at_once(as_user, sam, every_standing) -> None:
    client = as_user(sam)
    found = ids_of(client, "sla=paused,met&page_size=100")
    assert sorted(found) == sorted(
        t.pk for t in every_standing if t.sla_standing in ("paused", "met")
    )
    assert len(ids_of(client, "sla=&page_size=100")) == len(every_standing)


@pytest.mark.parametrize("value", ["none", "running", "at_risk,late", "AT_RISK"])
def test_an_unknown_state_is_400(as_user, sam, value) -> None:
    response = as_user(sam).get(f"{LIST}?sla={value}")
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/sla"


# --- By due time ----------------------------------------------------------------------


@pytest.fixture
def due(alice) -> list[int]:
    """The ids of 23 tickets by due time: some at the same instant, some never."""
    chance = random.Random(3)
    hours = [0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 9, 10] + [None] * 8
    chance.shuffle(hours)
    rows = Ticket.objects.bulk_create(
        Ticket(
            subject="x",
            requester=alice,
            sla_due_at=None if hour is None else NINE + hour * HOUR + MINUTE / 7,
        )
        for hour in hours
    )
    rows.sort(key=lambda row: (row.sla_due_at or NO_DUE_TIME, row.pk))
    return [row.pk for row in rows]


def walked(client, url: str | None, link: str) -> list[list[int]]:
    pages = []
    while url:
        body = client.get(url).json()
        pages.append([row["id"] for row in body["results"]])
        url = body[link]
    return pages


@pytest.mark.parametrize("sign", ["", "-"])
def test_paging_by_due_time_shows_every_ticket_once_there_and_back(
    as_user, alice, due, sign
) -> None:
    client = as_user(alice)
    wanted = due[::-1] if sign else due
    start = f"{LIST}?ordering={sign}due_at&page_size=5"
    pages = walked(client, start, "next")
    assert [pk for page in pages for pk in page] == wanted
    last = start
    while following := client.get(last).json()["next"]:
        last = following
    back = walked(client, last, "previous")
    assert [pk for page in reversed(back) for pk in page] == wanted


def test_a_cursor_of_another_order_is_refused(as_user, alice, due) -> None:
    client = as_user(alice)
    link = client.get(f"{LIST}?ordering=due_at&page_size=5").json()["next"]
    cursor = link.partition("cursor=")[2].partition("&")[0]
    assert client.get(f"{LIST}?ordering=-due_at&cursor={cursor}").status_code == 400
    assert client.get(f"{LIST}?cursor={cursor}").status_code == 400
    odd = base64.urlsafe_b64encode(b'["due_order","soon",1,false]').decode().rstrip("=")
    assert client.get(f"{LIST}?ordering=due_at&cursor={odd}").status_code == 400


# --- Indexes --------------------------------------------------------------------------


def plan_of(rows) -> str:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # The table is too small to be worth an index, or not to be sorted.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        return str(rows.explain())


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_order_by_due_time_is_that_of_the_index(db, sign) -> None:
    rows = with_due_order(Ticket.objects.all()).with_people()
    page = rows.order_by(f"{sign}{DUE_ORDER}", f"{sign}pk")[:26]
    plan = plan_of(page)
    assert "tickets_by_due_time" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
    step = "lte" if sign else "gte"
    later = rows.filter(**{f"{DUE_ORDER}__{step}": NINE}).order_by(
        f"{sign}{DUE_ORDER}", f"{sign}pk"
    )
    plan = plan_of(later[:26])
    assert ("Index Cond" if connection.vendor == "postgresql" else "SEARCH") in plan
    assert "tickets_by_due_time" in plan


@pytest.mark.postgres
def test_what_is_at_risk_is_found_by_the_index_of_what_runs_out_of_time(alice) -> None:
    Ticket.objects.bulk_create(
        Ticket(subject="x", requester=alice, sla_standing=standing)
        for standing in ("none", "met", "breached")
        for _ in range(1000)
    )
    Ticket.objects.bulk_create(
        Ticket(
            subject="x",
            requester=alice,
            sla_standing="running",
            sla_warn_at=NINE + hour * HOUR,
            sla_due_at=NINE + (hour + 2) * HOUR,
        )
        for hour in range(100)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tickets_ticket")
    plan = Ticket.objects.filter(in_state(SlaState.AT_RISK, NINE)).order_by().explain()
    assert "tickets_running_out_of_time" in plan


@pytest.fixture
def large_desk(alice) -> None:
    """Enough tickets to be worth an index: most promised nothing, the broken ones the oldest."""
    standings = ["breached"] * 10 + ["paused"] * 40 + ["running"] * 950 + ["none"] * 14_000
    Ticket.objects.bulk_create(
        (
            Ticket(
                subject="x",
                requester=alice,
                sla_standing=standing,
                updated_at=NINE + number * MINUTE,
                **({"sla_warn_at": NINE + DAY, "sla_due_at": NINE + 2 * DAY} if due else {}),
            )
            for number, standing in enumerate(standings)
            for due in [standing == "running"]
        ),
        batch_size=1000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tickets_ticket")


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("state", "indexes"),
    [
        ("breached", ["tickets_by_standing", "tickets_running_out_of_time"]),
        ("paused", ["tickets_by_standing"]),
        ("met", ["tickets_by_standing"]),
        ("breached,at_risk", ["tickets_by_standing", "tickets_running_out_of_time"]),
    ],
)
def test_a_page_of_the_few_that_stand_so_is_found_by_an_index(large_desk, state, indexes) -> None:
    rows = Ticket.objects.filter(in_any_state(state.split(","), NINE)).with_people()
    plan = rows.order_by("-updated_at", "-id")[:26].explain()
    assert all(index in plan for index in indexes), plan
    assert "Seq Scan on tickets_ticket" not in plan
    assert "tickets_by_change" not in plan


@pytest.mark.postgres
def test_the_paused_are_read_in_the_order_of_the_list(large_desk) -> None:
    rows = Ticket.objects.filter(in_state(SlaState.PAUSED, NINE))
    plan = rows.order_by("-updated_at", "-id")[:26].explain()
    assert "Index Scan using tickets_by_standing" in plan
    assert "Sort" not in plan
