"""A PostgreSQL database of its own for a measurement, gone afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import django


@contextmanager
def scratch_database() -> Iterator[None]:
    """Set Django up on a new, migrated database beside the one of BENCH_DATABASE_URL.

    Without that, on the local server's. Nothing of the desk may have been imported before.
    """
    os.environ["DATABASE_URL"] = os.environ.get(
        "BENCH_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres"
    )
    os.environ["DJANGO_SETTINGS_MODULE"] = "servicedesk.settings.testing"
    django.setup()
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.settings_dict.setdefault("TEST", {})["NAME"] = f"bench_{os.getpid()}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.close()
        connection.creation.destroy_test_db(before, verbosity=0)
