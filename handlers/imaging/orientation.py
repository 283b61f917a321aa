"""Which way up an image is, as browsers see it.

JPEG, PNG and WebP: the orientation in their EXIF block. AVIF and HEIF: the rotation and mirroring of the container (irot, imir), never
EXIF. TIFF: its own tag. XMP and text chunks count for nothing.
"""

from __future__ import annotations

from PIL import Image

_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Decoders of other formats turn the image themselves, or have no orientation. Of AVIF, Pillow puts the container's into EXIF.
_IN_EXIF = ("JPEG", "PNG", "WEBP", "AVIF")


def orientation(image: Image.Image, name: str) -> int:
    """The orientation of a loaded image, 1 to 8 as EXIF counts; 1 where there is none or it is damaged."""
    block = image.info.get("exif") if name in _IN_EXIF else None
    if not block:
        return 1
    exif = Image.Exif()
    try:
        exif.load(block)
        value = exif.get(_TAG)
    except Exception:  # damaged EXIF does not make an image unreadable
        return 1
    return value if value in _TURNS else 1


def is_sideways(value: int) -> bool:
    """Whether width and height change places."""
    return value in (5, 6, 7, 8)


def upright(image: Image.Image, value: int) -> Image.Image:
    """The image, turned."""
    return image.transpose(_TURNS[value]) if value in _TURNS else image
