"""How files look before anybody downloads them.

Files are opened by a program of its own (`child`), which is confined before it reads a byte and
can neither open anything nor reach anybody; `running` starts it and believes nothing it answers.
What runs in there, `child` and all it imports, knows nothing of Django.
"""

from collections.abc import Mapping

# How Pillow calls the image types that are drawn; it is to try no other.
IMAGE_FORMATS: Mapping[str, str] = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
}
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(IMAGE_FORMATS, "image"),
    "application/pdf": "pdf",
    "text/csv": "table",
    "text/markdown": "html",
    "text/plain": "text",
    "application/json": "text",
    "application/yaml": "text",
    "application/xml": "text",
    "application/zip": "listing",
}


def kind_of(content_type: str) -> str | None:
    """What a preview of such a file is: image, pdf, text, table, html or listing; None: nothing."""
    return _KINDS.get(content_type)
