"""Sound and film: their outermost structure. Whether they play is for who plays them."""

import struct

from attachments.inspection.format import Format, starts_with
from attachments.inspection.polyglots import refuse_pdf_at_start, refuse_zip_at_end
from attachments.inspection.signatures import PICTURES
from attachments.inspection.source import HEAD, Source
from attachments.policy import Policy
from attachments.refusals import ContentMismatch

CUT_OFF = "The recording is not whole; it may have been cut off on its way."
MAX_BOXES = 10_000
# Boxes that a QuickTime film may begin with, where it is older than the box that names its type.
QUICKTIME_BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
# Written where the length was not known yet.
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)


def _alone(source: Source) -> None:
    refuse_pdf_at_start(source.head)
    refuse_zip_at_end(source)


def _is_mp3(head: bytes) -> bool:
    return head.startswith(b"ID3") or _is_frame(head)


def _is_frame(data: bytes) -> bool:
    """ISO 11172-3: eleven set bits, then no reserved version, layer, bit rate or sampling rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    return version != 1 and layer != 0 and data[2] >> 4 not in (0, 15) and data[2] >> 2 & 3 != 3


def _mp3(source: Source, policy: Policy) -> None:
    """Some encoders leave a gap between the tag and the first frame."""
    at = 0
    if source.head.startswith(b"ID3") and len(source.head) > 10:
        # Seven bits of each byte.
        at = 10
        for byte, shift in zip(source.head[6:10], (21, 14, 7, 0), strict=True):
            at += (byte & 0x7F) << shift
    near = source.at(at, HEAD)
    if not any(_is_frame(near[index : index + 4]) for index in range(len(near))):
        raise ContentMismatch("There is no sound in it.")
    _alone(source)


def _is_wav(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def _wav(source: Source, policy: Policy) -> None:
    (length,) = struct.unpack_from("<I", source.head.ljust(8), 4)
    if length not in UNKNOWN_LENGTHS and length + 8 > source.size + 1:
        raise ContentMismatch(CUT_OFF)
    _alone(source)


def _ogg(source: Source, policy: Policy) -> None:
    _alone(source)


def _is_film(head: bytes) -> bool:
    """ISO 14496-12; a picture of a phone is in the same container."""
    return head[4:8] == b"ftyp" and head[8:12] not in PICTURES


def _is_quicktime(head: bytes) -> bool:
    return _is_film(head) or head[4:8] in QUICKTIME_BOXES


def _boxes(source: Source, policy: Policy) -> None:
    at, kinds = 0, set()
    for _ in range(MAX_BOXES):
        if at >= source.size:
            break
        header = source.at(at, 16)
        if len(header) < 8:
            raise ContentMismatch(CUT_OFF)
        length, kind = struct.unpack_from(">I4s", header)
        if length == 1 and len(header) == 16:
            (length,) = struct.unpack_from(">Q", header, 8)
        elif length == 0:  # to the end
            length = source.size - at
        if length < 8 or not kind.isascii():
            raise ContentMismatch("This is no recording.")
        kinds.add(kind)
        at += length
    if at != source.size or not kinds & {b"moov", b"moof", b"mdat"}:
        raise ContentMismatch(CUT_OFF)
    _alone(source)


def _is_webm(head: bytes) -> bool:
    return head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head[:64]


def _webm(source: Source, policy: Policy) -> None:
    _alone(source)


MP3 = Format(_is_mp3, _mp3)
WAV = Format(_is_wav, _wav)
OGG = Format(starts_with(b"OggS\0"), _ogg)
MP4 = Format(_is_film, _boxes)
QUICKTIME = Format(_is_quicktime, _boxes)
WEBM = Format(_is_webm, _webm)
