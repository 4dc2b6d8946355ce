"""Which keys in the storage no row knows, in flat memory."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice

from django.conf import settings
from django.db.models import TextField
from django.db.models.functions import Cast

from attachments import storage
from attachments.models import Blob, LooseBytes, Preview
from attachments.storage import Stored

AT_A_TIME = 1000
# Stands before the key of loose bytes that are being deleted: whoever has written them and comes
# to take them does not find the row any more.
GOING = "!"


def unknown() -> Iterator[Stored]:
    """What lies in the storage and no row knew when this began.

    A key is in a row before anything is written under it, and passes from one row to another in
    one transaction. So what was written before this began is known now, or to nobody ever again;
    what is younger may be known to a row that is younger too.
    """
    # Without a name it is a file that the database deletes, and that no other process sees.
    with closing(sqlite3.connect("")) as notes:
        notes.execute("CREATE TABLE known (key TEXT PRIMARY KEY) WITHOUT ROWID")
        notes.executemany("INSERT OR IGNORE INTO known VALUES (?)", ((key,) for key in _known()))
        entries = storage.keys()
        while page := {each.key: each for each in islice(entries, AT_A_TIME)}:
            among = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT key FROM known)"
            for (key,) in notes.execute(among, [json.dumps(list(page))]):
                yield page[key]


def left_behind(at: datetime) -> Iterator[Stored]:
    """What is unknown, ours, and so old that nobody can be writing it any more."""
    for each in unknown():
        if storage.is_ours(each.key) and each.modified_at < at - settings.LOOSE_BYTES_GRACE:
            yield each


def _known() -> Iterator[str]:
    """In one statement, hence at one moment: none is missed while it passes between tables."""
    contents = Blob.objects.order_by().values_list("key")
    loose = LooseBytes.objects.order_by().values_list("key")
    previews = Preview.objects.order_by().values_list(Cast("parts", TextField()))
    rows: Iterable[tuple[str]] = contents.union(loose, previews, all=True).iterator()
    for (text,) in rows:
        if text.startswith("{"):
            yield from (part["key"] for part in json.loads(text).values())
        else:
            yield text.removeprefix(GOING)
