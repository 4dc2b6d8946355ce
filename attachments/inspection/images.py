"""Images: size and frames from their own headers, whole to the end, and Pillow's second opinion.

No pixel is decoded here. What the parsers below read is small and bounded; what is drawn is drawn
in a confined process (attachments.previews).
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from attachments.inspection.format import Format, starts_with
from attachments.inspection.polyglots import refuse_code, refuse_pdf_at_start, refuse_zip_at_end
from attachments.inspection.source import Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch, ImageTooLarge

# Chunks, segments and what fills the space between them. Real images have hundreds; Pillow takes
# its time over each, in this process.
MAX_PARTS = 50_000
NOT_WHOLE = "The image is not whole; it may have been cut off on its way. Send it again."


class Broken(Exception):
    """It ends too early, or says what cannot be."""


@dataclass
class Limits:
    """Raises ImageTooLarge as soon as a header says too much."""

    pixels: int
    frames: int
    parts: int = 0

    def part(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise Broken

    def size(self, width: int, height: int) -> None:
        if width <= 0 or height <= 0:
            raise Broken
        if width * height > self.pixels:
            most = self.pixels / 1_000_000
            raise ImageTooLarge(f"The image has {width} x {height} pixels; {most:g} million fit.")

    def frame(self, number: int) -> None:
        if number > self.frames:
            raise ImageTooLarge(f"The animation has more than {self.frames} frames.")


def _format(beginning: Callable[[bytes], bool], pillow: str, walk: "Walk") -> Format:
    def check(source: Source, policy: Policy) -> None:
        content = source.whole()
        try:
            walk(content, Limits(policy.image_pixels, policy.image_frames))
            _second_opinion(content, pillow)
        except (Broken, struct.error, IndexError) as exc:
            raise ContentMismatch(NOT_WHOLE) from exc
        refuse_pdf_at_start(content)
        refuse_zip_at_end(source)
        refuse_code(content)

    return Format(beginning, check)


def _second_opinion(content: bytes, pillow: str) -> None:
    """Pillow refuses what it would not show. Its errors are of many kinds."""
    try:
        with Image.open(BytesIO(content), formats=[pillow]) as image:
            image.verify()
    except Exception as exc:
        raise Broken from exc


Walk = Callable[[bytes, Limits], None]


def _png(content: bytes, limits: Limits) -> None:
    at, is_first = 8, True
    while True:
        limits.part()
        length, kind = struct.unpack_from(">I4s", content, at)
        body = content[at + 8 : at + 8 + length]
        if is_first:
            if kind != b"IHDR":
                raise Broken
            limits.size(*struct.unpack_from(">II", body))
        elif kind == b"acTL":
            limits.frame(*struct.unpack_from(">I", body))
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        if checksum != zlib.crc32(body, zlib.crc32(kind)):
            raise Broken
        if kind == b"IEND":
            return
        at, is_first = at + 12 + length, False


# Within the data of a scan, what is no stuffed byte, no restart and no filling.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
# C4, C8 and CC are tables.
SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def _jpeg(content: bytes, limits: Limits) -> None:
    at, is_sized = 2, False
    while True:
        limits.part()
        if content[at] != 0xFF:
            raise Broken
        marker = content[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == EOI:
            if not is_sized:
                raise Broken
            return
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker in (0, SOI) or length < 2:
            raise Broken
        if marker in SIZES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            limits.size(width, height)
            is_sized = True
        at += 2 + length
        if marker == SOS:
            found = MARKER.search(content, at)
            if found is None:
                raise Broken
            at = found.start()


def _gif(content: bytes, limits: Limits) -> None:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    limits.size(width, height)
    at, frames = 13 + _color_table(flags), 0
    while content[at] != 0x3B:
        if content[at] == 0x21:
            at += 2
        elif content[at] == 0x2C:
            limits.size(*struct.unpack_from("<HH", content, at + 5))
            at += 10 + _color_table(content[at + 9]) + 1
            frames += 1
            limits.frame(frames)
        else:
            raise Broken
        while length := content[at]:
            at += 1 + length
        at += 1
    if not frames:
        raise Broken


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes, limits: Limits) -> None:
    (length,) = struct.unpack_from("<I", content, 4)
    end, at, frames, has_picture = length + 8, 12, 0, False
    if end > len(content):
        raise Broken
    while at < end:
        limits.part()
        kind, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + min(size, 16)]
        if at + 8 + size > end:
            raise Broken
        if kind == b"VP8X":
            limits.size(_three(body[4:7]) + 1, _three(body[7:10]) + 1)
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", body, 6)
            limits.size(width & 0x3FFF, height & 0x3FFF)
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", body, 1)
            limits.size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        elif kind == b"ANMF":
            frames += 1
            limits.size(_three(body[6:9]) + 1, _three(body[9:12]) + 1)
            limits.frame(frames)
        has_picture |= kind in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + size + size % 2
    if not has_picture:
        raise Broken


def _three(data: bytes) -> int:
    if len(data) != 3:
        raise Broken
    return int.from_bytes(data, "little")


def _is_webp(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


PNG = _format(starts_with(b"\x89PNG\r\n\x1a\n"), "PNG", _png)
JPEG = _format(starts_with(b"\xff\xd8\xff"), "JPEG", _jpeg)
GIF = _format(starts_with(b"GIF87a", b"GIF89a"), "GIF", _gif)
WEBP = _format(_is_webp, "WEBP", _webp)
