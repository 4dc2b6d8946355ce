"""Full-text search over subjects, descriptions and messages, on both databases."""

import re
from typing import Any

from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from tickets.database import MESSAGE_DOCUMENT, SEARCH_CONFIG, TICKET_DOCUMENT
from tickets.models.ticket import TicketQuerySet

MAX_QUERY = 200
WORD = re.compile(r"\w+")


def matching(
    tickets: TicketQuerySet, text: str, *, notes: bool, any_word: bool = False
) -> TicketQuerySet:
    """The tickets that hold every word of `text` (or any one), the last perhaps only begun.

    The words must stand together, in one ticket's text or in one message. "cafe" finds "café" on
    SQLite and not on PostgreSQL, which folds no accents without an extension.

    Internal notes are searched only where `notes` says that the reader may see them.
    """
    words = WORD.findall(text[:MAX_QUERY].lower())
    if not words:
        return tickets.none()
    sql, query = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    if not notes:
        sql += " AND NOT m.is_internal"
    expression = query(words, any_word)
    # As a condition of its own: `pk__in=RawSQL(…)` would become IN ((…)), a list of one value.
    found = RawSQL(
        f"tickets_ticket.id IN ({sql})", [expression, expression], output_field=BooleanField()
    )
    return tickets.filter(found)


def _tsquery(words: list[str], any_word: bool) -> str:
    join = " | " if any_word else " & "
    return join.join([*(f"'{word}'" for word in words[:-1]), f"'{words[-1]}':*"])


def _fts5(words: list[str], any_word: bool) -> str:
    join = " OR " if any_word else " AND "
    return join.join([*(f'"{word}"' for word in words[:-1]), f'"{words[-1]}"*'])


_POSTGRESQL: tuple[str, Any] = (
    f"SELECT id FROM tickets_ticket WHERE {TICKET_DOCUMENT} @@ to_tsquery('{SEARCH_CONFIG}', %s) "
    "UNION ALL "
    f"SELECT m.ticket_id FROM tickets_message m WHERE {MESSAGE_DOCUMENT} "
    f"@@ to_tsquery('{SEARCH_CONFIG}', %s)",
    _tsquery,
)
_SQLITE: tuple[str, Any] = (
    "SELECT rowid FROM tickets_ticket_search WHERE tickets_ticket_search MATCH %s "
    "UNION ALL "
    "SELECT m.ticket_id FROM tickets_message_search s JOIN tickets_message m ON m.id = s.rowid "
    "WHERE tickets_message_search MATCH %s",
    _fts5,
)
