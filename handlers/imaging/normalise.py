"""Puts it together: bytes of any image to bytes of a JPEG or PNG that fits the workflow's state.

A JPEG or PNG that a model can read as it is passes through byte for byte. Anything else is turned upright, made RGB in sRGB on white,
scaled down and encoded again, never larger than `MAX_IMAGE_BYTES`: the state has 262,144 bytes, base64 included. Only the first frame or
page counts.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from handlers.imaging import colour, pixel_values
from handlers.imaging.decoding import Decoded, decode
from handlers.imaging.orientation import is_sideways, orientation, upright
from handlers.imaging.sniffing import has_converted_line_ends, sniff
from handlers.rejections import Rejection

# In base64 half of the Step Functions payload limit of 262,144 bytes; `handlers.endpoint_response` has the limit of a prediction.
MAX_IMAGE_BYTES = 96 * 1024

# The limit on pixels is ours, applied to the header before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
# Profiles and notes of some megabytes are not decompression bombs; Pillow's limit is one megabyte.
_USUAL_TEXT = PngImagePlugin.MAX_TEXT_CHUNK
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024 * 1024

_JPEG_QUALITIES = (92, 85, 70, 50, 30)


@dataclass(frozen=True, slots=True)
class Normalised:
    """What goes into the workflow's state, and what the upload was.

    ``width`` and ``height`` are pixels of the upload, seen upright.
    """

    data: bytes
    content_type: str
    format: str
    width: int
    height: int


def prepare(data: bytes, *, side: int, max_pixels: int) -> Normalised:
    """Normalise an image.

    Parameters
    ----------
    data
        The object, whole.
    side
        Longest side of the result, in pixels.
    max_pixels
        Width times height above which the image is rejected undecoded.

    Raises
    ------
    Rejection
        ``empty_object``, ``not_an_image``, ``unsupported_format``, ``too_many_pixels``, ``too_complex``, ``truncated_image``,
        ``corrupt_image``, ``blank_image``.
    """
    if not data:
        raise Rejection("empty_object")
    name = sniff(data)
    if has_converted_line_ends(data, name):
        from handlers.imaging import foreign

        raise foreign.of_line_ends()
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")  # of Pillow, on odd but readable files
        try:
            return _prepare(data, name, side, max_pixels)
        except MemoryError as error:
            raise Rejection("too_complex", f"{name}: it takes more memory than there is.") from error
        except Rejection as rejection:
            if rejection.code not in ("truncated_image", "corrupt_image"):
                raise
            raise _explained(rejection.code, str(rejection), data, rejection) from rejection
        except Exception as error:
            # Whatever a decoder raises on hostile bytes, it means that they cannot be decoded.
            found = _text(error, [str(note.message) for note in noted])
            code = _code(found)
            what = f"It is {name}: {error}." if code == "unsupported_format" else f"{name}: {found}."
            raise _explained(code, what, data, error) from error


def _code(found: str) -> str:
    text = found.lower()
    if any(word in text for word in ("truncated", "unexpected end", "eof")):  # such as an EOFError
        return "truncated_image"
    return "unsupported_format" if "unsupported" in text else "corrupt_image"


def _text(error: Exception, notes: list[str]) -> str:
    if isinstance(error, UnidentifiedImageError):  # names no more than an address in memory
        return notes[-1] if notes else "its header cannot be read"
    return f"{type(error).__name__}: {error}"


def _explained(code: str, what: str, data: bytes, error: Exception) -> Rejection:
    """The rejection of a damaged file, with what may have happened to it."""
    from handlers.imaging import foreign

    cause = foreign.explain_damage(data)
    if isinstance(error, Rejection):
        if not cause:
            return error
        return Rejection.from_state(code, f"{what} {cause}")
    return Rejection(code, f"{what} {cause}")


def _prepare(data: bytes, name: str, side: int, max_pixels: int) -> Normalised:
    decoded = decode(data, name, side=side, max_pixels=max_pixels)
    image = decoded.image
    pixel_values.check_palette(image)
    turn = orientation(image, name)
    seen = (decoded.height, decoded.width) if is_sideways(turn) else (decoded.width, decoded.height)
    small = max(decoded.width, decoded.height) <= side
    if small and turn == 1 and len(data) <= MAX_IMAGE_BYTES and _reads_the_same(decoded, name):
        if pixel_values.is_blank(image.convert("RGB")):
            raise _blank(image)
        return Normalised(data, f"image/{name.lower()}", name, *seen)
    result = upright(_rgb(decoded, side), turn)
    if pixel_values.is_blank(result) and _is_blank(data, name, decoded, max_pixels):
        raise _blank(result)
    encoded, content_type = _encode(result, lossless=small)
    return Normalised(encoded, content_type, name, *seen)


def _blank(image: Image.Image) -> Rejection:
    return Rejection("blank_image", f"Its colour is {image.convert('RGB').getpixel((0, 0))}.")


def _is_blank(data: bytes, name: str, decoded: Decoded, max_pixels: int) -> bool:
    """Whether it is of one colour at full size too: scaling down makes fine stripes one grey."""
    largest = max(decoded.width, decoded.height)
    if max(decoded.image.size) < largest:
        decoded = decode(data, name, side=largest, max_pixels=max_pixels)
    return pixel_values.is_blank(_rgb(decoded, largest))


def _reads_the_same(decoded: Decoded, name: str) -> bool:
    """Whether every decoder sees in this file what ours would make of it."""
    image = decoded.image
    if name not in ("JPEG", "PNG") or decoded.altered or getattr(image, "n_frames", 1) != 1:
        return False
    if any(isinstance(value, str | bytes) and len(value) > _USUAL_TEXT for value in image.info.values()):
        return False
    if colour.profile_of(image):
        return False
    if image.mode == "RGBA":
        return image.getchannel("A").getextrema() == (255, 255)
    return image.mode in ("RGB", "L", "P", "1") and not image.has_transparency_data


def _rgb(decoded: Decoded, side: int) -> Image.Image:
    """Scaled down to ``side`` and RGB in sRGB, transparency laid over white."""
    image = decoded.image
    profile = colour.profile_of(image)
    if pixel_values.is_deep(image):
        image = pixel_values.eight_bit(image, decoded.significant_bits, decoded.no_data)
    elif image.has_transparency_data:
        image = pixel_values.without_empty_alpha(
            image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        )
        image = image.convert("RGBA") if image.mode == "LA" else image
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        image = pixel_values.on_white(image)
    if profile:
        image = colour.to_srgb(image, profile)
    return image.convert("RGB")


def _encode(image: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    """PNG where nothing was scaled and it is small enough, else JPEG of the best quality that is small enough."""
    if lossless:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", icc_profile=None)
        if buffer.tell() <= MAX_IMAGE_BYTES:
            return buffer.getvalue(), "image/png"
    for quality in _JPEG_QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=0, icc_profile=None)
        if buffer.tell() <= MAX_IMAGE_BYTES:
            return buffer.getvalue(), "image/jpeg"
    return _encode(image.reduce(2), lossless=False)  # noise of over 600 pixels a side comes here
