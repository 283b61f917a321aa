"""Decodes one format after its structure and its cost were checked; raises where data is missing or damaged.

A plugin of Pillow is imported when a file of its format comes: those of rare formats cost time that a cold start does not have.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image

from handlers.imaging import jpeg, jpeg_pixels, limits, pixel_values, png, png_pixels
from handlers.imaging.spliced import as_file, open_image
from handlers.rejections import Rejection


@dataclass(slots=True)
class Decoded:
    """A loaded image, perhaps at a fraction of its size.

    ``width`` and ``height`` are those of the file, in pixels. ``altered`` is whether the file shows more or other than this image.
    """

    image: Image.Image
    width: int
    height: int
    significant_bits: int | None = None
    no_data: float | None = None
    altered: bool = False


def decode(data: bytes, name: str, *, side: int, max_pixels: int) -> Decoded:
    """Decode the first frame or page.

    Parameters
    ----------
    name
        The format, as `sniffing.sniff` returns it.
    side
        The longest side that is needed: decoders that can scale go down to twice as much.
    max_pixels
        Width times height that are allowed.

    Raises
    ------
    Rejection
        ``unsupported_format``, ``too_many_pixels``, ``too_complex``, ``truncated_image``, ``corrupt_image``.
    Exception
        Whatever Pillow raises of damaged data.
    """
    decoder = _DECODERS[name]
    if name in _HEADERS_DECIDE:
        return decoder(data, name, side, max_pixels)
    with limits.bounded_memory():
        return decoder(data, name, side, max_pixels)


# What these decoders allocate follows from the headers that were checked.
_HEADERS_DECIDE = ("JPEG", "PNG", "GIF", "BMP", "PPM")


def _jpeg(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    found = jpeg.inspect(data)
    shorter = min(found.width, found.height)
    fraction = next((one for one in (8, 4, 2) if shorter // one >= 2 * side), 1)
    # Of several scans, the decoder holds all coefficients at full size, two bytes each.
    full = 1.0 if found.one_scan else 0.7 * fraction**2 + 1
    pixels = found.width * found.height
    limits.check_pixels(
        name, "", found.width, found.height, max_pixels, decoded=int(pixels / fraction**2 * full)
    )
    image = jpeg_pixels.load(data, found, side, exact=pixels <= (1_000_000 if found.one_scan else 250_000))
    return Decoded(image, found.width, found.height, altered=not found.closed)


def _png(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    found = png.inspect(data)
    limits.check_pixels(name, "", found.width, found.height, max_pixels)
    image = png_pixels.load_by_row(found) if found.checked_by_row else None
    if image is None:
        png.verify(found)
        image = open_image(as_file(found.parts), name)
        image.load()
    altered = found.animated or found.left_out or not found.closed or found.depth == 16
    if found.depth == 16 and image.mode == "RGB":
        image = png_pixels.deep(found, image)
    return Decoded(image, found.width, found.height, found.significant_bits, altered=altered)


def _gif(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import gif

    gif.inspect(data)
    image = open_image(io.BytesIO(data), name)
    limits.check_pixels(name, "", *image.size, max_pixels)
    (tile,) = image.tile  # type: ignore[attr-defined]  # of an ImageFile
    image.load()
    # Once more on another background: where it is visible, nothing was written.
    last = image.getpixel((image.width - 1, image.height - 1))
    ground = Image.new(image.mode, image.size, int(not last))
    box = tile.extents
    decoder = Image._getdecoder(image.mode, tile.codec_name, tile.args)
    decoder.setimage(ground.im, box)
    decoder.decode(data[tile.offset :])
    gif.check_end(data, tile)
    if not jpeg_pixels.same(image.crop(box), ground.crop(box)):
        raise Rejection("truncated_image", "GIF: its data ends before its last row.")
    return Decoded(image if box == (0, 0, *image.size) else _only(image, box), *image.size)


def _only(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The frame of a larger screen, the rest of it transparent."""
    pixel_values.check_palette(image)
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.crop(box).convert("RGBA"), box)
    return canvas


def _webp(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import webp

    found = webp.inspect(data)
    limits.check_pixels(name, found.mode, found.width, found.height, max_pixels)
    return _plain(data, name, "WebPImagePlugin", max_pixels)


def _avif(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from PIL import features

    from handlers.imaging import av1, boxes

    if not features.check("avif"):
        raise Rejection("unsupported_format", "It is AVIF.")
    found = boxes.inspect(data, name)
    limits.check_pixels(name, "RGB", found.width, found.height, max_pixels)
    decoded = _plain(data, name, "AvifImagePlugin", max_pixels)
    av1.check(data, decoded.image)
    return decoded


def _heif(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import boxes, heif, hevc

    found = boxes.inspect(data, name)
    limits.check_pixels(name, "", found.width, found.height, max_pixels)
    try:
        plugin = importlib.import_module("pillow_heif")
    except ImportError:
        raise Rejection(
            "unsupported_format",
            "It is HEIC; pillow-heif, which reads it, is not installed (HeicLibrariesKey).",
        ) from None
    plugin.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    decoded = _plain(data, name, None, max_pixels)
    hevc.check(data)
    heif.check_shown(data, decoded.width, decoded.height)
    return decoded


def _tiff(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import deflate, fax, tails, tiff

    found = tiff.inspect(data)
    limits.check_pixels(name, "", found.width, found.height, max_pixels)
    _check_tiff_streams(found.jpeg_streams(data))
    importlib.import_module("PIL.TiffImagePlugin")
    try:
        image = open_image(io.BytesIO(data), name)
    except (OSError, SyntaxError, KeyError) as error:
        raise Rejection("unsupported_format", f"It is TIFF with {found.layout()}.") from error
    width, height = image.size
    tiff.leave_out_further_strips(image, found)
    if found.compression in fax.COMPRESSIONS:
        fax.load(image)
        fax.check(data, found)
    image.load()
    if found.compression in deflate.COMPRESSIONS:
        deflate.check(data, found)
    if run := found.plain_rows:
        tails.check(name, data, *run)
    return Decoded(image, width, height, found.significant_bits, found.no_data)


def _check_tiff_streams(streams: Iterable[bytes]) -> None:
    """Strips and tiles of JPEG are checked as files of JPEG are: libtiff passes over what libjpeg invents."""
    for stream in streams:
        inner = jpeg.inspect(stream)
        limits.check_work("TIFF", "scans", len(inner.scans), inner.width * inner.height)
        jpeg_pixels.load(stream, inner, 1, exact=False)


def _jpeg2000(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import jpeg2000, packets

    found = jpeg2000.inspect(data)
    data += found.lacks
    halvings, size = 0, (found.width, found.height)
    for level in range(found.resolutions + 1):
        smaller = found.size_at(level)
        if smaller and min(smaller) >= 2 * side:
            halvings, size = level, smaller
    limits.check_pixels(name, "", found.width, found.height, max_pixels, decoded=size[0] * size[1])
    importlib.import_module("PIL.Jpeg2KImagePlugin")
    try:
        image = jpeg2000.load(data, found, halvings)
    except OSError:  # a tile may have fewer resolutions than the main header says
        if not halvings:
            raise
        limits.check_pixels(name, "", found.width, found.height, max_pixels)
        image = jpeg2000.load(data, found, 0)
    packets.check(data, found)
    return Decoded(image, found.width, found.height)


def _icon(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    """The largest image of an icon or cursor."""
    from handlers.imaging import icon, tails

    content, rest, best = icon.largest(data)
    if content.startswith(png.SIGNATURE):
        decoded = _png(content, "PNG", side, max_pixels)
        icon.check_size(best, decoded.width, decoded.height)
        return decoded
    if len(content) < 40:
        raise Rejection("truncated_image", "ICO: its image ends early.")
    width, height = (
        int.from_bytes(content[4:8], "little"),
        int.from_bytes(content[8:12], "little", signed=True),
    )
    height = abs(height) // 2  # with the mask, and negative where the uppermost row comes first
    limits.check_pixels(name, "", width, height, max_pixels)
    icon.check_size(best, width, height)
    alone = icon.alone(content, rest, best, width, height)
    tails.check(name, alone, *icon.plain_rows(alone, width, height))
    return _plain(alone, name, "IcoImagePlugin", max_pixels)


def _bmp(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import bmp, tails

    colours = bmp.inspect(data)
    decoded = _plain(data, name, None, max_pixels)
    if run := bmp.plain_rows(data):
        tails.check(name, data, *run)
    # Pillow shows a palette of greys as grey values.
    if colours is not None and (decoded.image.mode == "L" or (decoded.image.mode == "1" and colours < 2)):
        pixel_values.check_highest(decoded.image, colours)
    return decoded


def _ppm(data: bytes, name: str, side: int, max_pixels: int) -> Decoded:
    from handlers.imaging import ppm, tails

    found = ppm.inspect(data)
    limits.check_pixels(name, "", found.width, found.height, max_pixels)
    decoded = _plain(data, name, None, max_pixels)
    tails.check(name, data, found.begin, found.row, found.height)
    decoded.significant_bits = 16  # whatever the maximum, Pillow scales to 8 or 16 bits
    return decoded


def _plain(data: bytes, name: str, plugin: str | None, max_pixels: int) -> Decoded:
    if plugin:
        importlib.import_module(f"PIL.{plugin}")
    image = open_image(io.BytesIO(data), name)
    width, height = image.size
    limits.check_pixels(name, image.mode, width, height, max_pixels)
    image.load()
    return Decoded(image, width, height)


_DECODERS: dict[str, Callable[[bytes, str, int, int], Decoded]] = {
    "JPEG": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp, "TIFF": _tiff, "BMP": _bmp, "AVIF": _avif,
    "HEIF": _heif, "JPEG2000": _jpeg2000, "ICO": _icon, "PPM": _ppm,
}  # fmt: skip
