"""What libmagic makes of the first bytes. It takes every ZIP for plain data; those are told by
their own directory (attachments.inspection.zips)."""

from functools import cache

# First, since it brings libmagic, which python-magic looks for when it is imported.
import pylibmagic  # isort: skip
import magic  # isort: skip

# Each after `application/` or `text/`.
_PROGRAMS = """
    x-dosexec vnd.microsoft.portable-executable x-msdownload x-executable x-pie-executable
    x-sharedlib x-mach-binary x-object x-java-applet java-archive x-msi x-ms-shortcut
    x-ms-ne-executable x-coredump vnd.debian.binary-package x-rpm x-bytecode.python
"""
_SCRIPTS = """
    html x-shellscript x-php x-python x-script.python x-perl x-ruby x-msdos-batch
    javascript x-javascript vbscript
"""
PROGRAMS = frozenset(f"application/{name}" for name in _PROGRAMS.split())
SCRIPTS = frozenset(f"text/{name}" for name in _SCRIPTS.split())
PAGES = frozenset({"text/html", "image/svg+xml", "application/xhtml+xml"})
# By the brand of an ISO base media file: pictures of phones, which libmagic does not always know.
PICTURES = {b"heic": "heic", b"heix": "heic", b"hevc": "heic", b"heim": "heic", b"mif1": "heif",
            b"msf1": "heif", b"avif": "avif", b"avis": "avif"}  # fmt: skip
NAMES = {
    "application/x-dosexec": "a Windows program",
    "application/vnd.microsoft.portable-executable": "a Windows program",
    "text/html": "a web page",
    "image/svg+xml": "an SVG drawing",
    "application/octet-stream": "something unknown",
}


@cache
def _magic() -> magic.Magic:
    """It has a lock of its own, for several threads. The database is named, since what pylibmagic
    puts into the environment names another one besides, which libmagic does not understand."""
    return magic.Magic(mime=True, magic_file=str(pylibmagic.data / "magic.mgc"))


def content_type(head: bytes) -> str:
    """As libmagic says; `application/octet-stream` where it does not know."""
    try:
        return str(_magic().from_buffer(head))
    except magic.MagicException:
        return "application/octet-stream"


def looks_like(head: bytes) -> str:
    """For people: `heic`, `a web page`, or a content type."""
    if head[4:8] == b"ftyp" and (picture := PICTURES.get(head[8:12])):
        return picture
    if head.startswith(b"PK\3\4"):
        return "a ZIP archive"
    found = content_type(head)
    return NAMES.get(found, found)
