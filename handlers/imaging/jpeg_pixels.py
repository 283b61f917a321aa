"""Decodes a JPEG whose structure was checked by `jpeg`, at a fraction of its size, and finds data that is missing at the end of a scan."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from handlers.imaging import jpeg
from handlers.imaging.spliced import open_image
from handlers.rejections import Rejection


def load(data: bytes, found: jpeg.Jpeg, side: int, *, exact: bool) -> Image.Image:
    """Decode at a fraction of the size, still twice `side`; `exact`: find even the last bits missing."""
    image = open_image(io.BytesIO(data), "JPEG")
    image.draft(None, (2 * side, 2 * side))
    tile, config = image.tile[0], image.decoderconfig  # type: ignore[attr-defined]  # of an ImageFile
    image.im = _feed(data, found, image, tile, config).im
    image.tile = []  # type: ignore[attr-defined]  # it is loaded
    twice = exact or found.has_restarts
    if twice and not same(image, _feed(data, found, image, tile, config, jpeg.OTHER_FILL)):
        raise Rejection("truncated_image", "JPEG: a part of its data is missing.")
    return image


def _feed(
    data: bytes, found: jpeg.Jpeg, image: Image.Image, tile: Any, config: Any, other_fill: bytes = b""
) -> Image.Image:
    """Decode scan by scan, each without the marker after it; raises if the decoder needs more than there is."""
    canvas = Image.new(image.mode, image.size)
    view = memoryview(data)
    decoder = Image._getdecoder(image.mode, tile[0], tile[3], config)
    decoder.setimage(canvas.im, tile[1])
    begin = 0
    for scan in found.scans:
        fill = other_fill or scan.fill
        part = jpeg.filled(view, scan, begin, fill)
        count, error = decoder.decode(part)
        if count >= 0:
            rest = bytes(part[count:]) + fill
            count, error = decoder.decode(rest)
        if found.one_scan or count < 0:
            break
        # After a whole scan it searches for a marker, and takes byte after byte; within one, it waits for several.
        rest = rest[count:] + b"\0"
        if decoder.decode(rest)[0] != len(rest):
            raise Rejection("truncated_image", "JPEG: the data of a scan ends early.")
        begin = scan.end
    else:
        count, error = decoder.decode(jpeg.END)
    if count >= 0:
        raise Rejection("truncated_image", "JPEG: its data ends before its last row.")
    if error < 0:
        raise Rejection("corrupt_image" if found.closed else "truncated_image", "JPEG: its data is damaged.")
    return canvas


def same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images of one size have the same pixels; in strips, so that no third image is held."""
    for top in range(0, one.height, 256):
        box = (0, top, one.width, top + 256)  # both are black beyond their last row
        if one.crop(box).tobytes() != other.crop(box).tobytes():
            return False
    return True
