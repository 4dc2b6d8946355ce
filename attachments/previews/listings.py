"""What is in a ZIP archive by its own account; nothing is unpacked."""

import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import orjson

from attachments.previews import limits

# Names that are not in UTF-8; loaded now, since later nothing can be.
"".encode("cp437")


def draw(file: BinaryIO) -> Mapping[str, bytes]:
    """Names and unpacked sizes, in the order of the archive's directory."""
    with zipfile.ZipFile(file) as archive:
        found = archive.infolist()
    entries = [
        {"name": entry.filename[: limits.ENTRY_CHARS], "size": entry.file_size}
        for entry in found[: limits.ENTRIES]
    ]
    is_cut = len(found) > limits.ENTRIES
    return {"json": orjson.dumps({"kind": "listing", "entries": entries, "truncated": is_cut})}
