"""A tar archive, header by header (POSIX pax, and what GNU tar adds).

Programs differ over which of several names of a member counts, and over what a note says of all
that follow. So no name may lead astray, whichever it is, and what is read in two ways is refused.
"""

from collections.abc import Iterator

from attachments.inspection.paths import leads_astray
from attachments.inspection.polyglots import refuse_zip_at_end
from attachments.inspection.source import Source
from attachments.policy import MB, Policy
from attachments.refusals import ArchiveTooLarge, ArchiveUnsafe, ContentMismatch

BLOCK = 512
FILES, FOLDERS = b"0\x007", b"5"
# Says something about the next member: pax records, and GNU's long names.
PAX, LONG_NAME = b"xg", b"LK"
# Of that, so much is read: of one, and of all.
MAX_NOTE, MAX_NOTES = 64 * 1024, 8 * MB
# What a note may say of one member, but not of all.
OF_ONE = (b"path", b"size")


def begins(head: bytes) -> bool:
    """With a header whose checksum is right; that is all that the oldest ones have. Of less than a
    header nothing can be said."""
    return len(head) < BLOCK or _is_header(head[:BLOCK])


def check(source: Source, policy: Policy) -> None:
    """Raises ContentMismatch, ArchiveTooLarge and ArchiveUnsafe."""
    at, count, name, size, noted = 0, 0, "", -1, 0
    while any(header := source.at(at, BLOCK)):
        if not _is_header(header):
            raise ContentMismatch("The archive is not whole.")
        kind, own_size = header[156:157], _number(header[124:136])
        body, at = at + BLOCK, at + BLOCK
        count += 1
        if count > policy.archive_entries:
            raise ArchiveTooLarge(f"An archive may hold {policy.archive_entries} files.")
        if kind in (*_each(PAX), *_each(LONG_NAME)):
            noted += own_size
            if own_size > MAX_NOTE or noted > MAX_NOTES:
                raise ArchiveUnsafe("The archive does not hold what it says.")
            name, size = _noted(kind, source.at(body, own_size), name, size)
            at += _padded(own_size)
            continue
        size = own_size if size < 0 else size
        _look_at(kind, _name(header), name, size)
        at += _padded(size)
        if at > source.size + BLOCK:
            raise ContentMismatch("The archive is not whole.")
        name, size = "", -1
    if at > source.size or name:
        raise ContentMismatch("The archive is not whole.")
    refuse_zip_at_end(source)


def _look_at(kind: bytes, short: str, noted: str, size: int) -> None:
    """A member by its kind, the name in its header, the one noted before, and its size."""
    name = noted or short
    for each in {name, short or name}:
        _refuse_astray(each)
    if kind not in (*_each(FILES), *_each(FOLDERS)):
        raise ArchiveUnsafe(f"The archive holds a link or device: {name[:80]}.")
    # The oldest ones have no kind for folders.
    is_old_folder = kind == b"\0" and short.endswith("/")
    if size and (kind in _each(FOLDERS) or name.endswith("/") or is_old_folder):
        raise ArchiveUnsafe(f"A folder in the archive has content: {name[:80]!r}.")


def _refuse_astray(name: str) -> None:
    if leads_astray(name):
        raise ArchiveUnsafe(f"A name in the archive leads out of it: {name[:80]!r}.")


def _each(kinds: bytes) -> tuple[bytes, ...]:
    return tuple(kinds[index : index + 1] for index in range(len(kinds)))


def _is_header(block: bytes) -> bool:
    if len(block) != BLOCK:
        return False
    try:
        stated = _number(block[148:156])
    except ContentMismatch:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _number(field: bytes) -> int:
    """Octal digits; or, where they do not suffice, a binary number after a set bit."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits.isdigit() or digits.strip(b"01234567"):
        if digits:
            raise ContentMismatch("The archive is not whole.")
        return 0
    return int(digits, 8)


def _name(header: bytes) -> str:
    name, prefix = (part.partition(b"\0")[0] for part in (header[:100], header[345:500]))
    is_posix = header[257:263] == b"ustar\0"
    whole = prefix + b"/" + name if is_posix and prefix else name
    return whole.decode("utf-8", "replace")


def _noted(kind: bytes, body: bytes, name: str, size: int) -> tuple[str, int]:
    """Name and size of the next member, where they stand here."""
    if kind == b"L":
        name = body.partition(b"\0")[0].decode("utf-8", "replace")
        _refuse_astray(name)
        return name, size
    if kind == b"K":  # where a link leads, which is refused with the link
        return name, size
    for keyword, value in _records(body):
        if kind == b"g" and keyword in OF_ONE:
            raise ArchiveUnsafe("The archive gives all of its files one name or size.")
        if keyword == b"path":
            name = value.decode("utf-8", "replace")
            _refuse_astray(name)
        elif keyword == b"size" and value.isdigit():
            size = int(value[:20])
        elif keyword.startswith(b"GNU.sparse"):
            raise ArchiveUnsafe("The archive holds files with holes in them.")
    return name, size


def _records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each says how long it is, with its length: `12 path=a.b\\n`."""
    at = 0
    while at < len(body):
        length = body[at : at + 7].partition(b" ")[0]
        if not length.isdigit() or not len(length) < int(length) <= len(body) - at:
            raise ContentMismatch("The archive is not whole.")
        record = body[at + len(length) + 1 : at + int(length)]
        keyword, _, value = record.rstrip(b"\n").partition(b"=")
        yield keyword, value
        at += int(length)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
