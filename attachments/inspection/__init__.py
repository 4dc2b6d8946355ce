"""What the bytes of a file are. The name says what it should be, the bytes whether it is; what the
client says of the type has no influence.

To take another format: its type in `attachments.formats`, a line in FORMATS, a category in the
settings, and a real file of it in the tests.
"""

from typing import BinaryIO

from attachments import names
from attachments.formats import ADVICE, CONTENT_TYPES
from attachments.inspection import archives, documents, images, markup, media, text, unnamed
from attachments.inspection.format import Format
from attachments.inspection.signatures import looks_like
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch

FORMATS: dict[str, Format] = {
    "png": images.PNG,
    "jpg": images.JPEG,
    "jpeg": images.JPEG,
    "gif": images.GIF,
    "webp": images.WEBP,
    "pdf": documents.PDF,
    "docx": documents.DOCX,
    "xlsx": documents.XLSX,
    "pptx": documents.PPTX,
    "odt": documents.ODT,
    "ods": documents.ODS,
    "odp": documents.ODP,
    "rtf": documents.RTF,
    "txt": text.PLAIN,
    "md": text.PLAIN,
    "csv": text.PLAIN,
    "log": text.PLAIN,
    "json": text.PLAIN,
    "yaml": text.PLAIN,
    "xml": markup.XML,
    "zip": archives.ZIP,
    "gz": archives.GZIP,
    "tar": archives.TAR,
    "7z": archives.SEVEN_ZIP,
    "eml": text.MAIL,
    "mp3": media.MP3,
    "wav": media.WAV,
    "ogg": media.OGG,
    "m4a": media.MP4,
    "mp4": media.MP4,
    "webm": media.WEBM,
    "mov": media.QUICKTIME,
}


def inspect(file: BinaryIO, name: str, size: int, policy: Policy) -> str:
    """The content type of a file of `size` bytes that can be sought; it stays open.

    `name` is cleaned and admitted by the policy. Raises FileRefused, with a sentence for the
    person who chose the file.
    """
    source, extension = Source(file, size), names.extensions(name)[-1]
    known = FORMATS.get(extension)
    if known is None:
        return unnamed.content_type(source, policy)
    _begins_right(known, source.head, extension)
    known.check(source, policy)
    return CONTENT_TYPES[extension]


def glance(head: bytes, name: str) -> None:
    """Whether a file may be what its name says, by its first bytes. Raises ContentMismatch."""
    extension = names.extensions(name)[-1]
    if known := FORMATS.get(extension):
        _begins_right(known, head, extension)


def _begins_right(known: Format, head: bytes, extension: str) -> None:
    if known.begins(head):
        return
    found = looks_like(head)
    advice = ADVICE.get(found, "")
    raise ContentMismatch(
        advice or f"The content is not that of a .{extension} file; it looks like {found}."
    )
