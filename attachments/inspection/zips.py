"""A ZIP archive by its central directory (APPNOTE.TXT of PKWARE), which is bounded before it is
read; no member is ever unpacked.

Two programs must not see two different archives in one file: it begins with its first member,
nothing overlaps, and what a member says of itself is what the directory says.
"""

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from attachments.inspection.paths import leads_astray
from attachments.inspection.source import CHUNK, Source
from attachments.policy import MB, Policy, megabytes
from attachments.refusals import ArchiveTooLarge, ArchiveUnsafe, ContentMismatch

END, END_SIZE, MAX_COMMENT = b"PK\5\6", 22, 0xFFFF
END64, LOCATOR = b"PK\6\6", b"PK\6\7"
CENTRAL, CENTRAL_SIZE = b"PK\1\2", 46
LOCAL, LOCAL_SIZE = b"PK\3\4", 30
# Up to here a ratio says nothing: a page of blanks packs as well as a bomb.
RATIO_MATTERS_FROM = 10 * MB
# What one member may take in the directory, its name and its extra fields included.
MAX_ENTRY = 1024
# The second: the sizes stand after the member.
IS_MASKED, IS_STREAMED = 1 << 13, 1 << 3
UNIX = 3
# Stands where the number is elsewhere, since it is too large.
FULL = 0xFFFFFFFF
# The extra field with another name, in UTF-8, that some programs prefer (Info-ZIP).
OTHER_NAME = 0x7075


@dataclass(frozen=True)
class Member:
    """`packed` and `size` in bytes, `offset` that of its local header; `raw` its name as it is."""

    name: str
    raw: bytes
    packed: int
    size: int
    offset: int
    other_names: tuple[str, ...]
    is_stored: bool
    is_special: bool


@dataclass(frozen=True)
class _Directory:
    count: int
    size: int
    offset: int


def begins(head: bytes) -> bool:
    """With a member, or with the end of an empty archive."""
    return head.startswith((LOCAL, END))


def members(source: Source, policy: Policy) -> list[Member]:
    """The directory of an archive that is safe to unpack.

    Raises ContentMismatch, ArchiveTooLarge and ArchiveUnsafe.
    """
    try:
        directory = _directory(source)
        # By its size too, before it is read: the count may lie.
        if directory.count > policy.archive_entries or (
            directory.size > policy.archive_entries * MAX_ENTRY
        ):
            raise _too_many(policy)
        found = []
        for member in _entries(source.at(directory.offset, directory.size)):
            found.append(member)
            if len(found) > policy.archive_entries:
                raise _too_many(policy)
    except struct.error as exc:
        raise ContentMismatch("The archive is not whole.") from exc
    if len(found) != directory.count:
        raise ArchiveUnsafe("The archive does not hold what it says.")
    _bound(found, source, policy)
    _look_at(found, source, directory)
    return found


def _too_many(policy: Policy) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"An archive may hold {policy.archive_entries} files.")


def _directory(source: Source) -> _Directory:
    tail = source.tail(END_SIZE + MAX_COMMENT)
    at = tail.rfind(END)
    while at >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + END_SIZE + comment == len(tail):
            break
        at = tail.rfind(END, 0, at)
    if at < 0:
        raise ContentMismatch("The archive is not whole: its directory is missing.")
    end_at = source.size - len(tail) + at
    disk, start, here, count, size, offset = struct.unpack_from("<HHHHII", tail, at + 4)
    if disk or start or here != count:
        raise ArchiveUnsafe("The archive is one of several parts.")
    found = _Directory(count, size, offset)
    locator = source.at(end_at - 20, 20)
    if locator.startswith(LOCATOR):
        found, end_at = _directory64(source, locator)
        # Programs differ over which of the two counts, where both say something.
        if (
            count not in (0xFFFF, found.count)
            or size not in (FULL, found.size)
            or offset not in (FULL, found.offset)
        ):
            raise ArchiveUnsafe("The archive has two directories.")
    if found.offset + found.size != end_at:
        raise ArchiveUnsafe("The archive holds something besides its files.")
    return found


def _directory64(source: Source, locator: bytes) -> tuple[_Directory, int]:
    (at,) = struct.unpack_from("<Q", locator, 8)
    record = source.at(at, 56)
    if not record.startswith(END64):
        raise ArchiveUnsafe("The archive does not hold what it says.")
    here, count, size, offset = struct.unpack_from("<QQQQ", record, 24)
    if here != count:
        raise ArchiveUnsafe("The archive is one of several parts.")
    return _Directory(count, size, offset), at


def _entries(directory: bytes) -> Iterator[Member]:
    at = 0
    while at < len(directory):
        if directory[at : at + 4] != CENTRAL:
            raise ArchiveUnsafe("The archive does not hold what it says.")
        made_by, flags, method = struct.unpack_from("<HxxHH", directory, at + 4)
        packed, size, name_length, extra_length, comment_length = struct.unpack_from(
            "<IIHHH", directory, at + 20
        )
        attributes, offset = struct.unpack_from("<II", directory, at + 38)
        if flags & IS_MASKED:
            raise ArchiveUnsafe("The names in the archive are hidden.")
        raw = directory[at + CENTRAL_SIZE : at + CENTRAL_SIZE + name_length]
        extra_at = at + CENTRAL_SIZE + name_length
        extra = directory[extra_at : extra_at + extra_length]
        size, packed, offset = _large(extra, size, packed, offset)
        mode = attributes >> 16 if made_by >> 8 == UNIX else 0
        kind = stat.S_IFMT(mode)
        yield Member(
            raw.decode("utf-8" if flags & 1 << 11 else "cp437", "replace"),
            raw,
            packed,
            size,
            offset,
            tuple(_other_names(extra)),
            is_stored=method == 0,
            is_special=kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        )
        at = extra_at + extra_length + comment_length
    if at != len(directory):
        raise ArchiveUnsafe("The archive does not hold what it says.")


def _large(extra: bytes, *values: int) -> list[int]:
    """Sizes and offset of a large archive stand in an extra field, those that do not fit."""
    found = list(values)
    for kind, start, _ in _fields(extra):
        if kind == 1:
            at = start
            for index, value in enumerate(found):
                if value == FULL:
                    (found[index],) = struct.unpack_from("<Q", extra, at)
                    at += 8
    return found


def _other_names(extra: bytes) -> Iterator[str]:
    """After a version and the checksum of the name that it replaces."""
    for kind, at, end in _fields(extra):
        if kind == OTHER_NAME:
            yield extra[at + 5 : end].decode("utf-8", "replace")


def _fields(extra: bytes) -> Iterator[tuple[int, int, int]]:
    """The kind of each, where it begins and where it ends."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        yield kind, at + 4, at + 4 + length
        at += 4 + length


def _bound(found: list[Member], source: Source, policy: Policy) -> None:
    total = sum(member.size for member in found)
    if total > policy.archive_bytes:
        most = megabytes(policy.archive_bytes)
        raise ArchiveTooLarge(f"What is in the archive may have {most} in all.")
    if total > RATIO_MATTERS_FROM and total > policy.archive_ratio * source.size:
        raise ArchiveTooLarge("What is in the archive is packed too tightly to be real.")


def _look_at(found: list[Member], source: Source, directory: _Directory) -> None:
    free_from = 0
    for member in sorted(found, key=lambda each: each.offset):
        _look_at_name(member)
        header = source.at(member.offset, LOCAL_SIZE + len(member.raw))
        if not header.startswith(LOCAL) or header[LOCAL_SIZE:] != member.raw:
            raise ArchiveUnsafe("The archive does not hold what it says.")
        _look_at_sizes(member, header)
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        end = member.offset + LOCAL_SIZE + name_length + extra_length + member.packed
        if name_length != len(member.raw) or member.offset < free_from:
            raise ArchiveUnsafe("Files in the archive overlap.")
        if free_from == 0 and member.offset != 0:
            raise ContentMismatch("Something else stands before the archive.")
        _refuse_hidden(source, free_from, member.offset)
        free_from = end
    if free_from > directory.offset:
        raise ArchiveUnsafe("Files in the archive overlap.")
    _refuse_hidden(source, free_from, directory.offset)


def _look_at_name(member: Member) -> None:
    if member.is_special:
        raise ArchiveUnsafe(f"The archive holds a link or device: {member.name[:80]}.")
    for name in (member.name, *member.other_names):
        if leads_astray(name):
            raise ArchiveUnsafe(f"A name in the archive leads out of it: {name[:80]!r}.")


def _look_at_sizes(member: Member, header: bytes) -> None:
    """Who reads from the start goes by what stands before the member."""
    flags, packed, size = struct.unpack_from("<H10xII", header, 6)
    if flags & IS_STREAMED and not packed:
        return
    if packed not in (member.packed, FULL) or size not in (member.size, FULL):
        raise ArchiveUnsafe("The archive does not hold what it says.")


def _refuse_hidden(source: Source, start: int, stop: int) -> None:
    """Between members stand sizes and padding, but no member that the directory does not name:
    who reads from the start unpacks it."""
    for at in range(start, stop, CHUNK):
        # One that begins in this chunk may end in the next.
        if LOCAL in source.at(at, min(CHUNK + len(LOCAL) - 1, stop - at)):
            raise ArchiveUnsafe("The archive does not hold what it says.")
