"""What a file is called: cleaned, and kept as metadata only. Pure."""

import re
import unicodedata

from attachments.refusals import InvalidFilename

MAX_LENGTH = 150
# Turn the order of what is shown around: `exe.gpj` reads as a picture.
TURNS_AROUND = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Shown as nothing; harmless, and sometimes left behind by other programs.
INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\ufeff]")


def clean(name: str) -> str:
    """The name as it is kept: NFC, one line, at most 150 characters with its extensions whole.

    Raises InvalidFilename where it is a path, cannot be shown, turns text around, or is nothing.
    """
    # What Python's tables do not know yet (Cn) stays: phones have emoji that are newer.
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        raise InvalidFilename("The name holds control characters.")
    if TURNS_AROUND.search(name):
        raise InvalidFilename("The name holds characters that turn the direction of text around.")
    if "/" in name or "\\" in name:
        raise InvalidFilename("The name is a path; send the file's own name.")
    name = INVISIBLE.sub("", unicodedata.normalize("NFC", name))
    # On Windows what follows would be a stream of the file `a.exe`: `a.exe:x.txt`.
    name = name.replace(":", "_")
    name = re.sub(r"\s+", " ", name).strip(" .")
    if not name:
        raise InvalidFilename("The name is empty.")
    return _shortened(name)


def extensions(name: str) -> list[str]:
    """What stands after each dot, in lower case: the last one decides, all are looked at."""
    return [part.strip().lower() for part in name.split(".")[1:]]


def _shortened(name: str) -> str:
    if len(name) <= MAX_LENGTH:
        return name
    stem, dot, last = name.rpartition(".")
    if not dot or len(last) > 20:
        return name[:MAX_LENGTH].rstrip(" .")
    return f"{stem[: MAX_LENGTH - len(last) - 1].rstrip(' .')}.{last}"
