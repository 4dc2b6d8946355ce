"""What every test may use: a database that really commits, the cast, and API clients.

The cast: alice asks, bob works on it, dana is his colleague, sam supervises, and charlie has
nothing to do with it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections, transaction
from django.test import Client
from django.test.client import FakePayload
from django.utils import timezone
from rest_framework.test import APIClient

from agents import sessions
from agents.models import Availability, Role, Skill, Team, User
from agents.services import create_user, update_agent
from attachments.tests import real_clamd
from servicedesk.tests import contract
from tickets import database

OWN_APPS = ("servicedesk", "agents", "tickets", "attachments")


# --- Which tests run ------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of PostgreSQL alone belong to its own pass, and so do those that need run only once;
    elsewhere they are left out. So are those of a program that is not installed."""
    apart = [item for item in items if _runs_elsewhere(item)]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]


def _runs_elsewhere(item: pytest.Item) -> bool:
    if item.get_closest_marker("clamd") and real_clamd.PROGRAM is None:
        return True
    return connection.vendor != "postgresql" and any(
        map(item.get_closest_marker, ("postgres", "once"))
    )


_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # Only the real desk's log may be missing, since it is not ours to ship; a sample of ours
    # takes its place.
    if report.skipped and "real_log" not in report.keywords:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a failed one."""
    if os.environ.get("CI") and _skipped and exitstatus == 0:
        print("Skipped in CI:", *_skipped, sep="\n  ")  # noqa: T201
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# --- The database ---------------------------------------------------------------------


@pytest.fixture
def db(
    django_db_setup: None, django_db_blocker: Any, settings: Any, tmp_path: Path
) -> Iterator[None]:
    """The database, with real commits, so that what runs on commit runs, and an empty folder of
    files; wiped afterwards.

    Replaces pytest-django's `db`, whose test inside one transaction never commits: the receivers
    would not run, or only in an order that real life does not have.
    """
    settings.ATTACHMENTS_FOLDER = tmp_path / "files"
    with django_db_blocker.unblock():
        yield
        wipe()
        connections.close_all()


def wipe() -> None:
    """Empty our tables, past the triggers that refuse it to everybody else."""
    models = [model for app in OWN_APPS for model in apps.get_app_config(app).get_models(True)]
    tables = [connection.ops.quote_name(model._meta.db_table) for model in models]
    tables += ["django_session", "django_admin_log"]
    deletes = [f"DELETE FROM {table}" for table in tables]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("; ".join(deletes))
            cursor.execute("SET session_replication_role = DEFAULT")
            return
        cursor.execute("PRAGMA foreign_keys = OFF")
        with transaction.atomic():
            cursor.execute("DROP TRIGGER IF EXISTS tickets_event_no_delete")
            for delete in deletes:
                cursor.execute(delete)
            database.install()
        cursor.execute("PRAGMA foreign_keys = ON")


# --- The cast -------------------------------------------------------------------------


def _person(username: str, role: Role) -> User:
    return create_user(
        username=username, name=username.title(), email=f"{username}@desk.example", role=role
    )


@pytest.fixture
def alice(db: None) -> User:
    """The customer who asks."""
    return _person("alice", Role.CUSTOMER)


@pytest.fixture
def charlie(db: None) -> User:
    """A customer who has nothing to do with alice's tickets."""
    return _person("charlie", Role.CUSTOMER)


@pytest.fixture
def bob(db: None) -> User:
    """An agent who is available and knows nothing special."""
    user = _person("bob", Role.AGENT)
    update_agent(agent=user.agent, at=timezone.now(), availability=Availability.AVAILABLE)
    return User.objects.select_related("agent").get(pk=user.pk)


@pytest.fixture
def dana(db: None) -> User:
    """A second agent, offline until a test says otherwise."""
    return _person("dana", Role.AGENT)


@pytest.fixture
def sam(db: None) -> User:
    """The supervisor; offline, so that no ticket is assigned to them by itself."""
    return _person("sam", Role.SUPERVISOR)


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Network")


@pytest.fixture
def vpn(db: None) -> Skill:
    return Skill.objects.create(name="vpn")


# --- Clients --------------------------------------------------------------------------


class DeskClient(APIClient):
    """An API client with a bearer token, as a front end has one."""

    def __init__(self, user: User | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if user is not None:
            pair = sessions.start(user=user, at=timezone.now())
            self.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")

    def request(self, **kwargs: Any) -> Any:
        """Every answer is held against the OpenAPI document."""
        body = kwargs.get("wsgi.input")
        sent = body.read() if body is not None else b""
        if body is not None:
            kwargs["wsgi.input"] = FakePayload(sent)
        response = super().request(**kwargs)
        if not response.streaming:
            contract.check(response, kwargs, sent)
        return response


@pytest.fixture
def as_user(db: None) -> Callable[[User], DeskClient]:
    """Makes a client that is signed in as the given user."""
    return DeskClient


@pytest.fixture
def console(db: None) -> Callable[[User], Client]:
    """Makes a browser in which the given user has signed in to the console."""

    def sign_in(user: User) -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    return sign_in


@pytest.fixture
def anonymous(db: None) -> DeskClient:
    return DeskClient()


@dataclass(frozen=True)
class Services:
    """Addresses of the real servers that this run may use."""

    redis_url: str


@pytest.fixture(scope="session")
def services() -> Services:
    url = os.environ.get("TEST_REDIS_URL", "")
    if not url:
        pytest.skip(os.environ.get("TEST_SERVICES_MISSING") or "run the suite with `make test`")
    return Services(redis_url=url)
