"""Files as people send them, and as attackers do, made when they are asked for."""

import gzip
import io
import struct
import tarfile
import wave
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PIL import Image, ImageDraw

Make = Callable[[], bytes]
MB = 1024 * 1024


# --- Images ----------------------------------------------------------------------------


def picture(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (width, height), 0)
    ImageDraw.Draw(image).ellipse((10, 10, width - 10, height - 10), fill=1 if mode == "1" else 128)
    return image


def image(kind: str, mode: str = "RGB", **options) -> bytes:
    out = io.BytesIO()
    picture(mode=mode).save(out, kind, **options)
    return out.getvalue()


def animation(kind: str, frames: int = 3) -> bytes:
    out = io.BytesIO()
    first, *rest = (
        Image.new("RGB", (20, 20), (n * 37 % 256, n * 91 % 256, 90)) for n in range(frames)
    )
    first.save(out, kind, save_all=True, append_images=rest, duration=40)
    return out.getvalue()


def photo() -> bytes:
    """With an orientation and a thumbnail's end marker inside, as cameras write it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "\u00ff\u00d9 a thumbnail"
    return image("JPEG", exif=exif)


def chunk(kind: bytes, body: bytes, *, is_right: bool = True) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind)) ^ (not is_right)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def huge_png(*, is_right: bool = True) -> bytes:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    begin = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header, is_right=is_right)
    return begin + chunk(b"IDAT", zlib.compress(b"\0" * 90_001)) + chunk(b"IEND", b"")


def huge_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"\x3b"


def huge_webp() -> bytes:
    body = (
        b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + b"\0"
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def huge_jpeg() -> bytes:
    content = bytearray(image("JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    return bytes(content)


def commented_png() -> bytes:
    comment = chunk(b"tEXt", b"C\0<script >x()</script>")
    return image("PNG")[:-12] + comment + chunk(b"IEND", b"")


def script_gif() -> bytes:
    """`GIF89a/*…*/=1;alert(1)` is a program to whoever takes it for one."""
    return b"GIF89a/*" + b"\0" * 30 + b"*/=1;alert(1);//"


# --- Archives --------------------------------------------------------------------------


def zipped(members: dict[str, bytes], *, stored: tuple[str, ...] = ()) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return out.getvalue()


def office(folder: str, **more: bytes) -> bytes:
    xml = b'<?xml version="1.0"?><x>' + b"some words " * 20 + b"</x>"
    parts = {"[Content_Types].xml": xml, "_rels/.rels": xml, f"{folder}/main.xml": xml}
    return zipped({**parts, **{f"{folder}/{name}.bin": content for name, content in more.items()}})


def open_document(kind: str) -> bytes:
    mimetype = f"application/vnd.oasis.opendocument.{kind}".encode()
    return zipped({"mimetype": mimetype, "content.xml": b"<x/>" * 50}, stored=("mimetype",))


def linked_zip(mode: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("logs")
        entry.create_system, entry.external_attr = 3, mode << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


def overlapping_zip() -> bytes:
    """Every member is the same bytes, as in Fifield's bombs: small, and large once unpacked."""
    content = zlib.compress(bytes(MB), 9)[2:-4]
    name = b"a.txt"
    local = struct.pack(
        "<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 33, zlib.crc32(bytes(MB)), len(content), MB, 5, 0
    )
    central = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 33, zlib.crc32(bytes(MB)),
        len(content), MB, 5, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    body, directory = local + name + content, (central + name) * 5
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 5, 5, len(directory), len(body), 0)
    return body + directory + end


def lying_zip() -> bytes:
    """Says that it holds one file, and holds two."""
    content = bytearray(zipped({"a.txt": b"one", "b.txt": b"two"}))
    end = content.rindex(b"PK\5\6")
    content[end + 8 : end + 12] = struct.pack("<HH", 1, 1)
    return bytes(content)


def zip64(*, count: int = 1, at: int | None = None) -> bytes:
    """With a directory as large archives have it, that says how many and where."""
    content = zipped({"a.txt": b"one"})
    end = content.rindex(b"PK\5\6")
    size, offset = struct.unpack_from("<II", content, end + 12)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end if at is None else at, 1)
    full = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    return content[:end] + record + locator + full


class Pipe(io.RawIOBase):
    """Cannot be gone back in, as what a web server writes to."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.content += data
        return len(data)


def streamed_zip() -> bytes:
    """Sizes stand behind the members."""
    with zipfile.ZipFile(pipe := Pipe(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.log", "b.log"):
            archive.writestr(name, b"one " * 900)
    return bytes(pipe.content)


def other_name_zip() -> bytes:
    """The directory says one name, the member another."""
    content = zipped({"a.txt": b"one"})
    return content.replace(b"a.txt", b"b.sh\0", 1)


def million_zip() -> bytes:
    """A directory for a million files, none of which is there."""
    entry = b"PK\1\2" + bytes(42)
    directory = entry * 300_000
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(directory), 0, 0)
    return directory.replace(b"PK\1\2", b"PK\3\4", 1) + end


def tarred(*members: tuple[str, bytes | None, dict[str, object]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content, fields in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content or b"")
            for field, value in fields.items():
                setattr(entry, field, value)
            archive.addfile(entry, io.BytesIO(content or b""))
    return out.getvalue()


def seven_zip() -> bytes:
    directory = b"\x01\x04\x06\x00"
    start = struct.pack("<QQI", 3, len(directory), zlib.crc32(directory))
    return (
        b"7z\xbc\xaf\x27\x1c\0\4"
        + struct.pack("<I", zlib.crc32(start))
        + start
        + b"abc"
        + directory
    )


# --- Documents, mail, media ------------------------------------------------------------


def pdf() -> bytes:
    out = io.BytesIO()
    picture().save(out, "PDF")
    return out.getvalue()


def wav() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\1" * 800)
    return out.getvalue()


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def film(brand: bytes) -> bytes:
    return (
        box(b"ftyp", brand + b"\0\0\2\0" + brand + b"isom")
        + box(b"moov", box(b"mvhd", bytes(100)))
        + box(b"mdat", bytes(range(256)) * 8)
    )


MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)
EBML = bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282") + b"\x84webm"
MAIL = (
    b"Received: from mail.desk.example\r\n\tby mx.desk.example; Mon, 2 Mar 2026 09:00:00 +0000\r\n"
    b"From: Alice <alice@desk.example>\r\nTo: desk@desk.example\r\nSubject: The printer\r\n\r\n"
    b"It smokes.\r\n"
)
PROGRAM = b"MZ\x90\0\3\0\0\0" + bytes(52) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0\x4c\1" + bytes(400)
ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0\1\0\0\0" + bytes(400)
PAGE = b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"
DRAWING = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>'
# The namespace of pages, written so that no search for it finds it.
HIDDEN_PAGE = b'<x:a xmlns:x="&#104;ttp://www.w3.org/1999/xhtml"><x:script>x()</x:script></x:a>'
DEFAULT_PAGE = (
    b'<!DOCTYPE a [<!ATTLIST a xmlns CDATA #FIXED "htt&#112;://www.w3.org/1999/xhtml">]>'
    b"<a><script>x()</script></a>"
)
ENTITIES = b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
HEIC = box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(200))

GOOD: dict[str, Make] = {
    "photo.png": lambda: image("PNG"),
    "one-bit.png": lambda: image("PNG", "1"),
    "sixteen-bit.png": lambda: image("PNG", "I;16"),
    "transparent.png": lambda: image("PNG", "RGBA"),
    "animated.png": lambda: animation("PNG"),
    "photo.jpg": photo,
    "print.jpeg": lambda: image("JPEG", "CMYK"),
    "slow.jpg": lambda: image("JPEG", progressive=True),
    "grey.jpg": lambda: image("JPEG", "L"),
    "motion.jpg": lambda: photo() + photo() + b"MotionPhoto_Data" + bytes(300),
    "moving.gif": lambda: animation("GIF"),
    "still.gif": lambda: image("GIF", "P"),
    "photo.webp": lambda: image("WEBP"),
    "exact.webp": lambda: image("WEBP", "RGBA", lossless=True),
    "moving.webp": lambda: animation("WEBP"),
    "letter.pdf": pdf,
    "letter.docx": lambda: office("word"),
    "sums.xlsx": lambda: office("xl"),
    "talk.pptx": lambda: office("ppt"),
    "letter.odt": lambda: open_document("text"),
    "sums.ods": lambda: open_document("spreadsheet"),
    "talk.odp": lambda: open_document("presentation"),
    "old.rtf": lambda: rb"{\rtf1\ansi Some words.\par}",
    "notes.txt": lambda: b"Some words.\n",
    "script.txt": lambda: b"#!/bin/sh\necho pasted into a ticket\n",
    "page.txt": lambda: PAGE,
    "wide.txt": lambda: "Größe 😀 und so weiter\n".encode("utf-16"),
    "wide-be.txt": lambda: b"\xfe\xff" + "Größe".encode("utf-16-be"),
    "marked.txt": lambda: "Größe".encode("utf-8-sig"),
    "old.csv": lambda: "Größe;Länge\n1;2\n".encode("cp1252"),
    "formula.csv": lambda: b"=1+1,=SUM(A1:A9)\n",
    "readme.md": lambda: b"# Read me\n\n<b>now</b>\n",
    "colours.log": lambda: b"\x1b[31merror\x1b[0m one\ttwo\r\n",
    "broken.json": lambda: b'{"half": ',
    "list.yaml": lambda: b"- one\n- two\n",
    "feed.xml": lambda: b'<?xml version="1.0"?><feed><entry>1</entry></feed>',
    "page-in-text.xml": lambda: b"<a><b><![CDATA[<html><b>old</b></html>]]></b></a>",
    "wrong.xml": lambda: '<?xml version="1.0" encoding="utf-16"?><a>Größe</a>'.encode("cp1252"),
    "many.xml": lambda: b"<entry>1</entry>\n<entry>2</entry>\n<entry>cut o",
    "logs.zip": lambda: zipped({"logs/a.log": b"one " * 900, "Größe.txt": b"two"}),
    "empty.zip": lambda: zipped({}),
    "streamed.zip": streamed_zip,
    "large.zip": zip64,
    "words.zip": lambda: zipped({"a.txt": b"a" * 9 * MB}),
    "letter-as.zip": lambda: office("word"),
    "log.gz": lambda: gzip.compress(b"one " * 900),
    "logs.tar.gz": lambda: gzip.compress(tarred(("a.log", b"one", {}))),
    "logs.tar": lambda: tarred(("./", None, {"type": tarfile.DIRTYPE}), ("./a.log", b"one", {})),
    "long.tar": lambda: tarred(("a/" * 80 + "größe.log", b"one", {})),
    "logs.7z": seven_zip,
    "mail.eml": lambda: MAIL,
    "box.eml": lambda: b"From alice Mon Mar  2 09:00:00 2026\n" + MAIL.replace(b"\r", b""),
    "tagged.mp3": lambda: b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + MP3_FRAME * 8,
    "plain.mp3": lambda: MP3_FRAME * 8,
    "sound.wav": wav,
    "sound.ogg": lambda: b"OggS\0\2" + bytes(20) + b"\1\x1e\1vorbis" + bytes(40),
    "memo.m4a": lambda: film(b"M4A "),
    "film.mp4": lambda: film(b"isom"),
    "film.webm": lambda: EBML + bytes(200),
    "film.mov": lambda: film(b"qt  "),
    "older.mov": lambda: box(b"wide", b"") + box(b"mdat", bytes(40)) + box(b"moov", bytes(30)),
    "www.example.com.png": lambda: image("PNG"),
    "Rechnung 12.2.2026 (Größe).pdf": pdf,
}


@dataclass(frozen=True)
class Hostile:
    filename: str
    make: Make
    code: str


def _mismatch(name: str, make: Make) -> Hostile:
    return Hostile(name, make, "content_mismatch")


def _unsafe(name: str, make: Make) -> Hostile:
    return Hostile(name, make, "archive_unsafe")


HOSTILE: list[Hostile] = [
    *(_mismatch(name, lambda: PROGRAM) for name in
      ("a.png", "a.jpg", "a.gif", "a.webp", "a.pdf", "a.txt", "a.docx", "a.odt", "a.zip", "a.mp4",
       "a.eml", "a.mp3", "a.rtf", "a.7z", "a.tar", "a.gz", "a.wav", "a.webm")),
    *(_mismatch(name, lambda: ELF) for name in ("b.png", "b.pdf", "b.txt", "b.csv", "b.ogg")),
    _mismatch("page.png", lambda: PAGE),
    _mismatch("page.pdf", lambda: PAGE),
    _mismatch("page.xml", lambda: PAGE),
    _mismatch("drawing.png", lambda: DRAWING),
    _mismatch("drawing.xml", lambda: DRAWING),
    _mismatch("drawing-wide.xml", lambda: DRAWING.decode().encode("utf-16")),
    _mismatch("styled.xml", lambda: b'<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><a/>'),
    _mismatch("late.xml", lambda: b"<!--" + b"x" * 99_999 + b"-->" + DRAWING[21:]),
    _mismatch("late-and-broken.xml", lambda: b"<" + b"x" * 99_999 + b"<" + DRAWING),
    _mismatch("within.xml", lambda: b"<a>" + DRAWING[21:] + b"</a>"),
    _mismatch("hidden.xml", lambda: HIDDEN_PAGE),
    _mismatch("default.xml", lambda: DEFAULT_PAGE),
    _mismatch("entities.xml", lambda: ENTITIES),
    _mismatch("deep.xml", lambda: b"<a>" * 100_000),
    _mismatch("picture.pdf", lambda: image("PNG")),
    _mismatch("letter.png", pdf),
    _mismatch("really-png.jpg", lambda: image("PNG")),
    _mismatch("really-zip.docx", lambda: zipped({"a.txt": b"a"})),
    _mismatch("really-xlsx.docx", lambda: office("xl")),
    _mismatch("really-ods.odt", lambda: open_document("spreadsheet")),
    _mismatch("macros.docx", lambda: office("word", vbaProject=b"macro")),
    _mismatch("phone.jpg", lambda: HEIC),
    _mismatch("words.mp3", lambda: b"ID3\4\0\0\0\0\0\x0a" + b"words " * 90),
    _mismatch("nul.txt", lambda: b"one\0two"),
    _mismatch("half.txt", lambda: "Größe".encode("utf-16")[:-1]),
    _mismatch("pdf.txt", lambda: b"%PDF-1.4\n%%EOF\n"),
    _mismatch("words.eml", lambda: b"Just some words.\n\nNo mail.\n"),
    # Two things at once.
    _mismatch("gifar.gif", lambda: animation("GIF") + zipped({"A.class": b"x"})),
    _mismatch("and-zip.png", lambda: image("PNG") + zipped({"a.txt": b"x"})),
    _mismatch("and-zip.pdf", lambda: pdf() + zipped({"a.txt": b"x"})),
    _mismatch("and-zip.mp4", lambda: film(b"isom") + zipped({"a.txt": b"x"})),
    _mismatch("and-php.jpg", lambda: photo() + b"<?php system($_GET[1]); ?>"),
    _mismatch("comment.png", commented_png),
    _mismatch("script.gif", script_gif),
    _mismatch("self-extracting.zip", lambda: PROGRAM + zipped({"a.txt": b"x"})),
    # Too large.
    Hostile("huge.png", huge_png, "image_too_large"),
    Hostile("huge-and-wrong.png", lambda: huge_png(is_right=False), "image_too_large"),
    Hostile("huge.gif", huge_gif, "image_too_large"),
    Hostile("huge.webp", huge_webp, "image_too_large"),
    Hostile("huge.jpg", huge_jpeg, "image_too_large"),
    Hostile("frames.gif", lambda: animation("GIF", 260), "image_too_large"),
    Hostile("frames.webp", lambda: animation("WEBP", 260), "image_too_large"),
    Hostile("frames.png", lambda: animation("PNG", 260), "image_too_large"),
    Hostile("bomb.zip", lambda: zipped({"a.txt": bytes(60 * MB)}), "archive_too_large"),
    Hostile("bomb.docx", lambda: office("word", blanks=bytes(60 * MB)), "archive_too_large"),
    Hostile("bomb.gz", lambda: gzip.compress(bytes(60 * MB)), "archive_too_large"),
    Hostile("many.zip", lambda: zipped({f"{n}": b"" for n in range(10_000)}), "archive_too_large"),
    Hostile("million.zip", million_zip, "archive_too_large"),
    Hostile("many.tar", lambda: tarred(*((f"{n}", b"", {}) for n in range(2_100))),
            "archive_too_large"),
    # Unsafe to unpack.
    *(_unsafe(f"path-{n}.zip", partial(zipped, {name: b"x"})) for n, name in enumerate(
        ("../a.txt", "/etc/passwd", "a/../../b", "C:/a.txt", "a\\..\\b", "a\nb"))),
    _unsafe("link.zip", lambda: linked_zip(0o120777)),
    _unsafe("device.zip", lambda: linked_zip(0o060644)),
    _unsafe("overlapping.zip", overlapping_zip),
    _unsafe("lying.zip", lying_zip),
    _unsafe("lying-64.zip", lambda: zip64(count=2)),
    _unsafe("elsewhere-64.zip", lambda: zip64(at=2**63)),
    Hostile("million-64.zip", lambda: zip64(count=2**40), "archive_too_large"),
    _unsafe("other-name.zip", other_name_zip),
    _unsafe("path.docx", lambda: office("../word")),
    _unsafe("and-more.zip", lambda: zipped({"a.txt": b"x"}).replace(b"PK\1\2", b"xxPK\1\2")),
    _unsafe("link.tar", lambda: tarred(("a", None, {"type": tarfile.SYMTYPE, "linkname": "/etc"}))),
    _unsafe("hard.tar", lambda: tarred(("a", None, {"type": tarfile.LNKTYPE, "linkname": "b"}))),
    _unsafe("device.tar", lambda: tarred(("a", None, {"type": tarfile.CHRTYPE}))),
    _unsafe("path.tar", lambda: tarred(("../a", b"x", {}))),
    _unsafe("long-path.tar", lambda: tarred(("../" + "a/" * 80 + "b", b"x", {}))),
    # Cut off.
    _mismatch("cut.png", lambda: image("PNG")[:-20]),
    _mismatch("cut.jpg", lambda: photo()[:-40]),
    _mismatch("cut.gif", lambda: animation("GIF")[:-30]),
    _mismatch("cut.webp", lambda: image("WEBP")[:-30]),
    _mismatch("cut.pdf", lambda: pdf()[:-60]),
    _mismatch("cut.zip", lambda: zipped({"a.txt": b"words"})[:-10]),
    _mismatch("cut.tar", lambda: tarred(("a", bytes(2000), {}))[:1200]),
    _mismatch("cut.7z", lambda: seven_zip()[:-2]),
    _mismatch("cut.mp4", lambda: film(b"isom")[:-9]),
    # By their names.
    *(Hostile(name, lambda: b"words", "file_type_not_allowed") for name in
      ("a.exe", "a.php.png", "a.pdf.exe", "a.html", "a.svg", "a.js", "a.sh", "a.jar", "a.com",
       "a.docm", "a", "a.unknown", ".htaccess", "a.PHP.png", "a.exe.", "a.heic", "a.lnk")),
    *(Hostile(name, lambda: b"words", "invalid_filename") for name in
      ("../a.txt", "..", "/etc/passwd", "C:\\a.txt", "a/b.txt", "gpj.\u202eexe.txt",
       "\u2066a.txt", "a\x07.txt", " . ")),
    Hostile("nothing.txt", lambda: b"", "file_empty"),
    Hostile("long.log", lambda: b"x" * (5 * MB + 1), "file_too_large"),
]  # fmt: skip
