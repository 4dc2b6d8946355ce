"""Documents: PDF, RTF, and the two families that are ZIP archives."""

from collections.abc import Callable

from attachments.formats import ADVICE, CONTENT_TYPES
from attachments.inspection import zips
from attachments.inspection.format import Format, starts_with
from attachments.inspection.polyglots import refuse_zip_at_end
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch

Check = Callable[[Source, Policy], None]
# Where the end of a PDF is looked for; some programs write a little after it.
PDF_TAIL = 4096
# What may stand before it: a byte order mark, white space.
BEFORE_PDF = b"\xef\xbb\xbf \t\r\n\0"
MACROS = "vbaproject.bin"


def _is_pdf(head: bytes) -> bool:
    return head.lstrip(BEFORE_PDF).startswith(b"%PDF-")


def _pdf(source: Source, policy: Policy) -> None:
    if b"%%EOF" not in source.tail(PDF_TAIL):
        raise ContentMismatch("The document is not whole; it may have been cut off on its way.")
    refuse_zip_at_end(source)


def _rtf(source: Source, policy: Policy) -> None:
    if b"}" not in source.tail(PDF_TAIL):
        raise ContentMismatch("The document is not whole; it may have been cut off on its way.")
    refuse_zip_at_end(source)


def _office(folder: str, extension: str) -> Check:
    """Office Open XML (ECMA-376): its parts are in a folder of its kind."""

    def check(source: Source, policy: Policy) -> None:
        names = {member.name.lower() for member in zips.members(source, policy)}
        if any(name.rpartition("/")[2] == MACROS for name in names):
            raise ContentMismatch(f"The file holds macros. {ADVICE[f'{extension[:3]}m']}")
        has_parts = any(name.startswith(f"{folder}/") for name in names)
        if "[content_types].xml" not in names or not has_parts:
            raise ContentMismatch(f"This is a ZIP archive, but no .{extension} document.")

    return check


def _open_document(extension: str) -> Check:
    """OpenDocument (ISO 26300): its first member says what it is, unpacked."""
    kind = CONTENT_TYPES[extension].encode()

    def check(source: Source, policy: Policy) -> None:
        members = zips.members(source, policy)
        first = min(members, key=lambda each: each.offset, default=None)
        is_right = (
            first is not None
            and (first.name, first.is_stored, first.size) == ("mimetype", True, len(kind))
            and _content_of(first, source) == kind
        )
        if not is_right:
            raise ContentMismatch(f"This is a ZIP archive, but no .{extension} document.")

    return check


def _content_of(member: zips.Member, source: Source) -> bytes:
    """Of a member that is stored as it is."""
    header = source.at(member.offset, zips.LOCAL_SIZE)
    skipped = sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return source.at(member.offset + zips.LOCAL_SIZE + skipped, member.size)


PDF = Format(_is_pdf, _pdf)
RTF = Format(starts_with(b"{\\rtf"), _rtf)
DOCX = Format(zips.begins, _office("word", "docx"))
XLSX = Format(zips.begins, _office("xl", "xlsx"))
PPTX = Format(zips.begins, _office("ppt", "pptx"))
ODT = Format(zips.begins, _open_document("odt"))
ODS = Format(zips.begins, _open_document("ods"))
ODP = Format(zips.begins, _open_document("odp"))
