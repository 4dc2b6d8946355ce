"""The beginning of a text, a table or a page of Markdown, as JSON."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import BinaryIO

import orjson

from attachments.previews import limits
from attachments.previews.refusing import Undrawable
from tickets.rendering import render_markdown

# The first that the file begins with; the longer ones are not UTF-32, which is not taken.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Codecs load when they are first asked for, by when nothing can be loaded any more.
for _name in (*BYTE_ORDER_MARKS.values(), "cp1252", "latin-1"):
    codecs.lookup(_name)

DELIMITERS = ",;\t|"
# As many rows show how a table is written.
SAMPLE = 20


def draw_text(file: BinaryIO) -> Mapping[str, bytes]:
    text, is_cut = beginning(file, limits.TEXT_CHARS)
    return _json(kind="text", text=text, truncated=is_cut)


def draw_html(file: BinaryIO) -> Mapping[str, bytes]:
    text, is_cut = beginning(file, limits.TEXT_CHARS)
    html = render_markdown(text)
    if len(html) > limits.HTML_CHARS:
        raise Undrawable("too_large")
    return _json(kind="html", html=html, truncated=is_cut)


def draw_table(file: BinaryIO) -> Mapping[str, bytes]:
    text, is_cut = beginning(file, limits.TABLE_CHARS)
    csv.field_size_limit(limits.TABLE_CHARS)
    # One more than is shown tells whether that is all.
    rows = read_rows(text, delimiter_of(text), limits.ROWS + 1)
    if is_cut and 1 < len(rows) <= limits.ROWS:
        # Where the text was cut, so was the last row.
        rows.pop()
    shown = [[cell[: limits.CELL_CHARS] for cell in row[: limits.COLUMNS]] for row in rows]
    is_cut = is_cut or shown != rows or len(rows) > limits.ROWS
    return _json(kind="table", rows=shown[: limits.ROWS], truncated=is_cut)


DRAWERS: Mapping[str, Callable[[BinaryIO], Mapping[str, bytes]]] = {
    "text": draw_text,
    "html": draw_html,
    "table": draw_table,
}


def beginning(file: BinaryIO, chars: int) -> tuple[str, bool]:
    """At most so many characters of the text, and whether there are more."""
    # Characters have at most four bytes; a byte order mark comes on top.
    most = 4 * chars + 4
    data = file.read(most + 1)
    text = decode(data[:most], is_whole=len(data) <= most)
    return text[:chars], len(text) > chars or len(data) > most


def decode(data: bytes, *, is_whole: bool) -> str:
    """As the inspection has it: UTF-8, UTF-16 with its mark, else a single byte a character.

    Where `data` is not the whole, a character cut at the end is left out.
    """
    for mark, name in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            decoder = codecs.getincrementaldecoder(name)("replace")
            return decoder.decode(data[len(mark) :], final=is_whole)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, final=is_whole)
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def delimiter_of(text: str) -> str:
    """What splits most of the first rows into equally many cells; a comma where nothing does."""

    def fitness(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in read_rows(text, delimiter, SAMPLE) if len(row) > 1)
        return max(((rows, width) for width, rows in widths.items()), default=(0, 0))

    return max(DELIMITERS, key=fitness)


def read_rows(text: str, delimiter: str, most: int) -> list[list[str]]:
    return list(islice(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter), most))


def _json(**members: object) -> Mapping[str, bytes]:
    return {"json": orjson.dumps(members)}
