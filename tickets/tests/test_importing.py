"""The import as a command: what it brings in, what it leaves out, and that twice is once."""

import csv
import io
import json
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connections
from django.db.models import Count, QuerySet

from agents.models import AgentProfile, AgentSkill, Role, Skill, Team, User
from agents.services import create_user
from conftest import DeskClient
from tickets import services
from tickets.importing import running, writing
from tickets.importing.people import username_of
from tickets.models import Category, Kind, Notification, Priority, Tag, Ticket, TicketEvent
from tickets.sweeps import announce_events, send_notifications
from tickets.tests.exports import export, solved, update
from tickets.tests.state import assert_consistent, kinds

# A public export of some 140,000 rows (docs/import.md); it is not ours to ship.
BESIDE = Path(__file__).resolve().parents[3] / "shared/data/incident_event_log.csv.zip"
REAL_LOG = Path(os.environ.get("INCIDENT_LOG") or BESIDE)
OWN_APPS = ("agents", "tickets")

pytestmark = pytest.mark.usefixtures("db")


def run(path: Path, **options: Any) -> dict[str, Any]:
    """The command's report."""
    out = io.StringIO()
    call_command("import_incidents", path, json=True, stdout=out, **options)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, to tell whether anything at all has changed."""
    models = [m for app in OWN_APPS for m in apps.get_app_config(app).get_models(True)]
    return {m._meta.label: list(m._default_manager.order_by("pk").values()) for m in models}


def imported(number: str) -> Ticket:
    return Ticket.objects.select_related("assignee", "team", "requester", "category").get(
        external_id=number
    )


def open_one(number: str, agent: str, state: str = "Active") -> list[dict[str, str]]:
    return [update(number, "New", "08:10"), update(number, state, "09:00", assigned_to=agent)]


# --- What comes in --------------------------------------------------------------------


def test_an_incident_becomes_a_ticket_with_its_people_and_its_history(tmp_path: Path) -> None:
    cells = {"u_symptom": "Symptom 3", "location": "Location 4", "cmdb_ci": "CI 5"}
    report = run(export(tmp_path, solved("INC1", contact_type="Email", **cells)))
    ticket = imported("INC1")
    resolver, caller = ticket.assignee, ticket.requester
    assert resolver is not None
    assert (ticket.status, ticket.channel, ticket.priority) == ("closed", "email", Priority.NORMAL)
    assert ticket.subject == "Category 5 / Subcategory 50 / Symptom 3"
    assert ticket.description == (
        "Imported incident INC1\n\n"
        "Symptom: Symptom 3\nLocation: Location 4\nConfiguration item: CI 5"
    )
    assert ticket.resolution == "Close code: code 6"
    assert (str(ticket.team), str(ticket.category)) == ("Group 1", "Category 5")
    assert [tag.name for tag in ticket.tags.all()] == ["subcategory 50"]
    assert (resolver.username, resolver.name, resolver.role) == (
        "resolver.1",
        "Resolver 1",
        "agent",
    )
    assert (caller.username, caller.name, caller.role) == ("caller.7", "Caller 7", "customer")
    assert [team.name for team in resolver.agent.teams.all()] == ["Group 1"]
    assert [(s.skill.name, s.level) for s in resolver.agent.skills.all()] == [("Category 5", 1)]
    assert {key: report[key] for key in ("handled", "skipped", "failed", "tickets", "events")} == {
        "handled": 1, "skipped": 0, "failed": 0, "tickets": 1, "events": 5,
    }  # fmt: skip
    made = ("agents", "customers", "teams", "categories", "tags", "skills", "moves")
    assert [report[key] for key in made] == [1, 1, 1, 1, 1, 1, 3]


def test_the_log_of_a_ticket_has_the_services_shapes_the_files_times_and_no_gap(
    tmp_path: Path,
) -> None:
    run(export(tmp_path, solved("INC1")))
    ticket = imported("INC1")
    agent = ticket.assignee_id
    log = list(ticket.events.order_by("seq"))
    assigned = {"from": None, "to": agent, "method": "manual"}
    assert [(event.kind, event.public_data) for event in log] == [
        (
            "ticket.opened",
            {"subject": ticket.subject, "priority": "normal", "channel": "phone"},
        ),
        ("ticket.assigned", assigned),
        ("ticket.status_changed", {"from": "new", "to": "open"}),
        ("ticket.status_changed", {"from": "open", "to": "resolved"}),
        ("ticket.status_changed", {"from": "resolved", "to": "closed"}),
    ]
    assert [event.data for event in log] == [event.public_data for event in log]
    assert [event.actor_id for event in log] == [ticket.requester_id, None, None, None, None]
    assert [(event.seq, event.public_seq) for event in log] == [(n, n) for n in range(1, 6)]
    assert log[-1].at == ticket.updated_at == ticket.public_updated_at == ticket.closed_at
    assert ticket.created_at == log[0].at == datetime(2016, 3, 1, 8, tzinfo=UTC)
    assert ticket.resolved_at == log[3].at == datetime(2016, 3, 1, 10, 30, tzinfo=UTC)
    assert (ticket.last_seq, ticket.last_public_seq, ticket.announced_seq) == (5, 5, 5)
    assert (ticket.version, len(ticket.epoch)) == (4, 8)
    assert_consistent()


def test_times_are_read_in_the_zone_that_is_given(tmp_path: Path) -> None:
    path = export(tmp_path, solved("INC1", opened_at="1/7/2016 08:00"))
    run(path, timezone="America/New_York")
    assert imported("INC1").created_at == datetime(2016, 7, 1, 12, tzinfo=UTC)


def test_imported_people_cannot_sign_in_and_agents_are_offline(
    tmp_path: Path, anonymous: DeskClient
) -> None:
    run(export(tmp_path, solved("INC1")))
    for user in User.objects.all():
        assert (user.has_usable_password(), user.email, user.is_superuser) == (False, "", False)
        user.full_clean(exclude=["password"])
        answer = anonymous.post(
            "/api/auth/token", {"username": user.username, "password": user.password}
        )
        assert answer.status_code == 401
    agent = AgentProfile.objects.get()
    assert (agent.availability, agent.capacity, agent.open_load) == ("offline", 10, 0)


def test_nobody_is_told_and_nothing_is_assigned_by_an_import(tmp_path: Path, bob: User) -> None:
    run(export(tmp_path, [update("INC1", "New", "08:10", category="?", assignment_group="?")]))
    assert (announce_events().handled, send_notifications().handled) == (0, 0)
    assert (Notification.objects.count(), len(mail.outbox)) == (0, 0)
    assert kinds(imported("INC1")) == [Kind.OPENED]
    assert imported("INC1").assignee is None


def test_what_is_missing_stays_empty(tmp_path: Path) -> None:
    blank = dict.fromkeys(
        ("caller_id", "category", "subcategory", "assignment_group", "contact_type", "priority"),
        "?",
    )
    run(export(tmp_path, [update("INC1", "New", "08:10", **blank)]))
    ticket = imported("INC1")
    assert (ticket.team, ticket.category, ticket.tags.count()) == (None, None, 0)
    assert (ticket.subject, ticket.requester.name) == ("INC1", "Unknown caller")
    assert (ticket.priority, ticket.channel) == (Priority.NORMAL, "web")
    assert not Team.objects.exists()


def test_loads_are_the_tickets_in_work_also_of_agents_who_had_some(
    tmp_path: Path, alice: User, sam: User
) -> None:
    ann = create_user(username="resolver.1", name="Ann", role=Role.AGENT)
    own = services.open_ticket(
        requester=alice, subject="Her own", actor=alice, at=datetime(2016, 1, 1, tzinfo=UTC)
    )
    services.assign(ticket=own, to=ann, actor=sam, at=own.created_at, force=True)
    rows = [
        *open_one("INC1", "Resolver 1"),
        *open_one("INC2", "Resolver 1", "New"),
        *open_one("INC3", "Resolver 1", "Awaiting Vendor"),
        *open_one("INC4", "Resolver 1", "Resolved"),
        *open_one("INC5", "Resolver 2"),
    ]
    report = run(export(tmp_path, rows), batch=2)
    assert report["agents"] == 1
    loads = dict(AgentProfile.objects.values_list("user__username", "open_load"))
    assert (loads["resolver.1"], loads["resolver.2"]) == (3, 1)
    assert imported("INC1").assignee == ann
    assert_consistent()


def test_skills_grow_with_what_was_resolved_and_never_shrink(tmp_path: Path) -> None:
    first = [row for n in range(4) for row in solved(f"INC{n}")]
    more = [row for n in range(4, 6) for row in solved(f"INC{n}")]
    run(export(tmp_path, [*first, *solved("OTHER", category="Category 9")]), batch=2)
    levels = AgentSkill.objects.order_by("skill__name").values_list("skill__name", "level")
    assert list(levels) == [("Category 5", 1), ("Category 9", 1)]
    AgentSkill.objects.filter(skill__name="Category 9").update(level=4)
    again = solved("AGAIN", category="Category 9")
    run(export(tmp_path, [*first, *more, *again]), batch=2)
    assert list(levels.all()) == [("Category 5", 2), ("Category 9", 4)]
    assert not Category.objects.exclude(skills=None).exists()


def test_the_log_can_be_read_over_http(
    tmp_path: Path, sam: User, as_user: Callable[[User], DeskClient]
) -> None:
    rows = [*solved("INC1"), update("INC1", "Awaiting User Info", "7/3/2016 08:00")]
    run(export(tmp_path, rows))
    ticket = imported("INC1")
    for user, marked in ((sam, True), (ticket.requester, False)):
        answer = as_user(user).get(f"/api/tickets/{ticket.pk}/events").json()
        last = answer["results"][-1]["data"]
        assert (last["from"], last["to"]) == ("closed", "pending")
        assert ("refused_by_table" in last) is marked
        assert as_user(user).get(f"/api/tickets/{ticket.pk}/").status_code == 200


# --- Who is who -----------------------------------------------------------------------


def test_nobody_becomes_an_agent_by_having_an_agents_name(tmp_path: Path) -> None:
    customer = create_user(username="resolver.1", role=Role.CUSTOMER)
    rows = [*open_one("INC1", "Resolver 1"), *open_one("INC2", "RESOLVER 1")]
    run(export(tmp_path, rows))
    customer.refresh_from_db()
    assert customer.role == Role.CUSTOMER
    assert not AgentProfile.objects.filter(user=customer).exists()
    one, other = imported("INC1").assignee, imported("INC2").assignee
    assert one is not None
    assert one.username == username_of("Resolver 1", 1)
    assert one.role == Role.AGENT
    assert other != customer
    before = everything()
    run(export(tmp_path, rows))
    assert everything() == before


def test_an_agent_who_calls_is_one_person(tmp_path: Path) -> None:
    run(export(tmp_path, open_one("INC1", "Caller 7")))
    ticket = imported("INC1")
    assert ticket.requester == ticket.assignee
    assert User.objects.count() == 1


def test_what_is_here_already_is_found_whatever_its_case(tmp_path: Path) -> None:
    team = Team.objects.create(name="GROUP 1")
    category = Category.objects.create(name="category 5", team=team)
    Skill.objects.create(name="CATEGORY 5")
    Tag.objects.create(name="subcategory 50")
    report = run(export(tmp_path, solved("INC1")))
    assert [report[key] for key in ("teams", "categories", "tags", "skills")] == [0, 0, 0, 0]
    assert (imported("INC1").team, imported("INC1").category) == (team, category)


def test_hostile_text_is_stored_inert_and_cut_to_size(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    formula = '=HYPERLINK("http://evil.example","x")'
    cells = {
        "caller_id": script,
        "assigned_to": f"{script}\u202e\r\n{formula}",
        "assignment_group": "Ä" * 5000,
        "category": f"{formula}" * 50,
        "subcategory": "İ" * 300,
        "u_symptom": "\u202a",
        "location": "x" * 60_000,
        "cmdb_ci": "'; DROP TABLE tickets_ticket; --",
        "closed_code": "line\nbreak",
        "contact_type": script,
    }
    report = run(export(tmp_path, solved("INC<1>", **cells)))
    assert (report["handled"], report["failed"]) == (1, 0)
    ticket = imported("INC<1>")
    assert ticket.assignee is not None
    assert ticket.requester.name == script
    assert ticket.assignee.name == f"{script} {formula}"
    assert (len(str(ticket.team)), len(str(ticket.category))) == (100, 100)
    assert len(ticket.description) < 50_000
    assert "'; DROP TABLE" in ticket.description
    assert ticket.resolution == "Close code: line break"
    for row in (ticket.requester, ticket.assignee, ticket.team, ticket.category, ticket):
        row.full_clean(exclude=["password"])  # type: ignore[union-attr]
    assert run(export(tmp_path, solved("INC<1>", **cells)))["skipped"] == 1


# --- The table ------------------------------------------------------------------------


def test_refused_moves_are_reported_and_marked_in_the_log(tmp_path: Path) -> None:
    rows = [
        *solved("INC1"),
        update("INC2", "New", "08:10"),
        update("INC2", "Closed", "09:00"),
        update("INC3", "Resolved", "09:00"),
        update("INC3", "Awaiting User Info", "10:00"),
        update("INC4", "Active", "09:00"),
        update("INC4", "Closed", "10:00"),
        update("INC5", "New", "08:10"),
        update("INC5", "Closed", "09:00"),
    ]
    report = run(export(tmp_path, rows), batch=2)
    assert (report["moves"], report["refused"]) == (9, 4)
    assert report["refused_moves"] == [
        {"from": "new", "to": "closed", "count": 2},
        {"from": "resolved", "to": "pending", "count": 1},
        {"from": "open", "to": "closed", "count": 1},
    ]
    moves = TicketEvent.objects.filter(kind=Kind.STATUS_CHANGED)
    marked = [event for event in moves if event.data.get("refused_by_table")]
    assert (len(moves), len(marked)) == (9, 4)
    assert imported("INC3").reopen_count == 1
    assert not any("refused_by_table" in (event.public_data or {}) for event in moves)


# --- Twice is once --------------------------------------------------------------------


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path = export(tmp_path, [*solved("INC1"), *open_one("INC2", "Resolver 2"), *solved("INC3")])
    run(path)
    before = everything()
    report = run(path)
    assert everything() == before
    assert (report["handled"], report["skipped"], report["failed"]) == (0, 3, 0)
    assert (report["tickets"], report["events"], report["moves"]) == (0, 0, 0)


def test_a_second_run_leaves_alone_what_the_desk_has_done_since(tmp_path: Path, sam: User) -> None:
    path = export(tmp_path, open_one("INC1", "Resolver 1"))
    run(path)
    ticket = imported("INC1")
    AgentSkill.objects.all().delete()
    AgentProfile.objects.get(user=ticket.assignee_id).teams.clear()
    services.assign(ticket=ticket, to=None, actor=sam, at=datetime(2026, 1, 1, tzinfo=UTC))
    before = everything()
    run(path)
    assert everything() == before


def test_an_interrupted_run_is_continued_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path, [row for n in range(7) for row in open_one(f"INC{n}", "Resolver 1")])
    batches = iter([True, True, False])
    write = writing.write

    def stopping(histories: Any) -> Any:
        written = write(histories)
        if next(batches):
            return written
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "write", stopping)
    with pytest.raises(CommandError, match="Interrupted"):
        run(path, batch=2)
    monkeypatch.undo()
    done = Ticket.objects.count()
    report = run(path, batch=2)
    assert (report["handled"], report["skipped"]) == (7 - done, done)
    assert AgentProfile.objects.get().open_load == 7
    run(path, verify=True)


def test_a_batch_that_dies_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path, solved("INC1"))
    before = everything()

    def dying(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "learn", dying)
    with pytest.raises(CommandError, match="Interrupted"):
        run(path)
    assert everything() == before


def test_a_busy_database_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export(tmp_path, solved("INC1"))
    failures = [OperationalError("database is locked")] * 2
    write = writing.write

    def busy(histories: Any) -> Any:
        if failures:
            raise failures.pop()
        return write(histories)

    monkeypatch.setattr(running, "PAUSE", 0)
    monkeypatch.setattr(running, "write", busy)
    assert run(path)["handled"] == 1


def test_a_database_that_fails_for_good_ends_the_run_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(histories: Any) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(running, "PAUSE", 0)
    monkeypatch.setattr(running, "write", failing)
    with pytest.raises(CommandError, match="disk full"):
        run(export(tmp_path, solved("INC1")))


def test_what_only_the_database_refuses_costs_its_own_incident_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path, [row for n in range(5) for row in solved(f"INC{n}")])
    write = writing.write

    def picky(histories: Any) -> Any:
        if any(history.number == "INC3" for history in histories):
            raise IntegrityError("a rule\nwith details")
        return write(histories)

    monkeypatch.setattr(running, "write", picky)
    report = run(path)
    assert (report["handled"], report["failed"]) == (4, 1)
    assert report["broken"] == [{"line": 14, "reason": "the database refuses it: 'a rule'"}]


def test_two_imports_at_once_bring_in_each_incident_once(tmp_path: Path) -> None:
    rows = [row for n in range(60) for row in open_one(f"INC{n}", f"Resolver {n % 5}")]
    path = export(tmp_path, rows)
    reports: list[dict[str, Any]] = []
    start = threading.Barrier(2)

    def one() -> None:
        start.wait()
        try:
            reports.append(run(path, batch=7))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report["handled"] for report in reports) == 60
    assert sum(report["skipped"] for report in reports) == 60
    assert sum(report["agents"] for report in reports) == 5
    assert Ticket.objects.count() == 60
    assert_consistent()
    run(path, verify=True)


# --- What is broken -------------------------------------------------------------------


def test_a_broken_row_is_named_by_its_line_and_nothing_is_half_imported(tmp_path: Path) -> None:
    rows = [*solved("INC1"), *solved("INC2", category="Only here"), *solved("INC3")]
    rows[6]["sys_updated_at"] = "31/2/2016 10:00"
    report = run(export(tmp_path, rows), batch=1)
    assert (report["handled"], report["failed"], report["broken_count"]) == (2, 1, 1)
    reason = "sys_updated_at: '31/2/2016 10:00' is no time (d/m/yyyy HH:MM)"
    assert report["broken"] == [{"line": 8, "reason": reason}]
    assert not Ticket.objects.filter(external_id="INC2").exists()
    assert not Category.objects.filter(name="Only here").exists()
    rows[6]["sys_updated_at"] = "1/3/2016 10:30"
    mended = run(export(tmp_path, rows))
    assert (mended["handled"], mended["skipped"], mended["failed"]) == (1, 2, 0)


def test_the_report_keeps_the_first_hundred_broken_rows_and_counts_all(tmp_path: Path) -> None:
    rows = [update(f"INC{n}", "Frozen", "08:10") for n in range(150)]
    report = run(export(tmp_path, rows))
    assert (report["failed"], report["broken_count"], len(report["broken"])) == (150, 150, 100)
    assert report["broken"][0]["line"] == 2


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty"), (b"a,b\n1,2\n", "no column"), (b"PK\x03\x04xx", "zip cannot be read")],
)
def test_what_is_no_export_is_an_error_of_the_command(
    content: bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=why):
        run(path)
    assert not User.objects.exists()


def test_a_file_that_is_not_there_and_a_folder_are_errors_of_the_command(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.csv", tmp_path):
        with pytest.raises(CommandError, match="cannot be read"):
            run(path)


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "Europe", ""])
def test_a_zone_that_is_none_is_an_error_of_the_command(zone: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no time zone"):
        run(export(tmp_path, solved("INC1")), timezone=zone)


@pytest.mark.parametrize("options", [["--limit", "0"], ["--batch", "-1"], ["--limit", "many"]])
def test_numbers_must_be_above_zero(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="above 0"):
        call_command("import_incidents", str(export(tmp_path, solved("INC1"))), *options)


# --- The command line -----------------------------------------------------------------


def test_the_limit_counts_incidents_of_the_file(tmp_path: Path) -> None:
    path = export(tmp_path, [*solved("INC1"), *solved("INC2"), *solved("INC3")])
    assert run(path, limit=2)["handled"] == 2
    report = run(path, limit=2)
    assert (report["handled"], report["skipped"]) == (0, 2)
    assert not Ticket.objects.filter(external_id="INC3").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    path = export(tmp_path, solved("INC1"))
    for err, is_drawn in ((Terminal(), True), (io.StringIO(), False)):
        call_command("import_incidents", path, stdout=io.StringIO(), stderr=err)
        assert ("100%  1 incidents" in err.getvalue()) is is_drawn


def test_people_get_the_report_as_a_table(tmp_path: Path) -> None:
    rows = [update("INC1", "New", "08:10"), update("INC1", "Closed", "09:00")]
    out = io.StringIO()
    path = export(tmp_path, [*rows, update("INC2", "Frozen", "08:10")])
    call_command("import_incidents", path, stdout=out)
    told = " ".join(out.getvalue().split())
    assert "handled 1 skipped 0 failed 1" in told
    assert "refused_moves from new to closed count 1" in told
    assert "broken line 4 reason incident_state: 'Frozen' is no known state" in told


# --- Verifying ------------------------------------------------------------------------


def test_verifying_agrees_after_an_import_and_changes_nothing(tmp_path: Path) -> None:
    broken = update("INC9", "Frozen", "08:10")
    path = export(tmp_path, [*solved("INC1"), *open_one("INC2", "Resolver 2"), broken])
    run(path)
    before = everything()
    report = run(path, verify=True)
    assert everything() == before
    assert (report["agrees"], report["handled"], report["skipped"]) == (True, 2, 1)
    assert report["file"] == report["database"]
    assert report["file"]["status"] == {"closed": 1, "open": 1}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda tickets: tickets.update(priority=5), "priority"),
        (lambda tickets: tickets.update(team=None), "team"),
        (lambda tickets: tickets.update(assignee=None), "agent"),
        (lambda tickets: tickets.update(reopen_count=3), "reopenings"),
        (lambda tickets: tickets.get().tags.clear(), "tag"),
        (lambda tickets: tickets.update(created_at=datetime(2020, 1, 1, tzinfo=UTC)), "opened"),
    ],
)
def test_verifying_finds_what_differs(
    change: Callable[[QuerySet[Ticket]], Any], what: str, tmp_path: Path
) -> None:
    path = export(tmp_path, solved("INC1"))
    run(path)
    change(Ticket.objects.filter(external_id="INC1"))
    out = io.StringIO()
    with pytest.raises(CommandError, match="differs"):
        call_command("import_incidents", path, verify=True, json=True, stdout=out)
    (wrong,) = json.loads(out.getvalue())["wrong"]
    assert (wrong["number"], wrong["what"]) == ("INC1", what)


def test_verifying_finds_what_is_missing(tmp_path: Path) -> None:
    run(export(tmp_path, solved("INC1")))
    with pytest.raises(CommandError, match="differs"):
        run(export(tmp_path, [*solved("INC1"), *solved("INC2")]), verify=True)


# --- Held against an independent count ------------------------------------------------

STATES = {
    "New": "new",
    "Active": "open",
    "Awaiting User Info": "pending",
    "Awaiting Vendor": "on_hold",
    "Resolved": "resolved",
    "Closed": "closed",
}
RANKS = {"1 - Critical": 5, "2 - High": 3, "3 - Moderate": 2, "4 - Low": 1}


def incidents_in(rows: Iterable[str]) -> Iterator[list[dict[str, str]]]:
    """The incidents of an export, by nothing but the standard library."""
    for _, updates in groupby(csv.DictReader(rows), key=lambda row: row["number"]):
        yield list(updates)


def by(field: str) -> dict[Any, int]:
    tickets = Ticket.objects.order_by().exclude(**{field: None})
    return dict(tickets.values_list(field).annotate(n=Count("pk")))


def assert_comes_in_as_counted(path: Path, incidents: list[list[dict[str, str]]]) -> None:
    """Import the first incidents of the file, which are these, and count them on both sides."""
    limit = len(incidents)
    report = run(path, limit=limit)
    last = [updates[-1] for updates in incidents]

    def count(column: str) -> Counter[str]:
        return Counter(row[column] for row in last if row[column] != "?")

    assert by("status") == Counter(STATES[row["incident_state"]] for row in last)
    assert by("team__name") == count("assignment_group")
    assert by("assignee__name") == count("assigned_to")
    assert by("category__name") == count("category")
    assert by("tags__name") == {k.lower(): n for k, n in count("subcategory").items()}
    assert by("requester__name") == count("caller_id")
    assert by("priority") == {RANKS[name]: n for name, n in count("priority").items()}
    reopened = {row["number"]: int(row["reopen_count"]) for row in last}
    assert dict(Ticket.objects.values_list("external_id", "reopen_count")) == reopened
    opened = {row["number"]: row["opened_at"] for row in last}
    assert {
        number: f"{at.day}/{at.month}/{at.year} {at:%H:%M}"
        for number, at in Ticket.objects.values_list("external_id", "created_at")
    } == opened
    assert (report["handled"], report["tickets"], report["failed"]) == (limit, limit, 0)
    assert report["events"] == TicketEvent.objects.count()
    assert report["agents"] == AgentProfile.objects.count()
    assert Notification.objects.count() == 0
    assert_consistent()
    before = everything()
    assert run(path, limit=limit)["skipped"] == limit
    assert everything() == before
    assert run(path, limit=limit, verify=True)["agrees"]


def sample() -> Iterator[dict[str, str]]:
    """Rows in which every figure that is counted has more than one value, and some have none."""
    yield from solved("INC01")
    yield from solved("INC02", category="Category 9", subcategory="Subcategory 90")
    yield from solved("INC03", assigned_to="Resolver 2", priority="1 - Critical")
    yield from solved("INC04", assigned_to="Resolver 2", assignment_group="Group 2")[:3]
    yield from open_one("INC05", "Resolver 3")
    yield from open_one("INC06", "Resolver 1", "Awaiting User Info")
    yield from open_one("INC07", "Resolver 2", "Awaiting Vendor")
    # With nobody, nowhere, about nothing.
    nothing = dict.fromkeys(("assignment_group", "category", "subcategory"), "?")
    yield update("INC08", "New", "08:10", priority="4 - Low", **nothing)
    # Handed from one to another, made more urgent, and resolved by the second.
    cells = {"caller_id": "Caller 8", "opened_at": "28/2/2016 23:55"}
    yield update("INC09", "New", "08:10", priority="4 - Low", **cells)
    yield update("INC09", "Active", "08:20", assigned_to="Resolver 1", **cells)
    cells |= {"assigned_to": "Resolver 4", "assignment_group": "Group 2", "priority": "2 - High"}
    yield update("INC09", "Active", "08:30", **cells)
    yield update("INC09", "Resolved", "09:00", **cells)
    # Reopened: once after it was resolved; twice, the second time after it was closed.
    yield from solved("INC10")[:3]
    yield update("INC10", "Active", "11:00", reopen_count="1", assigned_to="Resolver 1")
    mine = {"assigned_to": "Resolver 3"}
    yield from solved("INC11", **mine)[:3]
    yield update("INC11", "Active", "11:00", reopen_count="1", **mine)
    yield update("INC11", "Closed", "12:00", reopen_count="1", **mine)
    yield update("INC11", "Active", "13:00", reopen_count="2", **mine)
    yield update("INC11", "Resolved", "14:00", reopen_count="2", **mine)
    yield update("INC11", "Closed", "15:00", reopen_count="2", **mine)


def test_a_sample_comes_in_as_an_independent_count_has_it(tmp_path: Path) -> None:
    path = export(tmp_path, sample())
    with path.open(newline="") as rows:
        incidents = list(incidents_in(rows))
    assert len(incidents) == 11
    assert_comes_in_as_counted(path, incidents)
    # What the count above could get wrong together with the import.
    assert by("status") == {
        "closed": 4, "resolved": 2, "open": 2, "pending": 1, "on_hold": 1, "new": 1,
    }  # fmt: skip
    assert by("reopen_count") == {0: 9, 1: 1, 2: 1}


@pytest.mark.real_log
@pytest.mark.skipif(not REAL_LOG.exists(), reason="INCIDENT_LOG names no file")
def test_the_real_log_comes_in_as_an_independent_count_has_it() -> None:
    with zipfile.ZipFile(REAL_LOG) as archive, archive.open("incident_event_log.csv") as raw:
        rows = io.TextIOWrapper(raw, "utf-8", newline="")
        incidents = list(islice(incidents_in(rows), 500))
    assert_comes_in_as_counted(REAL_LOG, incidents)
