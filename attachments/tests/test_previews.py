"""What a preview shows, of every kind of file; each is drawn by the real program."""

import csv
import io
import math
import struct
import tempfile
import zipfile
from typing import Any

import orjson
import pypdfium2
import pytest
from PIL import Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from attachments.formats import CONTENT_TYPES
from attachments.previews import kind_of, limits
from attachments.previews.answers import DrawingFailed
from attachments.previews.running import draw

# Nothing here knows the database.
pytestmark = pytest.mark.once

PIXELS = 40_000_000
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def parts_of(data, content_type, pixels=PIXELS):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        kind = kind_of(content_type)
        assert kind is not None
        drawn = draw(file, kind=kind, content_type=content_type, pixels=pixels)
    return {part.name: part for part in drawn}


def thumbnails_of(data, content_type):
    parts = parts_of(data, content_type)
    assert set(parts) == {"256", "1024"}
    assert {part.content_type for part in parts.values()} == {"image/webp"}
    return [Image.open(io.BytesIO(parts[side].data), formats=["WEBP"]) for side in ("256", "1024")]


def json_of(data, content_type):
    (part,) = parts_of(data, content_type).values()
    assert (part.name, part.content_type) == ("json", "application/json")
    return orjson.loads(part.data)


def written(image, image_format, **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def is_near(pixel, color, tolerance=12):
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, color, strict=False))


def four_corners(size=(400, 200)):
    """Red, green, blue and white, from the left upper corner by the lines."""
    image = Image.new("RGB", size, WHITE)
    width, height = size
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width // 2 - 1, height // 2 - 1), RED)
    pen.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    pen.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    return image


def corners(image):
    image = image.convert("RGB")
    width, height = image.size
    left, right, top, bottom = width // 4, width * 3 // 4, height // 4, height * 3 // 4
    places = ((left, top), (right, top), (left, bottom), (right, bottom))
    return [image.getpixel(place) for place in places]


# --- Which files ----------------------------------------------------------------------


def test_every_format_has_its_kind_or_none():
    kinds = {extension: kind_of(CONTENT_TYPES[extension]) for extension in CONTENT_TYPES}
    assert {extension: kind for extension, kind in kinds.items() if kind} == {
        **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp"), "image"),
        **dict.fromkeys(("txt", "log", "json", "yaml", "xml"), "text"),
        "pdf": "pdf",
        "csv": "table",
        "md": "html",
        "zip": "listing",
    }


# --- Images ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "options"),
    [
        ("image/png", {}),
        ("image/jpeg", {"quality": 95}),
        ("image/jpeg", {"quality": 95, "progressive": True}),
        ("image/gif", {}),
        ("image/webp", {"lossless": True}),
    ],
)
def test_an_image_becomes_two_thumbnails(content_type, options):
    image_format = content_type.removeprefix("image/").upper()
    small, large = thumbnails_of(
        written(four_corners((3000, 1500)), image_format, **options), content_type
    )
    assert (small.size, large.size) == ((256, 128), (1024, 512))
    for drawn in (small, large):
        for pixel, color in zip(corners(drawn), (RED, GREEN, BLUE, WHITE), strict=True):
            assert is_near(pixel, color)


@pytest.mark.parametrize(
    ("size", "small_size", "large_size"),
    [
        ((1, 1), (1, 1), (1, 1)),
        ((100, 50), (100, 50), (100, 50)),
        ((500, 300), (256, 154), (500, 300)),
        ((20_000, 3), (256, 1), (1024, 1)),
        ((3, 20_000), (1, 256), (1, 1024)),
    ],
)
def test_nothing_is_made_larger_and_the_narrowest_stays(size, small_size, large_size):
    small, large = thumbnails_of(written(Image.new("RGB", size, BLUE), "PNG"), "image/png")
    assert (small.size, large.size) == (small_size, large_size)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_stands_as_the_camera_was_held(orientation, image_format):
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = four_corners()
    if orientation in turned:
        image = image.transpose(turned[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = written(image, image_format, exif=exif)
    small, large = thumbnails_of(data, f"image/{image_format.lower()}")
    assert (small.size, large.size) == ((256, 128), (400, 200))
    for pixel, color in zip(corners(large), (RED, GREEN, BLUE, WHITE), strict=True):
        assert is_near(pixel, color, 20)


def with_everything(image_format):
    """An image that says where and by whom it was taken, in every way that the format knows."""
    exif = Image.Exif()
    exif[0x010F] = "SECRET-MAKER"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/">SECRET-XMP</x:xmpmeta>'
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    if image_format == "PNG":
        info = PngInfo()
        info.add_text("Comment", "SECRET-COMMENT")
        options["pnginfo"] = info
    if image_format == "JPEG":
        options |= {"comment": b"SECRET-COMMENT", "xmp": xmp}
    if image_format == "WEBP":
        options["xmp"] = xmp
    return written(four_corners(), image_format, **options)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_metadata_stay_behind(image_format):
    data = with_everything(image_format)
    assert b"SECRET-MAKER" in data
    for part in parts_of(data, f"image/{image_format.lower()}").values():
        drawn = Image.open(io.BytesIO(part.data))
        assert not dict(drawn.getexif())
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(drawn.info)
        for trace in (b"SECRET", b"EXIF", b"ICCP", b"XMP "):
            assert trace not in part.data


def test_broken_metadata_do_not_hide_a_whole_picture():
    data = written(
        four_corners(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"\xff" * 50
    )
    assert thumbnails_of(data, "image/jpeg")[1].size == (400, 200)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_kept(mode):
    image = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 20, 40))
    data = written(image if mode == "RGBA" else image.convert(mode), "PNG")
    for drawn in thumbnails_of(data, "image/png"):
        assert drawn.mode == "RGBA"
        assert drawn.getpixel((10, 20))[3] == 255
        assert drawn.getpixel((30, 20))[3] == 0


def test_one_transparent_color_is_transparent():
    image = Image.new("RGB", (20, 20), RED)
    image.paste(BLUE, (0, 0, 10, 20))
    drawn = thumbnails_of(written(image, "PNG", transparency=RED), "image/png")[1]
    assert (drawn.getpixel((2, 10))[3], drawn.getpixel((17, 10))[3]) == (255, 0)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_of_what_moves_the_first_frame_is_shown(image_format):
    frames = [Image.new("RGB", (60, 30), color) for color in (RED, GREEN, BLUE)]
    data = written(
        frames[0], image_format, save_all=True, append_images=frames[1:], duration=100, loop=0
    )
    for drawn in thumbnails_of(data, f"image/{image_format.lower()}"):
        assert getattr(drawn, "n_frames", 1) == 1
        assert is_near(drawn.convert("RGB").getpixel((30, 15)), RED)


def test_sixteen_bits_a_pixel_keep_their_shades():
    row = struct.pack("<40H", *[0] * 20, *[32768] * 20)
    image = Image.frombytes("I;16", (40, 20), row * 20)
    drawn = thumbnails_of(written(image, "PNG"), "image/png")[1].convert("RGB")
    assert is_near(drawn.getpixel((5, 10)), (0, 0, 0))
    assert is_near(drawn.getpixel((35, 10)), (128, 128, 128))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_mode_of_a_png_is_drawn(mode):
    data = written(Image.new("RGB", (30, 30), WHITE).convert(mode), "PNG")
    assert is_near(thumbnails_of(data, "image/png")[1].convert("RGB").getpixel((9, 9)), WHITE)


def test_inks_become_colors():
    drawn = thumbnails_of(
        written(Image.new("CMYK", (30, 30), (0, 255, 255, 0)), "JPEG"), "image/jpeg"
    )
    assert is_near(drawn[1].convert("RGB").getpixel((9, 9)), RED, 40)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_another_color_space_is_turned_into_that_of_browsers(mode):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1)
    swapped = swapped.replace(b"????", b"gXYZ", 1)
    data = written(Image.new("RGB", (30, 30), RED).convert(mode), "PNG", icc_profile=swapped)
    assert is_near(thumbnails_of(data, "image/png")[1].convert("RGB").getpixel((9, 9)), GREEN, 30)


def test_a_profile_that_does_not_fit_is_ignored_and_stays_behind():
    data = written(Image.new("RGB", (30, 30), GREEN), "PNG", icc_profile=b"no profile" * 30)
    assert is_near(thumbnails_of(data, "image/png")[1].convert("RGB").getpixel((9, 9)), GREEN)
    for part in parts_of(data, "image/png").values():
        assert b"no profile" not in part.data


def test_only_the_format_of_the_type_is_tried():
    with pytest.raises(DrawingFailed, match="cannot be read"):
        parts_of(written(four_corners(), "GIF"), "image/png")


@pytest.mark.parametrize("cut", [20, 100, 1000])
def test_half_an_image_has_no_preview(cut):
    noise = Image.effect_noise((200, 200), 80)
    for image_format in ("PNG", "JPEG", "GIF", "WEBP"):
        with pytest.raises(DrawingFailed):
            parts_of(written(noise, image_format)[:cut], f"image/{image_format.lower()}")


def test_more_pixels_than_the_policy_has_are_not_decoded():
    with pytest.raises(DrawingFailed, match="too much in the file"):
        parts_of(written(Image.new("L", (300, 300)), "PNG"), "image/png", pixels=89_999)
    assert parts_of(written(Image.new("L", (300, 300)), "PNG"), "image/png", pixels=90_000)


# --- PDF ------------------------------------------------------------------------------


def pdf(width, height, pages=1):
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(width, height)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_the_first_page_of_a_pdf_is_drawn():
    first, second = four_corners((600, 800)), Image.new("RGB", (600, 800), GREEN)
    data = written(first, "PDF", save_all=True, append_images=[second])
    small, large = thumbnails_of(data, "application/pdf")
    assert (small.size, large.size) == ((192, 256), (768, 1024))
    for pixel, color in zip(corners(large), (RED, GREEN, BLUE, WHITE), strict=True):
        assert is_near(pixel, color, 20)


def test_an_empty_page_is_white_paper():
    large = thumbnails_of(pdf(595, 842), "application/pdf")[1]
    assert large.mode == "RGB"
    assert is_near(large.getpixel((300, 300)), WHITE)


@pytest.mark.parametrize(("width", "height"), [(1e6, 1e6), (14_400, 3), (3, 14_400), (1, 1)])
def test_a_page_is_drawn_with_as_many_pixels_whatever_its_size(width, height):
    for drawn, side in zip(
        thumbnails_of(pdf(width, height), "application/pdf"), limits.THUMBNAILS, strict=True
    ):
        assert max(drawn.size) in (side, side + 1)
        assert math.prod(drawn.size) <= (side + 1) ** 2


def plain_pdf(content, *further, page=b"", root=b""):
    """One page of 200 x 200 points, with a font that every reader has; `further` are objects from
    number 6 on."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % root,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>>>%s>>" % page,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *further,
    ]
    body = b"".join(b"%d 0 obj%s\nendobj\n" % pair for pair in enumerate(objects, 1))
    return b"%%PDF-1.7\n%strailer<</Root 1 0 R/Size %d>>\n%%%%EOF" % (body, len(objects) + 1)


def darkness(image, box):
    return 255 - min(image.crop(box).convert("L").tobytes())


def test_text_is_drawn_though_no_font_can_be_loaded():
    large = thumbnails_of(plain_pdf(b"BT /F 40 Tf 20 150 Td (Hello) Tj ET"), "application/pdf")[1]
    assert darkness(large, (50, 50, 700, 300)) > 200
    assert darkness(large, (50, 500, 1000, 1000)) == 0


def test_a_font_that_is_not_in_the_file_is_replaced():
    data = plain_pdf(b"BT /F 40 Tf 20 150 Td (Hello) Tj ET").replace(b"Helvetica", b"NoSuchOne")
    assert darkness(thumbnails_of(data, "application/pdf")[1], (50, 50, 700, 300)) > 200


def test_what_was_filled_into_a_form_is_drawn():
    look = b"BT /F 40 Tf 5 10 Td (Me) Tj ET"
    data = plain_pdf(
        b"",
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(Me)/F 4/Rect[20 20 180 80]/P 3 0 R"
        b"/AP<</N 7 0 R>>>>",
        b"<</Type/XObject/Subtype/Form/BBox[0 0 160 60]/Resources<</Font<</F 5 0 R>>>>"
        b"/Length %d>>stream\n%s\nendstream" % (len(look), look),
        page=b"/Annots[6 0 R]",
        root=b"/AcroForm<</Fields[6 0 R]>>",
    )
    assert darkness(thumbnails_of(data, "application/pdf")[1], (100, 600, 900, 950)) > 200


def test_a_turned_page_is_drawn_turned():
    data = plain_pdf(b"0 0 100 50 re f", page=b"/Rotate 90").replace(b"200 200]", b"200 100]")
    large = thumbnails_of(data, "application/pdf")[1]
    assert large.size == (512, 1024)
    # What was left and below is left and above.
    assert darkness(large, (5, 5, 200, 400)) == 255
    assert darkness(large, (300, 600, 500, 1000)) == 0


ENCRYPTED = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj
4 0 obj<</Filter/Standard/V 1/R 2/O<OWNER>/U<USER>/P -4>>endobj
trailer<</Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]/Size 5>>
%%EOF
""".replace(b"OWNER", b"11" * 32).replace(b"USER", b"22" * 32)


def test_a_pdf_with_a_password_says_so():
    with pytest.raises(DrawingFailed, match="password"):
        parts_of(ENCRYPTED, "application/pdf")


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n%%EOF", b"no pdf", pdf(100, 100)[:200]], ids=["empty", "text", "cut"]
)
def test_what_is_no_pdf_has_no_preview(data):
    with pytest.raises(DrawingFailed, match="cannot be read"):
        parts_of(data, "application/pdf")


# --- Text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "Grüße, 日本 😀\n".encode(),
        "Grüße, 日本 😀\n".encode("utf-8-sig"),
        "Grüße, 日本 😀\n".encode("utf-16"),
        b"\xfe\xff" + "Grüße, 日本 😀\n".encode("utf-16-be"),
    ],
)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/yaml", "application/xml"]
)
def test_a_text_is_read_in_its_encoding(data, content_type):
    assert json_of(data, content_type) == {
        "kind": "text",
        "text": "Grüße, 日本 😀\n",
        "truncated": False,
    }


def test_a_text_in_an_old_encoding_is_read_too():
    assert json_of("Größe: 5 €".encode("cp1252"), "text/plain")["text"] == "Größe: 5 €"
    # 0x81 is nothing in Windows' set.
    assert json_of(b"gr\xfc\x81", "text/plain")["text"] == "grü\x81"


def test_a_long_text_is_cut_between_characters():
    shown = json_of("é😀".encode() * 200_000, "text/plain")
    assert shown["truncated"] is True
    assert shown["text"] == "é😀" * (limits.TEXT_CHARS // 2)
    whole = json_of(b"x" * limits.TEXT_CHARS, "text/plain")
    assert (len(whole["text"]), whole["truncated"]) == (limits.TEXT_CHARS, False)


def test_a_cut_within_a_character_does_not_change_the_encoding():
    # The bytes that are read end within a character, wherever they begin.
    for lead in range(4):
        shown = json_of(b"x" * lead + "😀".encode() * 100_000, "text/plain")
        assert shown["text"].startswith("x" * lead + "😀" * 100)


def test_control_characters_stay_what_they_are():
    text = "a\u202etxt.exe\u0007\x1b[31m</script>\u2028"
    assert json_of(text.encode(), "text/plain")["text"] == text


def test_no_text_is_shown_as_a_page():
    # Whatever it holds, it is a string in a document that begins with a brace.
    (part,) = parts_of(b"<script>alert(1)</script>", "text/plain").values()
    assert part.data.startswith(b'{"kind":"text","text":"')


# --- Tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_split_by_what_it_uses(delimiter):
    rows = [
        ["name", "note", "sum"],
        ["Zoë", f'says "hi{delimiter}ho"', "1,5;2|3"],
        ["", "two\nlines", "=1+1"],
    ]
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(rows)
    shown = json_of(file.getvalue().encode("utf-16"), "text/csv")
    assert shown == {"kind": "table", "rows": rows, "truncated": False}


def test_a_table_of_one_column_is_one():
    assert json_of(b"a\nb c\n", "text/csv")["rows"] == [["a"], ["b c"]]
    assert json_of(b"a\rb\r", "text/csv")["rows"] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("data", "rows", "columns"),
    [
        (b"a,b\n" * 201, 200, 2),
        (b",".join([b"x"] * 51), 1, 50),
        (b"a," + b"y" * 201, 1, 2),
        (b"a,b\n" * 200 + b"a,b", 200, 2),
    ],
)
def test_a_large_table_is_cut(data, rows, columns):
    shown = json_of(data, "text/csv")
    assert shown["truncated"] is True
    assert (len(shown["rows"]), len(shown["rows"][0])) == (rows, columns)
    assert max(len(cell) for row in shown["rows"] for cell in row) <= limits.CELL_CHARS


def test_a_table_that_just_fits_is_whole():
    assert json_of(b"a,b\n" * 200, "text/csv")["truncated"] is False


@pytest.mark.parametrize(
    "data",
    [b'"' + b"x" * 2_000_000, b'"",' * 700_000, b"\n" * 2_000_000, b"," * 2_000_000],
    ids=["quote", "quotes", "lines", "commas"],
)
def test_an_odd_table_is_cut_too(data):
    shown = json_of(data, "text/csv")
    assert shown["truncated"] is True
    assert len(shown["rows"]) <= limits.ROWS


# --- Markdown -------------------------------------------------------------------------


def test_markdown_is_drawn_as_messages_are():
    shown = json_of(b"# Hi\n\n* one\n\n[site](https://example.com) `x`", "text/markdown")
    assert (shown["kind"], shown["truncated"]) == ("html", False)
    assert "<h1>Hi</h1>" in shown["html"]
    link = '<a href="https://example.com" rel="noopener noreferrer nofollow">site</a>'
    assert link in shown["html"]


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "![x](https://tracker.example/pixel.png)",
        "[x](/admin/logout/)",
        "<svg/onload=alert(1)>",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
    ],
)
def test_nothing_in_markdown_can_act(hostile):
    html = json_of(hostile.encode(), "text/markdown")["html"].lower()
    for active in ("<script", "<img", "<svg", 'href="/', 'href="j', 'href="d'):
        assert active not in html


def test_long_markdown_is_cut():
    shown = json_of(b"word " * 100_000, "text/markdown")
    assert shown["truncated"] is True
    assert 60_000 < len(shown["html"]) < 70_000


@pytest.mark.parametrize(
    "data",
    [
        b">" * 70_000,
        b"[" * 70_000,
        b"*a_" * 22_000,
        b"a@b.cd " * 10_000,
        b"|a" * 100 + b"\n" + b"|-" * 100 + b"\n" + b"|\n" * 30_000,
    ],
    ids=["quotes", "brackets", "stars", "mails", "table"],
)
def test_markdown_made_to_take_long_ends_one_way_or_the_other(data):
    try:
        assert len(json_of(data, "text/markdown")["html"]) < 2 * limits.HTML_CHARS
    except DrawingFailed as failure:
        assert "too long" in str(failure) or "too much" in str(failure)  # noqa: PT017


# --- Archives -------------------------------------------------------------------------


def archive(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in entries:
            pack.writestr(name, data)
    return file.getvalue()


def test_an_archive_is_listed():
    data = archive([("größe/", b""), ("größe/日本.txt", b"x" * 1234), ("b.bin", b"")])
    assert json_of(data, "application/zip") == {
        "kind": "listing",
        "entries": [
            {"name": "größe/", "size": 0},
            {"name": "größe/日本.txt", "size": 1234},
            {"name": "b.bin", "size": 0},
        ],
        "truncated": False,
    }


def test_a_long_listing_is_cut():
    shown = json_of(archive([(f"{n:04}", b"") for n in range(1001)]), "application/zip")
    assert (len(shown["entries"]), shown["truncated"]) == (1000, True)
    assert shown["entries"][0]["name"] == "0000"


def test_an_old_archive_with_names_in_the_set_of_dos_is_listed():
    data = archive([("grXn.txt", b"")]).replace(b"grXn", b"gr\x81n")
    assert json_of(data, "application/zip")["entries"] == [{"name": "grün.txt", "size": 0}]


def test_an_empty_archive_is_listed_as_such():
    assert json_of(archive([]), "application/zip")["entries"] == []


def test_what_is_no_archive_has_no_preview():
    with pytest.raises(DrawingFailed):
        parts_of(b"PK\x05\x06nonsense", "application/zip")
