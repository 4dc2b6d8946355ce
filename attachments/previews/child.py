"""The program that opens strangers' files: `child.py KIND FORMAT PIXELS`, file in, answer out.

stdin is the file (it can be sought), stdout the file for the answer: one line of JSON, either
`{"parts": {name: size}}` followed by the parts in that order, or `{"refused": word}`. It ends
with 0 once it has answered, with 1 where it did not get as far as reading.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

# Started by its path, in isolation: only what is installed is found, and after it the project.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from attachments.previews import confinement
from attachments.previews.refusing import Undrawable

Draw = Callable[[BinaryIO], Mapping[str, bytes]]


def main(kind: str, image_format: str, pixels: int) -> None:
    confinement.limit()
    draw = _prepare(kind, image_format, pixels)
    with open(0, "rb", closefd=False) as file:
        confinement.lock()
        try:
            _answer(1, _parts(draw, file))
        except BaseException:
            # No room for the answer, or for anything at all.
            os._exit(3)
    # Nothing is tidied up: that, too, would be work in the hands of who wrote the file.
    os._exit(0)


def _prepare(kind: str, image_format: str, pixels: int) -> Draw:
    """What draws such a file, with all its libraries: later there is nothing to be loaded from."""
    if kind == "image":
        from attachments.previews import images

        return lambda file: images.draw(file, image_format, pixels)
    if kind == "pdf":
        from attachments.previews import pages

        return pages.draw
    if kind == "listing":
        from attachments.previews import listings

        return listings.draw
    from attachments.previews import texts

    return texts.DRAWERS[kind]


def _parts(draw: Draw, file: BinaryIO) -> Mapping[str, bytes] | str:
    """What was drawn, or the word why nothing was."""
    try:
        return draw(file)
    except Undrawable as refusal:
        return refusal.word
    except MemoryError:
        return "memory"
    except Exception:
        # Libraries raise whatever they like at what strangers write.
        return "broken"


def _answer(descriptor: int, parts: Mapping[str, bytes] | str) -> None:
    if isinstance(parts, str):
        _write(descriptor, json.dumps({"refused": parts}).encode() + b"\n")
        return
    sizes = {name: len(data) for name, data in parts.items()}
    _write(descriptor, json.dumps({"parts": sizes}).encode() + b"\n")
    for data in parts.values():
        _write(descriptor, data)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
