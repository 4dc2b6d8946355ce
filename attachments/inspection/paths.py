"""Names inside an archive that would lead whoever unpacks it out of the folder."""

import re

DRIVE = re.compile(r"[A-Za-z]:")
CONTROLS = re.compile("[\x00-\x1f\x7f]")


def leads_astray(name: str) -> bool:
    parts = name.split("/")
    return (
        not name
        or name.startswith("/")
        or "\\" in name
        or ".." in parts
        or DRIVE.match(name) is not None
        or CONTROLS.search(name) is not None
    )
