"""What `migrate` installs beside the tables, and how long it may take."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import pre_migrate

from tickets import database

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("db")]


def timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (value,) = cursor.fetchone()
    return str(value)


@pytest.fixture
def hurried():
    """A session whose statements may take 20 ms, as 30 s are to a large table."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20ms'")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")


def test_a_request_may_not_keep_the_database_busy_for_long() -> None:
    assert timeout() == "30s"


def test_an_index_may_take_longer_than_a_request(hurried, monkeypatch) -> None:
    monkeypatch.setattr(database, "POSTGRESQL", ["SELECT pg_sleep(0.1)"])
    database.install()
    assert timeout() == "20ms"


def test_a_migration_may_take_longer_than_a_request(hurried) -> None:
    seen = []

    def look(**kwargs: object) -> None:
        seen.append(timeout())

    pre_migrate.connect(look)
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(look)
    assert set(seen) == {"0"}
    assert timeout() == "20ms"


def test_the_limit_is_back_after_a_failure(hurried) -> None:
    with pytest.raises(RuntimeError), database.unhurried("default"):
        raise RuntimeError
    assert timeout() == "20ms"
