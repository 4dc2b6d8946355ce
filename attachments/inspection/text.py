"""Text: what decodes and holds no NUL. Whatever it says, it is only ever shown as text."""

import codecs
import re
from collections.abc import Iterator

from attachments.inspection import signatures
from attachments.inspection.format import Format
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch

NO_TEXT = "This is no text: it holds what no text does."
# Files of other kinds that may happen to hold nothing but characters.
OTHERS = (b"%PDF-", b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"PK\3\4", b"\x7fELF", b"{\\rtf")
WIDE = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# In one of the old encodings of one byte a character, which cannot be told from each other.
CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")

# RFC 5322, and those of them that mails have.
FIELD = re.compile(rb"[!-9;-~]+:")
FIELDS = frozenset(
    b"from to cc date subject message-id received mime-version return-path delivered-to "
    b"content-type reply-to sender".split()
)
FIELDS_NEEDED = 2


def begins(head: bytes) -> bool:
    if head.startswith(tuple(WIDE)):
        return True
    return b"\0" not in head and not head.startswith(OTHERS)


def check(source: Source, policy: Policy) -> None:
    """Raises ContentMismatch."""
    encoding = encoding_of(source)
    try:
        for text in decoded(source, encoding):
            if "\0" in text:
                raise ContentMismatch(NO_TEXT)
    except UnicodeDecodeError as exc:
        if encoding != "utf-8" or any(CONTROLS.search(chunk) for chunk in source.chunks()):
            raise ContentMismatch(NO_TEXT) from exc
    if signatures.content_type(source.head) in signatures.PROGRAMS:
        raise ContentMismatch("This is a program, and no text.")


def encoding_of(source: Source) -> str:
    """By its byte order mark; one of a single byte a character is taken for UTF-8 too."""
    return next((name for bom, name in WIDE.items() if source.head.startswith(bom)), "utf-8")


def decoded(source: Source, encoding: str, errors: str = "strict") -> Iterator[str]:
    """Raises UnicodeDecodeError where it is strict, also if the last character is not whole."""
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for chunk in source.chunks():
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _mail(source: Source, policy: Policy) -> None:
    """A header that names who, what and when; then anything but NUL."""
    header = re.split(rb"\r?\n\r?\n", source.head, maxsplit=1)[0]
    lines = header.splitlines()
    if lines and lines[0].startswith(b"From "):
        lines = lines[1:]
    named = set()
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            continue
        if not (field := FIELD.match(line)):
            raise ContentMismatch("This does not begin as a mail does.")
        named.add(field[0][:-1].lower())
    if len(named & FIELDS) < FIELDS_NEEDED:
        raise ContentMismatch("This does not begin as a mail does.")
    if any(b"\0" in chunk for chunk in source.chunks()):
        raise ContentMismatch(NO_TEXT)


PLAIN = Format(begins, check)
MAIL = Format(begins, _mail)
