"""Any picture in, a small upright RGB picture out: bytes to bytes, no AWS.

A JPEG or PNG that a model can read as it is passes through byte for byte; anything else is turned upright, made RGB on white, scaled down
and encoded again, never larger than `MAX_TRAVEL_BYTES`, so that it travels in the state of a workflow (262,144 bytes, base64 included).
Only the first frame or page counts. Colour profiles are not applied.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

from PIL import Image, PngImagePlugin, features

from handlers.rejections import Rejection

MAX_TRAVEL_BYTES = 96 * 1024

# The limit on pixels is ours, applied to the header before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
# Profiles and notes of some megabytes are no bombs; Pillow, and with it many a model, draws the line at one.
_USUAL_TEXT = PngImagePlugin.MAX_TEXT_CHUNK
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024

_JPEG_QUALITIES = (92, 85, 70, 50, 30)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What travels, and what the upload was.

    ``width`` and ``height`` are pixels of the upload, seen upright.
    """

    data: bytes
    content_type: str
    format: str
    width: int
    height: int


def sniff(data: bytes) -> str:
    """The format of an image by its first bytes, as Pillow names it.

    Raises
    ------
    Rejection
        ``not_an_image``, or ``unsupported_format`` for one that this build of Pillow cannot read.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    # "BM" alone begins many a text; the sizes of BMP's second header are few.
    if data.startswith(b"BM") and data[14:18] in {
        bytes((n, 0, 0, 0)) for n in (12, 16, 40, 52, 56, 64, 108, 124)
    }:
        return "BMP"
    if data[4:8] == b"ftyp":
        brands = data[8:64]
        if any(brand in brands for brand in (b"avif", b"avis")):
            if features.check("avif"):
                return "AVIF"
            raise Rejection("unsupported_format", "It is AVIF.")
        if any(brand in brands for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")):
            raise Rejection("unsupported_format", "It is HEIC.")
    raise Rejection("not_an_image", f"It begins with {data[:16]!r}.")


def prepare(data: bytes, *, side: int, max_pixels: int) -> Picture:
    """Make any picture fit to travel.

    Parameters
    ----------
    data
        The object, whole.
    side
        Longest side in pixels of what travels.
    max_pixels
        Width times height from which on the picture is refused undecoded.

    Raises
    ------
    Rejection
        ``empty_object``, ``not_an_image``, ``unsupported_format``, ``too_many_pixels``, ``truncated_image``, ``corrupt_image``.
    """
    if not data:
        raise Rejection("empty_object")
    name = sniff(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, on odd but readable files
            return _prepare(data, name, side, max_pixels)
    except (Rejection, MemoryError):
        raise
    except Exception as error:
        # Whatever a decoder raises on hostile bytes, it means that they cannot be decoded.
        text = f"{type(error).__name__}: {error}"
        early = isinstance(error, EOFError) or any(
            w in text.lower() for w in ("truncated", "unexpected end", "eof")
        )
        raise Rejection("truncated_image" if early else "corrupt_image", f"{name}: {text}.") from error


def _prepare(data: bytes, name: str, side: int, max_pixels: int) -> Picture:
    with Image.open(io.BytesIO(data), formats=(name,)) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise Rejection("too_many_pixels", f"It has {width} x {height}; {max_pixels} are allowed.")
        orientation = _orientation(image)
        seen = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
        small = max(width, height) <= side
        if not small and name == "JPEG":
            image.draft(
                None, (2 * side, 2 * side)
            )  # decode at a fraction of the size, still twice what is wanted
        image.load()
        if small and orientation == 1 and len(data) <= MAX_TRAVEL_BYTES and _reads_the_same(image, name):
            return Picture(data, f"image/{name.lower()}", name, *seen)
        upright = _rgb(image, side)
        if orientation in _UPRIGHT:
            upright = upright.transpose(_UPRIGHT[orientation])
    encoded, content_type = _encode(upright, lossless=small)
    return Picture(encoded, content_type, name, *seen)


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns TIFF itself
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF does not make a picture unreadable
        return 1


def _reads_the_same(image: Image.Image, name: str) -> bool:
    """Whether every decoder sees in this file what ours would make of it."""
    if name not in ("JPEG", "PNG") or getattr(image, "n_frames", 1) != 1:
        return False
    if any(isinstance(value, str | bytes) and len(value) > _USUAL_TEXT for value in image.info.values()):
        return False
    if image.mode == "RGBA":
        return image.getchannel("A").getextrema() == (255, 255)
    return image.mode in ("RGB", "L", "P", "1") and not image.has_transparency_data


def _rgb(image: Image.Image, side: int) -> Image.Image:
    """Scaled down to ``side`` and RGB, transparency laid over white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        image = _eight_bit(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point, as grey of 8 bits."""
    grey = image.convert("F")
    low, high = (float(value) for value in grey.getextrema())  # type: ignore[arg-type]  # one band
    mean: float = grey.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[assignment]
    if not all(map(math.isfinite, (low, high, mean))):  # the extremes pass over NaN
        raise Rejection("corrupt_image", "It has values that are no finite numbers.")
    if image.mode == "F" and low >= 0 and high <= 1:
        scale, offset = 255.0, 0.0
    elif image.mode == "F" or low < 0 or high > 65535:
        scale = 255.0 / ((high - low) or 1.0)
        offset = -low * scale
    elif image.mode == "I" and high <= 255:
        scale, offset = 1.0, 0.0
    else:
        scale, offset = 1 / 257, 0.0
    return grey.point(lambda value: value * scale + offset).convert("L")


def _encode(image: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    """PNG where nothing was scaled and it is small enough, else JPEG of the best quality that is small enough."""
    if lossless:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", icc_profile=None)
        if buffer.tell() <= MAX_TRAVEL_BYTES:
            return buffer.getvalue(), "image/png"
    for quality in _JPEG_QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=0)
        if buffer.tell() <= MAX_TRAVEL_BYTES:
            return buffer.getvalue(), "image/jpeg"
    image.thumbnail((image.width // 2, image.height // 2))  # noise of over 600 pixels a side comes here
    return _encode(image, lossless=False)
