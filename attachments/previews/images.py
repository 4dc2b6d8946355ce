"""Thumbnails of images: from pixels to pixels, so that nothing else comes along."""

import copy
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

from PIL import (
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from attachments.previews import limits
from attachments.previews.refusing import Undrawable

# What Pillow would load when it needs it, by when nothing can be loaded any more.
LOADED = (
    GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin,
    WebPImagePlugin, copy,
)  # fmt: skip
Image.preinit()
# The policy's limit counts; Pillow's own would call the rest of them broken.
Image.MAX_IMAGE_PIXELS = None

# By the value of EXIF's orientation: how the camera was held.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SRGB = ImageCms.createProfile("sRGB")


def draw(file: BinaryIO, image_format: str, pixels: int) -> Mapping[str, bytes]:
    """The thumbnails of the first frame, upright. Images of more than `pixels` are not decoded.

    Raises Undrawable, and whatever Pillow raises at what is broken.
    """
    image: Image.Image = Image.open(file, formats=[image_format])
    if image.width * image.height > pixels:
        raise Undrawable("too_large")
    turn = UPRIGHT.get(_orientation(image))
    image = _resizable(image)
    largest = limits.THUMBNAILS[-1]
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    image = _in_srgb(image)
    return thumbnails(image if turn is None else image.transpose(turn))


def thumbnails(image: Image.Image) -> dict[str, bytes]:
    """WebP by its longer side, from an RGB or RGBA image no larger than the largest."""
    # From the pixels alone: nothing else that came with them is there to come along.
    image = Image.frombytes(image.mode, image.size, image.tobytes())
    drawn = {}
    for side in sorted(limits.THUMBNAILS, reverse=True):
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        written = io.BytesIO()
        image.save(written, "WEBP", quality=80)
        drawn[str(side)] = written.getvalue()
    return drawn


def _orientation(image: Image.Image) -> int:
    # Of an image whose metadata are broken the pixels may well be whole.
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _resizable(image: Image.Image) -> Image.Image:
    """In a mode whose pixels can be averaged."""
    if image.mode.startswith("I"):
        # 16 bits a pixel.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode in ("1", "P") else image


def _in_srgb(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where anything is transparent, in the colours that browsers assume."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    profile = image.info.get("icc_profile")
    if profile:
        # One that does not fit the pixels is as good as none.
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, own, SRGB, outputMode=mode)
            if converted is not None:
                return converted
    return image.convert(mode)
