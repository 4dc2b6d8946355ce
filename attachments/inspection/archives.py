"""Archives, by what they say of themselves; nothing is ever unpacked."""

import struct
import zlib

from attachments.inspection import tars, zips
from attachments.inspection.format import Format, starts_with
from attachments.inspection.polyglots import refuse_zip_at_end
from attachments.inspection.source import Source
from attachments.policy import MB, Policy
from attachments.refusals import ArchiveTooLarge, ArchiveUnsafe, ContentMismatch

CUT_OFF = "The archive is not whole; it may have been cut off on its way."
# The smallest that gzip makes: header, an empty block, checksum and size.
GZIP_LEAST = 20
GZIP_RESERVED = 0xE0
# Of a 7z archive's directory, of which nothing but the checksum is looked at.
MAX_DIRECTORY = 16 * MB


def _zip(source: Source, policy: Policy) -> None:
    zips.members(source, policy)


def _gzip(source: Source, policy: Policy) -> None:
    """What it unpacks to stands at its end, modulo 4 GB: a hint, that is enough for most bombs."""
    if source.size < GZIP_LEAST or source.head[3] & GZIP_RESERVED:
        raise ContentMismatch(CUT_OFF)
    (unpacked,) = struct.unpack("<I", source.tail(4))
    is_bomb = unpacked > zips.RATIO_MATTERS_FROM and unpacked > policy.archive_ratio * source.size
    if is_bomb or unpacked > policy.archive_bytes:
        raise ArchiveTooLarge("What is in the archive is too large, or packed too tightly.")
    refuse_zip_at_end(source)


def _seven_zip(source: Source, policy: Policy) -> None:
    """Its directory is packed itself; what stands before says where it is, with checksums."""
    checksum, offset, size, of_directory = struct.unpack_from("<IQQI", source.head.ljust(32), 8)
    if zlib.crc32(source.head[12:32]) != checksum:
        raise ContentMismatch(CUT_OFF)
    if size > MAX_DIRECTORY:
        raise ArchiveTooLarge("The archive's directory is too large.")
    end = 32 + offset + size
    if end > source.size or zlib.crc32(source.at(32 + offset, size)) != of_directory:
        raise ContentMismatch(CUT_OFF)
    if end != source.size:
        raise ArchiveUnsafe("The archive holds something besides its files.")


ZIP = Format(zips.begins, _zip)
GZIP = Format(starts_with(b"\x1f\x8b\x08"), _gzip)
TAR = Format(tars.begins, tars.check)
SEVEN_ZIP = Format(starts_with(b"7z\xbc\xaf\x27\x1c"), _seven_zip)
