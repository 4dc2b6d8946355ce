"""The pure half of the import: bytes, rows, incidents, and what each would have been here."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Team, User
from tickets import lifecycle
from tickets.importing import incidents as gathering
from tickets.importing.incidents import Incident, LeftOut, gather
from tickets.importing.mapping import STATES, line_of
from tickets.importing.people import username_of
from tickets.importing.reading import BrokenRow, Row, moment, read_rows
from tickets.importing.replay import History, replay, settle
from tickets.importing.skills import level_of
from tickets.importing.source import MAX_LINE, Lines, NotAnExport, open_lines
from tickets.lifecycle import Status
from tickets.models import Channel, Kind, Priority, Ticket
from tickets.services.move import apply_move
from tickets.tests.exports import export, solved, text_of, update

ZONE = ZoneInfo("UTC")
AT = datetime(2016, 3, 1, 12, tzinfo=UTC)


def lines_of(content: bytes | str) -> Lines:
    data = content.encode() if isinstance(content, str) else content
    return Lines(io.BytesIO(data), len(data))


def read(content: bytes | str, zone: str = "UTC") -> list[Row | BrokenRow]:
    return list(read_rows(lines_of(content), ZoneInfo(zone)))


def gathered(content: bytes | str) -> list[Incident | LeftOut]:
    return list(gather(read_rows(lines_of(content), ZONE)))


def outcome(content: bytes | str) -> dict[str, list[int]]:
    """The incidents by number, each with the lines at fault; none for a whole one."""
    return {
        one.number: [] if isinstance(one, Incident) else [row.line for row in one.broken]
        for one in gathered(content)
    }


def history_of(*rows: dict[str, str]) -> History:
    (incident,) = gathered(text_of(rows))
    assert isinstance(incident, Incident)
    return replay(incident)


def told(history: History) -> list[tuple[str, dict[str, Any]]]:
    return [(event.kind.value, event.public) for event in history.events]


# --- The file -------------------------------------------------------------------------


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_is_read_like_the_csv_in_it(tmp_path: Path) -> None:
    text = text_of(solved("INC1"))
    plain = export(tmp_path, solved("INC1"))
    files = {"log.csv": text.encode(), "__MACOSX/._log.csv": b"\x00\xb4", "readme.txt": b"hello"}
    with open_lines(plain) as one, open_lines(packed(tmp_path / "log.zip", files)) as other:
        assert list(one) == list(other)
        assert one.done == one.size == other.done == other.size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.csv", "log.zip"]


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["a.txt"], ["__MACOSX/._a.csv"]])
def test_a_zip_must_hold_exactly_one_csv(names: list[str], tmp_path: Path) -> None:
    path = packed(tmp_path / "log.zip", dict.fromkeys(names, b"x"))
    with pytest.raises(NotAnExport, match="one CSV"), open_lines(path):
        pass


def test_a_damaged_zip_says_how_far_it_could_be_read(tmp_path: Path) -> None:
    rows = text_of([row for n in range(500) for row in solved(f"INC{n}")])
    path = packed(tmp_path / "log.zip", {"log.csv": rows.encode()})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    with open_lines(path) as lines, pytest.raises(NotAnExport, match="damaged after line"):
        list(lines)
    path.write_bytes(b"PK\x03\x04 and nothing of a zip")
    with pytest.raises(NotAnExport, match="cannot be read"), open_lines(path):
        pass


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"name,age\r\nalice,30\r\n", "no column number, incident_state"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no column"),
        (text_of([]).encode("utf-16"), "no CSV"),
        (text_of([]).replace("active", "number").encode(), "more than one column number"),
        (b'"' + b"x" * 200_000, "no CSV"),
    ],
)
def test_what_is_no_export_is_refused_as_a_whole(content: bytes, why: str) -> None:
    with pytest.raises(NotAnExport, match=why):
        read(content)


def test_a_header_in_other_letters_after_a_byte_order_mark_is_one() -> None:
    text = text_of(solved("INC1"))
    header, _, rest = text.partition("\r\n")
    assert read(f"\ufeff{header.upper()}\n{rest}") == read(text)


def test_an_export_without_incidents_is_one() -> None:
    assert read(text_of([])) == []


def test_memory_is_bounded_by_the_longest_line_that_is_read() -> None:
    text = text_of(solved("INC1")) + "x" * (3 * MAX_LINE) + "\r\n" + text_of(solved("INC2"))
    lines = lines_of(text)
    assert max(len(line) for line in lines) <= MAX_LINE
    assert lines.number == text.count("\n")


# --- Rows -----------------------------------------------------------------------------


def test_a_row_is_read_with_what_it_means_here() -> None:
    (row,) = read(
        text_of(
            [
                update(
                    "INC1",
                    "Awaiting User Info",
                    "29/2/2016 01:16",
                    priority="1 - Critical",
                    contact_type="IVR",
                    assigned_to="Resolver 9",
                    u_symptom="Symptom 1",
                )
            ]
        )
    )
    assert isinstance(row, Row)
    assert (row.line, row.number, row.status) == (2, "INC1", Status.PENDING)
    assert (row.priority, row.channel) == (Priority.CRITICAL, Channel.PHONE)
    assert row.updated_at == datetime(2016, 2, 29, 1, 16, tzinfo=UTC)
    assert (row.agent, row.symptom, row.location) == ("Resolver 9", "Symptom 1", "")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"opened_at": "31/2/2016 10:00"}, "opened_at: '31/2/2016 10:00' is no time"),
        ({"opened_at": "2016-03-01 10:00"}, "is no time"),
        ({"opened_at": "?"}, "opened_at: '?' is no time"),
        ({"sys_updated_at": "1/3/2016 24:01"}, "sys_updated_at"),
        ({"sys_updated_at": "1/3/2016 1٣:00"}, "sys_updated_at"),
        ({"closed_at": "tomorrow"}, "closed_at: 'tomorrow' is no time"),
        ({"resolved_at": "0/1/2016 00:00"}, "resolved_at"),
        ({"incident_state": "Frozen"}, "incident_state: 'Frozen' is no known state"),
        ({"incident_state": "?"}, "'?' is no known state"),
        ({"priority": "0 - Apocalypse"}, "priority: '0 - Apocalypse' is no known priority"),
        ({"number": "?"}, "number: it has none"),
        ({"number": " "}, "number: it has none"),
        ({"number": "INC" + "1" * 62}, "number: it is not one line of at most 64"),
        ({"number": "INC\n1"}, "number: it is not one line"),
        ({"location": "here\0there"}, "NUL"),
        ({"incident_state": "\x1b[31m\udc80"}, "not UTF-8"),
    ],
)
def test_a_broken_row_says_why(cells: dict[str, str], reason: str) -> None:
    text = text_of([update("INC1", "New", "08:10") | cells])
    (row,) = read(text.encode("utf-8", "surrogateescape"))
    assert isinstance(row, BrokenRow)
    assert row.line == 2
    assert reason in row.reason
    assert row.reason.isprintable()


def test_rows_of_another_length_than_the_header_are_broken() -> None:
    text = text_of([update("INC1", "New", "08:10")])
    short, long = read(text + "INC2,New,true\r\n" + ",".join(["INC3"] * 99) + "\r\n")[1:]
    assert isinstance(short, BrokenRow)
    assert isinstance(long, BrokenRow)
    assert (short.number, short.reason) == ("INC2", "too few columns: 3 instead of 20")
    assert (long.number, long.reason) == ("INC3", "too many columns: 99 instead of 20")


def test_lines_are_those_of_the_file_also_after_quoted_line_breaks_and_empty_lines() -> None:
    rows = [update("INC1", "New", "08:10", location="here\r\nand\nthere"), *solved("INC2")]
    text = text_of(rows).replace("INC2", "\r\nINC2", 1)
    found = read(text)
    starts = [row.line for row in found]
    assert starts == [2, 6, 7, 8, 9]
    assert text.splitlines()[5].startswith("INC2")


def test_a_quote_that_never_ends_breaks_its_row_and_not_the_run() -> None:
    text = text_of(solved("INC1")) + 'INC2,"' + "x" * 200_000 + "\r\n" + "INC3,short\r\n"
    broken = read(text)[4:]
    assert [row.line for row in broken] == [6, 7]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(noise: bytes) -> None:
    text = text_of(solved("INC1")).encode()
    assert sum(1 for _ in gather(read_rows(lines_of(text + noise), ZONE))) >= 1


# --- Times ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("1/7/2016 08:00", "UTC", datetime(2016, 7, 1, 8, tzinfo=UTC)),
        ("1/7/2016 08:00", "Europe/Lisbon", datetime(2016, 7, 1, 7, tzinfo=UTC)),
        ("1/1/2016 08:00", "Europe/Lisbon", datetime(2016, 1, 1, 8, tzinfo=UTC)),
        # The hour that comes twice is the first; one that never comes is an hour on.
        ("30/10/2016 01:30", "Europe/Lisbon", datetime(2016, 10, 30, 0, 30, tzinfo=UTC)),
        ("27/3/2016 01:30", "Europe/Lisbon", datetime(2016, 3, 27, 1, 30, tzinfo=UTC)),
    ],
)
def test_times_are_of_their_zone(text: str, zone: str, expected: datetime) -> None:
    assert moment(text, ZoneInfo(zone)) == expected


def test_a_time_before_all_times_is_none() -> None:
    with pytest.raises(ValueError, match="no time"):
        moment("1/1/0001 00:00", ZoneInfo("Asia/Tokyo"))


# --- Incidents ------------------------------------------------------------------------


def test_an_incident_is_left_out_whole_for_one_broken_row() -> None:
    rows = [*solved("INC1"), *solved("INC2"), *solved("INC3")]
    rows[5]["incident_state"] = "Frozen"
    rows[7]["sys_updated_at"] = "never"
    assert outcome(text_of(rows)) == {"INC1": [], "INC2": [7, 9], "INC3": []}


@pytest.mark.parametrize(
    ("nameless", "expected"),
    [
        (4, {"INC1": [], "INC2": [6], "INC3": []}),  # its first row
        (5, {"INC1": [], "INC2": [7], "INC3": []}),
        (7, {"INC1": [], "INC2": [9], "INC3": []}),  # its last
        (0, {"INC1": [2], "INC2": [], "INC3": []}),
        (11, {"INC1": [], "INC2": [], "INC3": [13]}),
    ],
)
def test_a_row_without_a_number_is_counted_to_the_incident_it_comes_from(
    nameless: int, expected: dict[str, list[int]]
) -> None:
    rows = [
        *solved("INC1", caller_id="Caller 1"),
        *solved("INC2", caller_id="Caller 2"),
        *solved("INC3", caller_id="Caller 3"),
    ]
    rows[nameless]["number"] = "?"
    assert outcome(text_of(rows)) == expected


def test_a_row_without_a_number_that_fits_no_neighbour_stands_alone() -> None:
    alone = update("?", "New", "08:00", caller_id="Caller 99")
    text = text_of([*solved("INC1"), alone, *solved("INC2")])
    assert outcome(text) == {"INC1": [], "": [6], "INC2": []}


def test_a_row_that_cannot_be_told_apart_leaves_out_both_neighbours() -> None:
    one, two = text_of(solved("INC1")), text_of(solved("INC2")).partition("\r\n")[2]
    assert outcome(f"{one}\x00\r\n{two}") == {"INC1": [6], "INC2": [7]}


def test_rows_that_stand_apart_are_not_taken_for_an_incident_of_their_own() -> None:
    text = text_of([*solved("INC1"), *solved("INC2"), update("INC1", "Closed", "7/3/2016 08:00")])
    found = gathered(text)
    assert [type(one) for one in found] == [Incident, Incident, LeftOut]
    assert isinstance(found[2], LeftOut)
    assert "do not stand together" in found[2].broken[0].reason


def test_an_incident_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MAX_ROWS", 3)
    (left_out,) = gathered(text_of(solved("INC1") * 2))
    assert isinstance(left_out, LeftOut)
    assert [row.line for row in left_out.broken] == [5]


# --- The replay -----------------------------------------------------------------------


def test_an_ordinary_incident_becomes_the_events_that_the_services_record() -> None:
    history = history_of(*solved("INC1"))
    opened = {
        "subject": "Category 5 / Subcategory 50",
        "priority": "normal",
        "channel": "phone",
    }
    assert told(history) == [
        ("ticket.opened", opened),
        ("ticket.assigned", {"from": None, "to": "Resolver 1", "method": "manual"}),
        ("ticket.status_changed", {"from": "new", "to": "open"}),
        ("ticket.status_changed", {"from": "open", "to": "resolved"}),
        ("ticket.status_changed", {"from": "resolved", "to": "closed"}),
    ]
    assert [f"{event.at:%d %H:%M}" for event in history.events] == [
        "01 08:00", "01 09:00", "01 09:00", "01 10:30", "06 10:30",
    ]  # fmt: skip
    assert (history.status, history.version, history.reopen_count) == ("closed", 4, 0)
    assert history.resolved_at == datetime(2016, 3, 1, 10, 30, tzinfo=UTC)
    assert history.closed_at == history.updated_at == datetime(2016, 3, 6, 10, 30, tzinfo=UTC)
    assert history.resolution == "Close code: code 6"
    assert history.worked == {("Resolver 1", "Group 1")}


def test_each_row_is_one_change_whatever_it_changed() -> None:
    history = history_of(
        update("INC1", "New", "08:10"),
        update(
            "INC1",
            "Awaiting Vendor",
            "09:00",
            assigned_to="Resolver 1",
            assignment_group="Group 2",
            priority="2 - High",
            category="Category 6",
            subcategory="?",
            u_symptom="Symptom 3",
        ),
        update(
            "INC1",
            "Awaiting Vendor",
            "09:30",
            priority="2 - High",
            assignment_group="?",
            category="?",
        ),
    )
    assert told(history)[1:] == [
        ("ticket.updated", {"fields": ["category", "description", "tags", "team"]}),
        ("ticket.priority_changed", {"from": "normal", "to": "high"}),
        ("ticket.assigned", {"from": None, "to": "Resolver 1", "method": "manual"}),
        ("ticket.status_changed", {"from": "new", "to": "on_hold"}),
        ("ticket.updated", {"fields": ["category", "description", "tags", "team"]}),
        ("ticket.assigned", {"from": "Resolver 1", "to": None, "method": "manual"}),
    ]
    assert history.events[2].internal == {"reason": ""}
    assert (history.version, history.team, history.agent) == (3, "", "")


def test_an_unknown_state_or_priority_leaves_things_as_they_were() -> None:
    history = history_of(
        update("INC1", "-100", "08:10", priority="?"),
        update("INC1", "Active", "09:00", priority="4 - Low"),
        update("INC1", "-100", "10:00", priority="?"),
    )
    assert (history.status, history.priority) == ("open", Priority.LOW)
    assert [kind for kind, _ in told(history)] == [
        "ticket.opened",
        "ticket.priority_changed",
        "ticket.status_changed",
    ]


def test_two_states_that_are_one_here_make_no_move() -> None:
    history = history_of(
        update("INC1", "Awaiting Vendor", "08:10"), update("INC1", "Awaiting Evidence", "09:00")
    )
    assert [kind for kind, _ in told(history)] == ["ticket.opened", "ticket.status_changed"]


def test_a_refused_move_is_kept_and_marked_for_staff_alone() -> None:
    history = history_of(update("INC1", "New", "08:10"), update("INC1", "Closed", "09:00"))
    move = history.events[-1]
    assert move.public == {"from": "new", "to": "closed"}
    assert move.internal == {"refused_by_table": True}
    assert (history.status, history.resolved_at) == ("closed", None)
    assert history.closed_at == datetime(2016, 3, 1, 9, tzinfo=UTC)


def test_reopenings_are_counted_also_where_the_table_refuses_them() -> None:
    history = history_of(
        update("INC1", "Resolved", "08:10"),
        update("INC1", "Active", "09:00"),
        update("INC1", "Resolved", "10:00"),
        update("INC1", "Awaiting User Info", "11:00"),
    )
    assert (history.reopen_count, history.resolved_at) == (2, None)
    assert [bool(event.internal) for event in history.events] == [False] * 4 + [True]


def test_time_never_runs_backwards_within_a_history() -> None:
    history = history_of(
        update("INC1", "New", "07:00"),
        update("INC1", "Active", "09:00"),
        update("INC1", "Resolved", "08:30"),
    )
    assert history.created_at == datetime(2016, 3, 1, 8, tzinfo=UTC)
    assert [f"{event.at:%H:%M}" for event in history.events] == ["08:00", "09:00", "09:00"]


@pytest.mark.parametrize(("was", "to"), sorted(product(Status, Status)))
def test_a_replayed_move_leaves_the_same_as_the_move_of_the_service(
    was: Status, to: Status
) -> None:
    if (was, to) not in lifecycle.TABLE:
        return
    before = {"status": was, "resolved_at": AT, "closed_at": AT, "reopen_count": 1}
    history = history_of(update("INC1", "New", "08:10"))
    ticket = Ticket(updated_at=AT)
    for name, value in before.items():
        setattr(history, name, value)
        setattr(ticket, name, value)
    later = AT + timedelta(hours=1)
    settle(history, to, later)
    apply_move(ticket, to, at=later)
    assert {name: getattr(history, name) for name in before} == {
        name: getattr(ticket, name) for name in before
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*STATES, "-100"]),
            st.integers(0, 23),
            st.sampled_from(["?", "Ann", "Ben"]),
            st.sampled_from(["1 - Critical", "4 - Low", "?"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_history_adds_up_to_the_state_it_ends_in(
    updates: list[tuple[str, int, str, str]],
) -> None:
    history = history_of(
        *(
            update("INC1", state, f"{hour}:00", assigned_to=agent, priority=priority)
            for state, hour, agent, priority in updates
        )
    )
    status, agent, priority = "new", None, history.events[0].public["priority"]
    for event in history.events[1:]:
        if event.kind is Kind.STATUS_CHANGED:
            assert event.public["from"] == status
            status = event.public["to"]
        elif event.kind is Kind.ASSIGNED:
            assert event.public["from"] == agent
            agent = event.public["to"]
        elif event.kind is Kind.PRIORITY_CHANGED:
            assert event.public["from"] == priority
            priority = event.public["to"]
    assert (status, agent or "", priority) == (history.status, history.agent, history.priority.key)
    assert [e.at for e in history.events] == sorted(e.at for e in history.events)
    # The constraints of the table.
    assert (history.closed_at is not None) == (status in ("closed", "cancelled"))
    assert status != "resolved" or history.resolved_at is not None


# --- Names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "username"),
    [
        ("Resolver 89", "resolver.89"),
        ("Jean-Luc  Picard", "jean-luc.picard"),
        ("J. Smith", "j.smith"),
    ],
)
def test_a_plain_name_is_its_own_username(name: str, username: str) -> None:
    assert username_of(name) == username


@given(st.text(min_size=1, max_size=300), st.integers(0, 3))
def test_any_name_has_a_valid_username(name: str, attempt: int) -> None:
    username = username_of(name, attempt)
    User(username=username, password="!").clean_fields()
    assert username == username.lower()


def test_names_that_only_look_alike_have_usernames_of_their_own() -> None:
    names = ["Jörg", "Jorg", "J@rg", "<b>Jorg</b>", "J" * 500, "J" * 501, "???", "!!!"]
    assert len({username_of(name) for name in names}) == len(names)
    assert len({username_of("Jorg", attempt) for attempt in range(4)}) == 4


@given(st.text(max_size=300))
def test_any_text_becomes_one_line_that_our_models_accept(text: str) -> None:
    line = line_of(text, 100)
    Team(name=line or "empty").clean_fields()
    assert len(line) <= 100
    assert line == line.strip()


@pytest.mark.parametrize(
    ("resolved", "level"),
    [(0, 0), (1, 1), (4, 1), (5, 2), (14, 2), (15, 3), (49, 3), (50, 4), (149, 4), (150, 5)],
)
def test_levels_are_earned_by_resolving(resolved: int, level: int) -> None:
    assert level_of(resolved) == level
