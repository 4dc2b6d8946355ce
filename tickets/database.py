"""What the models cannot say: the append-only log and the full-text indexes, for both databases.

Installed after every `migrate`, not by a migration: on SQLite, altering a table makes a new one
and its triggers are gone. Each statement may run any number of times.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

SEARCH_CONFIG = "simple"
# PostgreSQL's parser keeps vpn.example.com, a path or a signed number in one piece, so that
# "example" would not find it, nor the whole once a query is cut into words; FTS5 parts words at
# every sign. Without the signs both do. (No %: the text also goes through parameter formatting.)
SIGNS = """!"#$&''()*+,-./:;<=>?@[\\]^_`{|}~"""


def _words(text: str) -> str:
    """SQL for a text whose signs are blanks; immutable, as an index demands."""
    return f"translate({text}, '{SIGNS}', repeat(' ', {len(SIGNS) - 1}))"


_subject_and_description = _words("subject || ' ' || description")
TICKET_DOCUMENT = f"to_tsvector('{SEARCH_CONFIG}', {_subject_and_description})"
MESSAGE_DOCUMENT = f"to_tsvector('{SEARCH_CONFIG}', {_words('body')})"

POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION tickets_event_log_is_append_only() RETURNS trigger AS $$
    BEGIN
        RAISE EXCEPTION 'the event log is append-only' USING ERRCODE = 'restrict_violation';
    END $$ LANGUAGE plpgsql
    """,
    """
    CREATE OR REPLACE TRIGGER tickets_event_append_only
    BEFORE UPDATE OR DELETE ON tickets_ticketevent
    FOR EACH ROW EXECUTE FUNCTION tickets_event_log_is_append_only()
    """,
    "CREATE INDEX IF NOT EXISTS tickets_ticket_words ON tickets_ticket "
    f"USING gin ({TICKET_DOCUMENT})",
    "CREATE INDEX IF NOT EXISTS tickets_message_words ON tickets_message "
    f"USING gin ({MESSAGE_DOCUMENT})",
]


def _fts(table: str, columns: list[str]) -> list[str]:
    """An FTS5 index over a table's columns that follows every change of them."""
    index = f"{table}_search"
    names = ", ".join(columns)
    old = ", ".join(f"old.{column}" for column in columns)
    new = ", ".join(f"new.{column}" for column in columns)
    forget = f"INSERT INTO {index}({index}, rowid, {names}) VALUES ('delete', old.id, {old});"
    learn = f"INSERT INTO {index}(rowid, {names}) VALUES (new.id, {new});"
    return [
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {index} USING fts5({names}, content='{table}', "
        "content_rowid='id', tokenize='unicode61 remove_diacritics 2')",
        f"CREATE TRIGGER IF NOT EXISTS {index}_insert AFTER INSERT ON {table} BEGIN {learn} END",
        f"CREATE TRIGGER IF NOT EXISTS {index}_delete AFTER DELETE ON {table} BEGIN {forget} END",
        f"CREATE TRIGGER IF NOT EXISTS {index}_update AFTER UPDATE OF {names} ON {table} "
        f"BEGIN {forget} {learn} END",
    ]


SQLITE = [
    *(
        f"CREATE TRIGGER IF NOT EXISTS tickets_event_no_{verb.lower()} BEFORE {verb} "
        "ON tickets_ticketevent BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    *_fts("tickets_ticket", ["subject", "description"]),
    *_fts("tickets_message", ["body"]),
]


def install(*, using: str = "default", **kwargs: Any) -> None:
    """A receiver of post_migrate. Does nothing until the tables are there."""
    connection = connections[using]
    if "tickets_ticketevent" not in connection.introspection.table_names():
        return
    statements = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    with unhurried(using), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def unhurried(using: str) -> Iterator[None]:
    """No limit to how long a statement runs: the settings' is for requests, while an index over
    a large table takes as long as it takes. Of this connection, and as it was afterwards."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        (before,) = cursor.fetchone()
        cursor.execute("SET statement_timeout = 0")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [before])
