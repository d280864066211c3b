"""Looks into papers with Pillow: what decodes as a picture is one, and is written again without metadata."""

import io
from collections.abc import Mapping
from typing import Literal

from PIL import Image, UnidentifiedImageError

from pinjam.services.ports import Paper, UnreadablePaper

MOST_PIXELS = 60_000_000
"""More than any phone's camera; a small file that unpacks to more is an attack on memory."""
JPEG_QUALITY = 92
ORIENTATION = 0x0112
TURNS: Mapping[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientations, and what sets each upright."""
PDF_TAIL_BYTES = 2048


class PillowPapers:
    """JPEG, PNG and PDF, judged by content."""

    def read(self, content: bytes, *, pdf_allowed: bool) -> Paper:
        """The paper. UnreadablePaper `file-empty`, `file-type`, `file-broken` or `picture-too-large`."""
        if not content:
            raise UnreadablePaper("file-empty")
        if content.startswith(b"%PDF-"):
            if not pdf_allowed:
                raise UnreadablePaper("file-type", {"allowed": "JPEG, PNG"})
            if b"%%EOF" not in content[-PDF_TAIL_BYTES:]:
                raise UnreadablePaper("file-broken")
            return Paper(content=content, content_type="application/pdf")
        return _picture(content, allowed="JPEG, PNG, PDF" if pdf_allowed else "JPEG, PNG")


def _picture(content: bytes, *, allowed: str) -> Paper:
    try:
        picture = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        if picture.width * picture.height > MOST_PIXELS:
            raise UnreadablePaper("picture-too-large", {"max": MOST_PIXELS})
        # A JPEG with more pictures behind the first, as many phones make it, calls itself MPO.
        kind: Literal["JPEG", "PNG"] = "PNG" if picture.format == "PNG" else "JPEG"
        # The camera's turn is in the metadata that goes: turn the pixels instead. Pillow's own way would
        # write the other metadata anew, and fails in many ways where it is damaged.
        turn = TURNS.get(picture.getexif().get(ORIENTATION))
        upright = picture.copy() if turn is None else picture.transpose(turn)
    except UnidentifiedImageError:
        raise UnreadablePaper("file-type", {"allowed": allowed}) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow's own limit is above ours. Whether it warns or raises is left to the process: filters of
        # warnings belong to all its threads, and two that set them for a moment can leave them set for good.
        raise UnreadablePaper("picture-too-large", {"max": MOST_PIXELS}) from None
    except (OSError, SyntaxError, ValueError, Warning):
        raise UnreadablePaper("file-broken") from None
    if upright.mode == "P":
        upright = upright.convert("RGBA")
    # Only the pixels move into a new picture: whatever came with the old one stays behind.
    clean = Image.new(upright.mode, upright.size)
    clean.paste(upright)
    target = io.BytesIO()
    if kind == "JPEG":
        clean.save(target, "JPEG", quality=JPEG_QUALITY)
        return Paper(content=target.getvalue(), content_type="image/jpeg")
    clean.save(target, "PNG")
    return Paper(content=target.getvalue(), content_type="image/png")
