"""Files of formats that the desk does not know, which a setting lets in (`*`)."""

from attachments.formats import UNKNOWN
from attachments.inspection import signatures, zips
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import FileTypeNotAllowed

NEVER = signatures.PROGRAMS | signatures.SCRIPTS | signatures.PAGES
BEGINNINGS = (b"MZ", b"\x7fELF", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"!<arch>\n")
# By which a ZIP archive is a program (JAR, APK); libmagic does not tell those.
MANIFEST = "META-INF/MANIFEST.MF"


def content_type(source: Source, policy: Policy) -> str:
    """Always that of unknown bytes, so that nobody's browser does anything with them.

    Raises FileTypeNotAllowed for programs, scripts and pages, whatever their name, and of a ZIP
    archive what any other would be refused for.
    """
    found = signatures.content_type(source.head)
    if found in NEVER or source.head.startswith(BEGINNINGS):
        raise FileTypeNotAllowed(f"It is {signatures.NAMES.get(found, 'a program or a page')}.")
    if zips.begins(source.head) and any(
        member.name.upper() == MANIFEST for member in zips.members(source, policy)
    ):
        raise FileTypeNotAllowed("It is a Java or Android program.")
    return UNKNOWN
