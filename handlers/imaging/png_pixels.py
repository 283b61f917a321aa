"""Decodes a PNG whose structure was checked by `png`: with a row more, which shows whether data is missing, and in 16 bits."""

from __future__ import annotations

import hashlib

from PIL import Image

from handlers.imaging import pixel_values, png
from handlers.imaging.spliced import as_file, open_image

_MARK = hashlib.sha512().digest()


def load_by_row(found: png.Png) -> Image.Image | None:
    """The image, or None if it needs further checks: it is damaged, or lacks only a checksum."""
    image = open_image(as_file(found.with_row_more()), "PNG")
    if image.size != (found.width, found.height + 1):
        return None
    # A row that no image has by chance, in the place of the last two: the decoder must write over the first and not over the second.
    last, beyond = ((0, y, found.width, y + 1) for y in (found.height - 1, found.height))
    canvas = Image.new(image.mode, image.size)
    mark = canvas.crop(last)
    size = len(mark.tobytes())
    mark = Image.frombytes(mark.mode, mark.size, (_MARK * (size // len(_MARK) + 1))[:size])
    canvas.paste(mark, last)
    canvas.paste(mark, beyond)
    pattern = canvas.crop(last).tobytes()
    image.im = canvas.im
    try:
        image.load()
    except (OSError, SyntaxError, ValueError):
        return None
    if image.crop(last).tobytes() == pattern or image.crop(beyond).tobytes() != pattern:
        return None
    return image.crop((0, 0, found.width, found.height))


def deep(found: png.Png, image: Image.Image) -> Image.Image:
    """Colour of 16 bits: by its upper bytes, unless few of them are used."""
    if max(top for _, top in image.getextrema()) > 63:  # type: ignore[misc]  # 14 bits or fewer are less
        return image
    lower = open_image(as_file(found.parts), "PNG")
    lower.tile = [tile._replace(args="RGB;16L") for tile in lower.tile]  # type: ignore[attr-defined]  # of an ImageFile
    whole = pixel_values.combined(image, lower, found.significant_bits)
    return image if whole is None else whole
