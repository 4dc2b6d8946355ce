"""Service levels in the console: the list's column, order and filter, and the ticket's card."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tickets import services
from tickets.admin.service_level import due_words
from tickets.lifecycle import Status
from tickets.models import Ticket
from tickets.tests import promises

NINE = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIST = "/admin/tickets/ticket/"


@pytest.fixture
def look(console):
    """Opens a page of the console as somebody, at some time."""

    def look_at(user, path, at=NINE, **data):
        with time_machine.travel(at, tick=False):
            answer = console(user).get(path, data)
            answer.render() if hasattr(answer, "render") else None
        assert answer.status_code == 200
        return answer

    return look_at


def opened(alice, at: datetime = NINE, **fields) -> Ticket:
    made = services.open_ticket(requester=alice, actor=alice, subject="VPN", at=at, **fields)
    return Ticket.objects.get(pk=made.pk)


def words_of(answer) -> str:
    """The page's text without its tags, and with plain dashes."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()).replace("\u2013", "-")


def card_of(answer) -> str:
    page: str = answer.content.decode()
    return page[page.index("desk-promises") : page.index("<h2>Assignee")]


def shown(answer) -> list[int]:
    return [ticket.pk for ticket in answer.context["cl"].result_list]


# --- The list -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "words", "state"),
    [
        (timedelta(), "in 8 h", "on_track"),
        (5 * HOUR + 30 * MINUTE, "in 2 h 30 min", "on_track"),
        (7 * HOUR, "in 1 h", "at_risk"),
        (8 * HOUR, "in under a minute", "breached"),
        (8 * HOUR + 20 * MINUTE, "20 min over", "breached"),
        (DAY + 10 * HOUR, "1 d 2 h over", "breached"),
        (9 * DAY, "8 d 16 h over", "breached"),
    ],
)
def test_the_list_says_when_a_ticket_is_due(alice, sam, look, later, words, state) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    opened(alice)
    page = look(sam, LIST, NINE + later).content.decode()
    assert re.search(rf'<span class="desk-due is-{state}" title="[^"]*"[^>]*>{words}</span>', page)
    assert "due 23 Nov 2026, 17:00" in page


def test_where_nothing_is_due_the_list_says_how_the_ticket_stands(alice, bob, sam) -> None:
    promises.policy()
    paused, met = opened(alice), opened(alice)
    services.change_status(ticket=paused, to=Status.ON_HOLD, actor=bob, at=NINE + HOUR / 2)
    services.change_status(
        ticket=met, to=Status.RESOLVED, actor=bob, at=NINE + HOUR / 2, resolution="Done."
    )
    for ticket, words in ((paused, "Paused"), (met, "Met")):
        ticket.refresh_from_db()
        assert due_words(ticket, NINE + DAY) == words


def test_a_promise_broken_before_does_not_hide_what_is_due_next(alice, bob) -> None:
    promises.policy(targets=promises.same(1, None, 8))
    ticket = opened(alice)
    services.post_message(ticket=ticket, author=bob, body="Sorry.", at=NINE + 2 * HOUR)
    ticket.refresh_from_db()
    assert due_words(ticket, NINE + 4 * HOUR) == "Breached, next in 4 h"


def test_a_ticket_without_a_promise_has_no_due_time_in_the_list(alice, sam, look) -> None:
    opened(alice)
    assert '<td class="field-due">-</td>' in look(sam, LIST).content.decode()


@pytest.mark.parametrize(("sign", "order"), [("", "ASC"), ("-", "DESC")])
def test_the_list_sorts_by_due_time_along_its_index(alice, sam, look, sign, order) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    later, sooner = opened(alice, NINE + HOUR), opened(alice)
    never = opened(alice)
    Ticket.objects.filter(pk=never.pk).update(sla_due_at=None, sla_standing="paused")
    plain = look(sam, LIST)
    place = plain.context["cl"].list_display.index("due")
    answer = look(sam, LIST, o=f"{sign}{place}")
    wanted = [sooner.pk, later.pk, never.pk]
    assert shown(answer) == (wanted[::-1] if sign else wanted)
    query = str(answer.context["cl"].queryset.query).rpartition("ORDER BY ")[2]
    assert re.fullmatch(rf'\d+ {order}, "tickets_ticket"."id" {order}', query)


def test_the_list_filters_by_how_tickets_stand(alice, bob, sam, look) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    late, fresh, still = opened(alice), opened(alice, NINE + 7 * HOUR), opened(alice)
    services.change_status(ticket=still, to=Status.ON_HOLD, actor=bob, at=NINE + HOUR)
    at = NINE + 9 * HOUR
    assert shown(look(sam, LIST, at, sla="breached")) == [late.pk]
    assert shown(look(sam, LIST, at, sla="on_track")) == [fresh.pk]
    assert shown(look(sam, LIST, at, sla="paused")) == [still.pk]
    assert shown(look(sam, LIST, at, sla="met")) == []
    assert shown(look(sam, LIST, at, sla="nonsense")) == []
    assert len(shown(look(sam, LIST, at, sla=""))) == 3


# --- The ticket's page ----------------------------------------------------------------


def test_a_page_without_promises_says_so(alice, sam, look) -> None:
    ticket = opened(alice)
    assert (
        "Nothing is promised for this ticket."
        in look(sam, f"{LIST}{ticket.pk}/change/").content.decode()
    )


def test_the_page_tells_each_clock_and_why_it_is_due_then(alice, bob, look) -> None:
    promises.policy(calendar=promises.calendar(time_zone="Europe/Berlin"))
    at = NINE - HOUR  # nine in Berlin
    ticket = opened(alice, at)
    services.change_status(
        ticket=ticket, to=Status.PENDING, actor=bob, at=at + HOUR / 2, comment="Which one?"
    )
    services.post_message(ticket=ticket, author=alice, body="That", at=at + 2 * HOUR)
    text = words_of(look(bob, f"{LIST}{ticket.pk}/change/", at + 3 * HOUR))
    for words in (
        "Service level On track",
        "First response met in 30m",
        "Resolution in 22 h 30 min",
        "1h 30m of 8h &middot; due 24 Nov 2026, 09:30",
        "Mon 23 Nov, 08:00 - 08:30 30m",
        "Mon 23 Nov, 08:30 - 10:00 1h 30m paused: waiting for the customer",
        "Mon 23 Nov, 10:00 - 16:00 6h",
        "Tue 24 Nov, 08:00 - 09:30 1h 30m",
        "Promised by Standard, counted in the hours of Office (Europe/Berlin).",
    ):
        assert words in text


def test_the_page_says_how_late_a_ticket_is(alice, bob, look) -> None:
    promises.policy(targets=promises.same(1, None, 8))
    ticket = opened(alice)
    page = look(bob, f"{LIST}{ticket.pk}/change/", NINE + 10 * HOUR)
    text = words_of(page)
    assert "Service level Breached" in text
    assert "First response 9 h over" in text
    assert "Resolution 2 h over" in text
    assert "was due 23 Nov 2026, 17:00" in text
    assert card_of(page).count('class="desk-clock is-breached"') == 2


def test_the_page_says_what_is_paused_and_what_is_over(alice, bob, look) -> None:
    promises.policy(targets=promises.same(1, None, 8))
    ticket = opened(alice)
    services.post_message(ticket=ticket, author=bob, body="Sorry.", at=NINE + 2 * HOUR)
    services.change_status(ticket=ticket, to=Status.ON_HOLD, actor=bob, at=NINE + 3 * HOUR)
    text = words_of(look(bob, f"{LIST}{ticket.pk}/change/", NINE + 5 * HOUR))
    assert "First response 1h late" in text
    assert "Resolution paused, 5h left" in text
    assert "Mon 23 Nov, 12:00 - now 2h paused: waiting for a third party" in text
    services.change_status(
        ticket=ticket, to=Status.CANCELLED, actor=bob, at=NINE + 6 * HOUR, comment="Not ours."
    )
    text = words_of(look(bob, f"{LIST}{ticket.pk}/change/", NINE + DAY))
    assert "Resolution no longer waited for" in text


def test_earlier_questions_are_folded_away(alice, bob, look) -> None:
    promises.policy(targets=promises.same(None, 1, None))
    ticket = opened(alice)
    for hour in range(3):
        services.post_message(ticket=ticket, author=bob, body="!", at=NINE + hour * HOUR)
        services.post_message(
            ticket=ticket, author=alice, body="?", at=NINE + hour * HOUR + 10 * MINUTE
        )
    card = card_of(look(bob, f"{LIST}{ticket.pk}/change/", NINE + 3 * HOUR))
    assert card.count('class="desk-clock ') == 1
    assert "Earlier questions (2)" in card


def test_a_changed_calendar_is_admitted(alice, bob, look) -> None:
    policy = promises.policy()
    ticket = opened(alice)
    services.change_status(
        ticket=ticket, to=Status.RESOLVED, actor=bob, at=NINE + 2 * HOUR, resolution="Done."
    )
    path = f"{LIST}{ticket.pk}/change/"
    assert "has changed since" not in look(bob, path, NINE + DAY).content.decode()
    policy.calendar = promises.calendar(week={"tuesday": ["09:00-17:00"]})
    policy.save()
    promises.policy("Another", position=999)
    assert "has changed since" in look(bob, path, NINE + DAY).content.decode()


def test_the_history_tells_of_warnings_and_broken_promises(alice, sam, look) -> None:
    promises.policy(targets=promises.same(None, None, 8))
    ticket = opened(alice)
    for hours in (7, 9):
        services.escalate_due(ticket_id=ticket.pk, at=NINE + hours * HOUR)
    text = words_of(look(sam, f"{LIST}{ticket.pk}/change/", NINE + 9 * HOUR))
    due = "resolution, due 23 Nov 2026, 17:00"
    assert f"The desk warned that time runs out: {due}" in text
    assert f"The desk noted a broken promise: {due}" in text


def test_a_page_costs_the_same_however_long_the_story(alice, bob, console) -> None:
    promises.policy(calendar=promises.calendar())
    ticket = opened(alice)
    browser = console(bob)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(f"{LIST}{ticket.pk}/change/").status_code == 200
        return len(queries)

    services.post_message(ticket=ticket, author=bob, body="!", at=NINE)
    cost()
    short = cost()
    for hour in range(4):
        at = NINE + hour * HOUR
        services.change_status(ticket=ticket, to=Status.PENDING, actor=bob, at=at, comment="?")
        services.post_message(ticket=ticket, author=alice, body="That", at=at + MINUTE)
    assert cost() == short
