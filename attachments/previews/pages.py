"""The first page of a PDF."""

import math
from collections.abc import Mapping
from typing import BinaryIO

import pypdfium2
from pypdfium2 import raw

from attachments.previews import images, limits
from attachments.previews.refusing import Undrawable

# pypdfium2 looks this module up when it makes an image.
import PIL.Image  # noqa: F401  isort: skip


def draw(file: BinaryIO) -> Mapping[str, bytes]:
    """Thumbnails of the first page, on white. However large the page, as many pixels are drawn.

    Raises Undrawable.
    """
    try:
        document = pypdfium2.PdfDocument(file)
        document.init_forms()
        page = document[0]
    except pypdfium2.PdfiumError as exc:
        is_locked = exc.err_code == raw.FPDF_ERR_PASSWORD
        raise Undrawable("locked" if is_locked else "broken") from exc
    longer = max(page.get_size())
    if not math.isfinite(longer) or longer <= 0:
        raise Undrawable("broken")
    bitmap = page.render(scale=limits.THUMBNAILS[-1] / longer, rev_byteorder=True)
    return images.thumbnails(bitmap.to_pil().convert("RGB"))
