"""Files that are two things at once: harmless to who shows them, a program to who runs them."""

import re

from attachments.inspection.source import Source
from attachments.refusals import ContentMismatch

# Where readers of PDF still look for its beginning.
PDF_WITHIN = 1024
CODE = re.compile(rb"<\?php\s|<script[\s>/]|<html[\s>]", re.IGNORECASE)
ZIP_END, ZIP_END_SIZE, MAX_COMMENT = b"PK\5\6", 22, 0xFFFF


def refuse_zip_at_end(source: Source) -> None:
    """Who unpacks looks at the end of a file, whatever stands before. Raises ContentMismatch."""
    tail = source.tail(ZIP_END_SIZE + MAX_COMMENT)
    at = tail.find(ZIP_END)
    while at >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + ZIP_END_SIZE + comment == len(tail):
            raise ContentMismatch("The file is a ZIP archive as well.")
        at = tail.find(ZIP_END, at + 1)


def refuse_pdf_at_start(head: bytes) -> None:
    """Raises ContentMismatch."""
    if b"%PDF-" in head[:PDF_WITHIN]:
        raise ContentMismatch("The file is a PDF document as well.")


def refuse_code(content: bytes) -> None:
    """Raises ContentMismatch."""
    if CODE.search(content):
        raise ContentMismatch("The file holds a script or a web page.")
